//! The only SQL of the gate.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::LazyLock,
};

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Error, Id, Result, Timestamp};
use writ_store::{Tx, execute, on};

use crate::{
    approvals::{Request, State, Vote},
    model::Environment,
    policy_sets::Active,
    tenancy::TenantRecord,
};

#[derive(FromRow)]
pub(crate) struct TenantRow {
    pub(crate) log_id: String,
    pub(crate) active: i64,
    pub(crate) policy_id: Option<Uuid>,
}

pub(crate) async fn tenant(tx: &mut Tx) -> Result<Option<TenantRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, TenantRow>("SELECT log_id, active, policy_id FROM tenants WHERE tenant_id = $1")
            .bind(tenant)
            .fetch_optional(conn)
    })
}

pub(crate) async fn policies(tx: &mut Tx, id: Uuid) -> Result<Option<String>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (String,)>(
            "SELECT policies FROM policy_sets WHERE tenant_id = $1 AND policy_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    Ok(row.map(|(text,)| text))
}

/// The actor's pseudonym, and the number of the last of the `leaves` it is given now. The first leaf of a subject settles
/// its pseudonym.
pub(crate) async fn next_leaves_of(
    tx: &mut Tx,
    subject: Uuid,
    leaves: i64,
    fresh: &str,
) -> Result<(String, i64)> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (String, i64)>(
            "INSERT INTO evidence_subjects (tenant_id, subject, pseudonym, leaves) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, subject) DO UPDATE SET leaves = evidence_subjects.leaves + $4
             RETURNING pseudonym, leaves",
        )
        .bind(tenant)
        .bind(subject)
        .bind(fresh)
        .bind(leaves)
        .fetch_one(conn)
    })
}

/// The pseudonyms of things that are acted upon. Looked up before they are written, and then without a lock: whoever
/// acts on each other at once would wait for each other.
pub(crate) async fn pseudonyms_of(
    tx: &mut Tx,
    subjects: &[Uuid],
    fresh: impl Fn() -> String,
) -> Result<HashMap<Uuid, String>> {
    let mut known = HashMap::with_capacity(subjects.len());
    for some in subjects.chunks(LOOKED_UP) {
        known.extend(known_pseudonyms(tx, some).await?);
    }
    for &subject in subjects {
        if let Entry::Vacant(place) = known.entry(subject) {
            place.insert(settle_pseudonym(tx, subject, fresh()).await?);
        }
    }
    Ok(known)
}

async fn settle_pseudonym(tx: &mut Tx, subject: Uuid, fresh: String) -> Result<String> {
    let inserted = execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO evidence_subjects (tenant_id, subject, pseudonym, leaves) VALUES ($1, $2, $3, 0)
             ON CONFLICT (tenant_id, subject) DO NOTHING",
        )
        .bind(tenant)
        .bind(subject)
        .bind(&fresh)
        .execute(conn)
    })?;
    if inserted == 1 {
        return Ok(fresh);
    }
    let known = known_pseudonyms(tx, &[subject]).await?;
    let (_, pseudonym) = known
        .into_iter()
        .next()
        .ok_or_else(|| Error::unavailable("contention", "the subject is being erased; try again"))?;
    Ok(pseudonym)
}

/// So many subjects are looked up at once.
const LOOKED_UP: usize = 8;

/// Those of at most [`LOOKED_UP`] subjects that have a pseudonym already.
async fn known_pseudonyms(tx: &mut Tx, subjects: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
    on!(tx, |conn, tenant| {
        let mut query = sqlx::query_as::<_, (Uuid, String)>(
            "SELECT subject, pseudonym FROM evidence_subjects
             WHERE tenant_id = $1 AND subject IN ($2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(tenant);
        for at in 0..LOOKED_UP {
            query = query.bind(subjects.get(at).or(subjects.first()).copied());
        }
        query.fetch_all(conn)
    })
}

pub(crate) async fn has_leaves(tx: &mut Tx) -> Result<bool> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid,)>("SELECT leaf_id FROM evidence_leaves WHERE tenant_id = $1 LIMIT 1")
            .bind(tenant)
            .fetch_optional(conn)
    })?;
    Ok(row.is_some())
}

#[derive(FromRow)]
pub(crate) struct PayloadKeyRow {
    pub(crate) key_id: Uuid,
    pub(crate) wrapped: Vec<u8>,
}

pub(crate) async fn payload_key(tx: &mut Tx, subject: Uuid, month: i64) -> Result<Option<PayloadKeyRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, PayloadKeyRow>(
            "SELECT key_id, wrapped FROM evidence_keys WHERE tenant_id = $1 AND subject = $2 AND month = $3",
        )
        .bind(tenant)
        .bind(subject)
        .bind(month)
        .fetch_optional(conn)
    })
}

pub(crate) async fn payload_key_by_id(tx: &mut Tx, id: Uuid) -> Result<Option<PayloadKeyRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, PayloadKeyRow>(
            "SELECT key_id, wrapped FROM evidence_keys WHERE tenant_id = $1 AND key_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })
}

pub(crate) async fn insert_payload_key(
    tx: &mut Tx,
    id: Uuid,
    subject: Uuid,
    month: i64,
    wrapped: &[u8],
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO evidence_keys (tenant_id, key_id, subject, month, wrapped) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(tenant)
        .bind(id)
        .bind(subject)
        .bind(month)
        .bind(wrapped)
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) struct NewLeaf<'a> {
    pub(crate) leaf_id: Uuid,
    pub(crate) at: i64,
    pub(crate) action: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) object: Option<&'a str>,
    pub(crate) trace: &'a str,
    pub(crate) leaf: String,
    pub(crate) leaf_hash: [u8; 32],
    pub(crate) key_id: Uuid,
    pub(crate) payload: Vec<u8>,
}

/// So many leaves are written by one statement when there are as many; the rest one by one.
const ROWS: usize = 16;

static INSERT_ROWS: LazyLock<String> = LazyLock::new(|| {
    let row = |row: usize| {
        let columns = (0..10).map(|column| format!("${}", row * 10 + column + 2));
        format!("($1, {})", columns.collect::<Vec<_>>().join(", "))
    };
    INSERT_LEAF.replace(ONE_ROW, &(0..ROWS).map(row).collect::<Vec<_>>().join(", "))
});

const ONE_ROW: &str = "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const INSERT_LEAF: &str =
    "INSERT INTO evidence_leaves (tenant_id, leaf_id, at, action, outcome, object, trace, leaf, leaf_hash, key_id, payload)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

pub(crate) async fn insert_leaves(tx: &mut Tx, leaves: &[NewLeaf<'_>]) -> Result<()> {
    let mut chunks = leaves.chunks_exact(ROWS);
    for chunk in &mut chunks {
        insert(tx, INSERT_ROWS.as_str(), chunk).await?;
    }
    for leaf in chunks.remainder() {
        insert(tx, INSERT_LEAF, std::slice::from_ref(leaf)).await?;
    }
    Ok(())
}

async fn insert(tx: &mut Tx, text: &'static str, leaves: &[NewLeaf<'_>]) -> Result<()> {
    execute!(tx, |conn, tenant| {
        let mut query = sqlx::query(text).bind(tenant);
        for leaf in leaves {
            query = query
                .bind(leaf.leaf_id)
                .bind(leaf.at)
                .bind(leaf.action)
                .bind(leaf.outcome)
                .bind(leaf.object)
                .bind(leaf.trace)
                .bind(&leaf.leaf)
                .bind(leaf.leaf_hash.as_slice())
                .bind(leaf.key_id)
                .bind(&leaf.payload);
        }
        query.execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn insert_tenant(tx: &mut Tx, tenant: &TenantRecord) -> Result<()> {
    execute!(tx, |conn| {
        sqlx::query(
            "INSERT INTO tenants (tenant_id, name, log_id, active, created_at) VALUES ($1, $2, $3, 1, $4)",
        )
        .bind(tenant.id.uuid())
        .bind(tenant.name.as_str())
        .bind(&tenant.log)
        .bind(tenant.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn tenant_record(tx: &mut Tx) -> Result<Option<TenantRecord>> {
    let tenant = tx.tenant().uuid();
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (String, String, i64)>(
            "SELECT name, log_id, created_at FROM tenants WHERE tenant_id = $1",
        )
        .bind(tenant)
        .fetch_optional(conn)
    })?;
    row.map(|(name, log, created_at)| {
        let created_at = Timestamp::from_micros(created_at);
        Ok(TenantRecord { id: Id::from_uuid(tenant), name: name.parse()?, log, created_at })
    })
    .transpose()
}

#[derive(FromRow)]
struct EnvironmentRow {
    environment_id: Uuid,
    name: String,
    kind: String,
    required_approvals: i64,
    minimum_isolation: i64,
    created_at: i64,
}

impl EnvironmentRow {
    fn parse(self) -> Result<Environment> {
        Ok(Environment {
            id: Id::from_uuid(self.environment_id),
            name: self.name.parse()?,
            kind: self.kind,
            required_approvals: small(self.required_approvals)?,
            minimum_isolation: small(self.minimum_isolation)?,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

fn small(number: i64) -> Result<u8> {
    u8::try_from(number).map_err(|_| Error::internal("a small number in the database is not small"))
}

pub(crate) async fn insert_environment(tx: &mut Tx, environment: &Environment) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO environments (tenant_id, environment_id, name, kind, required_approvals, minimum_isolation, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(tenant)
        .bind(environment.id.uuid())
        .bind(environment.name.as_str())
        .bind(&environment.kind)
        .bind(i64::from(environment.required_approvals))
        .bind(i64::from(environment.minimum_isolation))
        .bind(environment.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn environment(tx: &mut Tx, id: Uuid) -> Result<Option<Environment>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, EnvironmentRow>(
            "SELECT * FROM environments WHERE tenant_id = $1 AND environment_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    row.map(EnvironmentRow::parse).transpose()
}

pub(crate) async fn environments(tx: &mut Tx) -> Result<Vec<Environment>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, EnvironmentRow>("SELECT * FROM environments WHERE tenant_id = $1 ORDER BY name")
            .bind(tenant)
            .fetch_all(conn)
    })?;
    rows.into_iter().map(EnvironmentRow::parse).collect()
}

pub(crate) async fn update_environment(tx: &mut Tx, environment: &Environment) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE environments SET required_approvals = $3, minimum_isolation = $4
             WHERE tenant_id = $1 AND environment_id = $2",
        )
        .bind(tenant)
        .bind(environment.id.uuid())
        .bind(i64::from(environment.required_approvals))
        .bind(i64::from(environment.minimum_isolation))
        .execute(conn)
    })?;
    Ok(())
}

#[derive(FromRow)]
struct ApprovalRow {
    approval_id: Uuid,
    action: String,
    resource_id: Uuid,
    environment_id: Uuid,
    author: Uuid,
    binding: String,
    quorum: i64,
    state: String,
    created_at: i64,
    expires_at: i64,
}

impl ApprovalRow {
    fn parse(self) -> Result<Request> {
        Ok(Request {
            id: Id::from_uuid(self.approval_id),
            action: self.action.parse()?,
            resource: self.resource_id,
            environment: Id::from_uuid(self.environment_id),
            author: Id::from_uuid(self.author),
            binding: self.binding,
            quorum: small(self.quorum)?,
            state: State::parse(&self.state)?,
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
        })
    }
}

pub(crate) async fn insert_approval(tx: &mut Tx, request: &Request) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO approvals (tenant_id, approval_id, action, resource_id, environment_id, author, binding, quorum,
                                    state, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(tenant)
        .bind(request.id.uuid())
        .bind(request.action.name())
        .bind(request.resource)
        .bind(request.environment.uuid())
        .bind(request.author.uuid())
        .bind(&request.binding)
        .bind(i64::from(request.quorum))
        .bind(request.state.as_str())
        .bind(request.created_at.micros())
        .bind(request.expires_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn supersede_approvals(tx: &mut Tx, resource: Uuid) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE approvals SET state = 'superseded'
             WHERE tenant_id = $1 AND resource_id = $2 AND state IN ('pending', 'approved')",
        )
        .bind(tenant)
        .bind(resource)
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn approval(tx: &mut Tx, id: Uuid) -> Result<Option<Request>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ApprovalRow>("SELECT * FROM approvals WHERE tenant_id = $1 AND approval_id = $2")
            .bind(tenant)
            .bind(id)
            .fetch_optional(conn)
    })?;
    row.map(ApprovalRow::parse).transpose()
}

pub(crate) async fn latest_approval(tx: &mut Tx, resource: Uuid) -> Result<Option<Request>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ApprovalRow>(
            "SELECT * FROM approvals WHERE tenant_id = $1 AND resource_id = $2 ORDER BY approval_id DESC LIMIT 1",
        )
        .bind(tenant)
        .bind(resource)
        .fetch_optional(conn)
    })?;
    row.map(ApprovalRow::parse).transpose()
}

pub(crate) async fn approvals(
    tx: &mut Tx,
    state: Option<State>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Request>> {
    let state = state.map(State::as_str);
    let before = before.unwrap_or(Uuid::max());
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ApprovalRow>(
            "SELECT * FROM approvals
             WHERE tenant_id = $1 AND approval_id < $2 AND state = coalesce($3, state)
             ORDER BY approval_id DESC LIMIT $4",
        )
        .bind(tenant)
        .bind(before)
        .bind(state)
        .bind(limit)
        .fetch_all(conn)
    })?;
    rows.into_iter().map(ApprovalRow::parse).collect()
}

/// Whether the state was `from` and is now `to`.
pub(crate) async fn set_approval_state(tx: &mut Tx, id: Uuid, from: State, to: State) -> Result<bool> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid,)>(
            "UPDATE approvals SET state = $4 WHERE tenant_id = $1 AND approval_id = $2 AND state = $3 RETURNING approval_id",
        )
        .bind(tenant)
        .bind(id)
        .bind(from.as_str())
        .bind(to.as_str())
        .fetch_optional(conn)
    })?;
    Ok(row.is_some())
}

pub(crate) async fn insert_vote(tx: &mut Tx, approval: Uuid, vote: &Vote) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO approval_votes (tenant_id, approval_id, principal, verdict, comment, at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant)
        .bind(approval)
        .bind(vote.principal.uuid())
        .bind(if vote.approve { "approve" } else { "reject" })
        .bind(&vote.comment)
        .bind(vote.at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn votes(tx: &mut Tx, approval: Uuid) -> Result<Vec<Vote>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid, String, Option<String>, i64)>(
            "SELECT principal, verdict, comment, at FROM approval_votes
             WHERE tenant_id = $1 AND approval_id = $2 ORDER BY at, principal",
        )
        .bind(tenant)
        .bind(approval)
        .fetch_all(conn)
    })?;
    let vote = |(principal, verdict, comment, at): (Uuid, String, Option<String>, i64)| Vote {
        principal: Id::from_uuid(principal),
        approve: verdict == "approve",
        comment,
        at: Timestamp::from_micros(at),
    };
    Ok(rows.into_iter().map(vote).collect())
}

pub(crate) async fn active_policy_set(tx: &mut Tx) -> Result<Option<Active>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid, String, i64)>(
            "SELECT s.policy_id, s.policies, s.created_at FROM policy_sets s
             JOIN tenants t ON t.tenant_id = s.tenant_id AND t.policy_id = s.policy_id
             WHERE s.tenant_id = $1",
        )
        .bind(tenant)
        .fetch_optional(conn)
    })?;
    Ok(row.map(|(id, text, at)| Active {
        id: Some(Id::from_uuid(id)),
        text,
        created_at: Some(Timestamp::from_micros(at)),
    }))
}

pub(crate) async fn insert_policy_set(
    tx: &mut Tx,
    id: Uuid,
    text: &str,
    digest: &str,
    author: Uuid,
    now: Timestamp,
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO policy_sets (tenant_id, policy_id, policies, digest, author, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant)
        .bind(id)
        .bind(text)
        .bind(digest)
        .bind(author)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// Whether `current` was still the active version and `id` now is.
pub(crate) async fn activate_policy_set(tx: &mut Tx, id: Uuid, current: Option<Uuid>) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE tenants SET policy_id = $2
             WHERE tenant_id = $1 AND coalesce(policy_id, $3) = $3",
        )
        .bind(tenant)
        .bind(id)
        .bind(current.unwrap_or(Uuid::nil()))
        .execute(conn)
    })?;
    Ok(changed == 1)
}

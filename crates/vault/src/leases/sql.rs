//! The only SQL of engines and leases.

use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Error, Id, Page, PageRequest, Result, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};
use writ_wire::leases::LeaseState;

use super::model::{EngineRecord, LeaseRecord, RoleRecord, seconds};

/// The id after which a page begins, and how many rows to fetch: one more than the page holds.
fn window(page: &PageRequest) -> Result<(Uuid, i64)> {
    let after = page.after.as_ref().map(|cursor| cursor.0.parse::<Id<()>>()).transpose();
    let after = after.map_err(|error| error.at("after"))?.map_or(Uuid::nil(), Id::uuid);
    Ok((after, i64::from(page.limit) + 1))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("a column cannot be written").because(error))
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::internal("a column cannot be read").because(error))
}

fn duration(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[derive(FromRow)]
struct EngineRow {
    engine_id: Uuid,
    environment_id: Uuid,
    name: String,
    config: String,
    sealed: Option<Vec<u8>>,
    version: i64,
    default_ttl: i64,
    max_ttl: i64,
    created_at: i64,
    updated_at: i64,
}

impl EngineRow {
    fn parse(self) -> Result<EngineRecord> {
        Ok(EngineRecord {
            id: Id::from_uuid(self.engine_id),
            name: self.name.parse()?,
            environment: Id::from_uuid(self.environment_id),
            config: parsed(&self.config)?,
            sealed: self.sealed,
            version: self.version,
            default_ttl: duration(self.default_ttl),
            max_ttl: duration(self.max_ttl),
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
        })
    }
}

macro_rules! engine_columns {
    ($rest:literal) => {
        concat!(
            "SELECT engine_id, environment_id, name, config, sealed, version, default_ttl, max_ttl,
                    created_at, updated_at FROM engines WHERE tenant_id = $1 ",
            $rest
        )
    };
}

pub(crate) async fn insert_engine(tx: &mut Tx, engine: &EngineRecord) -> Result<()> {
    let config = json(&engine.config)?;
    execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO engines (tenant_id, engine_id, environment_id, name, config, sealed, version,
                              default_ttl, max_ttl, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    )
    .bind(tenant)
    .bind(engine.id.uuid())
    .bind(engine.environment.uuid())
    .bind(engine.name.as_str())
    .bind(&config)
    .bind(engine.sealed.as_deref())
    .bind(engine.version)
    .bind(i64::from(seconds(engine.default_ttl)))
    .bind(i64::from(seconds(engine.max_ttl)))
    .bind(engine.created_at.micros())
    .bind(engine.updated_at.micros())
    .execute(conn))
    .map(drop)
}

/// Writes the changed `engine` over the version before it. Returns whether that was still there.
pub(crate) async fn update_engine(tx: &mut Tx, engine: &EngineRecord) -> Result<bool> {
    let config = json(&engine.config)?;
    let changed = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE engines SET config = $3, sealed = $4, version = $5, default_ttl = $6, max_ttl = $7,
                            updated_at = $8
          WHERE tenant_id = $1 AND engine_id = $2 AND version = $5 - 1"
    )
    .bind(tenant)
    .bind(engine.id.uuid())
    .bind(&config)
    .bind(engine.sealed.as_deref())
    .bind(engine.version)
    .bind(i64::from(seconds(engine.default_ttl)))
    .bind(i64::from(seconds(engine.max_ttl)))
    .bind(engine.updated_at.micros())
    .execute(conn))?;
    Ok(changed == 1)
}

pub(crate) async fn engine(tx: &mut Tx, id: Uuid) -> Result<Option<EngineRecord>> {
    let row = on!(tx, |conn, tenant| sqlx::query_as::<_, EngineRow>(engine_columns!("AND engine_id = $2"))
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn))?;
    row.map(EngineRow::parse).transpose()
}

pub(crate) async fn engine_named(tx: &mut Tx, environment: Uuid, name: &str) -> Result<Option<EngineRecord>> {
    let row = on!(tx, |conn, tenant| sqlx::query_as::<_, EngineRow>(engine_columns!(
        "AND environment_id = $2 AND name = $3"
    ))
    .bind(tenant)
    .bind(environment)
    .bind(name)
    .fetch_optional(conn))?;
    row.map(EngineRow::parse).transpose()
}

/// Engines of one environment or, without one, of all.
pub(crate) async fn engines(
    tx: &mut Tx,
    environment: Option<Uuid>,
    page: &PageRequest,
) -> Result<Page<EngineRecord>> {
    let (after, limit) = window(page)?;
    let rows = on!(tx, |conn, tenant| sqlx::query_as::<_, EngineRow>(engine_columns!(
        "AND engine_id > $2 AND environment_id = coalesce($3, environment_id) ORDER BY engine_id LIMIT $4"
    ))
    .bind(tenant)
    .bind(after)
    .bind(environment)
    .bind(limit)
    .fetch_all(conn))?;
    let records = rows.into_iter().map(EngineRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |engine| engine.id.to_string()))
}

/// Removes an engine with its roles and the leases of it that are over.
pub(crate) async fn delete_engine(tx: &mut Tx, id: Uuid) -> Result<()> {
    for statement in [
        "DELETE FROM lent_credentials WHERE tenant_id = $1 AND engine_id = $2",
        "DELETE FROM engine_roles WHERE tenant_id = $1 AND engine_id = $2",
        "DELETE FROM engines WHERE tenant_id = $1 AND engine_id = $2",
    ] {
        execute!(tx, |conn, tenant| sqlx::query(statement).bind(tenant).bind(id).execute(conn))?;
    }
    Ok(())
}

#[derive(FromRow)]
struct RoleRow {
    engine_id: Uuid,
    name: String,
    spec: String,
    default_ttl: i64,
    max_ttl: i64,
    created_at: i64,
}

impl RoleRow {
    fn parse(self) -> Result<RoleRecord> {
        Ok(RoleRecord {
            engine: Id::from_uuid(self.engine_id),
            name: self.name.parse()?,
            spec: parsed(&self.spec)?,
            default_ttl: duration(self.default_ttl),
            max_ttl: duration(self.max_ttl),
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(crate) async fn write_role(tx: &mut Tx, role: &RoleRecord) -> Result<()> {
    let spec = json(&role.spec)?;
    execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO engine_roles (tenant_id, engine_id, name, spec, default_ttl, max_ttl, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id, engine_id, name) DO UPDATE
            SET spec = excluded.spec, default_ttl = excluded.default_ttl, max_ttl = excluded.max_ttl"
    )
    .bind(tenant)
    .bind(role.engine.uuid())
    .bind(role.name.as_str())
    .bind(&spec)
    .bind(i64::from(seconds(role.default_ttl)))
    .bind(i64::from(seconds(role.max_ttl)))
    .bind(role.created_at.micros())
    .execute(conn))
    .map(drop)
}

pub(crate) async fn role(tx: &mut Tx, engine: Uuid, name: &str) -> Result<Option<RoleRecord>> {
    let row = on!(tx, |conn, tenant| sqlx::query_as::<_, RoleRow>(
        "SELECT engine_id, name, spec, default_ttl, max_ttl, created_at FROM engine_roles
          WHERE tenant_id = $1 AND engine_id = $2 AND name = $3"
    )
    .bind(tenant)
    .bind(engine)
    .bind(name)
    .fetch_optional(conn))?;
    row.map(RoleRow::parse).transpose()
}

/// The roles of an engine by name; an engine has as many as fit one answer.
pub(crate) async fn roles(tx: &mut Tx, engine: Uuid) -> Result<Vec<RoleRecord>> {
    let rows = on!(tx, |conn, tenant| sqlx::query_as::<_, RoleRow>(
        "SELECT engine_id, name, spec, default_ttl, max_ttl, created_at FROM engine_roles
          WHERE tenant_id = $1 AND engine_id = $2 ORDER BY name LIMIT 1000"
    )
    .bind(tenant)
    .bind(engine)
    .fetch_all(conn))?;
    rows.into_iter().map(RoleRow::parse).collect()
}

pub(crate) async fn delete_role(tx: &mut Tx, engine: Uuid, name: &str) -> Result<u64> {
    execute!(tx, |conn, tenant| sqlx::query(
        "DELETE FROM engine_roles WHERE tenant_id = $1 AND engine_id = $2 AND name = $3"
    )
    .bind(tenant)
    .bind(engine)
    .bind(name)
    .execute(conn))
}

/// Which leases are meant. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Which<'a> {
    pub(crate) engine: Option<Uuid>,
    pub(crate) environment: Option<Uuid>,
    pub(crate) holder: Option<Uuid>,
    pub(crate) credential: Option<Uuid>,
    pub(crate) state: Option<LeaseState>,
    pub(crate) role_prefix: &'a str,
}

#[derive(FromRow)]
struct LeaseRow {
    lease_id: Uuid,
    engine_id: Uuid,
    environment_id: Uuid,
    role: String,
    spec: String,
    holder: Uuid,
    holder_kind: String,
    credential_id: Option<Uuid>,
    state: String,
    handle: String,
    renewable: i64,
    issued_at: i64,
    expires_at: i64,
    max_expires_at: i64,
    next_at: Option<i64>,
    attempts: i64,
    reason: Option<String>,
    failure: Option<String>,
    ended_at: Option<i64>,
}

impl LeaseRow {
    fn parse(self) -> Result<LeaseRecord> {
        Ok(LeaseRecord {
            id: Id::from_uuid(self.lease_id),
            engine: Id::from_uuid(self.engine_id),
            environment: Id::from_uuid(self.environment_id),
            role: self.role.parse()?,
            spec: parsed(&self.spec)?,
            holder: Id::from_uuid(self.holder),
            holder_kind: self.holder_kind,
            credential: self.credential_id,
            state: state(&self.state)?,
            handle: self.handle,
            renewable: self.renewable != 0,
            issued_at: Timestamp::from_micros(self.issued_at),
            expires_at: Timestamp::from_micros(self.expires_at),
            max_expires_at: Timestamp::from_micros(self.max_expires_at),
            next_at: self.next_at.map(Timestamp::from_micros),
            attempts: self.attempts,
            reason: self.reason,
            failure: self.failure,
            ended_at: self.ended_at.map(Timestamp::from_micros),
        })
    }
}

pub(crate) fn word(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Pending => "pending",
        LeaseState::Active => "active",
        LeaseState::Revoking => "revoking",
        LeaseState::Ended => "ended",
        LeaseState::Abandoned => "abandoned",
    }
}

fn state(word: &str) -> Result<LeaseState> {
    match word {
        "pending" => Ok(LeaseState::Pending),
        "active" => Ok(LeaseState::Active),
        "revoking" => Ok(LeaseState::Revoking),
        "ended" => Ok(LeaseState::Ended),
        "abandoned" => Ok(LeaseState::Abandoned),
        _ => Err(Error::internal("a lease is in a state that nobody knows")),
    }
}

macro_rules! lease_columns {
    ($rest:literal) => {
        concat!(
            "SELECT lease_id, engine_id, environment_id, role, spec, holder, holder_kind, credential_id, state, handle,
                    renewable, issued_at, expires_at, max_expires_at, next_at, attempts, reason, failure, ended_at
               FROM lent_credentials WHERE tenant_id = $1 ",
            $rest
        )
    };
}

pub(crate) async fn insert_lease(tx: &mut Tx, lease: &LeaseRecord) -> Result<()> {
    let spec = json(&lease.spec)?;
    execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO lent_credentials (tenant_id, lease_id, engine_id, environment_id, role, spec, holder, holder_kind,
                             credential_id, state, handle, renewable, issued_at, expires_at, max_expires_at,
                             next_at, attempts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0)"
    )
    .bind(tenant)
    .bind(lease.id.uuid())
    .bind(lease.engine.uuid())
    .bind(lease.environment.uuid())
    .bind(lease.role.as_str())
    .bind(&spec)
    .bind(lease.holder.uuid())
    .bind(&lease.holder_kind)
    .bind(lease.credential)
    .bind(word(lease.state))
    .bind(&lease.handle)
    .bind(i64::from(lease.renewable))
    .bind(lease.issued_at.micros())
    .bind(lease.expires_at.micros())
    .bind(lease.max_expires_at.micros())
    .bind(lease.next_at.map(Timestamp::micros))
    .execute(conn))
    .map(drop)
}

pub(crate) async fn lease(tx: &mut Tx, id: Uuid) -> Result<Option<LeaseRecord>> {
    let row = on!(tx, |conn, tenant| sqlx::query_as::<_, LeaseRow>(lease_columns!("AND lease_id = $2"))
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn))?;
    row.map(LeaseRow::parse).transpose()
}

pub(crate) async fn leases(tx: &mut Tx, which: Which<'_>, page: &PageRequest) -> Result<Page<LeaseRecord>> {
    let (after, limit) = window(page)?;
    let rows = on!(tx, |conn, tenant| sqlx::query_as::<_, LeaseRow>(lease_columns!(
        "AND lease_id > $2 AND engine_id = coalesce($3, engine_id)
         AND environment_id = coalesce($4, environment_id) AND holder = coalesce($5, holder)
         AND state = coalesce($6, state) ORDER BY lease_id LIMIT $7"
    ))
    .bind(tenant)
    .bind(after)
    .bind(which.engine)
    .bind(which.environment)
    .bind(which.holder)
    .bind(which.state.map(word))
    .bind(limit)
    .fetch_all(conn))?;
    let records = rows.into_iter().map(LeaseRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |lease| lease.id.to_string()))
}

/// How many leases are not over: of the tenant, and of `holder`.
pub(crate) async fn under_way(tx: &mut Tx, holder: Uuid) -> Result<(i64, i64)> {
    on!(tx, |conn, tenant| sqlx::query_as::<_, (i64, i64)>(
        "SELECT count(*), count(CASE WHEN holder = $2 THEN 1 END) FROM lent_credentials
          WHERE tenant_id = $1 AND state IN ('pending', 'active', 'revoking')"
    )
    .bind(tenant)
    .bind(holder)
    .fetch_one(conn))
}

/// How many leases of an engine are not over.
pub(crate) async fn of_engine(tx: &mut Tx, engine: Uuid) -> Result<i64> {
    on!(tx, |conn, tenant| sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM lent_credentials
          WHERE tenant_id = $1 AND engine_id = $2 AND state IN ('pending', 'active', 'revoking')"
    )
    .bind(tenant)
    .bind(engine)
    .fetch_one(conn))
}

/// From one state into another, unless another was quicker. Returns whether it was this one.
pub(crate) async fn advance(tx: &mut Tx, before: LeaseState, lease: &LeaseRecord) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
        "UPDATE lent_credentials SET state = $4, expires_at = $5, next_at = $6, attempts = $7, reason = $8, failure = $9,
                           ended_at = $10
          WHERE tenant_id = $1 AND lease_id = $2 AND state = $3"
    )
    .bind(tenant)
    .bind(lease.id.uuid())
    .bind(word(before))
    .bind(word(lease.state))
    .bind(lease.expires_at.micros())
    .bind(lease.next_at.map(Timestamp::micros))
    .bind(lease.attempts)
    .bind(&lease.reason)
    .bind(&lease.failure)
    .bind(lease.ended_at.map(Timestamp::micros))
    .execute(conn)
    })?;
    Ok(changed == 1)
}

/// Lets an active lease last until its new `expires_at`, unless that was changed since it was `seen`. Returns whether
/// it was not.
pub(crate) async fn renew(tx: &mut Tx, seen: Timestamp, lease: &LeaseRecord) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE lent_credentials SET expires_at = $4, next_at = $4
          WHERE tenant_id = $1 AND lease_id = $2 AND state = 'active' AND expires_at = $3"
    )
    .bind(tenant)
    .bind(lease.id.uuid())
    .bind(seen.micros())
    .bind(lease.expires_at.micros())
    .execute(conn))?;
    Ok(changed == 1)
}

/// Has a lease that ended while its target let it live longer end again. Returns whether it had ended.
pub(crate) async fn end_again(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE lent_credentials SET state = 'revoking', next_at = $3, ended_at = NULL
          WHERE tenant_id = $1 AND lease_id = $2 AND state IN ('revoking', 'ended')"
    )
    .bind(tenant)
    .bind(id)
    .bind(now.micros())
    .execute(conn))?;
    Ok(changed == 1)
}

/// Takes the next attempt at ending a lease; `until` is when another may take the one after. Returns whether it is
/// ours.
pub(crate) async fn take(tx: &mut Tx, lease: &LeaseRecord, now: Timestamp, until: Timestamp) -> Result<bool> {
    let taken = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE lent_credentials SET attempts = attempts + 1, next_at = $5
          WHERE tenant_id = $1 AND lease_id = $2 AND state = 'revoking' AND attempts = $3 AND next_at <= $4"
    )
    .bind(tenant)
    .bind(lease.id.uuid())
    .bind(lease.attempts)
    .bind(now.micros())
    .bind(until.micros())
    .execute(conn))?;
    Ok(taken == 1)
}

/// Ends an attempt: the lease is over, or it is tried again. Returns whether the attempt was still ours.
pub(crate) async fn settle(tx: &mut Tx, lease: &LeaseRecord) -> Result<bool> {
    let settled = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE lent_credentials SET state = $4, next_at = $5, failure = $6, ended_at = $7
          WHERE tenant_id = $1 AND lease_id = $2 AND state = 'revoking' AND attempts = $3"
    )
    .bind(tenant)
    .bind(lease.id.uuid())
    .bind(lease.attempts)
    .bind(word(lease.state))
    .bind(lease.next_at.map(Timestamp::micros))
    .bind(&lease.failure)
    .bind(lease.ended_at.map(Timestamp::micros))
    .execute(conn))?;
    Ok(settled == 1)
}

/// Puts off what is due.
pub(crate) async fn postpone(tx: &mut Tx, id: Uuid, now: Timestamp, until: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE lent_credentials SET next_at = $4 WHERE tenant_id = $1 AND lease_id = $2 AND next_at <= $3"
    )
    .bind(tenant)
    .bind(id)
    .bind(now.micros())
    .bind(until.micros())
    .execute(conn))
    .map(drop)
}

/// Lets every lease that `which` means begin to end. Returns how many. One that is being made still is ended when it
/// is made for sure, or never will be.
pub(crate) async fn begin_to_end(tx: &mut Tx, which: Which<'_>, reason: &str, now: Timestamp) -> Result<u64> {
    // A prefix of a name holds nothing that a pattern would obey.
    let pattern = format!("{}%", which.role_prefix);
    execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE lent_credentials SET state = 'revoking', reason = $6,
                next_at = CASE WHEN state = 'pending' THEN next_at ELSE $7 END
          WHERE tenant_id = $1 AND state IN ('pending', 'active') AND engine_id = coalesce($2, engine_id)
            AND holder = coalesce($3, holder) AND role LIKE $4 AND ($5 IS NULL OR credential_id = $5)"
    )
    .bind(tenant)
    .bind(which.engine)
    .bind(which.holder)
    .bind(&pattern)
    .bind(which.credential)
    .bind(reason)
    .bind(now.micros())
    .execute(conn))
}

/// Leases that want looking at, of any tenant.
pub(crate) async fn due(tx: &mut SystemTx, now: Timestamp, limit: i64) -> Result<Vec<(TenantId, Uuid)>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid)>(
        "SELECT tenant_id, lease_id FROM lent_credentials WHERE next_at <= $1 ORDER BY next_at, lease_id LIMIT $2"
    )
    .bind(now.micros())
    .bind(limit)
    .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant, lease)| (Id::from_uuid(tenant), lease)).collect())
}

/// Persons and service accounts that hold something, of any tenant, after this one.
pub(crate) async fn holders(
    tx: &mut SystemTx,
    (tenant, holder): (Uuid, Uuid),
    limit: i64,
) -> Result<Vec<(Uuid, Uuid)>> {
    on!(tx, |conn| sqlx::query_as::<_, (Uuid, Uuid)>(
        "SELECT DISTINCT tenant_id, holder FROM lent_credentials
          WHERE state IN ('pending', 'active') AND holder_kind IN ('person', 'service')
            AND (tenant_id > $1 OR (tenant_id = $1 AND holder > $2))
          ORDER BY tenant_id, holder LIMIT $3"
    )
    .bind(tenant)
    .bind(holder)
    .bind(limit)
    .fetch_all(conn))
}

/// How many leases are in which state, of all tenants; and of those that are to end, how many did not at first.
pub(crate) async fn census(tx: &mut SystemTx) -> Result<Vec<(String, i64, i64)>> {
    on!(tx, |conn| sqlx::query_as::<_, (String, i64, i64)>(
        "SELECT state, count(*), count(failure) FROM lent_credentials
          WHERE state IN ('pending', 'active', 'revoking') GROUP BY state"
    )
    .fetch_all(conn))
}

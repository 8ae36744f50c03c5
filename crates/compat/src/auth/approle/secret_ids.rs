//! Secret ids: what proves a role. Kept under a keyed digest; the text is told once.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use writ_gate::{Done, Grant};
use writ_kernel::Timestamp;

use super::{
    Role, role_at,
    roles::{READ, WRITE, random_uuid},
};
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    entries,
    fault::{Answer, Fault},
    kept,
    reply::Reply,
    tokens::networks,
};

/// A secret id, without its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SecretId {
    pub(super) accessor: String,
    pub(super) cidrs: Vec<String>,
    pub(super) token_cidrs: Vec<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// How often it can still be used; 0 for any number of times.
    pub(super) uses: i64,
    /// Seconds; 0 for one that does not end.
    pub(super) ttl: i64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
}

impl SecretId {
    pub(super) fn lives(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    fn shown(&self) -> Value {
        // What a client takes for no time at all.
        let never = "0001-01-01T00:00:00Z".to_owned();
        json!({
            "cidr_list": self.cidrs,
            "creation_time": self.created_at,
            "expiration_time": self.expires_at.map_or(never, |end| end.to_string()),
            "last_updated_time": self.updated_at,
            "metadata": self.metadata,
            "secret_id_accessor": self.accessor,
            "secret_id_num_uses": self.uses,
            "secret_id_ttl": self.ttl,
            "token_bound_cidrs": self.token_cidrs,
        })
    }
}

pub(super) async fn handle(dialect: &Dialect, ask: &Ask, name: &str, below: &str) -> Answer {
    let role: Role = kept::peek(dialect, ask, &role_at(name)).await?.ok_or_else(|| missing(name))?;
    match (below, ask.operation) {
        ("secret-id", Operation::Write) => {
            let text = random_uuid(dialect).to_string();
            create(dialect, ask, &role, text).await
        }
        ("custom-secret-id", Operation::Write) => {
            let text = ask.fields.required("secret_id")?;
            create(dialect, ask, &role, text).await
        }
        ("secret-id", Operation::List) => list(dialect, ask, &role).await,
        (_, Operation::Write | Operation::Delete) => {
            let at = if below.starts_with("secret-id-accessor") {
                by_accessor(dialect, ask, &role).await?
            } else {
                role.secret_at(&ask.fields.required("secret_id")?)
            };
            if below.ends_with("lookup") {
                let found: Option<SecretId> = kept::find(dialect, ask, READ, &at).await?;
                return Ok(found.map_or(Reply::Nothing, |found| Reply::data(&found.shown())));
            }
            destroy(dialect, ask, &role, &at).await
        }
        _ => Err(Fault::unsupported_operation()),
    }
}

fn missing(name: &str) -> Fault {
    Fault::nowhere(format!("role {:?} does not exist", name.escape_debug().to_string()))
}

/// What is `asked` for, or else what the role says; `None` when it is more than the role says. 0 is without a limit.
fn within(asked: Option<i64>, of_role: i64) -> Option<i64> {
    match asked {
        None => Some(of_role),
        Some(asked) if asked < 0 => None,
        Some(asked) if of_role > 0 && (asked == 0 || asked > of_role) => None,
        Some(asked) => Some(asked),
    }
}

async fn create(dialect: &Dialect, ask: &Ask, role: &Role, text: String) -> Answer {
    if !role.bind_secret_id {
        return Err(Fault::invalid("bind_secret_id is not set on the role"));
    }
    let (fields, now) = (&ask.fields, dialect.world().now());
    let ttl = within(fields.seconds("ttl")?, role.secret_id_ttl)
        .ok_or_else(|| Fault::invalid("ttl cannot be longer than the role's secret_id_ttl"))?;
    let uses = within(fields.integer("num_uses")?, role.secret_id_num_uses)
        .ok_or_else(|| Fault::invalid("num_uses cannot be higher than the role's secret_id_num_uses"))?;
    let token_cidrs = fields.list("token_bound_cidrs")?.unwrap_or_default();
    if !networks::inside(&token_cidrs, &role.terms.token_bound_cidrs) {
        return Err(Fault::invalid("token_bound_cidrs must be a subset of the role's"));
    }
    let made = SecretId {
        accessor: random_uuid(dialect).to_string(),
        cidrs: fields.list("cidr_list")?.unwrap_or_default(),
        token_cidrs,
        metadata: fields.map("metadata")?.unwrap_or_default(),
        uses,
        ttl,
        created_at: now,
        updated_at: now,
        expires_at: (ttl > 0).then(|| now.plus(Duration::from_secs(u64::try_from(ttl).unwrap_or(0)))),
    };
    let entry = dialect.gate().enter(&ask.caller_as_asked()?, WRITE).await?;
    let mut grant = entry.admit(ask.resource(kept::KIND)).await?;
    let (keys, mount, at) = (dialect.seal().tenant(grant.tx()).await?, ask.mount.id, role.secret_at(&text));
    if entries::find::<SecretId>(grant.tx(), &keys, mount, &at).await?.is_some() {
        let error = writ_kernel::Error::invalid("secret_id_taken", "SecretID is already registered");
        return Err(grant.refuse(error).await.into());
    }
    entries::put(grant.tx(), &keys, mount, &at, &made).await?;
    entries::put(grant.tx(), &keys, mount, &role.accessor_at(&made.accessor), &(&made.accessor, &at)).await?;
    grant.commit(Done::with(json!({ "accessor": made.accessor, "ttl": ttl, "uses": made.uses }))).await?;
    Ok(Reply::data(&json!({
        "secret_id": text,
        "secret_id_accessor": made.accessor,
        "secret_id_num_uses": made.uses,
        "secret_id_ttl": made.ttl,
    })))
}

async fn list(dialect: &Dialect, ask: &Ask, role: &Role) -> Answer {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, READ).await?;
    let mut grant = entry.admit(ask.resource(kept::KIND)).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    let mut accessors = Vec::new();
    for path in entries::paths(grant.tx(), ask.mount.id, &format!("accessor/{}/", role.id)).await? {
        let found = entries::find::<(String, String)>(grant.tx(), &keys, ask.mount.id, &path).await?;
        accessors.extend(found.map(|(accessor, _)| accessor));
    }
    accessors.sort();
    grant.record(Done::plain()).await?;
    Reply::keys(&accessors)
}

/// Where the secret id of the accessor that is asked for is.
async fn by_accessor(dialect: &Dialect, ask: &Ask, role: &Role) -> Result<String, Fault> {
    let accessor = ask.fields.required("secret_id_accessor")?;
    let known = kept::peek::<(String, String)>(dialect, ask, &role.accessor_at(&accessor)).await?;
    known.map(|(_, at)| at).ok_or_else(|| {
        let accessor = accessor.escape_debug();
        Fault::nowhere(format!("failed to find accessor entry for secret_id_accessor: \"{accessor}\""))
    })
}

async fn destroy(dialect: &Dialect, ask: &Ask, role: &Role, at: &str) -> Answer {
    let entry = dialect.gate().enter(&ask.caller_as_asked()?, WRITE).await?;
    let mut grant = entry.admit(ask.resource(kept::KIND)).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    let known = entries::find::<SecretId>(grant.tx(), &keys, ask.mount.id, at).await?;
    if let Some(known) = &known {
        forget(&mut grant, ask, role, at, known).await?;
    }
    let accessor = known.map(|known| known.accessor);
    grant.commit(Done::with(json!({ "accessor": accessor }))).await?;
    Ok(Reply::Nothing)
}

/// Removes a secret id and its accessor.
async fn forget(
    grant: &mut Grant,
    ask: &Ask,
    role: &Role,
    at: &str,
    known: &SecretId,
) -> writ_kernel::Result<()> {
    entries::remove(grant.tx(), ask.mount.id, at).await?;
    entries::remove(grant.tx(), ask.mount.id, &role.accessor_at(&known.accessor)).await?;
    Ok(())
}

/// Removes what has ended.
pub(super) async fn tidy(dialect: &Dialect, ask: &Ask) -> Answer {
    let entry = dialect.gate().enter(&ask.caller_as_asked()?, WRITE).await?;
    let mut grant = entry.admit(ask.resource(kept::KIND)).await?;
    let (keys, mount, now) = (dialect.seal().tenant(grant.tx()).await?, ask.mount.id, dialect.world().now());
    let mut removed = 0;
    for path in entries::paths(grant.tx(), mount, "accessor/").await? {
        let Some((_, at)) = entries::find::<(String, String)>(grant.tx(), &keys, mount, &path).await? else {
            continue;
        };
        let known = entries::find::<SecretId>(grant.tx(), &keys, mount, &at).await?;
        if known.is_none_or(|known| !known.lives(now)) {
            entries::remove(grant.tx(), mount, &at).await?;
            entries::remove(grant.tx(), mount, &path).await?;
            removed += 1;
        }
    }
    grant.commit(Done::with(json!({ "removed": removed }))).await?;
    let envelope = crate::reply::Envelope {
        warnings: vec!["Tidy operation is finished.".to_owned()],
        status: Some(http::StatusCode::ACCEPTED),
        ..Default::default()
    };
    Ok(Reply::Full(Box::new(envelope)))
}

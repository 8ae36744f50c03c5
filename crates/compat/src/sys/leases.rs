//! Leases of tokens. Credentials on demand are lent by the native API, and looked after there.

use serde_json::json;
use writ_gate::Done;
use writ_kernel::{Action, Capability, DialectToken, Id};

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    entries,
    fault::{Answer, Fault},
    reply::{Envelope, Lease, Reply},
    sql,
    tokens::Token,
};

/// Answers for `sys/leases/`, and for `sys/renew` and `sys/revoke*`, their old names.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, below: &str) -> Answer {
    let (verb, rest) = below.split_once('/').unwrap_or((below, ""));
    match (ask.operation, verb) {
        (Operation::Write, "lookup") if rest.is_empty() => lookup(dialect, ask).await,
        (Operation::List, "lookup") => list(dialect, ask, rest).await,
        (Operation::Write, "renew") => renew(dialect, ask, rest).await,
        (Operation::Write, "revoke") => revoke(dialect, ask, rest).await,
        (Operation::Write, "revoke-prefix" | "revoke-force") => revoke_prefix(dialect, ask, rest).await,
        (Operation::Write, "tidy") => Ok(Reply::Nothing),
        (_, "lookup" | "renew" | "revoke" | "revoke-prefix" | "revoke-force" | "tidy") => {
            Err(Fault::unsupported_operation())
        }
        _ => Err(Fault::unsupported_path()),
    }
}

/// What a token's lease is called: where it came from, and the token's id. It names the token without being it.
fn name(token: &Token) -> String {
    format!("{}/{}", token.path, token.id)
}

fn named(ask: &Ask, rest: &str) -> Result<String, Fault> {
    let id = ask.fields.text("lease_id")?.filter(|id| !id.is_empty());
    let id = id.or_else(|| (!rest.is_empty()).then(|| rest.to_owned()));
    id.ok_or_else(|| Fault::invalid("lease_id must be specified"))
}

async fn find(dialect: &Dialect, ask: &Ask, id: &str) -> Result<Option<Token>, Fault> {
    let Some(token) = id.rsplit_once('/').and_then(|(_, id)| id.parse::<Id<DialectToken>>().ok()) else {
        return Ok(None);
    };
    let mut tx = dialect.gate().db().read(ask.view.tenant).await?;
    let found = sql::token_of_id(&mut tx, ask.view.environment.id.uuid(), token).await?;
    Ok(found.filter(|token| token.lives(dialect.world().now()) && name(token) == id))
}

async fn lookup(dialect: &Dialect, ask: &Ask) -> Answer {
    let id = named(ask, "")?;
    let found = find(dialect, ask, &id).await?;
    let entry = dialect.gate().enter_to_read(&ask.caller(Capability::Update)?, Action::LeaseRead).await?;
    entry.admit(ask.resource("lease").named(&id)).await?.record(Done::plain()).await?;
    let token = found.ok_or_else(|| Fault::invalid("invalid lease"))?;
    Ok(Reply::data(&json!({
        "id": id,
        "issue_time": token.created_at,
        "expire_time": token.expires_at,
        "last_renewal": token.renewed_at,
        "renewable": token.renewable,
        "ttl": token.ttl(dialect.world().now()),
    })))
}

async fn list(dialect: &Dialect, ask: &Ask, prefix: &str) -> Answer {
    let prefix = if prefix.is_empty() { String::new() } else { format!("{}/", prefix.trim_end_matches('/')) };
    let entry = dialect.gate().enter_to_read(&ask.caller(Capability::List)?, Action::LeaseRead).await?;
    let mut grant = entry.admit(ask.resource("lease")).await?;
    let (now, environment) = (dialect.world().now(), ask.view.environment.id.uuid());
    let mut names = sql::lease_names(grant.tx(), environment, now).await?;
    grant.record(Done::plain()).await?;
    names.retain(|name| name.starts_with(&prefix));
    names.sort();
    Reply::keys(&entries::folded(&names, &prefix))
}

async fn renew(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let id = named(ask, rest)?;
    let token = find(dialect, ask, &id).await?.ok_or_else(|| Fault::invalid("lease not found"))?;
    if !token.renewable {
        return Err(Fault::invalid("lease is not renewable"));
    }
    let ttl = crate::auth::token::prolonged(dialect, ask, &token).await?;
    let lease = Lease { id, renewable: true, duration: ttl };
    Ok(Reply::Full(Box::new(Envelope { lease, ..Envelope::default() })))
}

async fn revoke(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let id = named(ask, rest)?;
    let found = find(dialect, ask, &id).await?;
    let resource = ask.resource("lease").named(&id);
    let mut grant =
        dialect.gate().grant(&ask.caller(Capability::Update)?, Action::LeaseRevoke, resource).await?;
    let now = grant.world().now();
    let ended = match &found {
        Some(token) => sql::revoke_tree(grant.tx(), token.id, now).await?,
        None => 0,
    };
    grant.commit(Done::with(json!({ "tokens": ended }))).await?;
    Ok(Reply::Nothing)
}

async fn revoke_prefix(dialect: &Dialect, ask: &Ask, prefix: &str) -> Answer {
    if prefix.is_empty() {
        return Err(Fault::invalid("a prefix must be specified"));
    }
    let resource = ask.resource("lease").named(prefix);
    let mut grant =
        dialect.gate().grant(&ask.caller(Capability::Update)?, Action::LeaseRevoke, resource).await?;
    let (now, environment) = (grant.world().now(), ask.view.environment.id.uuid());
    let mut ended = 0;
    for token in sql::tokens_of_path(grant.tx(), environment, prefix.trim_end_matches('/'), now).await? {
        ended += sql::revoke_tree(grant.tx(), token, now).await?;
    }
    grant.commit(Done::with(json!({ "prefix": prefix, "tokens": ended }))).await?;
    Ok(Reply::Nothing)
}

//! Letting tokens live longer, and ending them.

use std::time::Duration;

use serde_json::json;
use writ_crypto::{SecretString, hash};
use writ_gate::Done;
use writ_kernel::{Action, Capability, Timestamp};

use super::{lookup, origin};
use crate::{
    ask::Ask,
    dialect::Dialect,
    entries,
    fault::{Answer, Fault, one},
    mounts::Kind as MountKind,
    reply::Reply,
    sql,
    tokens::{self, Kind, Token},
};

/// How long tokens that have ended are remembered: so long their use is told from that of what never was.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);

/// Which token is meant.
enum Which<'a> {
    Text(&'a str),
    Accessor(&'a str),
}

fn bad(which: &Which<'_>) -> Fault {
    match which {
        Which::Text(_) => Fault::invalid("token not found"),
        Which::Accessor(_) => Fault::invalid(one("invalid accessor")),
    }
}

async fn find(dialect: &Dialect, ask: &Ask, which: &Which<'_>) -> Result<Option<Token>, Fault> {
    let mut tx = dialect.gate().db().read(ask.view.tenant).await?;
    let environment = ask.view.environment.id.uuid();
    let found = match which {
        Which::Text(text) => sql::token_of_hash(&mut tx, environment, &hash::sha256(text.as_bytes())).await?,
        Which::Accessor(accessor) => sql::token_of_accessor(&mut tx, environment, accessor).await?,
    };
    Ok(found.filter(|token| token.lives(dialect.world().now())))
}

pub(super) async fn renew_own(dialect: &Dialect, ask: &Ask) -> Answer {
    let token =
        ask.token().ok_or_else(|| Fault::invalid("only a token of the dialect can be renewed"))?.clone();
    let text = ask.shown.as_ref().map(|text| text.expose().to_owned()).unwrap_or_default();
    prolong(dialect, ask, token, text).await
}

pub(super) async fn renew(dialect: &Dialect, ask: &Ask) -> Answer {
    let text = ask.fields.required("token").map_err(|_| Fault::invalid("missing token ID"))?;
    let which = Which::Text(&text);
    let token = find(dialect, ask, &which).await?.ok_or_else(|| bad(&which))?;
    prolong(dialect, ask, token, text.clone()).await
}

pub(super) async fn renew_accessor(dialect: &Dialect, ask: &Ask) -> Answer {
    let accessor = ask.fields.required("accessor").map_err(|_| Fault::invalid("missing accessor"))?;
    let which = Which::Accessor(&accessor);
    let token = find(dialect, ask, &which).await?.ok_or_else(|| bad(&which))?;
    prolong(dialect, ask, token, String::new()).await
}

/// Lets `token` live for another while.
async fn prolong(dialect: &Dialect, ask: &Ask, token: Token, text: String) -> Answer {
    let (ttl, warnings) = prolonged(dialect, ask, &token).await?;
    let token = Token { creation_ttl: ttl, ..token };
    Ok(Reply::auth(tokens::auth(&token, &SecretString::new(text)), warnings))
}

/// Lets `token` live for another while: for how many seconds, and what to mind about it.
pub(super) async fn prolonged(
    dialect: &Dialect,
    ask: &Ask,
    token: &Token,
) -> Result<(i64, Vec<String>), Fault> {
    let increment = ask.fields.seconds("increment")?.unwrap_or(0);
    let resource = lookup::resource(ask, token);
    let mut grant =
        dialect.gate().grant(&ask.caller(Capability::Update)?, Action::TokenRenew, resource).await?;
    if !token.renewable {
        let kind = if token.kind == Kind::Batch {
            "batch tokens cannot be renewed"
        } else {
            "lease is not renewable"
        };
        return Err(Fault::invalid(kind));
    }
    if !origin::stands(dialect, grant.tx(), ask, token).await? {
        return Err(Fault::invalid("whatever gave the token is no longer there, so it cannot be renewed"));
    }
    let now = grant.world().now();
    let limits = limits(dialect, ask, token);
    let (ttl, warnings) = renewed(token, increment, now, &limits);
    let span = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    // To the second a limit may still leave one; it never ends later than the limit itself.
    let ends = limits.iter().filter(|limit| **limit > 0).map(|limit| token.created_at.plus(span(*limit)));
    let until = ends.fold(now.plus(span(ttl)), Timestamp::min);
    if !sql::renew_token(grant.tx(), token.id, Some(until), now).await? {
        return Err(Fault::invalid("token not found"));
    }
    grant.commit(Done::with(json!({ "ttl": ttl }))).await?;
    Ok((ttl, warnings))
}

/// Seconds from its making beyond which a token does not live, whatever renews it; 0 for none.
fn limits(dialect: &Dialect, ask: &Ask, token: &Token) -> [i64; 2] {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let terms = dialect.terms();
    if token.is_root() {
        return [seconds(terms.root_ttl), token.explicit_max_ttl];
    }
    if token.period > 0 {
        return [0, token.explicit_max_ttl];
    }
    let max = ask.mount.seconds("max_lease_ttl").unwrap_or_else(|| seconds(terms.max_ttl));
    [tokens::clamp(token.max_ttl, max, &[max]), token.explicit_max_ttl]
}

/// Seconds for which a token lives after a renewal, and what to mind about it.
fn renewed(token: &Token, increment: i64, now: Timestamp, limits: &[i64; 2]) -> (i64, Vec<String>) {
    let age = i64::try_from(now.since(token.created_at).as_secs()).unwrap_or(i64::MAX);
    let left = limits.map(|limit| if limit > 0 { (limit - age).max(1) } else { 0 });
    if token.period > 0 && !token.is_root() {
        return (tokens::clamp(token.period, token.period, &left), Vec::new());
    }
    if token.is_root() {
        let wanted = if token.period > 0 { token.period } else { increment };
        return (tokens::clamp(wanted, token.creation_ttl, &left), Vec::new());
    }
    let ttl = tokens::clamp(increment, token.creation_ttl, &left);
    let capped = increment > ttl;
    let warning = capped.then(|| {
        format!("TTL of \"{increment}s\" exceeded the effective max_ttl of \"{ttl}s\"; TTL value is capped accordingly")
    });
    (ttl, warning.into_iter().collect())
}

pub(super) async fn revoke_own(dialect: &Dialect, ask: &Ask) -> Answer {
    let token = ask.token().ok_or_else(|| Fault::invalid("sign out to end a session of your own"))?.clone();
    end(dialect, ask, &token).await
}

pub(super) async fn revoke(dialect: &Dialect, ask: &Ask) -> Answer {
    let text = ask.fields.required("token").map_err(|_| Fault::invalid("missing token ID"))?;
    match find(dialect, ask, &Which::Text(&text)).await? {
        Some(token) => end(dialect, ask, &token).await,
        // What never was or is over needs no ending.
        None => Ok(Reply::Nothing),
    }
}

pub(super) async fn revoke_accessor(dialect: &Dialect, ask: &Ask) -> Answer {
    let accessor = ask.fields.required("accessor").map_err(|_| Fault::invalid("missing accessor"))?;
    if let Some(token) = find(dialect, ask, &Which::Accessor(&accessor)).await? {
        return end(dialect, ask, &token).await;
    }
    let warnings = vec!["No token found with this accessor".to_owned()];
    Ok(Reply::Full(Box::new(crate::reply::Envelope { warnings, ..Default::default() })))
}

pub(super) async fn revoke_orphan(dialect: &Dialect, ask: &Ask) -> Answer {
    let text = ask.fields.required("token").map_err(|_| Fault::invalid("missing token ID"))?;
    let which = Which::Text(&text);
    let Some(token) = find(dialect, ask, &which).await? else {
        return Err(Fault::invalid("token to revoke not found"));
    };
    let resource = lookup::resource(ask, &token);
    let mut grant =
        dialect.gate().grant(&ask.caller(Capability::Update)?, Action::TokenRevoke, resource).await?;
    let now = grant.world().now();
    sql::revoke_alone(grant.tx(), token.id, now).await?;
    grant.commit(Done::with(json!({ "children": "kept" }))).await?;
    Ok(Reply::Nothing)
}

/// Ends a token and all that it begot.
async fn end(dialect: &Dialect, ask: &Ask, token: &Token) -> Answer {
    let resource = lookup::resource(ask, token);
    let mut grant =
        dialect.gate().grant(&ask.caller(Capability::Update)?, Action::TokenRevoke, resource).await?;
    let now = grant.world().now();
    let ended = sql::revoke_tree(grant.tx(), token.id, now).await?;
    grant.commit(Done::with(json!({ "tokens": ended }))).await?;
    Ok(Reply::Nothing)
}

/// Forgets tokens that ended long ago.
pub(super) async fn tidy(dialect: &Dialect, ask: &Ask) -> Answer {
    let caller = ask.caller(Capability::Update)?;
    let mut grant = dialect.gate().grant(&caller, Action::TokenRevoke, ask.resource("token")).await?;
    let (now, environment) = (grant.world().now(), ask.view.environment.id.uuid());
    let before = now.minus(REMEMBERED);
    // What a forgotten token begot must not come to life by that.
    sql::revoke_heirs(grant.tx(), environment, now).await?;
    let cubbyhole = ask.view.mounts.iter().find(|mount| mount.kind == MountKind::Cubbyhole);
    for id in sql::ended_tokens(grant.tx(), environment, before).await? {
        if let Some(mount) = cubbyhole {
            entries::remove_below(grant.tx(), mount.id, &format!("{id}/")).await?;
        }
    }
    let forgotten = sql::forget_tokens(grant.tx(), environment, before).await?;
    grant.commit(Done::with(json!({ "forgotten": forgotten }))).await?;
    let mut reply = crate::reply::Envelope { status: Some(http::StatusCode::ACCEPTED), ..Default::default() };
    reply.warnings.push(
        "Tidy operation successfully started. Any information from the operation will be printed to the server logs."
            .to_owned(),
    );
    Ok(Reply::Full(Box::new(reply)))
}

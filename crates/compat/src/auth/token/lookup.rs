//! Looking at tokens. What is told names a token's text only to whom shows it.

use serde_json::{Value, json};
use writ_crypto::{SecretString, hash};
use writ_gate::{Done, Resource};
use writ_kernel::{Action, Capability, Timestamp};

use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault, one},
    reply::Reply,
    sql,
    tokens::Token,
};

/// The token that asks, or the credential of our own that does.
pub(super) async fn own(dialect: &Dialect, ask: &Ask) -> Answer {
    let caller = ask.caller_as_asked()?;
    let grant = dialect.gate().enter_to_read(&caller, Action::TokenRead).await?;
    let now = dialect.world().now();
    let text = ask.shown.as_ref().map(SecretString::expose).unwrap_or_default();
    let Some(token) = ask.token() else {
        let resource = ask.resource("token").of(caller.principal);
        grant.admit(resource).await?.record(Done::plain()).await?;
        return Ok(Reply::data(&native(&caller)));
    };
    grant.admit(resource(ask, token)).await?.record(Done::plain()).await?;
    Ok(Reply::data(&shown(token, text, now)))
}

/// `{"token": …}`.
pub(super) async fn by_text(dialect: &Dialect, ask: &Ask) -> Answer {
    let text = ask.fields.required("token").map_err(|_| Fault::invalid("missing token ID"))?;
    let hash = hash::sha256(text.as_bytes());
    let mut entry = dialect.gate().enter_to_read(&ask.caller(Capability::Update)?, Action::TokenRead).await?;
    let now = dialect.world().now();
    let found = sql::token_of_hash(entry.tx(), ask.view.environment.id.uuid(), &hash).await?;
    let Some(token) = found.filter(|token| token.lives(now)) else {
        // Of a token we know nothing, so that its holder learns no more than anybody without one.
        entry.not_found("token").await;
        return Err(Fault { status: http::StatusCode::FORBIDDEN, ..Fault::invalid("bad token") });
    };
    entry.admit(resource(ask, &token)).await?.record(Done::plain()).await?;
    Ok(Reply::data(&shown(&token, &text, now)))
}

/// `{"accessor": …}`.
pub(super) async fn by_accessor(dialect: &Dialect, ask: &Ask) -> Answer {
    let accessor = ask.fields.required("accessor").map_err(|_| Fault::invalid("missing accessor"))?;
    let mut entry = dialect.gate().enter_to_read(&ask.caller(Capability::Update)?, Action::TokenRead).await?;
    let now = dialect.world().now();
    let found = sql::token_of_accessor(entry.tx(), ask.view.environment.id.uuid(), &accessor).await?;
    let Some(token) = found.filter(|token| token.lives(now)) else {
        entry.not_found("token").await;
        return Err(Fault::invalid(one("invalid accessor")));
    };
    entry.admit(resource(ask, &token)).await?.record(Done::plain()).await?;
    Ok(Reply::data(&shown(&token, "", now)))
}

/// A token as a resource.
pub(super) fn resource(ask: &Ask, token: &Token) -> Resource {
    let whole = ask.resource("token");
    Resource { id: Some(token.id.uuid()), ..whole }.named(&token.display_name).of(token.principal)
}

/// A token as it is shown. `text` is empty for whom knows its accessor alone.
pub(super) fn shown(token: &Token, text: &str, now: Timestamp) -> Value {
    let mut data = json!({
        "accessor": token.accessor,
        "creation_time": token.created_at.seconds(),
        "creation_ttl": token.creation_ttl,
        "display_name": token.display_name,
        "entity_id": token.entity.map(|entity| entity.to_string()).unwrap_or_default(),
        "expire_time": token.expires_at,
        "explicit_max_ttl": token.explicit_max_ttl,
        "id": text,
        "issue_time": token.created_at,
        "meta": token.metadata,
        "num_uses": token.uses.unwrap_or(0),
        "orphan": token.parent.is_none(),
        "path": token.path,
        "policies": token.policies,
        "renewable": token.renewable,
        "ttl": token.ttl(now),
        "type": token.kind.as_str(),
    });
    let more = [
        ("period", (token.period > 0).then(|| json!(token.period))),
        ("role", (!token.role.is_empty()).then(|| json!(token.role))),
        ("bound_cidrs", (!token.cidrs.is_empty()).then(|| json!(token.cidrs))),
        ("identity_policies", (!token.identity_policies.is_empty()).then(|| json!(token.identity_policies))),
        ("last_renewal", token.renewed_at.map(|at| json!(at))),
        ("last_renewal_time", token.renewed_at.map(|at| json!(at.seconds()))),
    ];
    if let Some(data) = data.as_object_mut() {
        data.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    data
}

/// A session or an API key of our own, as clients expect a token to look.
fn native(caller: &writ_kernel::Caller) -> Value {
    let roles: Vec<_> = caller.roles.iter().map(|role| role.name.to_string()).collect();
    json!({
        "accessor": "",
        "creation_time": caller.authenticated_at.seconds(),
        "creation_ttl": 0,
        "display_name": caller.kind.as_str(),
        "entity_id": caller.principal,
        "expire_time": null,
        "explicit_max_ttl": 0,
        "id": "",
        "issue_time": caller.authenticated_at,
        "meta": null,
        "num_uses": 0,
        "orphan": true,
        "path": "",
        "policies": roles,
        "renewable": false,
        "ttl": 0,
        "type": "service",
    })
}

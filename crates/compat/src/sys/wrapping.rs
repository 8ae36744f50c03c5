//! Wrapping answers, and taking them out.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use writ_crypto::{SecretBytes, SecretString, hash};
use writ_gate::{Done, Grant, Resource};
use writ_kernel::{Action, Caller, Capability, TenantId};

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::{Envelope, Members, Reply},
    sql, tokens,
    wrap::{self, Wrap},
};

/// Answers for `sys/wrapping/`.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, below: &str) -> Answer {
    match (ask.operation, below) {
        (Operation::Write, "wrap") => plain(dialect, ask).await,
        (Operation::Write | Operation::Read, "lookup") => lookup(dialect, ask).await,
        (Operation::Write, "unwrap") => unwrap(dialect, ask).await,
        (Operation::Write, "rewrap") => rewrap(dialect, ask).await,
        (_, "wrap" | "lookup" | "unwrap" | "rewrap") => Err(Fault::unsupported_operation()),
        _ => Err(Fault::unsupported_path()),
    }
}

/// Wraps what was sent: the way out does it.
async fn plain(dialect: &Dialect, ask: &Ask) -> Answer {
    if ask.wrap.is_none() {
        return Err(Fault::invalid("endpoint requires response wrapping to be used"));
    }
    let entry = dialect.gate().enter_to_read(&ask.caller(Capability::Update)?, Action::TokenRead).await?;
    entry.admit(ask.resource("wrapped-answer")).await?.record(Done::plain()).await?;
    let data = Some(ask.fields.members().clone());
    Ok(Reply::Full(Box::new(Envelope { data, doubled: true, ..Envelope::default() })))
}

/// The wrapping token that is meant: the one in the body, or else the one that was shown.
async fn meant(dialect: &Dialect, ask: &Ask) -> Result<(SecretString, TenantId, Wrap), Fault> {
    let invalid = || Fault::invalid("wrapping token is not valid or does not exist");
    let text = match ask.fields.text("token")?.filter(|text| !text.is_empty()) {
        Some(text) => SecretString::new(text),
        None => SecretString::new(ask.shown.as_ref().ok_or_else(invalid)?.expose().to_owned()),
    };
    let mut tx = dialect.gate().db().system_read().await?;
    let hash = hash::sha256(text.expose().as_bytes());
    let found = sql::wrap_by_hash(&mut tx, &hash).await?;
    let (tenant, wrap) = found.filter(|(_, wrap)| wrap.waits(dialect.world().now())).ok_or_else(invalid)?;
    Ok((text, tenant, wrap))
}

/// Enters as whoever holds the wrapping token, at this path, for the answer where it waits: in its own environment.
async fn granted(dialect: &Dialect, ask: &Ask, text: &SecretString) -> Result<Grant, Fault> {
    let who = tokens::authenticate(dialect, text, ask.from).await?;
    let fence = who.caller.fence.as_ref().map(|fence| fence.at(&ask.path, Capability::Update));
    let view = who.view.ok_or_else(Fault::nobody)?;
    let whole = Resource::all("wrapped-answer").within(view.environment.clone());
    let resource = Resource { path: Some(ask.path.clone()), ..whole };
    let caller = Caller { fence, ..who.caller };
    Ok(dialect.gate().grant(&caller, Action::SecretReceive, resource).await?)
}

async fn lookup(dialect: &Dialect, ask: &Ask) -> Answer {
    let (text, _, wrap) = meant(dialect, ask).await?;
    let grant = granted(dialect, ask, &text).await?;
    grant.commit(Done::with(json!({ "looked": wrap.creation_path }))).await?;
    Ok(Reply::data(&json!({
        "creation_path": wrap.creation_path,
        "creation_time": wrap.created_at,
        "creation_ttl": wrap.ttl,
    })))
}

/// The answer that waits.
fn opened(grant: &Grant, wrap: &Wrap) -> Result<Members, Fault> {
    let plain = grant.keys().open(&Wrap::aad(grant.tenant(), wrap.id), &wrap.sealed)?;
    serde_json::from_slice(plain.expose())
        .map_err(|error| writ_kernel::Error::internal("a wrapped answer is malformed").because(error).into())
}

/// Takes the answer away: one taker, whoever comes first.
async fn take(grant: &mut Grant, wrap: &Wrap) -> Result<(), Fault> {
    if sql::take_wrap(grant.tx(), wrap.id).await? {
        Ok(())
    } else {
        Err(Fault::invalid("wrapping token is not valid or does not exist"))
    }
}

/// What is told of the taking.
fn taken(ask: &Ask, wrap: &Wrap) -> serde_json::Value {
    let by = ask.who.as_ref().map(|who| who.caller.principal);
    json!({ "path": wrap.creation_path, "by": by })
}

async fn unwrap(dialect: &Dialect, ask: &Ask) -> Answer {
    let (text, _, wrap) = meant(dialect, ask).await?;
    let mut grant = granted(dialect, ask, &text).await?;
    let mut members = opened(&grant, &wrap)?;
    take(&mut grant, &wrap).await?;
    grant.commit(Done::with(taken(ask, &wrap))).await?;
    members.insert("request_id".to_owned(), crate::reply::raw(&dialect.world().uuid()));
    let body = serde_json::to_vec(&members).unwrap_or_default();
    Ok(Reply::Raw(StatusCode::OK, "application/json", body))
}

/// Lets the same answer wait behind another token, for as long again.
async fn rewrap(dialect: &Dialect, ask: &Ask) -> Answer {
    let (text, _, wrap) = meant(dialect, ask).await?;
    let mut grant = granted(dialect, ask, &text).await?;
    let members = opened(&grant, &wrap)?;
    let data = members.get("data").and_then(|data| serde_json::from_str(data.get()).ok());
    let auth: Option<Value> = members.get("auth").and_then(|auth| serde_json::from_str(auth.get()).ok());
    if auth.is_some_and(|auth| !auth.is_null()) {
        return Err(Fault::invalid("a wrapped token cannot be wrapped again"));
    }
    let ttl = Duration::from_secs(u64::try_from(wrap.ttl).unwrap_or(0));
    let envelope = Envelope { data, ..Envelope::default() };
    let plain = SecretBytes::new(envelope.to_json(&dialect.world().uuid().to_string()));
    take(&mut grant, &wrap).await?;
    let path = &wrap.creation_path;
    let (next, text) = wrap::put(&mut grant, wrap.environment, plain.expose(), ttl, path).await?;
    let info = wrap::info(&next, &text, &envelope);
    grant.commit(Done::with(taken(ask, &wrap)).created(next.id)).await?;
    Ok(Reply::Full(Box::new(Envelope { wrapped: Some(info), ..Envelope::default() })))
}

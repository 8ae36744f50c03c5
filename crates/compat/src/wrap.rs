//! Answers that wait for whoever shows their token, once.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_crypto::{Aad, SecretBytes, SecretString, token::Token as Text};
use writ_gate::{Done, Grant, Resource};
use writ_kernel::{Action, Caller, Id, Link, Result, TenantId, Timestamp};

use crate::{
    ask::Ask,
    dialect::Dialect,
    dispatch,
    fault::Answer,
    reply::{Envelope, Reply, WrapInfo},
    sql, tokens,
};

/// The longest that an answer waits.
pub(crate) const LONGEST: Duration = Duration::from_hours(32 * 24);

/// A wrapped answer.
#[derive(Debug)]
pub(crate) struct Wrap {
    pub(crate) id: Id<Link>,
    pub(crate) environment: Uuid,
    pub(crate) accessor: String,
    pub(crate) sealed: Vec<u8>,
    /// The path that was asked.
    pub(crate) creation_path: String,
    pub(crate) created_at: Timestamp,
    /// Seconds.
    pub(crate) ttl: i64,
}

impl Wrap {
    /// Whether it still waits at `now`.
    pub(crate) fn waits(&self, now: Timestamp) -> bool {
        now < self.created_at.plus(Duration::from_secs(u64::try_from(self.ttl).unwrap_or(0)))
    }

    /// Where the sealed contents are at home.
    pub(crate) fn aad(tenant: TenantId, id: Id<Link>) -> Vec<u8> {
        Aad::cell(tenant, "dialect_wraps", id.uuid().as_bytes(), "sealed", 0)
    }
}

/// `reply` as it is, or the word where it waits when the request asked for that.
pub(crate) async fn wrapped(dialect: &Dialect, ask: &Ask, reply: Reply) -> Answer {
    let (Some(ttl), Reply::Full(envelope)) = (ask.wrap, &reply) else { return Ok(reply) };
    if envelope.wrapped.is_some() || envelope.data.is_none() && envelope.auth.is_none() {
        return Ok(reply);
    }
    let info = store(dialect, ask, envelope, ttl, &ask.path).await?;
    let doubled = envelope.doubled && ask.path != "sys/wrapping/wrap";
    Ok(Reply::Full(Box::new(Envelope { wrapped: Some(info), doubled, ..Envelope::default() })))
}

/// Seals `envelope`, and lets it wait for `ttl`.
///
/// # Errors
/// As the gate's, for giving away under a link.
pub(crate) async fn store(
    dialect: &Dialect,
    ask: &Ask,
    envelope: &Envelope,
    ttl: Duration,
    path: &str,
) -> Result<WrapInfo, crate::fault::Fault> {
    let plain = SecretBytes::new(envelope.to_json(&dialect.world().uuid().to_string()));
    let nobody = dispatch::open(ask.mount.kind, ask.operation, &ask.rest);
    let caller = match &ask.who {
        Some(_) if !nobody => ask.caller_again()?,
        // Whoever signs in, or takes a wrapped answer in order to wrap it again, needs no rule for that.
        _ => Caller { trace: ask.from.trace, ..Caller::system(ask.view.tenant, dialect.world()) },
    };
    let resource = Resource { path: Some(path.to_owned()), ..ask.resource("wrapped-answer") };
    let mut grant = dialect.gate().grant(&caller, Action::SecretShare, resource).await?;
    let (wrap, text) = put(&mut grant, ask.view.environment.id.uuid(), plain.expose(), ttl, path).await?;
    grant.commit(Done::with(json!({ "path": path, "ttl": wrap.ttl })).created(wrap.id)).await?;
    Ok(info(&wrap, &text, envelope))
}

/// Seals `plain`, the bytes of an envelope, to wait in `environment`; what waited too long is swept out.
///
/// # Errors
/// When the database fails.
pub(crate) async fn put(
    grant: &mut Grant,
    environment: Uuid,
    plain: &[u8],
    ttl: Duration,
    path: &str,
) -> Result<(Wrap, SecretString)> {
    let (world, tenant) = (grant.world().clone(), grant.tenant());
    sql::sweep_wraps(grant.tx(), world.now()).await?;
    let (text, hash) = Text::generate(&world, "wrap");
    let (id, accessor) = (world.id(), tokens::accessor(&world));
    let sealed = grant.keys().seal(&world, &Wrap::aad(tenant, id), plain);
    let wrap = Wrap {
        id,
        environment,
        accessor,
        sealed,
        creation_path: path.to_owned(),
        created_at: world.now(),
        ttl: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
    };
    sql::insert_wrap(grant.tx(), &wrap, &hash).await?;
    Ok((wrap, text))
}

/// What is told of a wrapped answer.
pub(crate) fn info(wrap: &Wrap, text: &SecretString, envelope: &Envelope) -> WrapInfo {
    WrapInfo {
        token: text.expose().to_owned(),
        accessor: wrap.accessor.clone(),
        ttl: wrap.ttl,
        creation_time: wrap.created_at.to_string(),
        creation_path: wrap.creation_path.clone(),
        wrapped_accessor: envelope.auth.as_ref().map(|auth| auth.accessor.clone()).unwrap_or_default(),
    }
}

//! Wrapped values: a token that opens once.

use std::time::Duration;

use serde_json::json;
use writ_crypto::{Aad, SecretString, Token};
use writ_gate::{Done, Grant, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Id, Link, Result, TenantId};

use super::{
    links::{blank, retired, unknown},
    model::{Kind, LinkRecord, Opened, Stranger},
    sql,
};
use crate::{
    Vault,
    secrets::{door, model::Value},
};

/// The longest a value waits.
const LONGEST: Duration = Duration::from_hours(30 * 24);

impl Vault {
    /// Wraps a value: it is given out once to whoever shows the token, within `ttl` (1 second to 30 days).
    /// `creation_path` tells the receiver where it came from.
    ///
    /// # Errors
    /// `Invalid` for a lifetime out of range; `NotFound` for an environment the caller may not know.
    pub async fn wrap(
        &self,
        caller: &Caller,
        environment: Option<&str>,
        value: &Value,
        ttl: Duration,
        creation_path: &str,
    ) -> Result<(LinkRecord, SecretString, Receipt)> {
        if !(Duration::from_secs(1)..=LONGEST).contains(&ttl) {
            return Err(Error::invalid("out_of_range", "a value waits 1 second to 30 days").at("ttlSeconds"));
        }
        let mut entry = self.gate().enter(caller, Action::SecretShare).await?;
        let environment = match door::environment(entry.tx(), caller, environment).await {
            Ok(Some(environment)) => environment,
            Ok(None) => return Err(entry.not_found("environment").await),
            Err(error) => return Err(entry.refuse(error).await),
        };
        let (id, resource) = (environment.id, Resource::all("wrapping").within(environment));
        if !door::may_know(&entry, Action::SecretShare, &resource)? {
            return Err(entry.not_found("environment").await);
        }
        let mut grant = entry.admit(resource).await?;
        let (link, token) = put(&mut grant, id, value, ttl, creation_path).await?;
        let detail = json!({ "expiresAt": link.expires_at, "creationPath": creation_path });
        let receipt = grant.commit(Done::with(detail).created(link.id)).await?;
        Ok((link, token, receipt))
    }

    /// Gives out what is wrapped, once. Showing the token again is refused, and on record: somebody else had it.
    ///
    /// # Errors
    /// `NotFound` with `link_not_found`; `Gone` with `link_retired` when it was opened before.
    pub async fn unwrap(&self, token: &str, stranger: Stranger) -> Result<(Opened, Receipt)> {
        let (mut grant, link) = self.wrapped(token, stranger).await?;
        let value = take(&mut grant, &link).await?;
        let detail = json!({ "creationPath": link.creation_path });
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((Opened { value, link }, receipt))
    }

    /// What is known of a wrapped value, without giving it out.
    ///
    /// # Errors
    /// As [`Vault::unwrap`].
    pub async fn look_up(&self, token: &str, stranger: Stranger) -> Result<(LinkRecord, Receipt)> {
        let (grant, link) = self.wrapped(token, stranger).await?;
        let receipt = grant.commit(Done::with(json!({ "lookedUp": true }))).await?;
        Ok((link, receipt))
    }

    /// Wraps what is wrapped under another token, for as long as before; the old one opens nothing any more.
    ///
    /// # Errors
    /// As [`Vault::unwrap`].
    pub async fn rewrap(
        &self,
        token: &str,
        stranger: Stranger,
    ) -> Result<(LinkRecord, SecretString, Receipt)> {
        let (mut grant, link) = self.wrapped(token, stranger).await?;
        let value = take(&mut grant, &link).await?;
        let ttl = Duration::from_micros(u64::try_from(link.ttl).unwrap_or(0));
        let (new, token) = put(&mut grant, link.environment, &value, ttl, &link.creation_path).await?;
        let receipt = grant.commit(Done::with(json!({ "rewrapped": new.id }))).await?;
        Ok((new, token, receipt))
    }

    async fn wrapped(&self, token: &str, stranger: Stranger) -> Result<(Grant, LinkRecord)> {
        let (tenant, id) = self.resolve(Kind::Wrap, token).await?;
        let bearer = stranger.bearer(tenant, id, self.gate().world().now())?;
        let mut grant = self.admit_bearer(&bearer, id).await?;
        let link = sql::link(grant.tx(), id).await?.ok_or_else(unknown)?;
        if link.opened > 0 || link.revoked_at.is_some() {
            return Err(grant.refuse(retired()).await);
        }
        if link.expires_at <= grant.world().now() {
            return Err(grant.refuse(unknown()).await);
        }
        Ok((grant, link))
    }
}

async fn put(
    grant: &mut Grant,
    environment: Id<writ_kernel::Environment>,
    value: &Value,
    ttl: Duration,
    creation_path: &str,
) -> Result<(LinkRecord, SecretString)> {
    let world = grant.world().clone();
    let id = world.id();
    let sealed = grant.keys().seal(&world, &cell(grant.tenant(), id), value.bytes.expose());
    let link = LinkRecord {
        format: value.format,
        sealed,
        most: Some(1),
        creation_path: creation_path.to_owned(),
        ..blank(grant, id, environment, ttl)
    };
    let (token, hash) = Token::generate(&world, Kind::Wrap.as_str());
    sql::insert(grant.tx(), Kind::Wrap, &link, &hash).await?;
    Ok((link, token))
}

async fn take(grant: &mut Grant, link: &LinkRecord) -> Result<Value> {
    let now = grant.world().now();
    if !sql::count(grant.tx(), link.id, now).await? {
        return Err(retired());
    }
    let bytes = grant.keys().open(&cell(grant.tenant(), link.id), &link.sealed)?;
    sql::empty(grant.tx(), link.id).await?;
    Ok(Value { format: link.format, bytes })
}

fn cell(tenant: TenantId, link: Id<Link>) -> Vec<u8> {
    Aad::cell(tenant, "secret_links", link.uuid().as_bytes(), "sealed", 1)
}

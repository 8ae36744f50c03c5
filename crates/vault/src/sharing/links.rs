//! Links to a secret's value: they expire, are counted and may take a password.

use std::time::Duration;

use serde_json::json;
use writ_crypto::{SecretString, Token};
use writ_gate::{Done, Grant, Outcome, Receipt, Resource, tenancy};
use writ_kernel::{Action, Caller, Error, Id, Kind as ErrorKind, Link, Result, TenantId};

use super::{
    model::{Kind, LinkRecord, NewLink, Opened, Stranger},
    password::{self, Derived},
    sql,
};
use crate::{
    Vault,
    secrets::{
        door,
        model::{Format, Place, SecretRecord, Value},
        read, sql as secrets, write,
    },
};

impl Vault {
    /// Makes a link to the current value of a secret, whichever that is when it is opened. Its token is told once.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` also for who may not read the secret; `Invalid` for a lifetime or a number out of range.
    pub async fn share(
        &self,
        caller: &Caller,
        place: &Place,
        new: NewLink,
    ) -> Result<(LinkRecord, SecretString, Receipt)> {
        let hours = new.hours.unwrap_or(24);
        if !(1..=720).contains(&hours) {
            return Err(Error::invalid("out_of_range", "a link lasts 1 to 720 hours").at("expiresInHours"));
        }
        if new.most == Some(0) {
            return Err(Error::invalid("out_of_range", "a link opens at least once").at("maxAccessCount"));
        }
        let password = match new.password {
            Some(password) => Some(Derived::new(self.gate().world(), password).await?),
            None => None,
        };
        let mut entry = self.gate().enter(caller, Action::SecretShare).await?;
        let Some(found) = door::find(entry.tx(), place).await? else {
            return Err(entry.not_found("secret").await);
        };
        let resource = found.resource();
        if !door::may_know(&entry, Action::SecretShare, &resource)? {
            return Err(entry.not_found("secret").await);
        }
        if !entry.permits(Action::SecretRead, &resource)? {
            let error = Error::forbidden("forbidden", "who may not read a secret may not share it");
            return Err(entry.refuse(error).await);
        }
        let mut grant = entry.admit(resource).await?;
        let (world, now) = (grant.world().clone(), grant.world().now());
        if let Err(error) = read::readable(&found.secret, now) {
            return Err(grant.refuse(error).await);
        }
        let lifetime = Duration::from_hours(u64::from(hours));
        let id = world.id();
        let link = LinkRecord {
            password: password.map(|derived| derived.seal(grant.keys(), &world, id)),
            most: new.most,
            secret: Some(found.secret.id),
            ..blank(&grant, id, found.secret.environment, lifetime)
        };
        let (token, hash) = Token::generate(&world, Kind::Share.as_str());
        sql::insert(grant.tx(), Kind::Share, &link, &hash).await?;
        let detail = json!({ "link": link.id, "expiresAt": link.expires_at, "maxAccessCount": link.most,
            "hasPassword": link.has_password() });
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((link, token, receipt))
    }

    /// The links of a secret, newest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn links(&self, caller: &Caller, place: &Place) -> Result<(Vec<LinkRecord>, Receipt)> {
        let (found, mut grant) = door::to_see(self.gate(), caller, Action::SecretList, place).await?;
        let links = sql::links(grant.tx(), found.secret.id).await?;
        Ok((links, grant.record(Done::plain()).await?))
    }

    /// Takes a link back. Tells whether it was still there to be taken.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn revoke_link(&self, caller: &Caller, id: Id<Link>) -> Result<(bool, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::SecretShare).await?;
        let link = sql::link(entry.tx(), id).await?;
        let Some(secret) = link.and_then(|link| link.secret) else {
            return Err(entry.not_found("link").await);
        };
        let Some(found) = door::find(entry.tx(), &Place::Id(secret)).await? else {
            return Err(entry.not_found("link").await);
        };
        if !door::may_know(&entry, Action::SecretShare, &found.resource())? {
            return Err(entry.not_found("link").await);
        }
        let mut grant = entry.admit(found.resource()).await?;
        let now = grant.world().now();
        let revoked = sql::revoke(grant.tx(), id, now).await?;
        let receipt = grant.commit(Done::with(json!({ "link": id, "revoked": revoked }))).await?;
        Ok((revoked, receipt))
    }

    /// Opens a link as whoever holds its token, which counts once. Every attempt at a link that exists is on record.
    ///
    /// # Errors
    /// `NotFound` with `link_not_found`; `Gone` with `link_retired` when it was taken back or its secret is not to be
    /// had any more; `Invalid` with `link_exhausted`, `password_required` or `invalid_password`; `Exhausted` after too
    /// many wrong passwords.
    pub async fn open_link(
        &self,
        token: &str,
        password: Option<SecretString>,
        stranger: Stranger,
    ) -> Result<(Opened, Receipt)> {
        let (tenant, id) = self.resolve(Kind::Share, token).await?;
        let bearer = stranger.bearer(tenant, id, self.gate().world().now())?;
        let fits = self.try_password(&bearer, id, password).await?;
        let mut grant = self.admit_bearer(&bearer, id).await?;
        let link = sql::link(grant.tx(), id).await?.ok_or_else(unknown)?;
        let now = grant.world().now();
        // Again, now that nobody else tries: however many did at the same time, only so many are told whether it fits.
        if let Err(error) = password::not_paused(&link, now) {
            return Err(grant.refuse(error).await);
        }
        if !fits {
            sql::count_failure(grant.tx(), id, now).await?;
            let refusal = Done::with(json!({ "code": "invalid_password" })).outcome(Outcome::Refuse);
            let receipt = grant.commit(refusal).await?;
            let error = Error::invalid("invalid_password", "the password is wrong").at("password");
            return Err(error.recorded(receipt.to_string()));
        }
        let secret = match link.secret {
            Some(secret) => secrets::secret(grant.tx(), secret).await?,
            None => None,
        };
        let secret = match standing(&link, secret, now) {
            Ok(secret) => secret,
            Err(error) => return Err(grant.refuse(error).await),
        };
        if !sql::count(grant.tx(), id, now).await? {
            return Err(grant.refuse(exhausted()).await);
        }
        let Some(value) = current(&mut grant, &secret).await? else {
            return Err(grant.refuse(retired()).await);
        };
        let link = LinkRecord { opened: link.opened + 1, ..link };
        let detail = json!({ "secret": secret.id, "version": secret.current, "opened": link.opened });
        let receipt = grant.commit(Done::with(detail)).await?;
        self.0.readers.note(&bearer, secret.id, secret.current, now);
        Ok((Opened { value, link }, receipt))
    }

    /// Whose token it is.
    pub(super) async fn resolve(&self, kind: Kind, token: &str) -> Result<(TenantId, Id<Link>)> {
        let (shown, hash) = Token::hash(token).map_err(|_| unknown())?;
        if shown != kind.as_str() {
            return Err(unknown());
        }
        let mut tx = self.gate().db().system_read().await?;
        sql::owner_of(&mut tx, kind, &hash).await?.ok_or_else(unknown)
    }

    /// Whether the password fits. Deriving takes long, so no transaction is held meanwhile.
    async fn try_password(
        &self,
        bearer: &Caller,
        id: Id<Link>,
        password: Option<SecretString>,
    ) -> Result<bool> {
        let mut tx = self.gate().db().read(bearer.tenant).await?;
        let link = sql::link(&mut tx, id).await?.ok_or_else(unknown)?;
        if !link.has_password() {
            return Ok(true);
        }
        let secret = match link.secret {
            Some(secret) => secrets::secret(&mut tx, secret).await?,
            None => None,
        };
        let (keys, now) = (self.gate().seal().tenant(&mut tx).await?, self.gate().world().now());
        drop(tx);
        let tried = match standing(&link, secret, now) {
            Ok(_) => password::fits(&keys, &link, password, now).await,
            Err(error) => Err(error),
        };
        match tried {
            Err(error) if error.kind() != ErrorKind::Internal => {
                Err(self.gate().enter(bearer, Action::SecretReceive).await?.refuse(error).await)
            }
            fits => fits,
        }
    }

    /// The grant to receive what is behind a link, for whoever holds its token.
    pub(super) async fn admit_bearer(&self, bearer: &Caller, id: Id<Link>) -> Result<Grant> {
        let mut entry = self.gate().enter(bearer, Action::SecretReceive).await?;
        writ_store::serialize_on(entry.tx(), &format!("link {id}")).await?;
        let Some(link) = sql::link(entry.tx(), id).await? else {
            return Err(entry.refuse(unknown()).await);
        };
        let environment = tenancy::environment(entry.tx(), link.environment).await?;
        let environment = environment.ok_or_else(|| Error::internal("a link without its environment"))?;
        entry.admit(Resource::one("link", id).within(environment)).await
    }
}

/// Whether the link still gives its secret.
fn standing(
    link: &LinkRecord,
    secret: Option<SecretRecord>,
    now: writ_kernel::Timestamp,
) -> Result<SecretRecord> {
    if link.revoked_at.is_some() {
        return Err(retired());
    }
    if link.expires_at <= now {
        return Err(unknown());
    }
    let usable = |secret: &SecretRecord| read::readable(secret, now).is_ok() && secret.exposed_at.is_none();
    let secret = secret.filter(usable).ok_or_else(retired)?;
    if link.most.is_some_and(|most| link.opened >= most) {
        return Err(exhausted());
    }
    Ok(secret)
}

async fn current(grant: &mut Grant, secret: &SecretRecord) -> Result<Option<Value>> {
    let version = secrets::version(grant.tx(), secret.id, secret.current).await?;
    let now = grant.world().now();
    let Some(version) = version.filter(|version| version.absent(now).is_none()) else { return Ok(None) };
    let sealed = secrets::sealed(grant.tx(), secret.id, version.version).await?;
    let bytes = write::open(grant.keys(), secret.id, version.version, &sealed)?;
    Ok(Some(Value { format: version.format, bytes }))
}

/// A link that gives nothing yet.
pub(super) fn blank(
    grant: &Grant,
    id: Id<Link>,
    environment: Id<writ_kernel::Environment>,
    lifetime: Duration,
) -> LinkRecord {
    let now = grant.world().now();
    LinkRecord {
        id,
        environment,
        secret: None,
        format: Format::Text,
        sealed: Vec::new(),
        password: None,
        creation_path: String::new(),
        ttl: i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX),
        most: None,
        opened: 0,
        failed: 0,
        failed_at: None,
        created_by: grant.caller().principal,
        created_at: now,
        expires_at: now.plus(lifetime),
        revoked_at: None,
    }
}

pub(super) fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "link_not_found", "there is no such link")
}

pub(super) fn retired() -> Error {
    Error::gone("link_retired", "this link gives nothing any more")
}

fn exhausted() -> Error {
    Error::invalid("link_exhausted", "this link was opened as often as it may be")
}

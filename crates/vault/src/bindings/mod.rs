//! Bindings: a consumer's references to secrets, with an overlap so that it moves to a new version without a gap.

mod sql;

use std::time::Duration;

use serde_json::json;
use writ_gate::{Done, Receipt, Resource, tenancy};
use writ_kernel::{
    Action, Binding, Caller, Environment, Error, Id, Name, Page, PageRequest, Principal, Result, Secret,
    Timestamp,
};

use crate::{
    Vault,
    secrets::{
        door,
        model::{Place, SecretRecord, Value},
        read, sql as secrets, write,
    },
};

/// How long the version before the current one stays readable, unless told.
const OVERLAP: Duration = Duration::from_hours(24);
const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);

/// A consumer's reference to a secret.
#[derive(Debug, Clone)]
pub struct BindingRecord {
    /// Its id.
    pub id: Id<Binding>,
    /// The environment of the secret.
    pub environment: Id<Environment>,
    /// The secret.
    pub secret: Id<Secret>,
    /// Who may read it.
    pub consumer: Id<Principal>,
    /// What the consumer calls it.
    pub name: Name,
    /// The only version it may read; `None` for the current one.
    pub version: Option<u32>,
    /// How long the version before the current one stays readable.
    pub overlap: Duration,
    /// Who made it.
    pub created_by: Id<Principal>,
    /// When.
    pub created_at: Timestamp,
}

impl BindingRecord {
    /// Until when the version before the current one can be fetched, if it still can.
    pub fn overlap_ends_at(&self, secret: &SecretRecord, now: Timestamp) -> Option<Timestamp> {
        let end = secret.rotated_at.plus(self.overlap);
        (self.version.is_none() && secret.current > 1 && now < end && secret.exposed_at.is_none())
            .then_some(end)
    }

    fn resource(&self, secret: &SecretRecord, environment: writ_gate::Environment) -> Resource {
        let resource = Resource { kind: "binding", id: Some(self.id.uuid()), ..secret.resource(environment) };
        resource.of(self.consumer)
    }
}

/// A binding to be made.
#[derive(Debug, Clone)]
pub struct NewBinding {
    /// What the consumer calls it.
    pub name: Name,
    /// The secret.
    pub secret: Id<Secret>,
    /// Who may read it.
    pub consumer: Id<Principal>,
    /// The only version it may read; `None` for the current one.
    pub version: Option<u32>,
    /// How long the version before the current one stays readable.
    pub overlap: Option<Duration>,
}

/// Which bindings are listed.
#[derive(Debug, Clone, Default)]
pub struct WantedBindings {
    /// The name or id of an environment; `None` for the only one the caller can mean.
    pub environment: Option<String>,
    /// Only of this secret.
    pub secret: Option<Id<Secret>>,
    /// Only of this consumer.
    pub consumer: Option<Id<Principal>>,
}

/// What a consumer fetched.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct Fetch {
    /// The value.
    pub value: Value,
    /// Its version.
    pub version: u32,
    /// The current version.
    pub current: u32,
    /// Until when the version before the current one can be fetched.
    pub overlap_ends_at: Option<Timestamp>,
}

impl Vault {
    /// Binds a consumer to a secret: from then on it may fetch it, and nothing else.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` also for who may not read the secret; `Conflict` when the consumer has such a name.
    pub async fn bind(&self, caller: &Caller, new: NewBinding) -> Result<(BindingRecord, Receipt)> {
        let overlap = new.overlap.unwrap_or(OVERLAP);
        if overlap > LONGEST_OVERLAP {
            return Err(Error::invalid("out_of_range", "an overlap is at most 30 days").at("overlapSeconds"));
        }
        let mut entry = self.gate().enter(caller, Action::BindingWrite).await?;
        let Some(found) = door::find(entry.tx(), &Place::Id(new.secret)).await? else {
            return Err(entry.not_found("secret").await);
        };
        let resource = found.resource();
        if !door::may_know(&entry, Action::BindingWrite, &resource)? {
            return Err(entry.not_found("secret").await);
        }
        if !entry.permits(Action::SecretRead, &resource)? {
            let error = Error::forbidden("forbidden", "who may not read a secret may not bind others to it");
            return Err(entry.refuse(error).await);
        }
        let mut grant = entry.admit(resource).await?;
        let binding = BindingRecord {
            id: grant.world().id(),
            environment: found.secret.environment,
            secret: new.secret,
            consumer: new.consumer,
            name: new.name,
            version: new.version,
            overlap,
            created_by: caller.principal,
            created_at: grant.world().now(),
        };
        if !sql::insert(grant.tx(), &binding).await? {
            let error = Error::conflict("name_taken", "the consumer has a binding of this name").at("name");
            return Err(grant.refuse(error).await);
        }
        let detail =
            json!({ "binding": binding.id, "consumer": binding.consumer, "version": binding.version });
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((binding, receipt))
    }

    /// Lists bindings, oldest first.
    ///
    /// # Errors
    /// `NotFound` for an environment the caller may not know.
    pub async fn bindings(
        &self,
        caller: &Caller,
        wanted: &WantedBindings,
        page: &PageRequest,
    ) -> Result<(Page<BindingRecord>, Receipt)> {
        let mut entry = self.gate().enter_to_read(caller, Action::BindingRead).await?;
        let environment = match door::environment(entry.tx(), caller, wanted.environment.as_deref()).await {
            Ok(Some(environment)) => environment,
            Ok(None) => return Err(entry.not_found("environment").await),
            Err(error) => return Err(entry.refuse(error).await),
        };
        let id = environment.id;
        let resource = Resource::all("binding").within(environment);
        if !door::may_know(&entry, Action::BindingRead, &resource)? {
            return Err(entry.not_found("environment").await);
        }
        let mut grant = entry.admit(resource).await?;
        let page = sql::list(grant.tx(), id, wanted, page).await?;
        Ok((page, grant.record(Done::plain()).await?))
    }

    /// Releases a consumer from a secret.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn unbind(&self, caller: &Caller, id: Id<Binding>) -> Result<Receipt> {
        let mut entry = self.gate().enter(caller, Action::BindingWrite).await?;
        let Some(binding) = sql::binding(entry.tx(), id).await? else {
            return Err(entry.not_found("binding").await);
        };
        let Some(found) = door::find(entry.tx(), &Place::Id(binding.secret)).await? else {
            return Err(entry.not_found("binding").await);
        };
        if !door::may_know(&entry, Action::BindingWrite, &found.resource())? {
            return Err(entry.not_found("binding").await);
        }
        let mut grant = entry.admit(found.resource()).await?;
        sql::delete(grant.tx(), id).await?;
        grant.commit(Done::with(json!({ "binding": id, "consumer": binding.consumer }))).await
    }

    /// Fetches what a binding refers to, as its consumer: the current version, or while the overlap lasts the one before.
    ///
    /// # Errors
    /// `NotFound`; `Gone` with `overlap_over`; as a reading.
    pub async fn fetch(&self, caller: &Caller, id: Id<Binding>, previous: bool) -> Result<(Fetch, Receipt)> {
        let mut entry = self.gate().enter_to_read(caller, Action::SecretRead).await?;
        let Some(binding) = sql::binding(entry.tx(), id).await? else {
            return Err(entry.not_found("binding").await);
        };
        let Some(secret) = secrets::secret(entry.tx(), binding.secret).await? else {
            return Err(entry.not_found("binding").await);
        };
        let environment = tenancy::environment(entry.tx(), secret.environment).await?;
        let environment = environment.ok_or_else(|| Error::internal("a secret without its environment"))?;
        let resource = binding.resource(&secret, environment);
        if !door::may_know(&entry, Action::SecretRead, &resource)? {
            return Err(entry.not_found("binding").await);
        }
        let mut grant = entry.admit(resource).await?;
        let now = grant.world().now();
        let overlap_ends_at = binding.overlap_ends_at(&secret, now);
        let wanted = match (previous, binding.version) {
            (false, pinned) => pinned.unwrap_or(secret.current),
            (true, None) if overlap_ends_at.is_some() => secret.current - 1,
            (true, _) => return Err(grant.refuse(over()).await),
        };
        if let Err(error) = read::readable(&secret, now) {
            return Err(grant.refuse(error).await);
        }
        let Some(version) = secrets::version(grant.tx(), secret.id, wanted).await? else {
            return Err(grant.refuse(Error::not_found("version")).await);
        };
        if let Some(absence) = version.absent(now) {
            return Err(grant.refuse(absence.error()).await);
        }
        let sealed = secrets::sealed(grant.tx(), secret.id, wanted).await?;
        let bytes = write::open(grant.keys(), secret.id, wanted, &sealed)?;
        let value = Value { format: version.format, bytes };
        let receipt = grant.record(Done::with(json!({ "secret": secret.id, "version": wanted }))).await?;
        self.0.readers.note(caller, secret.id, wanted, now);
        Ok((Fetch { value, version: wanted, current: secret.current, overlap_ends_at }, receipt))
    }
}

fn over() -> Error {
    Error::gone("overlap_over", "the version before the current one can no longer be fetched")
}

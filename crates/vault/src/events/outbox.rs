//! Writing events, reading them, and saying whom they are told to.

use serde_json::{Value, json};
use uuid::Uuid;
use writ_crypto::{Aad, SecretBytes, hash};
use writ_gate::{Done, Gate, Grant, Receipt, Resource, tenancy};
use writ_kernel::{
    Action, Caller, Environment, Error, Event, Id, Kind, Name, Page, PageRequest, Result, TenantId,
};
use writ_store::serialize_on;
use writ_targets::webhook::{Reach, Webhook};
use writ_wire::events::{CreateHook, Delivery, Event as Envelope, Subject};

use super::sql::{self, HookRecord};

/// As many hooks has an environment at most: each event is written down once for each.
const HOOKS: i64 = 32;

/// Something that happened, to be written down by the act it tells of. Holds no value of a secret.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// What happened, like `SecretRotated`.
    pub kind: &'static str,
    /// The noun of what it happened to.
    pub subject_kind: &'static str,
    /// Which one.
    pub subject: Uuid,
    /// What people call it.
    pub name: Option<String>,
    /// The environment of that.
    pub environment: Option<Id<Environment>>,
    /// What else consumers need to know: an object.
    pub data: Value,
}

/// Writes an event into the transaction of `grant`: it is there if and only if the change is. Write it last: from here to
/// the commit no other event of the tenant is written, so that their order is the order of commits.
///
/// # Errors
/// When the database fails.
pub async fn emit(grant: &mut Grant, event: NewEvent) -> Result<Id<Event>> {
    let envelope = Envelope {
        event_id: grant.world().uuid(),
        tenant_id: grant.tenant().uuid(),
        trace_id: grant.caller().trace.to_string(),
        principal: grant.caller().principal.uuid(),
        kind: event.kind.to_owned(),
        time: grant.world().now(),
        subject: Subject { kind: event.subject_kind.to_owned(), id: event.subject, name: event.name },
        environment: event.environment.map(Id::uuid),
        data: event.data,
        position: None,
    };
    serialize_on(grant.tx(), "events").await?;
    let position = sql::insert_event(grant.tx(), &envelope).await?;
    if let Some(environment) = envelope.environment {
        for hook in sql::hooks(grant.tx(), environment).await? {
            if hook.types.is_empty() || hook.types.contains(&envelope.kind) {
                sql::insert_delivery(grant.tx(), hook.id, position, envelope.time).await?;
            }
        }
    }
    Ok(Id::from_uuid(envelope.event_id))
}

/// Events and hooks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    pub(crate) gate: Gate,
    pub(crate) reach: Reach,
}

impl Events {
    /// Events behind `gate`, told as far as `reach`.
    pub fn new(gate: Gate, reach: Reach) -> Self {
        Self { gate, reach }
    }

    /// Events in the order of their commits, after the cursor: of one environment or, for those who may, of all.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` for a cursor that is none.
    pub async fn events(
        &self,
        caller: &Caller,
        environment: Option<Uuid>,
        page: PageRequest,
    ) -> Result<(Page<(i64, Envelope)>, Receipt)> {
        let mut entry = self.gate.enter(caller, Action::EventRead).await?;
        let mut resource = Resource::all("event");
        if let Some(id) = environment {
            let Some(environment) = tenancy::environment(entry.tx(), Id::from_uuid(id)).await? else {
                return Err(entry.not_found("environment").await);
            };
            resource = resource.within(environment);
        }
        let mut grant = entry.admit(resource).await?;
        let page = sql::events(grant.tx(), environment, &page).await?;
        Ok((page, grant.commit(Done::plain()).await?))
    }

    /// Has a hook told of the events of an environment. The key that deliveries are signed with is in the answer and,
    /// sealed, in the database.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`, `Conflict` when the name is taken or there are too many.
    pub async fn create_hook(
        &self,
        caller: &Caller,
        wanted: CreateHook,
    ) -> Result<(HookRecord, SecretBytes, Receipt)> {
        let name: Name = wanted.name.parse().map_err(|error: Error| error.at("name"))?;
        Webhook::new(&wanted.url, self.reach)?;
        let plain =
            |kind: &String| !kind.is_empty() && kind.chars().all(|letter| letter.is_ascii_alphanumeric());
        if wanted.types.len() > 64 || !wanted.types.iter().all(plain) {
            return Err(Error::invalid("malformed_type", "a type is a word like `SecretRotated`").at("types"));
        }
        let mut entry = self.gate.enter(caller, Action::BindingWrite).await?;
        let environment = tenancy::environment(entry.tx(), Id::from_uuid(wanted.environment)).await?;
        let Some(environment) = environment else { return Err(entry.not_found("environment").await) };
        let world = self.gate.world();
        let mut hook = HookRecord {
            id: world.uuid(),
            name,
            environment: wanted.environment,
            url: wanted.url,
            types: wanted.types,
            sealed: Vec::new(),
            created_at: world.now(),
        };
        let resource = Resource::all("event-hook").named(&hook.name).within(environment);
        let mut grant = entry.admit(resource).await?;
        if sql::count_hooks(grant.tx(), hook.environment).await? >= HOOKS {
            return Err(Error::conflict("too_many_hooks", "the environment has 32 hooks already"));
        }
        let key = SecretBytes::new(world.bytes::<32>().to_vec());
        hook.sealed = grant.keys().seal(world, &hook.aad(grant.tenant()), key.expose());
        sql::insert_hook(grant.tx(), &hook).await.map_err(|error| match error.kind() {
            Kind::Conflict => {
                Error::conflict("name_taken", format!("there is already a hook `{}`", hook.name)).at("name")
            }
            _ => error,
        })?;
        let detail = json!({ "url": hook.url, "types": hook.types });
        let receipt = grant.commit(Done::with(detail).created(Id::<()>::from_uuid(hook.id))).await?;
        Ok((hook, key, receipt))
    }

    /// The hooks of an environment.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn hooks(&self, caller: &Caller, environment: Uuid) -> Result<(Vec<HookRecord>, Receipt)> {
        let mut entry = self.gate.enter(caller, Action::BindingRead).await?;
        let Some(place) = tenancy::environment(entry.tx(), Id::from_uuid(environment)).await? else {
            return Err(entry.not_found("environment").await);
        };
        let mut grant = entry.admit(Resource::all("event-hook").within(place)).await?;
        let hooks = sql::hooks(grant.tx(), environment).await?;
        Ok((hooks, grant.commit(Done::plain()).await?))
    }

    /// Tells a hook nothing any more.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn delete_hook(&self, caller: &Caller, id: Uuid) -> Result<Receipt> {
        let mut grant = self.of_hook(caller, Action::BindingWrite, id).await?;
        sql::delete_hook(grant.tx(), id).await?;
        grant.commit(Done::with(json!({ "removed": true }))).await
    }

    /// Deliveries to a hook that were given up, oldest first.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn dead(
        &self,
        caller: &Caller,
        hook: Uuid,
        page: PageRequest,
    ) -> Result<(Page<(i64, Delivery)>, Receipt)> {
        let mut grant = self.of_hook(caller, Action::BindingRead, hook).await?;
        let page = sql::dead(grant.tx(), hook, &page).await?;
        Ok((page, grant.commit(Done::plain()).await?))
    }

    /// Tells a hook again what was given up: the same envelopes under the same ids. Says how many.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn replay(&self, caller: &Caller, hook: Uuid) -> Result<(u64, Receipt)> {
        let mut grant = self.of_hook(caller, Action::BindingWrite, hook).await?;
        let now = grant.world().now();
        let count = sql::replay(grant.tx(), hook, now).await?;
        Ok((count, grant.commit(Done::with(json!({ "replayed": count }))).await?))
    }

    async fn of_hook(&self, caller: &Caller, action: Action, id: Uuid) -> Result<Grant> {
        let mut entry = self.gate.enter(caller, action).await?;
        let Some(hook) = sql::hook(entry.tx(), id).await? else {
            return Err(entry.not_found("event hook").await);
        };
        let environment = tenancy::environment(entry.tx(), Id::from_uuid(hook.environment)).await?;
        let Some(environment) = environment else { return Err(entry.not_found("event hook").await) };
        let resource =
            Resource::one("event-hook", Id::<()>::from_uuid(id)).named(&hook.name).within(environment);
        entry.admit(resource).await
    }
}

impl HookRecord {
    /// What the key is sealed with.
    pub(crate) fn aad(&self, tenant: TenantId) -> Vec<u8> {
        Aad::cell(tenant, "event_hooks", self.id.as_bytes(), "sealed", 1)
    }
}

/// The key, as it is shown.
pub(crate) fn shown(key: &SecretBytes) -> String {
    hash::hex(key.expose())
}

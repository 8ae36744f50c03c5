//! How secrets are rotated, rotating one now, and what is done when some are exposed.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_crypto::{Aad, SecretString};
use writ_gate::{Done, Grant, Outcome, Receipt};
use writ_kernel::{Action, Caller, Error, Id, Kind, Result, TenantId};
use writ_targets::password::Recipe;
use writ_wire::{
    leases::EngineConfig,
    rotation::{Expose, RotationState, RotatorSpec, WriteRotator},
};

use super::{
    sql::{self, RotationRecord, RotatorRecord},
    turning,
};
use crate::{
    Place, Vault,
    events::{NewEvent, emit},
    leases::Leases,
    secrets::door::{self, Found},
};

const OVERLAP: Duration = Duration::from_hours(1);
const SHORTEST: u32 = 60;

/// Rotation of secrets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rotations {
    pub(crate) vault: Vault,
    pub(crate) leases: Leases,
}

/// Why a secret is rotated, and the case it belongs to.
pub(crate) type Cause = (&'static str, Option<Uuid>);

/// What is done about an exposure: the case, what is reissued, what people must reissue, how many leases end.
pub type Answered = (Uuid, Vec<RotationRecord>, Vec<Uuid>, u64);

impl Rotations {
    /// Rotation of the secrets of `vault`, with the engines of `leases`.
    pub fn new(vault: Vault, leases: Leases) -> Self {
        Self { vault, leases }
    }

    /// Says how a secret is rotated.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`; `Forbidden`, also for who may not set up the engine.
    pub async fn write_rotator(
        &self,
        caller: &Caller,
        secret: Uuid,
        wanted: WriteRotator,
    ) -> Result<(RotatorRecord, Receipt)> {
        recipe(&wanted.spec)?;
        if wanted.every_seconds.is_some_and(|every| every < SHORTEST) {
            return Err(
                Error::invalid("too_often", "a secret is rotated at most once a minute").at("everySeconds")
            );
        }
        if let RotatorSpec::Postgres { engine, .. } = &wanted.spec {
            // Whoever may have an engine change a password is one who may set the engine up.
            self.leases.may_direct(caller, *engine).await?;
        }
        let place = Place::Id(Id::from_uuid(secret));
        let (found, mut grant) =
            door::to_change(self.vault.gate(), caller, Action::SecretWrite, &place).await?;
        if let Err(error) = self.suits(&mut grant, &found, &wanted.spec).await {
            return Err(grant.refuse(error).await);
        }
        let now = grant.world().now();
        let every = wanted.every_seconds.map(|every| Duration::from_secs(every.into()));
        let rotator = RotatorRecord {
            secret,
            environment: found.environment.id.uuid(),
            spec: wanted.spec,
            every,
            overlap: wanted.overlap_seconds.map_or(OVERLAP, |overlap| Duration::from_secs(overlap.into())),
            next_at: every.map(|every| now.plus(every)),
            created_at: now,
        };
        sql::write_rotator(grant.tx(), &rotator).await?;
        let detail = json!({ "rotator": rotator.spec, "everySeconds": wanted.every_seconds });
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((rotator, receipt))
    }

    /// An engine that changes a secret's password is of the secret's environment.
    async fn suits(&self, grant: &mut Grant, found: &Found, spec: &RotatorSpec) -> Result<()> {
        let RotatorSpec::Postgres { engine, .. } = spec else { return Ok(()) };
        let engine = crate::leases::engine_record(grant.tx(), *engine).await?;
        match engine {
            Some(engine)
                if engine.environment == found.environment.id
                    && matches!(engine.config, EngineConfig::Postgres { .. }) =>
            {
                Ok(())
            }
            _ => Err(Error::invalid("unknown_engine", "there is no such engine in the secret's environment")
                .at("spec")),
        }
    }

    /// How a secret is rotated.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn rotator(&self, caller: &Caller, secret: Uuid) -> Result<(RotatorRecord, Receipt)> {
        let place = Place::Id(Id::from_uuid(secret));
        let (_, mut grant) = door::to_see(self.vault.gate(), caller, Action::SecretList, &place).await?;
        match sql::rotator(grant.tx(), secret).await? {
            Some(rotator) => Ok((rotator, grant.record(Done::plain()).await?)),
            None => Err(grant.refuse(Error::not_found("rotator")).await),
        }
    }

    /// Rotates a secret no more.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn delete_rotator(&self, caller: &Caller, secret: Uuid) -> Result<Receipt> {
        let place = Place::Id(Id::from_uuid(secret));
        let (_, mut grant) = door::to_change(self.vault.gate(), caller, Action::SecretWrite, &place).await?;
        if sql::delete_rotator(grant.tx(), secret).await? == 0 {
            return Err(grant.refuse(Error::not_found("rotator")).await);
        }
        grant.commit(Done::with(json!({ "rotator": null }))).await
    }

    /// The newest rotations of a secret, newest first.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn rotations(&self, caller: &Caller, secret: Uuid) -> Result<(Vec<RotationRecord>, Receipt)> {
        let place = Place::Id(Id::from_uuid(secret));
        let (_, mut grant) = door::to_see(self.vault.gate(), caller, Action::SecretList, &place).await?;
        let rotations = sql::of(grant.tx(), secret).await?;
        Ok((rotations, grant.record(Done::plain()).await?))
    }

    /// Rotates a secret now. Where the target cannot be reached, the rotation stays `pending` and the worker goes on.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Conflict` when it has no rotator or is being rotated.
    pub async fn rotate(&self, caller: &Caller, secret: Uuid) -> Result<(RotationRecord, Receipt)> {
        let (rotation, receipt) = self.begin(caller, secret, ("asked", None)).await?;
        Ok((self.push(caller.tenant, rotation).await?, receipt))
    }

    /// Makes the new value: an intent.
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        secret: Uuid,
        (why, case): Cause,
    ) -> Result<(RotationRecord, Receipt)> {
        let place = Place::Id(Id::from_uuid(secret));
        let (found, mut grant) =
            door::to_change(self.vault.gate(), caller, Action::SecretRotate, &place).await?;
        let Some(rotator) = sql::rotator(grant.tx(), secret).await? else {
            let error = Error::conflict("no_rotator", "nothing says how the secret is rotated")
                .hint("write a rotator for it, or write a new version");
            return Err(grant.refuse(error).await);
        };
        if sql::under_way(grant.tx(), secret).await? {
            return Err(grant.refuse(Error::conflict("rotating", "the secret is being rotated")).await);
        }
        let (id, now) = (grant.world().uuid(), grant.world().now());
        let value = recipe(&rotator.spec)?.make(grant.world());
        let sealed =
            grant.keys().seal(grant.world(), &pending(grant.tenant(), id), value.expose().as_bytes());
        let rotation = RotationRecord {
            id,
            secret,
            environment: found.environment.id.uuid(),
            state: RotationState::Pending,
            cause: why.to_owned(),
            case,
            asked_by: caller.principal.uuid(),
            spec: rotator.spec,
            sealed: Some(sealed),
            old_version: Some(found.secret.current.into()),
            new_version: None,
            attempts: 0,
            next_at: Some(now),
            failure: None,
            created_at: now,
            ended_at: None,
        };
        sql::insert(grant.tx(), &rotation).await?;
        sql::schedule(grant.tx(), secret, rotator.every.map(|every| now.plus(every))).await?;
        let detail = json!({ "rotation": id, "cause": why, "case": case });
        let receipt = grant.commit(Done::with(detail).outcome(Outcome::Intent)).await?;
        Ok((rotation, receipt))
    }

    /// Tries a rotation at once, and says what has become of it.
    async fn push(&self, tenant: TenantId, rotation: RotationRecord) -> Result<RotationRecord> {
        if let Err(error) = Box::pin(turning::step(self, tenant, rotation.id)).await {
            tracing::warn!(%error, rotation = %rotation.id, "a rotation could not be done at once");
        }
        let now = sql::rotation(&mut self.vault.gate().db().read(tenant).await?, rotation.id).await?;
        Ok(now.unwrap_or(rotation))
    }

    /// Says that secrets are known to strangers: each is marked, told to consumers and reissued, and the leases of the
    /// engines end. All of it has one case, in evidence and events.
    ///
    /// # Errors
    /// `NotFound` and `Forbidden` for the first secret or engine that is not the caller's; what was done before it
    /// stays done, and doing it again goes on.
    pub async fn expose(&self, caller: &Caller, wanted: Expose) -> Result<(Answered, Receipt)> {
        if wanted.secrets.is_empty() || wanted.secrets.len() > 100 {
            return Err(Error::invalid("out_of_range", "a case has 1 to 100 secrets").at("secrets"));
        }
        let case = self.vault.gate().world().uuid();
        let mut receipt = None;
        for secret in &wanted.secrets {
            receipt = Some(self.mark(caller, *secret, case).await?);
        }
        let (mut rotations, mut by_hand) = (Vec::new(), Vec::new());
        for secret in wanted.secrets {
            match self.begin(caller, secret, ("exposure", Some(case))).await {
                Ok((rotation, _)) => rotations.push(self.push(caller.tenant, rotation).await?),
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Forbidden) => {
                    by_hand.push(secret);
                }
                Err(error) => return Err(error),
            }
        }
        let mut leases = 0;
        for engine in wanted.engines {
            leases += self.leases.revoke_many(caller, engine, "").await?.0;
        }
        let receipt = receipt.ok_or_else(|| Error::internal("a case without a secret"))?;
        Ok(((case, rotations, by_hand, leases), receipt))
    }

    async fn mark(&self, caller: &Caller, secret: Uuid, case: Uuid) -> Result<Receipt> {
        let place = Place::Id(Id::from_uuid(secret));
        let (found, mut grant) =
            door::to_change(self.vault.gate(), caller, Action::SecretExpose, &place).await?;
        let mut marked = found.secret;
        marked.exposed_at = Some(grant.world().now());
        marked.updated_at = grant.world().now();
        crate::secrets::sql::update_secret(grant.tx(), &marked).await?;
        let now = grant.world().now();
        let links = crate::secrets::sql::revoke_links(grant.tx(), marked.id, now).await?;
        let event = NewEvent {
            kind: "SecretExposed",
            subject_kind: "secret",
            subject: secret,
            name: Some(marked.path.as_str().to_owned()),
            environment: Some(found.environment.id),
            data: json!({ "case": case, "version": marked.current }),
        };
        emit(&mut grant, event).await?;
        let detail = json!({ "case": case, "version": marked.current, "linksRevoked": links });
        grant.commit(Done::with(detail)).await
    }
}

/// What the pending value is sealed with.
pub(crate) fn pending(tenant: TenantId, rotation: Uuid) -> Vec<u8> {
    Aad::cell(tenant, "rotations", rotation.as_bytes(), "sealed", 1)
}

/// What a new value looks like.
fn recipe(spec: &RotatorSpec) -> Result<Recipe> {
    match spec {
        RotatorSpec::Generated { length: None, alphabet: None } | RotatorSpec::Postgres { .. } => {
            Ok(Recipe::default())
        }
        RotatorSpec::Generated { length, alphabet } => {
            let letters: String = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
            let length = usize::try_from(length.unwrap_or(32)).unwrap_or(usize::MAX);
            Recipe::new(length, alphabet.as_deref().unwrap_or(&letters)).map_err(|error| error.at("spec"))
        }
    }
}

/// Text that a secret's value is.
pub(crate) fn text(bytes: &[u8]) -> Result<SecretString> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::internal("a password is not text"))?;
    Ok(SecretString::new(text.to_owned()))
}

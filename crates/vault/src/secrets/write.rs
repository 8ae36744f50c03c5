//! Storing secrets and writing versions of them.

use serde_json::json;
use writ_crypto::{Aad, SecretBytes, hash};
use writ_gate::{Done, Environment, Grant, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Id, Principal, Result, Secret, TenantId};
use writ_seal::TenantKeys;

use super::{
    door,
    model::{Classification, Facts, Keeping, Notes, Place, ROTATE_EVERY, SecretRecord, Value, VersionRecord},
    path::SecretPath,
    sql,
};
use crate::{
    Vault,
    events::{NewEvent, emit},
};

/// A secret to be stored.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct NewSecret {
    /// Where: the name or id of an environment; `None` for the only one the caller can mean.
    pub environment: Option<String>,
    /// The path in it.
    pub path: SecretPath,
    /// Its first version; `None` to begin without one.
    pub value: Option<Value>,
    /// What must be known of it.
    pub facts: Facts,
    /// What is remembered beside the value.
    pub notes: Notes,
    /// How versions are kept.
    pub keeping: Keeping,
    /// A JSON object of what is as secret as the value, and whether it has the seed of one-time passwords.
    pub details: Option<(SecretBytes, bool)>,
    /// Asking again under the same key is answered with the same secret.
    pub key: Option<String>,
}

impl NewSecret {
    /// A secret of which nothing else is said.
    pub fn new(environment: Option<String>, path: SecretPath, value: Option<Value>) -> Self {
        Self {
            environment,
            path,
            value,
            facts: Facts::default(),
            notes: Notes::default(),
            keeping: Keeping::default(),
            details: None,
            key: None,
        }
    }
}

/// A version to be written.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct NewVersion {
    /// Of which secret.
    pub place: Place,
    /// Its value.
    pub value: Value,
    /// The version it replaces; 0 for none. Where it is another one by now, nothing is written.
    pub cas: Option<u32>,
    /// The earlier version whose value this is.
    pub restored_from: Option<u32>,
}

impl Vault {
    /// Stores a secret.
    ///
    /// # Errors
    /// `Conflict` with `secret_exists`; `NotFound` for an environment the caller may not know.
    pub async fn create(&self, caller: &Caller, new: NewSecret) -> Result<(SecretRecord, Receipt)> {
        self.create_over(caller, new, None).await
    }

    /// [`Vault::create`] by somebody who thinks that `cas` is the current version.
    async fn create_over(
        &self,
        caller: &Caller,
        new: NewSecret,
        cas: Option<u32>,
    ) -> Result<(SecretRecord, Receipt)> {
        let owner = self.answerable(caller, new.facts.owner).await?;
        let mut entry = self.gate().enter(caller, Action::SecretCreate).await?;
        let environment = match door::environment(entry.tx(), caller, new.environment.as_deref()).await {
            Ok(Some(environment)) => environment,
            Ok(None) => return Err(entry.not_found(door::UNKNOWN).await),
            Err(error) => return Err(entry.refuse(error).await),
        };
        let (digest, key) = (digest(&new), new.key.clone());
        let (mut secret, value) = record(self, caller, &environment, owner, new, entry.keys())?;
        let resource = Resource { id: None, ..secret.resource(environment) };
        if !door::may_know(&entry, Action::SecretCreate, &resource)? {
            return Err(entry.not_found(door::UNKNOWN).await);
        }
        let mut grant = entry.admit(resource).await?;
        if cas.is_some_and(|cas| cas != 0) {
            return Err(grant.refuse(conflict()).await);
        }
        if let Some(key) = &key
            && let Some(known) = sql::request(grant.tx(), caller.principal, key).await?
        {
            return repeated(grant, key, &known, &digest).await;
        }
        if !sql::insert_secret(grant.tx(), &secret).await? {
            return Err(grant.refuse(exists()).await);
        }
        if let Some(value) = &value {
            add_version(&mut grant, &mut secret, value, None).await?;
        }
        if let Some(key) = key {
            remember(&mut grant, &key, secret.id, &digest).await?;
        }
        let receipt = grant.commit(Done::with(told(&secret)).created(secret.id)).await?;
        Ok((secret, receipt))
    }

    /// Writes a new version.
    ///
    /// # Errors
    /// `Conflict` with `version_conflict` when `cas` is not the current version, or `secret_inactive`; `Invalid` with
    /// `cas_required`; `NotFound`.
    pub async fn write(
        &self,
        caller: &Caller,
        new: NewVersion,
    ) -> Result<(SecretRecord, VersionRecord, Receipt)> {
        self.write_to(caller, new, "secret").await
    }

    /// [`Vault::write`], where who may not know of the secret is told that there is no such `what`.
    async fn write_to(
        &self,
        caller: &Caller,
        new: NewVersion,
        what: &'static str,
    ) -> Result<(SecretRecord, VersionRecord, Receipt)> {
        let (found, mut grant) =
            door::to_change_what(self.gate(), caller, Action::SecretWrite, &new.place, what).await?;
        let mut secret = found.secret;
        if let Err(error) = writable(&secret, new.cas) {
            return Err(grant.refuse(error).await);
        }
        let version = add_version(&mut grant, &mut secret, &new.value, new.restored_from).await?;
        let detail = json!({ "version": version.version, "restoredFrom": version.restored_from });
        tell(&mut grant, &secret).await?;
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((secret, version, receipt))
    }

    /// Writes a new version at a path, storing the secret when there is none yet.
    ///
    /// # Errors
    /// As [`Vault::create`] and [`Vault::write`].
    pub async fn put(
        &self,
        caller: &Caller,
        new: NewSecret,
        cas: Option<u32>,
    ) -> Result<(SecretRecord, Receipt)> {
        let mut tx = self.gate().db().read(caller.tenant).await?;
        let environment = door::environment(&mut tx, caller, new.environment.as_deref()).await.ok().flatten();
        let known = match &environment {
            Some(environment) => sql::secret_at(&mut tx, environment.id, &new.path).await?.is_some(),
            None => false,
        };
        drop(tx);
        // Only which action is asked for is decided here; whether the caller may know is decided at the door.
        match (environment, new.value, known) {
            (Some(environment), Some(value), true) => {
                let place = Place::Path(environment.id, new.path);
                let new = NewVersion { place, value, cas, restored_from: None };
                let (secret, _, receipt) = self.write_to(caller, new, door::UNKNOWN).await?;
                Ok((secret, receipt))
            }
            (_, value, _) => self.create_over(caller, NewSecret { value, ..new }, cas).await,
        }
    }

    /// Writes the value of an earlier version as a new one.
    ///
    /// # Errors
    /// `Gone` when that version is deleted or destroyed; as [`Vault::write`].
    pub async fn roll_back(
        &self,
        caller: &Caller,
        place: &Place,
        to: u32,
        cas: Option<u32>,
    ) -> Result<(SecretRecord, VersionRecord, Receipt)> {
        let (found, mut grant) = door::to_change(self.gate(), caller, Action::SecretWrite, place).await?;
        let mut secret = found.secret;
        if let Err(error) = writable(&secret, cas) {
            return Err(grant.refuse(error).await);
        }
        let Some(earlier) = sql::version(grant.tx(), secret.id, to).await? else {
            return Err(grant.refuse(Error::not_found("version")).await);
        };
        if let Some(absence) = earlier.absent(grant.world().now()) {
            return Err(grant.refuse(absence.error()).await);
        }
        if secret.exposed_at.is_some() && to == secret.current {
            let error = Error::conflict("version_exposed", "strangers know the value of this version");
            return Err(grant.refuse(error.hint("write a new value")).await);
        }
        let sealed = sql::sealed(grant.tx(), secret.id, to).await?;
        let bytes = open(grant.keys(), secret.id, to, &sealed)?;
        let value = Value { format: earlier.format, bytes };
        let version = add_version(&mut grant, &mut secret, &value, Some(to)).await?;
        let detail = json!({ "version": version.version, "restoredFrom": to });
        tell(&mut grant, &secret).await?;
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((secret, version, receipt))
    }

    /// Who answers for what `caller` stores: the owner it names, else whoever answers for it, else itself.
    pub(crate) async fn answerable(
        &self,
        caller: &Caller,
        named: Option<Id<Principal>>,
    ) -> Result<(Id<Principal>, bool)> {
        if let Some(named) = named {
            return Ok((named, true));
        }
        let accountable = self.0.people.accountable(caller.tenant, caller.principal).await?;
        Ok((accountable.unwrap_or(caller.principal), false))
    }
}

/// Writes a version into the transaction of `grant`, and the secret as it is then.
pub(crate) async fn add_version(
    grant: &mut Grant,
    secret: &mut SecretRecord,
    value: &Value,
    restored_from: Option<u32>,
) -> Result<VersionRecord> {
    let now = grant.world().now();
    let number = secret.current.checked_add(1).ok_or_else(|| Error::internal("too many versions"))?;
    let deleted_at = (!secret.delete_after.is_zero()).then(|| now.plus(secret.delete_after));
    let version = VersionRecord {
        version: number,
        format: value.format,
        size: value.bytes.len() as u64,
        restored_from,
        created_by: grant.caller().principal,
        created_by_kind: grant.caller().kind.as_str().to_owned(),
        created_at: now,
        deleted_at,
        destroyed_at: None,
    };
    let place = cell(grant.tenant(), secret.id, number);
    let sealed = grant.keys().seal(grant.world(), &place, value.bytes.expose());
    sql::insert_version(grant.tx(), secret.id, &version, &sealed).await?;
    if secret.exposed_at.is_some() {
        // Strangers know it: nobody is given it any more.
        sql::set_deleted(grant.tx(), secret.id, secret.current, Some(now)).await?;
    }
    secret.current = number;
    secret.oldest = secret.oldest.max(1).max((number + 1).saturating_sub(secret.kept()));
    sql::trim(grant.tx(), secret.id, secret.oldest).await?;
    secret.exposed_at = None;
    (secret.updated_at, secret.rotated_at) = (now, now);
    sql::update_secret(grant.tx(), secret).await?;
    Ok(version)
}

/// Tells consumers that there is a new version. Comes last before the commit.
pub(crate) async fn tell(grant: &mut Grant, secret: &SecretRecord) -> Result<()> {
    let event = NewEvent {
        kind: "SecretRotated",
        subject_kind: "secret",
        subject: secret.id.uuid(),
        name: Some(secret.path.to_string()),
        environment: Some(secret.environment),
        data: json!({ "version": secret.current }),
    };
    emit(grant, event).await.map(drop)
}

/// Where the value of a version lives.
fn cell(tenant: TenantId, id: Id<Secret>, version: u32) -> Vec<u8> {
    Aad::cell(tenant, "secret_versions", id.uuid().as_bytes(), "sealed", u64::from(version))
}

/// The value of a version.
pub(crate) fn open(keys: &TenantKeys, id: Id<Secret>, version: u32, sealed: &[u8]) -> Result<SecretBytes> {
    keys.open(&cell(keys.tenant(), id, version), sealed)
}

/// Where the details of a secret live.
pub(crate) fn details_cell(tenant: TenantId, id: Id<Secret>, revision: u64) -> Vec<u8> {
    Aad::cell(tenant, "secrets", id.uuid().as_bytes(), "details", revision)
}

pub(crate) fn writable(secret: &SecretRecord, cas: Option<u32>) -> Result<()> {
    if !secret.active {
        return Err(inactive());
    }
    match cas {
        None if secret.cas_required => {
            Err(Error::invalid("cas_required", "this secret is written with the version it replaces only")
                .at("cas"))
        }
        Some(cas) if cas != secret.current => Err(conflict()),
        _ => Ok(()),
    }
}

pub(crate) fn inactive() -> Error {
    Error::conflict("secret_inactive", "the secret is out of use").hint("activate it first")
}

fn conflict() -> Error {
    Error::conflict("version_conflict", "the secret has another current version by now").at("cas")
}

pub(crate) fn exists() -> Error {
    Error::conflict("secret_exists", "there is already a secret at this path").at("name")
}

/// What evidence says of a new secret.
fn told(secret: &SecretRecord) -> serde_json::Value {
    json!({
        "version": secret.current,
        "owner": secret.owner,
        "classification": secret.classification.as_str(),
        "assumed": secret.assumed,
    })
}

fn record(
    vault: &Vault,
    caller: &Caller,
    environment: &Environment,
    (owner, named): (Id<Principal>, bool),
    new: NewSecret,
    keys: &TenantKeys,
) -> Result<(SecretRecord, Option<Value>)> {
    let world = vault.gate().world();
    let (id, now) = (world.id(), world.now());
    let mut assumed = Vec::new();
    let mut assume = |missing: bool, what: &str| {
        if missing {
            assumed.push(what.to_owned());
        }
    };
    let lasts = new.facts.expires_at.is_some() || new.facts.rotate_every.is_some();
    assume(!named, "owner");
    assume(new.facts.purpose.is_none(), "purpose");
    assume(!lasts, "rotation");
    assume(new.facts.classification.is_none(), "classification");
    let purpose = match new.facts.purpose {
        Some(purpose) => purpose,
        None => presumed_purpose(new.notes.description.as_deref())?,
    };
    let mut secret = SecretRecord {
        id,
        environment: environment.id,
        path: new.path,
        kind: new.notes.kind,
        description: new.notes.description,
        purpose,
        classification: new.facts.classification.unwrap_or(Classification::Confidential),
        owner,
        labels: new.notes.labels.unwrap_or_default(),
        custom: new.notes.custom.unwrap_or_default(),
        assumed,
        expires_at: new.facts.expires_at,
        rotate_every: if lasts { new.facts.rotate_every } else { Some(ROTATE_EVERY) },
        cas_required: false,
        max_versions: 0,
        delete_after: std::time::Duration::ZERO,
        current: 0,
        oldest: 0,
        revision: 1,
        totp: new.details.as_ref().is_some_and(|(_, totp)| *totp),
        details: new
            .details
            .map(|(bytes, _)| keys.seal(world, &details_cell(caller.tenant, id, 1), bytes.expose())),
        favourite: new.notes.favourite.unwrap_or(false),
        active: true,
        exposed_at: None,
        created_by: caller.principal,
        created_at: now,
        updated_at: now,
        rotated_at: now,
    };
    secret.keep(new.keeping)?;
    Ok((secret, new.value))
}

/// The first line of a description says what a secret is for, when nothing else does.
fn presumed_purpose(description: Option<&str>) -> Result<writ_kernel::Label> {
    let line = description.and_then(|text| text.lines().next()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    line.parse().or_else(|_| "unspecified by client".parse())
}

/// What a request under an idempotency key asked for.
fn digest(new: &NewSecret) -> [u8; 32] {
    let mut hasher = hash::Sha256::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    field(new.environment.as_deref().unwrap_or_default().as_bytes());
    field(new.path.as_str().as_bytes());
    field(new.value.as_ref().map_or(&[][..], |value| value.bytes.expose()));
    field(new.details.as_ref().map_or(&[][..], |(bytes, _)| bytes.expose()));
    field(format!("{:?}{:?}{:?}", new.facts, new.notes, new.keeping).as_bytes());
    hasher.finish()
}

/// Where the digest of a request lives. It is sealed: the hash of a value would be something to guess at.
fn request_cell(tenant: TenantId, principal: Id<Principal>, key: &str) -> Vec<u8> {
    let row = [principal.uuid().as_bytes().as_slice(), key.as_bytes()].concat();
    Aad::cell(tenant, "secret_requests", &row, "digest", 1)
}

pub(crate) async fn remember(grant: &mut Grant, key: &str, id: Id<Secret>, digest: &[u8; 32]) -> Result<()> {
    let (principal, now) = (grant.caller().principal, grant.world().now());
    let place = request_cell(grant.tenant(), principal, key);
    let digest = grant.keys().seal(grant.world(), &place, digest);
    let row = sql::RequestRow { digest, object_id: id.uuid() };
    let written = sql::insert_request(grant.tx(), principal, key, &row, now).await?;
    let contention = || Error::conflict("contention", "the same request is being answered; try again");
    written.then_some(()).ok_or_else(contention)
}

async fn repeated(
    mut grant: Grant,
    key: &str,
    known: &sql::RequestRow,
    digest: &[u8; 32],
) -> Result<(SecretRecord, Receipt)> {
    let place = request_cell(grant.tenant(), grant.caller().principal, key);
    if !grant.keys().open(&place, &known.digest)?.ct_eq(digest) {
        let error =
            Error::conflict("idempotency_key_reused", "the idempotency key was used for another request");
        return Err(grant.refuse(error.at("Idempotency-Key")).await);
    }
    let Some(secret) = sql::secret(grant.tx(), Id::from_uuid(known.object_id)).await? else {
        return Err(grant.refuse(Error::gone("secret_destroyed", "what was stored is destroyed")).await);
    };
    let receipt = grant.commit(Done::with(json!({ "repeated": secret.id }))).await?;
    Ok((secret, receipt))
}

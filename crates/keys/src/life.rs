//! The life of a key: made, changed, rotated, and destroyed.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use writ_crypto::named::{KeyType, Material};
use writ_gate::{Done, Environment, Grant, Receipt};
use writ_kernel::{Action, Caller, Error, Kind, Result, Timestamp};

use crate::{
    bounds::{description, future, period, words},
    find::{admitted, found, placed},
    model::{Key, Place, Purpose, State, Version, Which},
    name::KeyName,
    room::{Keys, cell},
    sql,
};

/// A day.
const DAY: Duration = Duration::from_hours(24);
/// A deletion takes effect after this long, unless told.
pub const GRACE_DAYS: u32 = 7;
/// A deletion takes effect at the latest after this long.
pub const MOST_GRACE_DAYS: u32 = 30;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Where.
    pub place: Place,
    /// What it is called.
    pub name: KeyName,
    /// Its algorithm.
    pub key_type: KeyType,
    /// What it is for; what suits the type unless told.
    pub purpose: Option<Purpose>,
    /// How many bytes an HMAC key has; 32 unless told.
    pub hmac_bytes: Option<usize>,
    /// What people say about it: at most 500 characters.
    pub description: Option<String>,
    /// Words to find it by.
    pub labels: Vec<String>,
    /// Names and values to find it by.
    pub tags: BTreeMap<String, String>,
    /// Every use derives a key of its own from a context.
    pub derived: bool,
    /// Equal plaintexts give equal ciphertexts. Only for keys that derive.
    pub convergent: bool,
    /// The secret part may be taken away.
    pub exportable: bool,
    /// The key may be backed up in the clear.
    pub backupable: bool,
    /// A new version is made this often.
    pub rotate_every: Option<Duration>,
    /// It cannot be used from then on.
    pub expires_at: Option<Timestamp>,
    /// It is used for its purpose when none is named.
    pub default: bool,
}

impl NewKey {
    /// A key of this name and type, with nothing else said about it.
    pub fn new(place: Place, name: KeyName, key_type: KeyType) -> Self {
        Self {
            place,
            name,
            key_type,
            purpose: None,
            hmac_bytes: None,
            description: None,
            labels: Vec::new(),
            tags: BTreeMap::new(),
            derived: false,
            convergent: false,
            exportable: false,
            backupable: false,
            rotate_every: None,
            expires_at: None,
            default: false,
        }
    }

    fn check(&self, now: Timestamp) -> Result<()> {
        if self.purpose.is_some_and(|purpose| !purpose.suits(self.key_type)) {
            return Err(Error::invalid(
                "wrong_purpose",
                format!("a key of type {} cannot be for that", self.key_type),
            )
            .at("keyType"));
        }
        if self.derived && !self.key_type.derives() {
            return Err(Error::invalid(
                "unsupported_operation",
                format!("a key of type {} does not derive others", self.key_type),
            )
            .at("derived"));
        }
        if self.convergent && !(self.derived && self.key_type.converges()) {
            return Err(Error::invalid(
                "unsupported_operation",
                "convergent encryption is for symmetric keys that derive others",
            )
            .at("convergent"));
        }
        if self.hmac_bytes.is_some() && self.key_type != KeyType::Hmac {
            return Err(Error::invalid("unsupported_operation", "only HMAC keys come in sizes").at("keySize"));
        }
        description(self.description.as_deref())?;
        words(&self.labels, &self.tags)?;
        period(self.rotate_every)?;
        future(self.expires_at, now)
    }

    /// The key that it becomes.
    pub(crate) fn made(&self, environment: Environment, grant: &Grant) -> Key {
        let now = grant.world().now();
        Key {
            id: grant.world().id(),
            environment,
            space: self.place.space.clone(),
            name: self.name.clone(),
            key_type: self.key_type,
            purpose: self.purpose.unwrap_or_else(|| Purpose::of(self.key_type)),
            description: self.description.clone(),
            labels: self.labels.clone(),
            tags: self.tags.clone(),
            enabled: true,
            derived: self.derived,
            convergent: self.convergent,
            exportable: self.exportable,
            backupable: self.backupable,
            deletable: false,
            imported: false,
            is_default: self.default,
            latest_version: 1,
            min_decryption_version: 1,
            min_encryption_version: 0,
            min_available_version: 1,
            rotate_every: self.rotate_every,
            rotate_at: self.rotate_every.map(|period| now.plus(period)),
            rotated_at: None,
            expires_at: self.expires_at,
            delete_at: None,
            created_by: grant.caller().principal,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What is to be changed about a key; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Another name.
    pub name: Option<KeyName>,
    /// Another description.
    pub description: Option<String>,
    /// Other labels.
    pub labels: Option<Vec<String>>,
    /// Other tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// In use, or out of use.
    pub enabled: Option<bool>,
    /// Whether it may be exported: can be allowed, not taken back, as the Vault dialect has it.
    pub exportable: Option<bool>,
    /// Whether it may be backed up in the clear: likewise.
    pub backupable: Option<bool>,
    /// Whether the Vault dialect may delete it.
    pub deletable: Option<bool>,
    /// The oldest version that decrypts and verifies.
    pub min_decryption_version: Option<u32>,
    /// The oldest version that may be chosen to encrypt and sign; 0 for any.
    pub min_encryption_version: Option<u32>,
    /// How often a new version is made; zero for never.
    pub rotate_every: Option<Duration>,
    /// From when on it cannot be used.
    pub expires_at: Option<Timestamp>,
}

impl Keys {
    /// Makes a key.
    ///
    /// # Errors
    /// `key_name_conflict`; `Invalid` for what does not go together.
    pub async fn create(&self, caller: &Caller, wanted: NewKey) -> Result<(Key, Receipt)> {
        // Permission comes first, since an RSA key takes seconds; and is asked for again, since the database's one writer
        // does not wait meanwhile.
        drop(self.founding(caller, Action::KeyGenerate, &wanted).await?);
        let material = match wanted.hmac_bytes {
            Some(bytes) => Material::generate_hmac(self.gate().world(), bytes),
            None => self.generate(wanted.key_type).await,
        };
        self.found_key(caller, Action::KeyGenerate, wanted, material).await
    }

    /// The authority to make such a key, where it is to be.
    pub(crate) async fn founding(
        &self,
        caller: &Caller,
        action: Action,
        wanted: &NewKey,
    ) -> Result<(Environment, Grant)> {
        let entry = self.gate().enter(caller, action).await?;
        let (environment, entry) = placed(entry, &wanted.place).await?;
        let resource = writ_gate::Resource {
            path: Some(wanted.name.to_string()),
            ..writ_gate::Resource::all("key").named(&wanted.name)
        };
        let mut grant = entry.admit(resource.within(environment.clone())).await?;
        if let Err(error) = wanted.check(grant.world().now()) {
            return Err(grant.refuse(error).await);
        }
        if sql::key_named(grant.tx(), environment.clone(), &wanted.place.space, &wanted.name).await?.is_some()
        {
            return Err(grant.refuse(conflict(&wanted.name)).await);
        }
        Ok((environment, grant))
    }

    /// Writes a key of this material: made here, or elsewhere.
    pub(crate) async fn found_key(
        &self,
        caller: &Caller,
        action: Action,
        wanted: NewKey,
        material: Result<Material>,
    ) -> Result<(Key, Receipt)> {
        let (environment, mut grant) = self.founding(caller, action, &wanted).await?;
        let material = match material {
            Ok(material) => material,
            Err(error) => return Err(grant.refuse(error).await),
        };
        let imported = action == Action::NamedKeyImport;
        let key = Key { imported, ..wanted.made(environment, &grant) };
        sql::insert_key(grant.tx(), &key).await.map_err(|error| taken(error, &key.name))?;
        add_version(&mut grant, &key, &material).await?;
        if key.is_default {
            sql::set_default(grant.tx(), &key).await?;
        }
        let detail =
            json!({ "algorithm": key.key_type.as_str(), "exportable": key.exportable, "imported": imported });
        let receipt = grant.commit(Done::with(detail).created(key.id)).await?;
        Ok((key, receipt))
    }

    /// One key.
    ///
    /// # Errors
    /// `NotFound` when the caller may know of no such; `environment_required`; `Forbidden`.
    pub async fn show(&self, caller: &Caller, which: &Which) -> Result<(Key, Vec<Version>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::NamedKeyRead).await?;
        let (key, mut grant) = admitted(entry, Action::NamedKeyRead, which).await?;
        let versions = sql::versions(grant.tx(), key.id).await?;
        Ok((key, versions, grant.record(Done::plain()).await?))
    }

    /// Every key of one place, oldest first.
    ///
    /// # Errors
    /// As [`Keys::show`].
    pub async fn list(&self, caller: &Caller, place: &Place) -> Result<(Vec<Key>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::NamedKeyRead).await?;
        let (environment, entry) = placed(entry, place).await?;
        let mut grant = entry.admit(writ_gate::Resource::all("key").within(environment.clone())).await?;
        let keys = sql::keys(grant.tx(), &environment, &place.space).await?;
        Ok((keys, grant.record(Done::plain()).await?))
    }

    /// Changes what is known about a key and what it may be used for.
    ///
    /// # Errors
    /// As [`Keys::show`]; `key_name_conflict`; `invalid_min_decryption_version`, `invalid_min_encryption_version`.
    pub async fn update(&self, caller: &Caller, which: &Which, change: Change) -> Result<(Key, Receipt)> {
        let entry = self.gate().enter(caller, Action::NamedKeyUpdate).await?;
        let (before, mut grant) = admitted(entry, Action::NamedKeyUpdate, which).await?;
        let key = match changed(&before, change, grant.world().now()) {
            Ok(key) => key,
            Err(error) => return Err(grant.refuse(error).await),
        };
        if key.name != before.name
            && sql::key_named(grant.tx(), key.environment.clone(), &key.space, &key.name).await?.is_some()
        {
            return Err(grant.refuse(conflict(&key.name)).await);
        }
        store(&mut grant, &key, before.latest_version).await?;
        let detail = json!({
            "enabled": key.enabled,
            "exportable": key.exportable,
            "minDecryptionVersion": key.min_decryption_version,
            "minEncryptionVersion": key.min_encryption_version,
        });
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((key, receipt))
    }

    /// Uses this key for its purpose when none is named.
    ///
    /// # Errors
    /// As [`Keys::show`]; `key_disabled` and the like; `wrong_purpose`.
    pub async fn set_default(
        &self,
        caller: &Caller,
        which: &Which,
        purpose: Option<Purpose>,
    ) -> Result<(Key, Receipt)> {
        let entry = self.gate().enter(caller, Action::NamedKeyUpdate).await?;
        let (key, mut grant) = admitted(entry, Action::NamedKeyUpdate, which).await?;
        let fits = match purpose {
            Some(purpose) if purpose != key.purpose => {
                Err(Error::invalid("wrong_purpose", "the key is for something else").at("keyType"))
            }
            _ => key.usable(grant.world().now()),
        };
        if let Err(error) = fits {
            return Err(grant.refuse(error).await);
        }
        sql::set_default(grant.tx(), &key).await?;
        let key = Key { is_default: true, ..key };
        let receipt = grant.commit(Done::with(json!({ "default": key.purpose.as_str() }))).await?;
        Ok((key, receipt))
    }

    /// Makes a new version.
    ///
    /// # Errors
    /// As [`Keys::show`]; `key_disabled` and the like; `Conflict` when another rotates at the same time.
    pub async fn rotate(&self, caller: &Caller, which: &Which) -> Result<(Key, Receipt)> {
        // As with a new key: permission first, and again once the material is there.
        let entry = self.gate().enter(caller, Action::NamedKeyRotate).await?;
        let (key, grant) = admitted(entry, Action::NamedKeyRotate, which).await?;
        if let Err(error) = key.next_version(grant.world().now()) {
            return Err(grant.refuse(error).await);
        }
        drop(grant);
        let material = self.generate(key.key_type).await;
        let entry = self.gate().enter(caller, Action::NamedKeyRotate).await?;
        let (key, grant) = admitted(entry, Action::NamedKeyRotate, which).await?;
        self.add(key, grant, material).await
    }

    /// Adds a version of this material.
    pub(crate) async fn add(
        &self,
        before: Key,
        mut grant: Grant,
        material: Result<Material>,
    ) -> Result<(Key, Receipt)> {
        let now = grant.world().now();
        let next = before.next_version(now).and_then(|next| Ok((next, material?)));
        let (next, material) = match next {
            Ok((next, material)) if material.key_type() == before.key_type => (next, material),
            Ok(_) => {
                return Err(grant
                    .refuse(Error::conflict("key_changed", "the key was changed meanwhile"))
                    .await);
            }
            Err(error) => return Err(grant.refuse(error).await),
        };
        let latest = before.latest_version;
        let key = Key {
            latest_version: next,
            rotated_at: Some(now),
            rotate_at: before.rotate_every.map(|period| now.plus(period)),
            updated_at: now,
            ..before
        };
        store(&mut grant, &key, latest).await?;
        add_version(&mut grant, &key, &material).await?;
        let receipt = grant.commit(Done::with(json!({ "version": key.latest_version }))).await?;
        Ok((key, receipt))
    }

    /// Schedules the end of a key `days` from now, 0 to 30; 0 destroys it at once. It cannot be used meanwhile.
    ///
    /// # Errors
    /// As [`Keys::show`]; `invalid_grace_period`; `Conflict` when it is scheduled already.
    pub async fn schedule_deletion(
        &self,
        caller: &Caller,
        which: &Which,
        days: u32,
    ) -> Result<(Key, Receipt)> {
        let entry = self.gate().enter(caller, Action::NamedKeyDelete).await?;
        let (before, mut grant) = admitted(entry, Action::NamedKeyDelete, which).await?;
        let now = grant.world().now();
        let fits = if days > MOST_GRACE_DAYS {
            Err(Error::invalid("invalid_grace_period", "a key is destroyed after 0 to 30 days")
                .at("scheduleDays"))
        } else if before.delete_at.is_some() && days > 0 {
            Err(Error::conflict("deletion_scheduled", "the end of the key is scheduled already"))
        } else {
            Ok(())
        };
        if let Err(error) = fits {
            return Err(grant.refuse(error).await);
        }
        let key = Key { delete_at: Some(now.plus(DAY * days)), rotate_at: None, updated_at: now, ..before };
        if days == 0 {
            return self.destroy(key, grant).await;
        }
        store(&mut grant, &key, key.latest_version).await?;
        let receipt = grant.commit(Done::with(json!({ "scheduled": key.delete_at }))).await?;
        Ok((key, receipt))
    }

    /// Destroys a key and every version of it.
    pub(crate) async fn destroy(&self, key: Key, mut grant: Grant) -> Result<(Key, Receipt)> {
        sql::delete_key(grant.tx(), key.id).await?;
        let receipt =
            grant.commit(Done::with(json!({ "destroyed": true, "versions": key.latest_version }))).await?;
        self.forget_key(key.id);
        Ok((key, receipt))
    }

    /// Calls the end of a key off.
    ///
    /// # Errors
    /// As [`Keys::show`]; `Conflict` when none is scheduled.
    pub async fn cancel_deletion(&self, caller: &Caller, which: &Which) -> Result<(Key, Receipt)> {
        let entry = self.gate().enter(caller, Action::NamedKeyDelete).await?;
        let (before, mut grant) = admitted(entry, Action::NamedKeyDelete, which).await?;
        let now = grant.world().now();
        if before.state(now) != State::ScheduledDeletion {
            let error = Error::conflict("no_deletion_scheduled", "no end of the key is scheduled");
            return Err(grant.refuse(error).await);
        }
        let rotate_at = before.rotate_every.map(|period| now.plus(period));
        let key = Key { delete_at: None, rotate_at, updated_at: now, ..before };
        store(&mut grant, &key, key.latest_version).await?;
        let receipt = grant.commit(Done::with(json!({ "cancelled": true }))).await?;
        Ok((key, receipt))
    }

    /// Destroys the versions before `version`. What they encrypted stays encrypted for ever.
    ///
    /// # Errors
    /// As [`Keys::show`]; `invalid_min_available_version` unless all minimum versions are at least that.
    pub async fn trim(&self, caller: &Caller, which: &Which, version: u32) -> Result<(Key, Receipt)> {
        let entry = self.gate().enter(caller, Action::NamedKeyDelete).await?;
        let (before, mut grant) = admitted(entry, Action::NamedKeyDelete, which).await?;
        let most = match before.min_encryption_version {
            0 => before.min_decryption_version.min(before.latest_version),
            chosen => before.min_decryption_version.min(chosen),
        };
        if version < before.min_available_version || version > most {
            let error = Error::invalid(
                "invalid_min_available_version",
                "versions can be destroyed up to the smaller of the minimum decryption and encryption versions",
            );
            return Err(grant.refuse(error.at("minAvailableVersion")).await);
        }
        let key = Key { min_available_version: version, updated_at: grant.world().now(), ..before };
        store(&mut grant, &key, key.latest_version).await?;
        let destroyed = sql::delete_versions_before(grant.tx(), key.id, version).await?;
        let receipt =
            grant.commit(Done::with(json!({ "trimmedTo": version, "destroyed": destroyed }))).await?;
        self.forget_key(key.id);
        Ok((key, receipt))
    }

    /// Does what the worker found due: makes the next version, or destroys what is over.
    pub(crate) async fn attend(&self, caller: &Caller, which: &Which) -> Result<()> {
        let now = self.now();
        let mut tx = self.gate().db().read(caller.tenant).await?;
        let Some(key) = crate::find::find(&mut tx, caller, which).await? else { return Ok(()) };
        drop(tx);
        if key.delete_at.is_some_and(|end| end <= now) {
            let entry = self.gate().enter(caller, Action::NamedKeyDelete).await?;
            let (key, entry) = found(entry, Action::NamedKeyDelete, which).await?;
            if key.delete_at.is_none_or(|end| end > now) {
                return Ok(());
            }
            let grant = entry.admit(key.resource()).await?;
            self.destroy(key, grant).await?;
        } else if key.rotate_at.is_some_and(|due| due <= now) && key.state(now) == State::Active {
            let material = self.generate(key.key_type).await;
            let entry = self.gate().enter(caller, Action::NamedKeyRotate).await?;
            let (key, entry) = found(entry, Action::NamedKeyRotate, which).await?;
            if key.rotate_at.is_none_or(|due| due > now) {
                return Ok(());
            }
            let grant = entry.admit(key.resource()).await?;
            self.add(key, grant, material).await?;
        }
        Ok(())
    }
}

async fn add_version(grant: &mut Grant, key: &Key, material: &Material) -> Result<()> {
    let place = cell(grant.tenant(), key.id.uuid(), key.latest_version);
    let sealed = grant.keys().seal(grant.world(), &place, material.to_sealed_bytes().expose());
    let version =
        Version { version: key.latest_version, id: grant.world().uuid(), created_at: grant.world().now() };
    sql::insert_version(grant.tx(), key.id, &version, &sealed).await
}

async fn store(grant: &mut Grant, key: &Key, latest: u32) -> Result<()> {
    let stored = sql::update_key(grant.tx(), key, latest).await.map_err(|error| taken(error, &key.name))?;
    if stored {
        Ok(())
    } else {
        Err(Error::conflict("key_changed", "the key was changed meanwhile; try again"))
    }
}

fn changed(before: &Key, change: Change, now: Timestamp) -> Result<Key> {
    description(change.description.as_deref())?;
    period(change.rotate_every.filter(|period| !period.is_zero()))?;
    future(change.expires_at, now)?;
    let mut key = before.clone();
    if let Some(labels) = change.labels {
        key.labels = labels;
    }
    if let Some(tags) = change.tags {
        key.tags = tags;
    }
    words(&key.labels, &key.tags)?;
    if let Some(name) = change.name {
        key.name = name;
    }
    if let Some(text) = change.description {
        key.description = Some(text).filter(|text| !text.is_empty());
    }
    key.enabled = change.enabled.unwrap_or(key.enabled);
    key.exportable |= change.exportable.unwrap_or_default();
    key.backupable |= change.backupable.unwrap_or_default();
    key.deletable = change.deletable.unwrap_or(key.deletable);
    if let Some(every) = change.rotate_every {
        key.rotate_every = Some(every).filter(|every| !every.is_zero());
        key.rotate_at = key.rotate_every.map(|every| now.plus(every));
    }
    key.expires_at = change.expires_at.or(key.expires_at);
    minimums(&mut key, change.min_decryption_version, change.min_encryption_version)?;
    key.updated_at = now;
    Ok(key)
}

/// Sets the oldest versions that decrypt, and that encrypt.
fn minimums(key: &mut Key, decryption: Option<u32>, encryption: Option<u32>) -> Result<()> {
    if let Some(version) = decryption {
        if version > key.latest_version || version < key.min_available_version {
            return Err(Error::invalid(
                "invalid_min_decryption_version",
                "the minimum decryption version is one that the key has",
            )
            .at("minDecryptionVersion"));
        }
        key.min_decryption_version = version;
    }
    if let Some(version) = encryption {
        key.min_encryption_version = version;
    }
    let chosen = key.min_encryption_version;
    if chosen != 0 && (chosen > key.latest_version || chosen < key.min_decryption_version) {
        return Err(Error::invalid(
            "invalid_min_encryption_version",
            "the minimum encryption version is 0, or one that the key has and that it decrypts",
        )
        .at("minEncryptionVersion"));
    }
    Ok(())
}

fn conflict(name: &KeyName) -> Error {
    Error::conflict("key_name_conflict", format!("there is already a key `{name}` in this environment"))
        .at("name")
}

fn taken(error: Error, name: &KeyName) -> Error {
    if error.kind() == Kind::Conflict { conflict(name) } else { error }
}

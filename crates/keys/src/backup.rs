//! A key with all its versions, in the clear, and back: what the Vault dialect calls backup and restore.

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;
use writ_crypto::{
    SecretBytes,
    named::{KeyType, Material},
};
use writ_gate::{Circumstances, Done, Environment, Facts, Grant, Receipt, Resource, policy::Decision};
use writ_kernel::{Action, Caller, Error, Id, Result, Timestamp};

use crate::{
    find::{admitted, placed},
    life::NewKey,
    model::{HIGHEST_VERSION, Key, MOST_VERSIONS, Place, Version, Which},
    name::KeyName,
    room::{Keys, cell},
    sql,
};

/// The form in which a key is backed up, and no other.
const FORMAT: &str = "writ-key-backup-1";

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    id: Uuid,
    name: String,
    key_type: String,
    derived: bool,
    convergent: bool,
    exportable: bool,
    imported: bool,
    min_decryption_version: u32,
    min_encryption_version: u32,
    latest_version: u32,
    versions: Vec<Sealed>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u32,
    created_at: Timestamp,
    /// The bytes of the material.
    #[serde(with = "base64")]
    secret: SecretBytes,
}

mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use writ_crypto::SecretBytes;

    pub(super) fn serialize<S: Serializer>(secret: &SecretBytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(secret.expose()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(SecretBytes::new).map_err(D::Error::custom)
    }
}

impl Keys {
    /// Whether there is such a key, for a surface that must ask the gate differently to make one than to use one. Nobody
    /// is told.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn knows(&self, caller: &Caller, which: &Which) -> Result<bool> {
        let mut tx = self.gate().db().read(caller.tenant).await?;
        Ok(crate::find::find(&mut tx, caller, which).await?.is_some())
    }

    /// A key with every version of it, in the clear. Only of a key that was made for it.
    ///
    /// # Errors
    /// As [`Keys::show`]; `key_not_exportable`, `key_not_backupable`.
    pub async fn back_up(&self, caller: &Caller, which: &Which) -> Result<(SecretBytes, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::NamedKeyExport).await?;
        let (key, mut grant) = admitted(entry, Action::NamedKeyExport, which).await?;
        let refusal = match (key.exportable, key.backupable) {
            (true, true) => None,
            (false, _) => Some(Error::forbidden("key_not_exportable", "the key was not made to be exported")),
            (true, false) => {
                Some(Error::forbidden("key_not_backupable", "the key was not made to be backed up"))
            }
        };
        if let Some(error) = refusal {
            return Err(grant.refuse(error).await);
        }
        let mut versions = Vec::new();
        for Version { version, created_at, .. } in sql::versions(grant.tx(), key.id).await? {
            let Some(sealed) = sql::sealed_version(grant.tx(), key.id, version).await? else { continue };
            let place = cell(grant.caller().tenant, key.id.uuid(), version);
            versions.push(Sealed { version, created_at, secret: grant.keys().open(&place, &sealed)? });
        }
        let count = versions.len();
        let text = serde_json::to_vec(&document(&key, versions)).map(SecretBytes::new);
        let text = text.map_err(|error| Error::internal("a backup cannot be written").because(error))?;
        let receipt = grant.record(Done::with(json!({ "backup": true, "versions": count }))).await?;
        Ok((text, receipt))
    }

    /// Puts a key back that was backed up, under its own name or another. `replace` one of that name. It keeps its id,
    /// to which ciphertexts of some types are bound, unless a key has it.
    ///
    /// # Errors
    /// `malformed_backup`; `key_name_conflict`; `key_not_deletable`, when one is to be replaced; `Forbidden`.
    pub async fn restore(
        &self,
        caller: &Caller,
        place: &Place,
        name: Option<KeyName>,
        backup: &SecretBytes,
        replace: bool,
    ) -> Result<(Key, Receipt)> {
        let document: Document = serde_json::from_slice(backup.expose()).map_err(|_| malformed())?;
        let key_type = checked(&document)?;
        let name = name.map_or_else(|| document.name.parse(), Ok)?;
        // Permission comes before many private keys are looked at, and again after it.
        drop(self.restoring(caller, place, &name, replace).await?);
        let look = move || materials(&document, key_type).map(|()| document);
        let document = self.beside(look).await?;
        let (environment, known, mut grant) = self.restoring(caller, place, &name, replace).await?;
        let document = match document {
            Ok(document) => document,
            Err(error) => return Err(grant.refuse(error).await),
        };
        if let Some((known, decision)) = &known {
            sql::delete_key(grant.tx(), known.id).await?;
            let done = Done::with(json!({ "destroyed": true, "versions": known.latest_version }));
            grant.also_decided(Action::NamedKeyDelete, &known.resource(), decision, done).await?;
        }
        let mut key = NewKey::new(place.clone(), name, key_type).made(environment, &grant);
        if sql::key(grant.tx(), document.id).await?.is_none() {
            key.id = Id::from_uuid(document.id);
        }
        as_it_was(&mut key, &document);
        sql::insert_key(grant.tx(), &key).await?;
        for one in &document.versions {
            let cell = cell(grant.tenant(), key.id.uuid(), one.version);
            let sealed = grant.keys().seal(grant.world(), &cell, one.secret.expose());
            let version =
                Version { version: one.version, id: grant.world().uuid(), created_at: one.created_at };
            sql::insert_version(grant.tx(), key.id, &version, &sealed).await?;
        }
        let detail = json!({ "restored": true, "versions": document.versions.len() });
        let receipt = grant.commit(Done::with(detail).created(key.id)).await?;
        if let Some((known, _)) = known {
            self.forget_key(known.id);
        }
        Ok((key, receipt))
    }

    /// The authority to put a key back where it is to be, and the key that it replaces there, with the decision that
    /// this one may be destroyed.
    async fn restoring(
        &self,
        caller: &Caller,
        place: &Place,
        name: &KeyName,
        replace: bool,
    ) -> Result<(Environment, Option<(Key, Decision)>, Grant)> {
        let entry = self.gate().enter(caller, Action::NamedKeyImport).await?;
        let (environment, entry) = placed(entry, place).await?;
        let resource = Resource { path: Some(name.to_string()), ..Resource::all("key").named(name) };
        let mut grant = entry.admit(resource.within(environment.clone())).await?;
        let known = sql::key_named(grant.tx(), environment.clone(), &place.space, name).await?;
        let Some(known) = known else { return Ok((environment, None, grant)) };
        let decision = if replace {
            replaceable(&grant, &known)
        } else {
            Err(Error::conflict("key_name_conflict", format!("key \"{name}\" already exists")))
        };
        match decision {
            Ok(decision) => Ok((environment, Some((known, decision)), grant)),
            Err(error) => Err(grant.refuse(error).await),
        }
    }
}

/// The decision that `key` may be destroyed to put another in its place.
///
/// # Errors
/// `Forbidden`; `key_not_deletable`.
fn replaceable(grant: &Grant, key: &Key) -> Result<Decision> {
    let (action, caller) = (Action::NamedKeyDelete, grant.caller());
    let facts = Facts::new(caller, &key.resource(), &Circumstances::default(), grant.world().now());
    let decision = grant.policies().decide(action, &facts)?;
    if !caller.may_try(action) || !decision.allow {
        return Err(Error::forbidden("forbidden", "the key there may not be destroyed")
            .hint("restore it under another name, or ask for the right to delete keys"));
    }
    if !key.deletable {
        return Err(Error::forbidden("key_not_deletable", "the key there was not made to be deleted")
            .hint("allow its deletion first, or restore it under another name"));
    }
    Ok(decision)
}

/// The type of the keys in a backup that says nothing which a key cannot be: all versions from its oldest to its newest,
/// and minimum versions among them.
fn checked(document: &Document) -> Result<KeyType> {
    let key_type: KeyType = document.key_type.parse().map_err(|_| malformed())?;
    let numbers = || document.versions.iter().map(|one| one.version);
    let (Some(oldest), latest) = (numbers().next(), document.latest_version) else { return Err(malformed()) };
    let count = u32::try_from(document.versions.len()).unwrap_or(u32::MAX);
    let whole = oldest >= 1
        && latest <= HIGHEST_VERSION
        && count <= MOST_VERSIONS
        && oldest.checked_add(count - 1) == Some(latest)
        && numbers().eq(oldest..=latest);
    let (decryption, encryption) = (document.min_decryption_version, document.min_encryption_version);
    let minimums = (oldest..=latest).contains(&decryption)
        && (encryption == 0 || (decryption..=latest).contains(&encryption));
    let kinds = (!document.derived || key_type.derives())
        && (!document.convergent || (document.derived && key_type.converges()));
    if document.format == FORMAT && whole && minimums && kinds { Ok(key_type) } else { Err(malformed()) }
}

/// Sees to it that every version is a key of this type.
fn materials(document: &Document, key_type: KeyType) -> Result<()> {
    for one in &document.versions {
        let material = Material::from_sealed_bytes(one.secret.expose()).map_err(|_| malformed())?;
        if material.key_type() != key_type {
            return Err(malformed());
        }
    }
    Ok(())
}

fn malformed() -> Error {
    Error::invalid("malformed_backup", "this is not a backup of a key")
}

fn document(key: &Key, versions: Vec<Sealed>) -> Document {
    Document {
        format: FORMAT.to_owned(),
        id: key.id.uuid(),
        name: key.name.to_string(),
        key_type: key.key_type.as_str().to_owned(),
        derived: key.derived,
        convergent: key.convergent,
        exportable: key.exportable,
        imported: key.imported,
        min_decryption_version: key.min_decryption_version,
        min_encryption_version: key.min_encryption_version,
        latest_version: key.latest_version,
        versions,
    }
}

fn as_it_was(key: &mut Key, document: &Document) {
    key.derived = document.derived;
    key.convergent = document.convergent;
    key.exportable = document.exportable;
    key.backupable = true;
    key.imported = document.imported;
    key.latest_version = document.latest_version;
    key.min_decryption_version = document.min_decryption_version;
    key.min_encryption_version = document.min_encryption_version;
    key.min_available_version = document.versions.first().map_or(1, |one| one.version);
}

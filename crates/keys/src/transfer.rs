//! Keys in and out: public halves, what is brought, what is taken away.

use serde_json::json;
use writ_crypto::{
    KeyRef, SecretBytes,
    envelope::Aad,
    named::{KeyType, Material, OaepHash, PreparedKey, PrivateFormat, PublicKey},
};
use writ_gate::{Done, Entry, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Result, TenantId};

use crate::{
    find::{admitted, found, placed},
    life::NewKey,
    model::{Key, Place, Which},
    room::{Keys, cell},
    sql,
};

/// To what somebody wraps a key that they bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// ML-KEM-768.
    PostQuantum,
    /// RSA-4096, as the Vault dialect has it.
    Rsa,
}

impl Wrapping {
    fn as_str(self) -> &'static str {
        match self {
            Self::PostQuantum => "ml-kem-768",
            Self::Rsa => "rsa-4096",
        }
    }

    fn key_type(self) -> KeyType {
        match self {
            Self::PostQuantum => KeyType::MlKem768,
            Self::Rsa => KeyType::Rsa4096,
        }
    }
}

/// A key that somebody brings.
#[expect(missing_debug_implementations, reason = "holds a key")]
pub enum Brought {
    /// In the clear, inside TLS.
    Plain(PrivateFormat, SecretBytes),
    /// Wrapped to the wrapping key of that kind; RSA with OAEP over that hash.
    Wrapped(Wrapping, OaepHash, Vec<u8>),
}

/// In which form a secret part is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The key itself, in this form.
    Whole(PrivateFormat),
    /// The key that authenticates messages.
    Mac,
}

/// One version of a key that is taken away.
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct Exported {
    /// Which version.
    pub version: u32,
    /// The secret part.
    pub secret: SecretBytes,
    /// The public part, if there is one.
    pub public: Option<PublicKey>,
}

impl Keys {
    /// The public halves of this version, of the newest (`Some(None)`), or of all that may still verify (`None`).
    ///
    /// # Errors
    /// As [`Keys::show`]; `unsupported_operation` for a key without a public half; `unknown_key_version`.
    pub async fn public(
        &self,
        caller: &Caller,
        which: &Which,
        version: Option<Option<u32>>,
    ) -> Result<(Key, Vec<(u32, PublicKey)>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::NamedKeyRead).await?;
        let (key, mut grant) = admitted(entry, Action::NamedKeyRead, which).await?;
        if !key.key_type.is_asymmetric() {
            let what = format!("a key of type {} has no public half", key.key_type);
            return Err(grant.refuse(Error::invalid("unsupported_operation", what)).await);
        }
        let mut halves = Vec::new();
        for version in wanted(&key, version) {
            let ready = match version {
                Ok(version) => self.prepared(&mut grant, &key, version).await,
                Err(error) => Err(error),
            };
            match ready {
                Ok(ready) => {
                    halves.extend(ready.public().map(|public| (ready.key().version, public.clone())));
                }
                Err(error) => return Err(grant.refuse(error).await),
            }
        }
        Ok((key, halves, grant.record(Done::plain()).await?))
    }

    /// The key to which others wrap what they bring, its id, and its version. The first call makes it.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn wrapping_key(
        &self,
        caller: &Caller,
        place: &Place,
        kind: Wrapping,
    ) -> Result<(PublicKey, KeyRef, Receipt)> {
        // An RSA key takes seconds; made only when it is needed, and not while the database's one writer waits.
        let mut tx = self.gate().db().read(caller.tenant).await?;
        let known = sql::wrapping_key(&mut tx, kind.as_str()).await?.is_some();
        drop(tx);
        let world = self.gate().world().clone();
        let made = if known {
            None
        } else {
            let made = tokio::task::spawn_blocking(move || Material::generate(&world, kind.key_type())).await;
            Some(made.map_err(|error| Error::internal("making a key broke off").because(error))??)
        };
        let entry = self.gate().enter(caller, Action::NamedKeyImport).await?;
        let (environment, entry) = placed(entry, place).await?;
        let resource = Resource::all("wrapping-key").named(kind.as_str()).within(environment);
        let mut grant = entry.admit(resource).await?;
        if let Some(made) = made {
            let place = wrapping_cell(grant.tenant(), kind);
            let sealed = grant.keys().seal(grant.world(), &place, made.to_sealed_bytes().expose());
            let now = grant.world().now();
            sql::insert_wrapping_key(grant.tx(), kind.as_str(), &sealed, now).await?;
        }
        let sealed = sql::wrapping_key(grant.tx(), kind.as_str()).await?.ok_or_else(lost)?;
        let opened = grant.keys().open(&wrapping_cell(grant.tenant(), kind), &sealed)?;
        let ready = unseal_wrapping(grant.tenant(), opened.expose())?;
        let public = ready.public().cloned().ok_or_else(lost)?;
        let receipt = grant.commit(Done::with(json!({ "wrappingKey": kind.as_str() }))).await?;
        Ok((public, ready.key(), receipt))
    }

    /// Takes in a key that was made elsewhere, as the first version of a new one.
    ///
    /// # Errors
    /// As [`Keys::create`]; `malformed_private_key`, `wrong_key_type`, `invalid_key_size`, `unwrap_failed`.
    pub async fn import(&self, caller: &Caller, wanted: NewKey, brought: Brought) -> Result<(Key, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::NamedKeyImport).await?;
        let material = taken_in(&mut entry, wanted.key_type, brought).await;
        self.found_key(entry, wanted, material, true).await
    }

    /// Takes in a key that was made elsewhere, as the next version of an imported one.
    ///
    /// # Errors
    /// As [`Keys::import`]; `Conflict` unless the key was imported.
    pub async fn import_version(
        &self,
        caller: &Caller,
        which: &Which,
        brought: Brought,
    ) -> Result<(Key, Receipt)> {
        let entry = self.gate().enter(caller, Action::NamedKeyImport).await?;
        let (key, mut entry) = found(entry, Action::NamedKeyImport, which).await?;
        let material = taken_in(&mut entry, key.key_type, brought).await;
        let grant = entry.admit(key.resource()).await?;
        if !key.imported {
            let error = Error::conflict("key_not_imported", "versions are imported to imported keys only");
            return Err(grant.refuse(error).await);
        }
        self.add(key, grant, material).await
    }

    /// The secret part of this version, of the newest (`Some(None)`), or of all that may still be used (`None`). Only of a key that was made for it.
    ///
    /// # Errors
    /// As [`Keys::show`]; `key_not_exportable`; `unknown_key_version`; `unsupported_operation`.
    pub async fn export(
        &self,
        caller: &Caller,
        which: &Which,
        part: Part,
        version: Option<Option<u32>>,
    ) -> Result<(Key, Vec<Exported>, Receipt)> {
        let entry = self.gate().enter_to_read(caller, Action::NamedKeyExport).await?;
        let (key, mut grant) = admitted(entry, Action::NamedKeyExport, which).await?;
        if !key.exportable {
            let error = Error::forbidden("key_not_exportable", "the key was not made to be exported");
            return Err(grant.refuse(error).await);
        }
        let mut exported = Vec::new();
        for version in wanted(&key, version) {
            let sealed = match version {
                Ok(version) => {
                    sql::sealed_version(grant.tx(), key.id, version).await?.map(|it| (version, it))
                }
                Err(error) => return Err(grant.refuse(error).await),
            };
            let Some((version, sealed)) = sealed else { continue };
            let place = cell(grant.caller().tenant, key.id.uuid(), version);
            let opened = grant.keys().open(&place, &sealed)?;
            match take_out(&key, version, part, opened.expose()) {
                Ok(one) => exported.push(one),
                Err(error) => return Err(grant.refuse(error).await),
            }
        }
        let versions: Vec<_> = exported.iter().map(|one| one.version).collect();
        let receipt = grant.record(Done::with(json!({ "versions": versions }))).await?;
        Ok((key, exported, receipt))
    }
}

/// The versions asked for: all that may still be used, the newest, or this one.
#[expect(clippy::option_option, reason = "the three cases are told apart where it is called, too")]
fn wanted(key: &Key, version: Option<Option<u32>>) -> Vec<Result<u32>> {
    match version {
        None => {
            let oldest = key.min_decryption_version.max(key.min_available_version);
            (oldest..=key.latest_version).map(Ok).collect()
        }
        Some(None) => vec![Ok(key.latest_version)],
        Some(Some(version)) => vec![key.to_open(version)],
    }
}

fn take_out(key: &Key, version: u32, part: Part, sealed: &[u8]) -> Result<Exported> {
    let material = Material::from_sealed_bytes(sealed)?;
    let ready = material.prepare(KeyRef { id: key.id.uuid(), version })?;
    let secret = match part {
        Part::Whole(format) => material.export(format)?,
        Part::Mac => ready.export_mac_key(),
    };
    Ok(Exported { version, secret, public: ready.public().cloned() })
}

async fn taken_in(entry: &mut Entry, key_type: KeyType, brought: Brought) -> Result<Material> {
    match brought {
        Brought::Plain(format, bytes) => Material::import(key_type, format, bytes.expose()),
        Brought::Wrapped(kind, hash, wrapped) => {
            let sealed = sql::wrapping_key(entry.tx(), kind.as_str()).await?;
            let sealed = sealed.ok_or_else(|| {
                Error::invalid("no_wrapping_key", "nobody has asked for a wrapping key yet")
            })?;
            let tenant = entry.caller().tenant;
            let opened = entry.keys().open(&wrapping_cell(tenant, kind), &sealed)?;
            let ready = unseal_wrapping(tenant, opened.expose())?;
            let secret = ready.unwrap_import(hash, &wrapped)?;
            Material::import_any(key_type, secret.expose())
        }
    }
}

/// A wrapping key goes by the id of its tenant: others bind what they wrap to it.
fn unseal_wrapping(tenant: TenantId, sealed: &[u8]) -> Result<PreparedKey> {
    Material::from_sealed_bytes(sealed)?.prepare(KeyRef { id: tenant.uuid(), version: 1 })
}

fn wrapping_cell(tenant: TenantId, kind: Wrapping) -> Vec<u8> {
    Aad::cell(tenant, "wrapping_keys", kind.as_str().as_bytes(), "sealed", 1)
}

fn lost() -> Error {
    Error::internal("a wrapping key is lost")
}

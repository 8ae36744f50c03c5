//! Keys in and out: public halves, what is brought, what is taken away.

use serde_json::json;
use writ_crypto::{
    KeyRef, SecretBytes,
    envelope::Aad,
    named::{KeyType, Material, OaepHash, PreparedKey, PrivateFormat, PublicKey},
};
use writ_gate::{Done, Grant, ReadGrant, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Result, TenantId};

use crate::{
    find::{admitted, placed},
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
            Self::PostQuantum => KeyType::DEFAULT,
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
        for version in wanted(&mut grant, &key, version).await? {
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
        let mut grant = self.wrapping_grant(caller, place, kind).await?;
        if sql::wrapping_key(grant.tx(), kind.as_str()).await?.is_none() {
            // As with a new key: permission first, and again once the material is there.
            drop(grant);
            let made = self.generate(kind.key_type()).await?;
            grant = self.wrapping_grant(caller, place, kind).await?;
            let place = wrapping_cell(grant.tenant(), kind);
            let sealed = grant.keys().seal(grant.world(), &place, made.to_sealed_bytes().expose());
            let now = grant.world().now();
            sql::insert_wrapping_key(grant.tx(), kind.as_str(), &sealed, now).await?;
        }
        let opened = open_wrapping(&mut grant, kind).await?.ok_or_else(lost)?;
        let ready = unseal_wrapping(grant.tenant(), opened.expose())?;
        let public = ready.public().cloned().ok_or_else(lost)?;
        let receipt = grant.commit(Done::with(json!({ "wrappingKey": kind.as_str() }))).await?;
        Ok((public, ready.key(), receipt))
    }

    async fn wrapping_grant(&self, caller: &Caller, place: &Place, kind: Wrapping) -> Result<Grant> {
        let entry = self.gate().enter(caller, Action::NamedKeyImport).await?;
        let (environment, entry) = placed(entry, place).await?;
        entry.admit(Resource::all("wrapping-key").named(kind.as_str()).within(environment)).await
    }

    /// Takes in a key that was made elsewhere, as the first version of a new one.
    ///
    /// # Errors
    /// As [`Keys::create`]; `malformed_private_key`, `wrong_key_type`, `invalid_key_size`, `unwrap_failed`.
    pub async fn import(&self, caller: &Caller, wanted: NewKey, brought: Brought) -> Result<(Key, Receipt)> {
        let (_, grant) = self.founding(caller, Action::NamedKeyImport, &wanted).await?;
        let material = self.taken_in(grant, wanted.key_type, brought).await;
        self.found_key(caller, Action::NamedKeyImport, wanted, material).await
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
        let (key, grant) = self.importing(caller, which).await?;
        let material = self.taken_in(grant, key.key_type, brought).await;
        let (key, grant) = self.importing(caller, which).await?;
        self.add(key, grant, material).await
    }

    async fn importing(&self, caller: &Caller, which: &Which) -> Result<(Key, Grant)> {
        let entry = self.gate().enter(caller, Action::NamedKeyImport).await?;
        let (key, grant) = admitted(entry, Action::NamedKeyImport, which).await?;
        if key.imported {
            return Ok((key, grant));
        }
        let error = Error::conflict("key_not_imported", "versions are imported to imported keys only");
        Err(grant.refuse(error).await)
    }

    /// What was brought, unwrapped and looked at. That takes private keys and parsers, so it is done for whom `grant` says
    /// that it is permitted, and while the database's one writer does not wait.
    async fn taken_in(&self, mut grant: Grant, key_type: KeyType, brought: Brought) -> Result<Material> {
        let tenant = grant.tenant();
        let wrapping = match &brought {
            Brought::Plain(..) => None,
            Brought::Wrapped(kind, ..) => Some(open_wrapping(&mut grant, *kind).await?.ok_or_else(|| {
                Error::invalid("no_wrapping_key", "nobody has asked for a wrapping key yet")
            })?),
        };
        drop(grant);
        let take_in = move || match (brought, wrapping) {
            (Brought::Plain(format, bytes), _) => Material::import(key_type, format, bytes.expose()),
            (Brought::Wrapped(_, hash, wrapped), Some(wrapping)) => {
                let ready = unseal_wrapping(tenant, wrapping.expose())?;
                let secret = ready.unwrap_import(hash, &wrapped)?;
                Material::import_any(key_type, secret.expose())
            }
            (Brought::Wrapped(..), None) => Err(lost()),
        };
        self.beside(take_in).await?
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
        for version in wanted(&mut grant, &key, version).await? {
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
async fn wanted(grant: &mut ReadGrant, key: &Key, version: Option<Option<u32>>) -> Result<Vec<Result<u32>>> {
    Ok(match version {
        None => {
            let stored = sql::versions(grant.tx(), key.id).await?.into_iter().map(|one| one.version);
            stored.filter(|version| *version >= key.min_decryption_version).map(Ok).collect()
        }
        Some(None) => vec![Ok(key.latest_version)],
        Some(Some(version)) => vec![key.to_open(version)],
    })
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

/// The secret part of the wrapping key of that kind, if there is one.
async fn open_wrapping(grant: &mut Grant, kind: Wrapping) -> Result<Option<SecretBytes>> {
    let sealed = sql::wrapping_key(grant.tx(), kind.as_str()).await?;
    let place = wrapping_cell(grant.tenant(), kind);
    sealed.map(|sealed| grant.keys().open(&place, &sealed)).transpose()
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

//! Named keys, and what is done with them.
//!
//! Members are `camelCase` going out, except those of `/encrypt`, `/decrypt`, `/sign` and `/verify`, which are `snake_case`.
//! Coming in, both spellings are understood everywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use writ_kernel::Timestamp;

/// Make a key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateKey {
    /// What it is called: 1 to 100 of `A-Z`, `a-z`, `0-9`, `_`, `-`, `.`; unique in its environment.
    pub name: String,
    /// What it is for: `encryption`, `signing` or `hmac`; what suits the algorithm unless told.
    #[serde(default, alias = "key_type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// The same as `keyType`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// `ML-KEM-768` unless told; `ML-DSA-65` for signing, `HMAC` for hmac.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What people say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Names and values to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// It cannot be used from then on.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, alias = "expires_at", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Use it for its purpose when no key is named.
    #[serde(default, alias = "set_as_default")]
    pub set_as_default: bool,
    /// Its secret part may be taken away by those who may export.
    #[serde(default)]
    pub exportable: bool,
    /// Every use derives a key of its own from a context.
    #[serde(default)]
    pub derived: bool,
    /// Equal plaintexts of one context give equal ciphertexts. Only with `derived`.
    #[serde(default)]
    pub convergent: bool,
    /// How many bytes an HMAC key has, 16 to 512; 32 unless told.
    #[serde(default, alias = "key_size", skip_serializing_if = "Option::is_none")]
    pub key_size: Option<u16>,
    /// Make a new version this often, in seconds; at most once an hour.
    #[serde(default, alias = "rotate_every_seconds", skip_serializing_if = "Option::is_none")]
    pub rotate_every_seconds: Option<u64>,
}

/// Bring a key that was made elsewhere. It has no `Debug`: it holds a key.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct ImportKey {
    /// What it is called.
    pub name: String,
    /// What it is for: `encryption`, `signing` or `hmac`.
    #[serde(default, alias = "key_type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Its algorithm.
    pub algorithm: String,
    /// The key in base64, in the form that `format` says; PEM and JWK may also stand as they are.
    #[serde(alias = "key_material")]
    pub key_material: String,
    /// `raw`, `pem`, `der`, `pkcs8`, `jwk`; or `wrapped`, wrapped to the key of `/api/v1/keys/wrapping-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Only a public key is brought: it encrypts or verifies.
    #[serde(default, alias = "public_key_only")]
    pub public_key_only: bool,
    /// The environment, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What people say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// It cannot be used from then on.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, alias = "expires_at", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Use it for its purpose when no key is named.
    #[serde(default, alias = "set_as_default")]
    pub set_as_default: bool,
    /// Its secret part may be taken away again.
    #[serde(default)]
    pub exportable: bool,
}

/// A named key, without its secret part.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// The id of its environment.
    pub environment: Uuid,
    /// What people say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is for: `encryption`, `signing` or `hmac`.
    pub key_type: String,
    /// The same as `keyType`.
    pub purpose: String,
    /// Its algorithm.
    pub algorithm: String,
    /// Whether a quantum computer is not known to break it.
    pub is_post_quantum: bool,
    /// `active`, `inactive` or `scheduled_deletion`.
    pub status: String,
    /// `active`, `disabled`, `expired` or `scheduled_deletion`.
    pub state: String,
    /// Whether it can be used now.
    pub is_active: bool,
    /// Whether it is used for its purpose when no key is named.
    pub is_default: bool,
    /// Whether its secret part may be taken away.
    pub exportable: bool,
    /// Whether every use derives a key of its own from a context.
    pub derived: bool,
    /// Whether equal plaintexts of one context give equal ciphertexts.
    pub convergent: bool,
    /// Whether it was made elsewhere.
    pub imported: bool,
    /// The newest version.
    pub version: u32,
    /// How many versions there are.
    pub version_count: u32,
    /// The oldest version that decrypts and verifies.
    pub min_decryption_version: u32,
    /// The oldest version that may be chosen to encrypt and sign; 0 for any.
    pub min_encryption_version: u32,
    /// Older versions were destroyed.
    pub min_available_version: u32,
    /// Words to find it by.
    pub labels: Vec<String>,
    /// Names and values to find it by.
    pub tags: BTreeMap<String, String>,
    /// How often a new version is made, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every_seconds: Option<u64>,
    /// When the next version is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation_at: Option<Timestamp>,
    /// When the newest version was made, after the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rotated_at: Option<Timestamp>,
    /// From when on it cannot be used.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it is destroyed.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_deletion_date: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When something about it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// Which keys are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListKeys {
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Only those for this: `encryption`, `signing` or `hmac`.
    #[serde(default, alias = "key_type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Only those that are `active`, `inactive` or `scheduled_deletion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The page, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Items of a page, 1 to 200; 50 unless told.
    #[serde(default, alias = "page_size", skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// One item for each version instead of one for each key.
    #[serde(default, alias = "all_versions", skip_serializing_if = "Option::is_none")]
    pub all_versions: Option<bool>,
}

/// One page of keys.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyList {
    /// The keys, oldest first.
    pub keys: Vec<Key>,
    /// How many there are on all pages.
    pub total: u64,
    /// The page, from 1.
    pub page: u32,
    /// Items of a page.
    pub page_size: u32,
    /// Whether there is another page.
    pub has_more: bool,
}

/// One version of a key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyVersion {
    /// Its own id.
    pub id: Uuid,
    /// Which one.
    pub version: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Whether it still decrypts and verifies.
    pub is_active: bool,
    /// `current`, `active` or `retired`, which is below the minimum decryption version.
    pub state: String,
}

/// The versions of a key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyVersions {
    /// The key.
    pub key_name: String,
    /// The oldest version that decrypts and verifies.
    pub min_decryption_version: u32,
    /// Those that are still there, oldest first.
    pub versions: Vec<KeyVersion>,
}

/// Change a key. What is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateKey {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another description; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `active`, or `disabled` to take it out of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Other labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Other tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// From when on it cannot be used.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, alias = "expires_at", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How often a new version is made, in seconds; 0 for never.
    #[serde(default, alias = "rotate_every_seconds", skip_serializing_if = "Option::is_none")]
    pub rotate_every_seconds: Option<u64>,
    /// The oldest version that decrypts and verifies.
    #[serde(default, alias = "min_decryption_version", skip_serializing_if = "Option::is_none")]
    pub min_decryption_version: Option<u32>,
    /// The oldest version that may be chosen to encrypt and sign; 0 for any.
    #[serde(default, alias = "min_encryption_version", skip_serializing_if = "Option::is_none")]
    pub min_encryption_version: Option<u32>,
}

/// Change the minimum versions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigureKey {
    /// The oldest version that decrypts and verifies.
    #[serde(default, alias = "min_decryption_version", skip_serializing_if = "Option::is_none")]
    pub min_decryption_version: Option<u32>,
    /// The oldest version that may be chosen to encrypt and sign; 0 for any.
    #[serde(default, alias = "min_encryption_version", skip_serializing_if = "Option::is_none")]
    pub min_encryption_version: Option<u32>,
}

/// The versions a key works with.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyConfig {
    /// The key.
    pub key_name: String,
    /// The newest version.
    pub latest_version: u32,
    /// The oldest version that decrypts and verifies.
    pub min_decryption_version: u32,
    /// The oldest version that may be chosen to encrypt and sign; 0 for any.
    pub min_encryption_version: u32,
}

/// Rotate a key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateKey {
    /// Another name for the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Use it for its purpose when no key is named.
    #[serde(default, alias = "set_as_default")]
    pub set_as_default: bool,
}

/// A key that has a new version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotatedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// Its id.
    pub key_id: Uuid,
    /// The new version.
    pub new_version: u32,
    /// The version before.
    pub previous_version: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub rotated_at: Timestamp,
}

/// Use a key for its purpose when none is named.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetDefault {
    /// What it is for; refused if it is for something else.
    #[serde(default, alias = "key_type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
}

/// When a key is to be destroyed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteKey {
    /// In so many days, 0 to 30; 7 unless told. 0 destroys it at once.
    #[serde(default, alias = "schedule_days", skip_serializing_if = "Option::is_none")]
    pub schedule_days: Option<u32>,
}

/// Destroy old versions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrimKey {
    /// The oldest version to keep.
    #[serde(alias = "min_available_version")]
    pub min_available_version: u32,
}

/// Which form of a key is wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyForm {
    /// `pem` (unless told), `der`, `raw` or `jwk`; DER and raw in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Which version; the newest unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What else to say, separated by commas: members of a key, or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<String>,
}

/// The public half of a key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicKey {
    /// The key.
    pub key_id: Uuid,
    /// Its algorithm.
    pub algorithm: String,
    /// Which version.
    pub version: u32,
    /// The public half.
    pub public_key: String,
    /// Its form.
    pub format: String,
    /// What else was asked for.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// The secret part of a key. It has no `Debug`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct ExportedKey {
    /// The key.
    pub key_id: Uuid,
    /// Its algorithm.
    pub algorithm: String,
    /// Which version.
    pub version: u32,
    /// The secret part.
    pub key_material: String,
    /// Its form.
    pub format: String,
}

/// To what a key that is brought can be wrapped.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WrappingKey {
    /// Its id, which the wrapping binds.
    pub id: Uuid,
    /// Its version, which the wrapping binds.
    pub version: u32,
    /// Its algorithm.
    pub algorithm: String,
    /// The public key, PEM.
    pub public_key: String,
}

/// Have a data key made.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateDataKey {
    /// What the data key is for: a label, given back. `AES-256-GCM` unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// 16, 24, 32 (unless told) or 64.
    #[serde(default, alias = "key_bytes", skip_serializing_if = "Option::is_none")]
    pub key_bytes: Option<usize>,
    /// Associated data in base64: needed again to unwrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// A data key. It has no `Debug`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct DataKey {
    /// The key in base64; absent unless it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext_key: Option<String>,
    /// The key, encrypted: `vault:v<version>:<base64>`.
    pub encrypted_key: String,
    /// What encrypts it.
    pub key_id: Uuid,
    /// And which version of that.
    pub key_version: u32,
    /// What the data key is for.
    pub algorithm: String,
}

/// Open a data key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnwrapKey {
    /// `encryptedKey`, as it was given.
    #[serde(alias = "wrapped_key")]
    pub wrapped_key: String,
    /// The associated data it was made with, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// An opened data key. It has no `Debug`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct UnwrappedKey {
    /// The key in base64.
    pub key_material: String,
    /// What it was encrypted with.
    pub key_id: Uuid,
    /// And which version of that.
    pub key_version: u32,
}

//! Secrets. Members are camelCase; those that the QuantumAPI SDK sends in `snake_case` are taken that way, too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use writ_kernel::Timestamp;

/// What the bytes of a value are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text.
    #[default]
    Text,
    /// A JSON document, as text. It is kept byte for byte.
    Json,
    /// Any bytes, in base64.
    Binary,
}

/// Store a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct CreateSecret {
    /// The path, like `billing/database`: 1 to 32 segments of printable text between slashes.
    pub name: String,
    /// The value: at most 1 MiB.
    pub value: String,
    /// What `value` is.
    #[serde(default)]
    pub format: Format,
    /// The environment, by name or id. May be left out where the credential can mean only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What is known about it.
    #[serde(flatten)]
    pub about: About,
    /// What only readers of the value see.
    #[serde(flatten)]
    pub details: Details,
}

/// What is known about a secret. What is absent is assumed (when storing) or stays (when updating).
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// What to know about it: at most 1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What sort of secret it is, in words of one's own: `password`, `api-key`, …
    #[serde(default, alias = "content_type", skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What it is for: one line. Unless told, the first line of the description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Who answers for it. Unless told, the caller, or the person who answers for the calling service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Uuid>,
    /// `public`, `internal`, `confidential` (unless told) or `restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<String>,
    /// When it ends.
    #[serde(default, alias = "expires_at", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// How often it is to be replaced, in seconds. 90 days, when neither this nor an expiry is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every_seconds: Option<u64>,
    /// Words to find it by: at most 50 of 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// What else to attach, for everybody who may list it: at most 64 pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_metadata: Option<BTreeMap<String, String>>,
    /// Whether every write must name the version it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas_required: Option<bool>,
    /// How many versions are kept: at most 1000; 10 when 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_versions: Option<u32>,
    /// How long after its writing a version counts as deleted, in seconds; 0 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_seconds: Option<u64>,
    /// Whether it is marked.
    #[serde(default, alias = "is_favorite", skip_serializing_if = "Option::is_none")]
    pub is_favorite: Option<bool>,
}

/// What is kept as secret as the value.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Details {
    /// The user name that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Where it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<BTreeMap<String, String>>>,
    /// Fields of one's own.
    #[serde(default, alias = "custom_fields", skip_serializing_if = "Option::is_none")]
    pub custom_fields: Option<Vec<BTreeMap<String, Value>>>,
    /// The seed of one-time passwords.
    #[serde(default, alias = "totp_secret", skip_serializing_if = "Option::is_none")]
    pub totp_secret: Option<String>,
}

/// Change what is known about a secret.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct UpdateSecret {
    /// Another path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is to be known from now on.
    #[serde(flatten)]
    pub about: About,
    /// What only readers of the value see.
    #[serde(flatten)]
    pub details: Details,
}

/// Write a new version.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct WriteValue {
    /// The value.
    pub value: String,
    /// What `value` is.
    #[serde(default)]
    pub format: Format,
    /// The version it replaces, 0 for none: where it is another one by now, nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<u32>,
    /// The earlier version whose value this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_from_version: Option<u32>,
}

/// Write the value of an earlier version as a new one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollBack {
    /// The earlier version.
    pub version: u32,
    /// The version it replaces: where it is another one by now, nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<u32>,
}

/// Some versions of a secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SomeVersions {
    /// Which: at most 100; the current one when there is none.
    #[serde(default)]
    pub versions: Vec<u32>,
}

/// A secret, without its value.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Its id, the same for all versions.
    pub id: Uuid,
    /// The path.
    pub name: String,
    /// The environment.
    pub environment: Uuid,
    /// What to know about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What sort of secret it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The current version; 0 before the first.
    pub version: u32,
    /// The oldest version that is kept.
    pub oldest_version: u32,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When anything about it changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// How often it is to be replaced, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_every_seconds: Option<u64>,
    /// When a new value is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// What it is for.
    pub purpose: String,
    /// Who answers for it.
    pub owner: Uuid,
    /// How closely it is to be kept.
    pub classification: String,
    /// Which of `owner`, `purpose`, `rotation` and `classification` nobody stated.
    pub assumed: Vec<String>,
    /// Words to find it by.
    pub labels: Vec<String>,
    /// What else is attached.
    pub custom_metadata: BTreeMap<String, String>,
    /// Whether every write must name the version it replaces.
    pub cas_required: bool,
    /// How many versions are kept; 10 when 0.
    pub max_versions: u32,
    /// How long after its writing a version counts as deleted, in seconds; 0 for never.
    pub delete_after_seconds: u64,
    /// Whether it is marked.
    pub is_favorite: bool,
    /// Whether the seed of one-time passwords is with it.
    pub has_totp: bool,
    /// Whether it is in use.
    pub is_active: bool,
    /// When somebody said that strangers know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub exposed_at: Option<Timestamp>,
}

/// A secret with a value.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct SecretWithValue {
    /// The secret. Its `version` is the one whose value this is.
    #[serde(flatten)]
    pub secret: Secret,
    /// The value.
    pub value: String,
    /// What `value` is.
    pub format: Format,
    /// What is kept as secret as the value.
    #[serde(flatten)]
    pub details: Details,
}

/// A page of secrets.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Secrets {
    /// The secrets, in the order of their paths.
    pub secrets: Vec<Secret>,
    /// How many there are in all; absent on keyset pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// The number of this page, from 1; absent on keyset pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// The most secrets on a page.
    pub page_size: usize,
    /// Whether there are more pages.
    pub has_more: bool,
    /// Pass as `after` to get the next keyset page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which secrets are wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SecretQuery {
    /// The environment, by name or id. May be left out where the credential can mean only one.
    pub environment: Option<String>,
    /// Only below this folder.
    pub prefix: Option<String>,
    /// Only of this sort.
    pub content_type: Option<String>,
    /// Only with this label.
    pub label: Option<String>,
    /// Only where path or description has this.
    pub search: Option<String>,
    /// What is out of use, too.
    #[serde(default)]
    pub include_inactive: bool,
    /// Only what nobody has read for 30 days.
    #[serde(default)]
    pub stale: bool,
    /// `next` of the page before: for keyset pages.
    pub after: Option<String>,
    /// The most secrets wanted, 1 to 200; 50 unless told: for keyset pages.
    pub limit: Option<u16>,
    /// The number of a page, from 1. Pages are numbered only when this is sent.
    pub page: Option<usize>,
    /// The most secrets on a numbered page, 1 to 200; 50 unless told.
    pub page_size: Option<usize>,
}

/// Which folder is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FolderQuery {
    /// The environment, by name or id. May be left out where the credential can mean only one.
    pub environment: Option<String>,
    /// The folder; the root unless told.
    pub path: Option<String>,
    /// `next` of the page before.
    pub after: Option<String>,
    /// The most names wanted, 1 to 200; 50 unless told.
    pub limit: Option<u16>,
}

/// Which secret is wanted, by its path.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PathQuery {
    /// The environment, by name or id. May be left out where the credential can mean only one.
    pub environment: Option<String>,
    /// The path.
    pub path: String,
    /// The version; the current one unless told.
    pub version: Option<u32>,
}

/// Which version is wanted.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// The version; the current one unless told.
    pub version: Option<u32>,
    /// Fields to be included. All of them always are.
    pub include: Option<String>,
}

/// How much of a history is wanted.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// The most versions, 1 to 20; 5 unless told.
    pub max_versions: Option<u32>,
}

/// A version of a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "may hold a secret")]
pub struct Version {
    /// Counts from 1.
    pub version: u32,
    /// Its value, in a history; absent when it is deleted or destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What the value is.
    pub format: Format,
    /// How many bytes it has.
    pub size: u64,
    /// The earlier version whose value this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_from_version: Option<u32>,
    /// Who wrote it: what sort of principal, and its id.
    pub changed_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// From when on it counts as deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
    /// When it was destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub destroyed_at: Option<Timestamp>,
}

/// Versions of a secret, newest first.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "may hold secrets")]
pub struct Versions {
    /// The secret.
    pub secret_id: Uuid,
    /// The versions.
    pub versions: Vec<Version>,
}

/// Store or update many secrets.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct ImportSecrets {
    /// The environment, by name or id. May be left out where the credential can mean only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The secrets: at most 500.
    pub items: Vec<CreateSecret>,
}

/// What became of an import.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// How many are new.
    pub created: usize,
    /// How many have a new version.
    pub updated: usize,
    /// How many had that value already.
    pub unchanged: usize,
    /// How many failed.
    pub failed: usize,
    /// What became of each, in the order of the request.
    pub results: Vec<ImportedItem>,
}

/// What became of one item of an import.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportedItem {
    /// Which item, from 0.
    pub index: usize,
    /// `created`, `updated`, `unchanged` or `failed`.
    pub status: String,
    /// The secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Why it failed, as a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a secret fares. Members are in `snake_case`, as the QuantumAPI SDK reads them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Insights {
    /// The path.
    pub secret_name: String,
    /// `strong`, `medium` or `weak`: how hard the value is to guess.
    pub strength: String,
    /// `low`, `medium` or `high`.
    pub risk_level: String,
    /// What to do about it.
    pub recommendations: Vec<String>,
    /// When this was found.
    #[schema(value_type = String, format = DateTime)]
    pub analyzed_at: Timestamp,
    /// When it was last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_read_at: Option<Timestamp>,
    /// How often it was read.
    pub reads: u64,
    /// Who read it, the latest first.
    pub readers: Vec<Reader>,
    /// Whether nobody has read it for 30 days.
    pub stale: bool,
    /// Whether a new value is due.
    pub due: bool,
    /// Which of `owner`, `purpose`, `rotation` and `classification` nobody stated.
    pub assumed: Vec<String>,
}

/// Somebody who read a secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reader {
    /// Who.
    pub principal: Uuid,
    /// `person`, `service`, …
    pub kind: String,
    /// How often.
    pub reads: u64,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub first_read_at: Timestamp,
    /// Last.
    #[schema(value_type = String, format = DateTime)]
    pub last_read_at: Timestamp,
    /// Which version last.
    pub last_version: u32,
}

/// How much is stored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageUsage {
    /// The first day of the month, `YYYY-MM-DD`.
    pub period_start: String,
    /// The last day of the month.
    pub period_end: String,
    /// Today.
    pub as_of: String,
    /// When it was measured.
    #[schema(value_type = String, format = DateTime)]
    pub last_sampled_at: Timestamp,
    /// How many bytes are stored.
    pub total_bytes: u64,
    /// The same as `totalBytes`: no samples are kept.
    pub month_average_bytes: u64,
    /// Gigabytes of 2^30 bytes, times the part of the month that is over.
    pub gb_months_accrued: f64,
    /// The same by what is stored.
    pub categories: Vec<StorageCategory>,
}

/// How much of one sort is stored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageCategory {
    /// What: `secrets`.
    pub id: String,
    /// How many bytes.
    pub bytes: u64,
    /// How many versions.
    pub items: u64,
    /// The same as `bytes`: no samples are kept.
    pub month_average_bytes: u64,
    /// Gigabytes of 2^30 bytes, times the part of the month that is over.
    pub gb_months_accrued: f64,
}

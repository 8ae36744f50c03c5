//! Evidence.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use writ_kernel::Timestamp;

/// Which records are wanted, newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EvidenceQuery {
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most items wanted, 1 to 200; 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Only of this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only with this outcome: `allow`, `refuse`, `intent`, `done` or `fail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Only about this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Uuid>,
    /// Only of this trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// One record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its id.
    pub id: Uuid,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What was done or tried.
    pub action: String,
    /// `allow`, `refuse`, `intent`, `done` or `fail`.
    pub outcome: String,
    /// Its place in the tenant's log, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// The leaf, exactly as it is hashed into the log (RFC 8785 canonical JSON).
    pub leaf: String,
    /// SHA-256 of the leaf with the leaf prefix of RFC 6962: `sha256:<hex>`.
    pub leaf_hash: String,
    /// Whether what the record said beside the leaf was erased. The leaf stays provable.
    pub erased: bool,
    /// Who, where and what: the decrypted payload. `null` in listings, and when it was erased.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<serde_json::Value>,
}

/// A tenant's log: what a verifier needs to know of it beforehand.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogInfo {
    /// The log's origin line.
    pub origin: String,
    /// How many leaves are in the tree.
    pub size: u64,
    /// The verifier keys of the checkpoint's signatures, in signed-note form.
    pub keys: Vec<String>,
    /// Where the tiles are, relative to the server: `/log/<log>/`.
    pub path: String,
    /// The log of logs, whose leaves are the checkpoints of all logs of the server.
    pub meta: MetaLog,
}

/// The log of logs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetaLog {
    /// Its origin line.
    pub origin: String,
    /// The verifier keys of its checkpoint's signatures, in signed-note form.
    pub keys: Vec<String>,
    /// Where its tiles are, relative to the server.
    pub path: String,
}

/// Which records an export holds with what they say. The tree is always whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// The first record whose payload is wanted, by its index; the first of all unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The index after the last record whose payload is wanted; the end of the log unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// Whose records are to be erased.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EraseSubject {
    /// The principal: a person or a service account.
    pub subject: Uuid,
}

/// What an erasure destroyed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// The name the subject has in its leaves. Nothing ties the two together any more.
    pub pseudonym: String,
    /// How many payload keys were destroyed: one for each month in which the subject acted.
    pub keys: u64,
}

/// Which entries of the audit log are wanted. The newest 5000 records are looked at.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// `keys` or `other`.
    pub category: Option<String>,
    /// Actions, separated by commas: `Encrypt`, `KeyCreated`, …, or `vault.secrets.read`, …
    pub action: Option<String>,
    /// Only about this resource.
    pub key_id: Option<Uuid>,
    /// Only where the actor has this, in any case.
    pub actor: Option<String>,
    /// Only from then on (RFC 3339).
    pub from: Option<String>,
    /// Only until then (RFC 3339).
    pub to: Option<String>,
    /// The number of the page, from 1.
    pub page: Option<usize>,
    /// The most entries on a page, 1 to 200; 50 unless told.
    pub page_size: Option<usize>,
}

/// A page of the audit log, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
    /// How many fit, of those that were looked at.
    pub total_count: usize,
    /// The number of this page.
    pub page: usize,
    /// The most entries on a page.
    pub page_size: usize,
}

/// An entry of the audit log: a record of evidence in other words.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// The record.
    pub id: Uuid,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// `Encrypt`, `KeyCreated`, …, or the name of the action.
    pub action: String,
    /// `keys` or `other`.
    pub category: String,
    /// Who: `apikey:<id>`, `<kind>:<id>`, `system`, or `erased`.
    pub actor: String,
    /// `user`, `apiKey` or `other`.
    pub actor_type: String,
    /// What sort of thing it was about.
    pub resource_type: String,
    /// Which one; all zero for none.
    pub resource_id: Uuid,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// `success`, `failure` or `denied`.
    pub outcome: String,
    /// Why it was denied or failed, as a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where the actor was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}

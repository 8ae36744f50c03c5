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
    /// Who, where and what: the decrypted payload; absent when its key was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
}

//! Uploaded infrastructure configuration.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

/// An uploaded configuration: a gzipped tar archive, sealed at rest.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Its id.
    pub id: Uuid,
    /// SHA-256 of the file tree: `sha256:<hex>`, the same for the same files in any archive.
    pub digest: String,
    /// The files, sorted.
    pub files: Vec<String>,
    /// Bytes of all files together.
    pub size: u64,
    /// Where it came from, for people: a commit, a directory name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// When it was uploaded.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

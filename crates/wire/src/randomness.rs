//! Randomness.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use writ_kernel::Timestamp;

/// Draw random bytes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrawEntropy {
    /// How many, 1 to 65536; a multiple of 16, 4 or 8 for `uuid`, `int32` and `int64`.
    #[serde(alias = "bytes_count", alias = "bytesCount")]
    pub bytes: usize,
    /// `raw` (base64, unless told), `hex`, `uuid`, `int32` or `int64` (signed, little-endian).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// Random bytes. It has no `Debug`: they may become a key.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds what may become a key")]
pub struct Entropy {
    /// The bytes in the format that was asked for: one text, or a list of texts or numbers.
    #[schema(value_type = Object)]
    pub entropy: serde_json::Value,
    /// The format.
    pub format: String,
    /// `mixed` when sources beside the operating system contribute, else `csprng`.
    pub source: String,
    /// More about that.
    pub source_details: EntropySource,
    /// How many bytes they are.
    pub consumed_bytes: usize,
    /// How many megabytes may be drawn in a month. There is no such limit; it is the largest number.
    pub quota_limit_mb: f64,
    /// How many of them are left.
    pub quota_remaining_mb: f64,
    /// The id of the record in evidence.
    pub request_id: String,
}

/// Where randomness comes from.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntropySource {
    /// Who made it: `system`, and the names of the sources that are mixed in.
    pub provider: String,
    /// The configured sources that are mixed in.
    pub sources: Vec<String>,
    /// Whether any is. What a configured source is made of, whoever configured it knows.
    pub is_quantum: bool,
    /// When it was drawn.
    #[schema(value_type = String, format = DateTime)]
    pub served_at: Timestamp,
}

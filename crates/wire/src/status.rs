//! Health, version and rate.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use writ_kernel::Timestamp;

/// How the server is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HealthReport {
    /// `Healthy`, or `Sealed` when it holds no keys.
    pub status: String,
    /// Its version.
    pub version: String,
    /// What it is.
    pub service: String,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
}

/// A version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Of the server.
    pub version: String,
}

/// What is left of a rate.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RateLimit {
    /// Requests at once after a pause.
    pub limit: u32,
    /// Requests that could be made now.
    pub remaining: u32,
    /// When the limit is whole again, in seconds since 1970.
    pub reset: i64,
    /// What the sustained rate is measured over.
    pub period: String,
}

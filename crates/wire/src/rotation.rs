//! Rotation of secrets, and what is done when one is exposed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

/// Say how a secret is rotated.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteRotator {
    /// By what.
    pub spec: RotatorSpec,
    /// How often; only when asked for unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u32>,
    /// How long the version before can still be read; an hour unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u32>,
}

/// What rotates a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum RotatorSpec {
    /// A value is made up; nobody else is told.
    Generated {
        /// How many characters; 32 unless told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<u32>,
        /// Of which ones; letters and digits unless told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alphabet: Option<String>,
    },
    /// The password of a role of a PostgreSQL server, which an engine of the same environment may change. The server
    /// knows one password at a time: the one before does not work any more.
    Postgres {
        /// The engine.
        engine: Uuid,
        /// The role.
        username: String,
    },
}

/// How a secret is rotated.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotator {
    /// The secret.
    pub secret: Uuid,
    /// By what.
    pub spec: RotatorSpec,
    /// How often; absent when only asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u32>,
    /// How long the version before can still be read.
    pub overlap_seconds: u32,
    /// When next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
}

/// What has become of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RotationState {
    /// The new value is made, and on its way to where it is used.
    Pending,
    /// The new value is current, and the one before can still be read.
    Overlapping,
    /// The new value is current, and the one before is gone.
    Done,
    /// The new value did not work; the one before is in force again.
    RolledBack,
}

/// One rotation of a secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Its id.
    pub id: Uuid,
    /// The secret.
    pub secret: Uuid,
    /// What has become of it.
    pub state: RotationState,
    /// Why: `asked`, `schedule` or `exposure`.
    pub cause: String,
    /// The case it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Uuid>,
    /// The version it made current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it has not succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// Say that secrets are known to strangers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expose {
    /// The secrets: 1 to 100.
    pub secrets: Vec<Uuid>,
    /// Engines whose leases end, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<Uuid>,
}

/// What is done about it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// The case: in the evidence and the events of all of it.
    pub case: Uuid,
    /// What is reissued.
    pub rotations: Vec<Rotation>,
    /// Secrets without a rotator, or whose rotation could not begin: people must reissue them.
    pub by_hand: Vec<Uuid>,
    /// How many leases are being ended.
    pub leases: u64,
}

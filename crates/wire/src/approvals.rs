//! Approvals: somebody else agrees to exactly this change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

/// A request that others agree to a change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Its id.
    pub id: Uuid,
    /// What is to be done: `runtime.deployments.apply` or `runtime.deployments.destroy`.
    pub action: String,
    /// The deployment.
    pub deployment: Uuid,
    /// The environment.
    pub environment: Uuid,
    /// Who asked for the change.
    pub author: Uuid,
    /// SHA-256 of everything the approval binds: `sha256:<hex>`.
    pub binding: String,
    /// How many must agree.
    pub quorum: u8,
    /// `pending`, `approved`, `rejected`, `expired`, `superseded` or `used`.
    pub state: String,
    /// Who said what.
    pub votes: Vec<Vote>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it stops counting.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// What one person said.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vote {
    /// Who.
    pub principal: Uuid,
    /// `approve` or `reject`.
    pub verdict: Verdict,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Agree.
    Approve,
    /// Refuse: the change does not happen.
    Reject,
}

/// Agree to a change, or refuse it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decide {
    /// Yes or no.
    pub verdict: Verdict,
    /// The binding that was reviewed; a mismatch is a conflict, so nobody approves what they did not see.
    pub binding: String,
    /// Why: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

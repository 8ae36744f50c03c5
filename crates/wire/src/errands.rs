//! Errands: what a disposable runner does beside deployments.
//!
//! A *validation* finds out whether a connection can be used as it says; an *unlock* releases one state lock.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use writ_kernel::Timestamp;

use crate::{connections::PreflightCheck, deployments::Outcome};

/// What an errand is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrandKind {
    /// Find out whether a connection can be used.
    Validation,
    /// Release a state lock.
    Unlock,
}

/// How far an errand has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrandState {
    /// Waiting for a runner.
    Queued,
    /// A runner is at it.
    Running,
    /// Done: nothing blocks, or the lock is released.
    Succeeded,
    /// It went wrong, or something blocks; the report and the outcome say what.
    Failed,
    /// Stopped on request.
    Cancelled,
    /// The runner vanished while it could have released the lock: whether it did is unknown.
    Lost,
}

impl ErrandState {
    /// Whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// Release the lock of a state that nobody works on any more.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseLock {
    /// The deployment target whose state is locked.
    pub target: String,
    /// The lock's id, as the failed deployment or the tool shows it: 1 to 256 of `A-Z a-z 0-9 - _ . / :`.
    pub lock: String,
    /// Who holds it, as it was shown; when given, a lock of anybody else is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Why it may be released: one line.
    pub reason: String,
}

/// Something a disposable runner does beside deployments.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Errand {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub kind: ErrandKind,
    /// The connection.
    pub connection: Uuid,
    /// The environment.
    pub environment: Uuid,
    /// How far it has come.
    pub state: ErrandState,
    /// Who asked for it.
    pub author: Uuid,
    /// What is to be released, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseLock>,
    /// What was found out, row by row.
    pub report: Vec<PreflightCheck>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// Which errands are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ErrandQuery {
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most items wanted, 1 to 200; 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Only those of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Uuid>,
}

/// How long to wait for the end of an errand.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ErrandWait {
    /// Wait up to this many seconds, at most 30, for its end.
    #[serde(default)]
    pub wait: u8,
}

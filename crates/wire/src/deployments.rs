//! Deployments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use writ_kernel::Timestamp;

use crate::policies::PlanFacts;

/// What is to become of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Only look.
    Plan,
    /// Make it real.
    #[default]
    Apply,
    /// Plan and make real the removal of everything in the state.
    Destroy,
}

impl Mode {
    /// The lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Destroy => "destroy",
        }
    }
}

/// Ask for a change of an environment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateDeployment {
    /// What is deployed, 1 to 63 of `a-z`, `0-9`, `-`: names the state, so that the next deployment of the same
    /// target changes the same things.
    pub target: String,
    /// The connection to use; it names the environment.
    pub connection: Uuid,
    /// The configuration to plan.
    pub configuration: Uuid,
    /// What is to become of the plan.
    #[serde(default)]
    pub mode: Mode,
    /// Input variables of the configuration. Not for secrets: values are kept with the deployment.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Object>)]
    pub variables: BTreeMap<String, serde_json::Value>,
    /// How long one run may take, in seconds: 60 to 14,400; 3,600 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// Why, or a ticket: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a deployment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for a runner.
    Queued,
    /// A runner is planning.
    Planning,
    /// Planned; others must agree.
    AwaitingApproval,
    /// Agreed; waiting for a runner to apply.
    Approved,
    /// A runner is making it real.
    Applying,
    /// Done.
    Succeeded,
    /// It went wrong; the error says what is left.
    Failed,
    /// Stopped on request.
    Cancelled,
    /// Policy or an approver said no.
    Refused,
    /// The runner vanished; what it left behind is unknown until the next plan.
    Lost,
}

impl State {
    /// Whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Refused | Self::Lost)
    }

    /// The word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Approved => "approved",
            Self::Applying => "applying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }
}

/// One intended change of one environment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Its id.
    pub id: Uuid,
    /// What is deployed.
    pub target: String,
    /// The environment.
    pub environment: Uuid,
    /// The connection.
    pub connection: Uuid,
    /// The configuration.
    pub configuration: Uuid,
    /// What is to become of the plan.
    pub mode: Mode,
    /// How far it has come.
    pub state: State,
    /// Who asked for it.
    pub author: Uuid,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The plan, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The request for approval, if one was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Uuid>,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A plan as far as it may leave the runner.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// SHA-256 of everything an approval binds: `sha256:<hex>`.
    pub binding: String,
    /// What is bound.
    pub bound: PlanBinding,
    /// What policies know of it.
    pub facts: PlanFacts,
    /// The changes, redacted: address, type, actions and changed attributes of each resource.
    #[schema(value_type = Object)]
    pub projection: serde_json::Value,
}

/// Everything an approval binds. If any of it differs when the change is to be made, the approval is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanBinding {
    /// Salted SHA-256 of the plan's canonical content: `sha256:<hex>`.
    pub plan: String,
    /// SHA-256 of the configuration's file tree.
    pub configuration: String,
    /// SHA-256 of the dependency lock file, as it was after `init`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_file: Option<String>,
    /// Providers and the hashes the lock file pins.
    #[serde(default)]
    pub providers: BTreeMap<String, Vec<String>>,
    /// `opentofu` or `terraform`.
    pub tool: String,
    /// The tool's version.
    pub tool_version: String,
    /// SHA-256 of the tool's binary.
    pub tool_digest: String,
    /// SHA-256 of the runner's binary.
    pub runner_digest: String,
    /// The lineage of the state; absent when there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_lineage: Option<String>,
    /// The serial of the state; 0 when there is none yet.
    pub state_serial: u64,
}

/// How a deployment ended.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The stable word for machines, like `applied`, `no_changes`, `plan_failed`, `apply_failed`, `runner_lost`.
    pub code: String,
    /// One line for people.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The outputs that are not sensitive, redacted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Object>)]
    pub outputs: BTreeMap<String, serde_json::Value>,
}

/// Which deployments are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeploymentQuery {
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most items wanted, 1 to 200; 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Only of this environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Uuid>,
    /// Only of this target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Which output is wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OutputQuery {
    /// Only what came after this sequence number.
    #[serde(default)]
    pub after: u64,
    /// Wait up to this many seconds, at most 30, for something new.
    #[serde(default)]
    pub wait: u8,
    /// The state the client knows of: the answer comes at once when the deployment is in another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

/// A stretch of redacted output.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The lines.
    pub lines: Vec<OutputLine>,
    /// Pass as `after` to go on.
    pub next: u64,
    /// How far the deployment has come.
    pub state: State,
}

/// One line of redacted output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputLine {
    /// Its number in the deployment, from 1, without gaps. The server assigns it.
    #[serde(default)]
    pub sequence: u64,
    /// When the runner saw it.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What was running: `init`, `plan`, `apply`, `runner`, …
    pub step: String,
    /// The redacted text, without a line end.
    pub text: String,
}

/// Use an earlier configuration of the same target again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// Why: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

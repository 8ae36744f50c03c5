//! What a runner and the control plane say to each other.
//!
//! A runner is started with a one-time token, claims its run with it, and gets a session for the rest of that
//! run. It sends only redacted text, projections and hashes; nothing it sends can hold a credential, and the
//! control plane refuses bytes in which it sees the run's canary.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

use crate::{
    connections::{Cloud, PreflightCheck, StateBackend},
    deployments::{Mode, Outcome, OutputLine, PlanBinding},
    policies::PlanFacts,
    tenancy::{EnvironmentKind, IsolationLevel},
};

/// Everything a runner needs to know for its one run.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds the run's session token and canary")]
pub struct Claim {
    /// The run.
    pub run: Uuid,
    /// What to do.
    #[serde(default)]
    pub task: Task,
    /// The deployment, or the errand.
    pub deployment: Uuid,
    /// The tenant.
    pub tenant: Uuid,
    /// The environment's name.
    pub environment: String,
    /// The environment's kind.
    pub environment_kind: EnvironmentKind,
    /// What is deployed; names the state.
    pub target: String,
    /// What is to become of the plan.
    pub mode: Mode,
    /// The bearer token for the rest of this run.
    pub session: String,
    /// A string that must never be sent back: the control plane quarantines a run that does.
    pub canary: String,
    /// The salt of this deployment's plan hash, hex.
    pub plan_salt: String,
    /// SHA-256 of the configuration's file tree, to be checked after download.
    pub configuration_digest: String,
    /// Where it acts.
    pub cloud: Cloud,
    /// Where state is kept.
    pub backend: StateBackend,
    /// Provider sources the configuration may use.
    pub allowed_providers: Vec<String>,
    /// Input variables.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub variables: BTreeMap<String, serde_json::Value>,
    /// The least isolation to work under.
    pub minimum_isolation: IsolationLevel,
    /// When the run's authority ends, whatever it is doing.
    #[schema(value_type = String, format = DateTime)]
    pub deadline: Timestamp,
    /// How often to send a heartbeat, in seconds.
    pub heartbeat_seconds: u32,
    /// The trace all of this belongs to.
    pub trace: String,
}

/// What a run is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "task", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Task {
    /// Plan a configuration, and apply the plan if it is permitted.
    #[default]
    Deploy,
    /// Find out whether the connection can be used. There is no configuration and no target.
    Validate,
    /// Release exactly this lock of the target's state, once the control plane says so. There is no configuration.
    Unlock {
        /// The lock's id.
        lock: String,
    },
}

/// The answer to a heartbeat and to output.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pulse {
    /// Whether the run is to stop.
    pub cancel: bool,
    /// The id of a state lock that the runner may release, because its holder is a run that is certainly dead. Only in
    /// the answer to the event that reported the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// A stretch of redacted output.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushOutput {
    /// The number of this push in the run, from 1: a repeated one is ignored.
    pub push: u64,
    /// The lines.
    pub lines: Vec<OutputLine>,
}

/// What happened inside a run and belongs into evidence.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum RunEvent {
    /// The isolation that was reached.
    Isolated {
        /// The level.
        level: IsolationLevel,
        /// Each layer and what came of it.
        layers: BTreeMap<String, String>,
    },
    /// The static check of the configuration, before any credential existed.
    Checked {
        /// Whether it passed.
        passed: bool,
        /// Each finding: `rule file:line message`.
        findings: Vec<String>,
    },
    /// Credentials were borrowed.
    CredentialLeased {
        /// A reference to what was borrowed, like a role ARN; never a value.
        reference: String,
        /// A short hash of the key id, to match it with the cloud's own trail.
        key_hash: String,
        /// When the lease began.
        #[schema(value_type = String, format = DateTime)]
        not_before: Timestamp,
        /// When it ends.
        #[schema(value_type = String, format = DateTime)]
        not_after: Timestamp,
    },
    /// The tool fetched credentials from the run's loopback endpoint.
    CredentialServed {
        /// A short hash of the key id.
        key_hash: String,
    },
    /// Somebody asked the loopback endpoint without the right token.
    CredentialRefused {
        /// Why.
        reason: String,
    },
    /// The state was locked by another.
    StateLocked {
        /// The lock's id.
        lock: String,
        /// Who holds it, redacted.
        holder: String,
    },
    /// A lock that a dead run left behind was released, as the control plane had said.
    StateUnlocked {
        /// The lock's id.
        lock: String,
    },
}

/// Events of a run, in order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushEvents {
    /// The number of this push in the run, from 1: a repeated one is ignored.
    pub push: u64,
    /// The events.
    pub events: Vec<RunEvent>,
}

/// The plan, as far as it may leave the runner.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubmitPlan {
    /// What an approval binds.
    pub bound: PlanBinding,
    /// What policies may know.
    pub facts: PlanFacts,
    /// Whether the plan changes anything, outputs included.
    pub changes: bool,
    /// The changes, redacted.
    #[schema(value_type = Object)]
    pub projection: serde_json::Value,
}

/// What the runner may do now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "decision", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PlanDecision {
    /// Apply exactly this plan, once, now.
    Apply {
        /// The permit's id: the grant that this apply consumes.
        permit: Uuid,
    },
    /// Others must agree first: stop here; another run will apply.
    Wait {
        /// Why, for the output.
        reason: String,
    },
    /// Nothing to do.
    Done {},
    /// Policy says no.
    Refused {
        /// Why, for the output.
        reason: String,
    },
}

/// The end of a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finish {
    /// Whether the tool did what it was to do.
    pub succeeded: bool,
    /// Whether it was stopped on request.
    #[serde(default)]
    pub cancelled: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// SHA-256 of all redacted output of this run, in order: `sha256:<hex>`.
    pub output_digest: String,
    /// How many values of each kind were redacted.
    pub redactions: BTreeMap<String, u64>,
    /// The state after the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateMark>,
    /// What a validation has found out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub report: Vec<PreflightCheck>,
    /// Whether nothing of the workspace is left.
    pub wiped: bool,
}

/// A state, by its marks only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateMark {
    /// Its lineage.
    pub lineage: String,
    /// Its serial.
    pub serial: u64,
    /// Salted SHA-256 of the state: `sha256:<hex>`.
    pub digest: String,
}

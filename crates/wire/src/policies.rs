//! Policy sets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

/// Upload and activate a version of the tenant's own policies, which hold beside the built-in ones.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WritePolicySet {
    /// Cedar policies, validated against the schema before anything changes.
    pub policies: String,
    /// The version this one replaces (compare and set); absent to replace whatever is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Uuid>,
}

/// A version of a tenant's policies.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySet {
    /// The version's id; absent when only the built-in policies hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// SHA-256 of built-in and own policies together, as it stands in evidence: `sha256:<hex>`.
    pub digest: String,
    /// The tenant's own policies.
    pub policies: String,
    /// The built-in policies.
    pub built_in: String,
    /// When it was activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_at: Option<Timestamp>,
}

/// Try requests against a policy set without any effect.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestPolicies {
    /// The policies to try; absent for the active ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<String>,
    /// The cases.
    pub cases: Vec<PolicyCase>,
}

/// One request and what should come of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyCase {
    /// What the case is called.
    pub name: String,
    /// `allow` or `deny`.
    pub expect: String,
    /// The action, `area.resource.verb`.
    pub action: String,
    /// The principal's roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// `person` (unless told), `service`, `runner` or `system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_kind: Option<String>,
    /// The kind of the environment: `dev`, `research`, `staging` or `prod`; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The environment's own demand for approvals.
    #[serde(default)]
    pub required_approvals: u8,
    /// Whether the principal is the author of the resource.
    #[serde(default)]
    pub author: bool,
    /// How many others approved.
    #[serde(default)]
    pub approvals: u8,
    /// Whether more than one factor was shown.
    #[serde(default)]
    pub mfa: bool,
    /// How many resources the plan creates, updates, deletes or replaces, and which regions, types and images it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanFacts>,
}

/// What policies may know of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanFacts {
    /// Resources to create.
    #[serde(default)]
    pub create: u32,
    /// Resources to change in place.
    #[serde(default)]
    pub update: u32,
    /// Resources to delete.
    #[serde(default)]
    pub delete: u32,
    /// Resources to delete and create anew.
    #[serde(default)]
    pub replace: u32,
    /// Resource types, with how many of each change.
    #[serde(default)]
    pub types: BTreeMap<String, u32>,
    /// Regions and locations named.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Machine and container images named.
    #[serde(default)]
    pub images: Vec<String>,
    /// Provider addresses in use.
    #[serde(default)]
    pub providers: Vec<String>,
}

/// What came of the cases.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTestReport {
    /// Whether every case came out as expected.
    pub passed: bool,
    /// Each case.
    pub results: Vec<PolicyCaseResult>,
}

/// What came of one case.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyCaseResult {
    /// The case.
    pub name: String,
    /// `allow` or `deny`.
    pub decision: String,
    /// Whether that was expected.
    pub passed: bool,
    /// The policies that decided.
    pub reasons: Vec<String>,
}

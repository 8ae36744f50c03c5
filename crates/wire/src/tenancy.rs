//! Tenants and their environments.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

/// Create a tenant. Only the platform tenant's administrators can.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateTenant {
    /// A name: 1 to 63 of `a-z`, `0-9`, `-`.
    pub name: String,
    /// The name of the tenant's first administrator.
    pub admin: String,
}

/// A new tenant and the way in for its first administrator. Shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a token that is shown once and never logged")]
pub struct CreatedTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// The administrator.
    pub admin: crate::identity::Person,
    /// The administrator's enrolment token, for `writ login`.
    pub enrolment_token: String,
}

/// A tenant: the hard boundary.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What an environment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentKind {
    /// Development. The only kind in which state may be local.
    Dev,
    /// Research.
    Research,
    /// Staging.
    Staging,
    /// Production.
    Prod,
}

impl EnvironmentKind {
    /// The lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Research => "research",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }
}

/// How well a runner must be isolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum IsolationLevel {
    /// No isolation beyond a process of its own.
    #[default]
    None,
    /// Some of the layers.
    Partial,
    /// Every layer this product knows: own user, no new privileges, file-system and system-call filters, limits.
    Full,
}

/// Create an environment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateEnvironment {
    /// A name: 1 to 63 of `a-z`, `0-9`, `-`.
    pub name: String,
    /// What it is for.
    pub kind: EnvironmentKind,
    /// How many people other than the author must approve an apply: 0 to 9. Policy may ask for more.
    #[serde(default)]
    pub required_approvals: u8,
    /// How well a runner must be isolated to work here.
    #[serde(default)]
    pub minimum_isolation: IsolationLevel,
}

/// An environment of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: EnvironmentKind,
    /// How many people other than the author must approve an apply.
    pub required_approvals: u8,
    /// How well a runner must be isolated to work here.
    pub minimum_isolation: IsolationLevel,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Change the guard rails of an environment; absent members stay.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateEnvironment {
    /// How many people other than the author must approve an apply: 0 to 9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_approvals: Option<u8>,
    /// How well a runner must be isolated to work here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_isolation: Option<IsolationLevel>,
}

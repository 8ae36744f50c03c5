//! People, service accounts, roles, API keys and sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

/// Add a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreatePerson {
    /// How they sign in: a name of 1 to 63 of `a-z`, `0-9`, `-`, unique in the tenant.
    pub name: String,
    /// What to call them: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Their id.
    pub id: Uuid,
    /// How they sign in.
    pub name: String,
    /// What to call them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whether they can act.
    pub active: bool,
    /// When they were added.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A new person and their way in. Shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a token that is shown once and never logged")]
pub struct CreatedPerson {
    /// The person.
    pub person: Person,
    /// A one-time enrolment token for `writ login`, good for 24 hours.
    pub enrolment_token: String,
}

/// Add a service account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateService {
    /// A name: 1 to 63 of `a-z`, `0-9`, `-`, unique in the tenant.
    pub name: String,
    /// The person who answers for it.
    pub owner: Uuid,
    /// What it is for: one line.
    pub purpose: String,
}

/// A service account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The person who answers for it.
    pub owner: Uuid,
    /// What it is for.
    pub purpose: String,
    /// Whether it can act.
    pub active: bool,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Give a principal a role.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindRole {
    /// The person or service account.
    pub principal: Uuid,
    /// `viewer`, `developer`, `operator`, `auditor`, `admin`, `approver` or a custom role of the tenant's policies.
    pub role: String,
    /// The only environment it holds in; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Uuid>,
    /// When it ends; absent for no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// A role somebody holds.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleBinding {
    /// The binding's id.
    pub id: Uuid,
    /// The person or service account.
    pub principal: Uuid,
    /// The role.
    pub role: String,
    /// The only environment it holds in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Uuid>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was given.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Create an API key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is for: one line.
    pub label: String,
    /// The service account it belongs to; absent for the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Uuid>,
    /// What it may be used for: `area.resource.verb`, `area.resource.*`, `area.*` or `*`; never more than the caller's own.
    pub scopes: Vec<String>,
    /// When it ends: at most 366 days ahead.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// An API key, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub label: String,
    /// Whose it is.
    pub principal: Uuid,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// A new API key. Shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a key that is shown once and never logged")]
pub struct CreatedApiKey {
    /// The key's record.
    pub key: ApiKey,
    /// The key itself: `writ_key_…`.
    pub secret: String,
}

/// Begin a session.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a token")]
pub struct Login {
    /// An enrolment token (`writ_enrol_…`, spent by this) or an API key of a person.
    pub token: String,
    /// Where this session lives, for the listing: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A new session. Shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a token that is shown once and never logged")]
pub struct LoggedIn {
    /// The session.
    pub session: Session,
    /// The bearer token: `writ_session_…`.
    pub token: String,
    /// Who signed in.
    pub person: Person,
    /// The tenant they belong to.
    pub tenant: crate::tenancy::Tenant,
}

/// A signed-in stretch of time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub principal: Uuid,
    /// Where it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// Who the caller is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// The tenant.
    pub tenant: Uuid,
    /// The principal.
    pub principal: Uuid,
    /// `person` or `service`.
    pub kind: String,
    /// The principal's name.
    pub name: String,
    /// The roles held now, `role` or `role@environment`.
    pub roles: Vec<String>,
    /// What the credential may be used for.
    pub scopes: Vec<String>,
}

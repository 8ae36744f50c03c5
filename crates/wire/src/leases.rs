//! Engines that make credentials on demand, their roles, and leases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

/// Set up an engine.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "may hold the engine's own credential")]
pub struct CreateEngine {
    /// A name: 1 to 63 of `a-z`, `0-9`, `-`, unique in its environment.
    pub name: String,
    /// The environment whose credentials it makes.
    pub environment: Uuid,
    /// Where it makes them.
    pub config: EngineConfig,
    /// What it works there with: a password, or a secret access key. Kept sealed and never shown. Absent for engines that
    /// need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// How long a lease lasts unless asked otherwise: one hour unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl_seconds: Option<u32>,
    /// How long a lease lasts at most, renewals included: one day unless told, at most 32 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl_seconds: Option<u32>,
}

/// Change an engine; what is absent stays.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "may hold the engine's own credential")]
pub struct UpdateEngine {
    /// Where it makes credentials; of the same kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<EngineConfig>,
    /// What it works there with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// How long a lease lasts unless asked otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl_seconds: Option<u32>,
    /// How long a lease lasts at most, renewals included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl_seconds: Option<u32>,
}

/// Where an engine makes credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum EngineConfig {
    /// Roles of a PostgreSQL server.
    Postgres {
        /// Its name or address.
        host: String,
        /// Its port; 5432 unless told.
        #[serde(default = "postgres_port")]
        port: u16,
        /// The database to work in.
        database: String,
        /// The role to work as: one that may create roles.
        username: String,
        /// How the connection is protected.
        #[serde(default)]
        tls: Tls,
        /// The authority that vouches for its certificate, PEM.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
    /// Sessions of Amazon Web Services.
    Aws {
        /// The region whose security token service is asked.
        region: String,
        /// The service's address, where it is not Amazon's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// The id of the key to ask with; the key itself is the credential.
        access_key_id: String,
    },
    /// Keys to this very server, of a service account.
    Tokens {
        /// The service account.
        service: Uuid,
    },
}

fn postgres_port() -> u16 {
    5432
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// By TLS when the server offers it.
    #[default]
    Prefer,
    /// By TLS or not at all.
    Require,
    /// By TLS, with the server's certificate checked.
    Verify,
}

/// An engine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its environment.
    pub environment: Uuid,
    /// Where it makes credentials.
    pub config: EngineConfig,
    /// How long a lease lasts unless asked otherwise.
    pub default_ttl_seconds: u32,
    /// How long a lease lasts at most.
    pub max_ttl_seconds: u32,
    /// When it was set up.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// Say what may be borrowed under a name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteRole {
    /// What is made.
    pub spec: RoleSpec,
    /// How long a lease lasts unless asked otherwise; the engine's unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl_seconds: Option<u32>,
    /// How long a lease lasts at most; the engine's unless told, and never more than it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl_seconds: Option<u32>,
}

/// What is made for a lease; of the engine's kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum RoleSpec {
    /// A role of a PostgreSQL server.
    Postgres {
        /// Statements that make it, with `{{name}}`, `{{password}}` and `{{expiration}}`, separated by `;`.
        creation: String,
        /// Statements that let it live longer, with `{{name}}` and `{{expiration}}`; `ALTER ROLE` unless told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        renewal: Option<String>,
        /// Statements that end it once it is locked out, with `{{name}}`; it is dropped unless told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revocation: Option<String>,
    },
    /// A session of Amazon Web Services.
    Aws {
        /// The role to assume.
        role_arn: String,
        /// What the role's trust policy demands.
        external_id: String,
        /// What the session may do at most: a policy document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
        /// Managed policies that say what the session may do at most.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        policy_arns: Vec<String>,
    },
    /// A key to this server.
    Tokens {
        /// What it may be used for.
        scopes: Vec<String>,
    },
}

/// What may be borrowed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Its name, unique in its engine.
    pub name: String,
    /// What is made.
    pub spec: RoleSpec,
    /// How long a lease lasts unless asked otherwise.
    pub default_ttl_seconds: u32,
    /// How long a lease lasts at most.
    pub max_ttl_seconds: u32,
    /// When it was written first.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Borrow a credential.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Borrow {
    /// The engine.
    pub engine: Uuid,
    /// The name of what is wanted.
    pub role: String,
    /// For how long; what the role says unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

/// Borrow for longer.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renew {
    /// For how long from now; what the role says unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

/// End many leases.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeMany {
    /// The engine whose leases end.
    pub engine: Uuid,
    /// Only leases of roles whose name begins like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_prefix: Option<String>,
}

/// How many leases are being ended.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revoking {
    /// How many.
    pub leases: u64,
}

/// What has become of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LeaseState {
    /// The credential is being made.
    Pending,
    /// The credential works.
    Active,
    /// The credential is to end, and the target has not confirmed that it has.
    Revoking,
    /// The target has confirmed that the credential no longer works.
    Ended,
    /// The credential was given up without the target's word: it may still work.
    Abandoned,
}

/// A borrowed credential. What it is was shown once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Its id.
    pub id: Uuid,
    /// The engine that made it.
    pub engine: Uuid,
    /// What was borrowed.
    pub role: String,
    /// Its environment.
    pub environment: Uuid,
    /// Who borrowed it.
    pub holder: Uuid,
    /// What has become of it.
    pub state: LeaseState,
    /// What the target knows it by.
    pub handle: String,
    /// Whether it can be borrowed for longer.
    pub renewable: bool,
    /// When it was borrowed.
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it ends at the latest, however often it is renewed.
    #[schema(value_type = String, format = DateTime)]
    pub max_expires_at: Timestamp,
    /// Why it ends or has ended before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often ending it was tried.
    pub attempts: u32,
    /// Why ending it has not succeeded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When ending it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_try_at: Option<Timestamp>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// A fresh lease with its credential. Shown once.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a credential that is shown once")]
pub struct Borrowed {
    /// The lease.
    pub lease: Lease,
    /// The credential, by the names of its parts: `username` and `password`; `accessKeyId`, `secretAccessKey` and
    /// `sessionToken`; `token`.
    pub credential: BTreeMap<String, String>,
}

//! Giving secrets away: links, wrapped values, and bindings of consumers.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use writ_kernel::Timestamp;

use crate::secrets::Format;

/// Make a link to the current value of a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "may hold a password")]
pub struct CreateLink {
    /// The secret.
    pub secret_id: Uuid,
    /// How long it lasts, in hours: 1 to 720; 24 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_hours: Option<u32>,
    /// How often it can be opened; absent for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_access_count: Option<u32>,
    /// What has to be shown beside the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A new link and its token. Shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a token that is shown once and never logged")]
pub struct CreatedLink {
    /// The link.
    #[serde(flatten)]
    pub link: SharedLink,
    /// The token.
    pub token: String,
}

/// A link.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharedLink {
    /// Its id.
    pub id: Uuid,
    /// The secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<Uuid>,
    /// `Active`, `Revoked`, `Expired` or `Exhausted`.
    pub status: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// How often it can be opened; absent for any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_access_count: Option<u32>,
    /// How often it was opened.
    pub access_count: u32,
    /// Whether it takes a password.
    pub has_password: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Uuid,
}

/// Links of a secret, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharedLinks {
    /// The links: at most 200.
    pub links: Vec<SharedLink>,
    /// How many.
    pub total_count: usize,
}

/// Whether a link was taken back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// Whether this call did it; `false` when it was taken back before.
    pub revoked: bool,
}

/// Open a link.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "may hold a password")]
pub struct OpenLink {
    /// The password, when it takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// What a link gives.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct OpenedLink {
    /// The value.
    pub value: String,
    /// What `value` is.
    pub format: Format,
    /// How often the link was opened, this time included.
    pub access_count: u32,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Wrap a value for one opening.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct WrapValue {
    /// The value.
    pub value: String,
    /// What `value` is.
    #[serde(default)]
    pub format: Format,
    /// The environment, by name or id. May be left out where the credential can mean only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// How long it waits, in seconds: 1 to 2592000.
    pub ttl_seconds: u64,
}

/// A token that opens once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a token")]
pub struct WrappingToken {
    /// The token.
    pub token: String,
}

/// A wrapped value.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "may hold a token")]
pub struct Wrapped {
    /// Its id, which opens nothing.
    pub id: Uuid,
    /// The token, when it is new. Shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Which operation wrapped it.
    pub creation_path: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Until when it waits.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// What was wrapped.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct Unwrapped {
    /// The value.
    pub value: String,
    /// What `value` is.
    pub format: Format,
    /// Which operation wrapped it.
    pub creation_path: String,
}

/// Bind a consumer to a secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateBinding {
    /// What the consumer calls it: 1 to 63 of `a-z`, `0-9`, `-`.
    pub name: String,
    /// The secret.
    pub secret: Uuid,
    /// The person or service account that may read it.
    pub consumer: Uuid,
    /// The only version it may read; absent for the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// How long the version before the current one stays readable, in seconds: at most 30 days; a day unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u64>,
}

/// A consumer's reference to a secret. It never holds a value.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretBinding {
    /// Its id.
    pub id: Uuid,
    /// What the consumer calls it.
    pub name: String,
    /// The environment.
    pub environment: Uuid,
    /// The secret.
    pub secret: Uuid,
    /// The consumer.
    pub consumer: Uuid,
    /// The only version it may read; absent for the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// How long the version before the current one stays readable, in seconds.
    pub overlap_seconds: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Uuid,
}

/// Which bindings are wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BindingQuery {
    /// The environment, by name or id. May be left out where the credential can mean only one.
    pub environment: Option<String>,
    /// Only of this secret.
    pub secret: Option<Uuid>,
    /// Only of this consumer.
    pub consumer: Option<Uuid>,
    /// `next` of the page before.
    pub after: Option<String>,
    /// The most bindings wanted, 1 to 200; 50 unless told.
    pub limit: Option<u16>,
}

/// Which value of a binding is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FetchQuery {
    /// The version before the current one, while the overlap lasts.
    #[serde(default)]
    pub previous: bool,
}

/// What a consumer fetched.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct Fetched {
    /// The value.
    pub value: String,
    /// What `value` is.
    pub format: Format,
    /// Its version.
    pub version: u32,
    /// The current version.
    pub current_version: u32,
    /// Until when the version before the current one can be fetched; absent when there is none, or it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub overlap_ends_at: Option<Timestamp>,
}

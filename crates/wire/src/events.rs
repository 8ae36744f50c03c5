//! Events that consumers act upon, and whom they are told to.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

/// Something that happened. It never holds a value of a secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its id: the same each time it is told.
    pub event_id: Uuid,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The trace it belongs to.
    pub trace_id: String,
    /// Who did it; all zeros for a worker of the server.
    pub principal: Uuid,
    /// What happened, like `SecretRotated`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// What it happened to.
    pub subject: Subject,
    /// The environment of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Uuid>,
    /// What else consumers need to know.
    pub data: Value,
    /// Where it stands in the feed: pass as `after` to get what happened later. Hooks are not told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
}

/// What an event happened to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The noun: `secret`, `lease`, …
    pub kind: String,
    /// Which one.
    pub id: Uuid,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Have somebody told of events.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateHook {
    /// A name: 1 to 63 of `a-z`, `0-9`, `-`, unique in its environment.
    pub name: String,
    /// The environment whose events it is told.
    pub environment: Uuid,
    /// Where it is told them: an `https` address.
    pub url: String,
    /// Of these types only; of all unless told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
}

/// Whom events are told to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The environment whose events it is told.
    pub environment: Uuid,
    /// Where.
    pub url: String,
    /// Of these types only; of all when there are none.
    pub types: Vec<String>,
    /// When it was set up.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A new hook and the key that its deliveries are signed with. Shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a key that is shown once")]
pub struct CreatedHook {
    /// The hook.
    pub hook: Hook,
    /// The key of HMAC-SHA-256, hexadecimal.
    pub signing_key: String,
}

/// What has become of telling a hook of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It is told, or tried again.
    Waiting,
    /// The hook has taken it.
    Delivered,
    /// It was tried for long enough. The event is kept, and can be told again.
    Dead,
}

/// Telling a hook of an event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The event, as it happened.
    pub event: Event,
    /// What has become of telling it.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

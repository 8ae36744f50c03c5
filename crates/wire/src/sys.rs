//! The seal and the health of the server.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the server holds its keys.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealStatus {
    /// Whether `init` was done.
    pub initialized: bool,
    /// Whether the server holds no keys now.
    pub sealed: bool,
    /// How the root key is protected: `dev-file`, `passphrase`, `shamir` or `pkcs11`; absent before `init`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Shamir: how many shares are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u8>,
    /// Shamir: how many shares were given so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// The version of the server.
    pub version: String,
}

/// How the root key is to be protected.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_debug_implementations, reason = "may hold a passphrase")]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Protection {
    /// A key file beside the data; for development only.
    DevFile,
    /// A passphrase, stretched with Argon2id. Shown to nobody, stored nowhere.
    Passphrase {
        /// At least 12 characters.
        #[schema(value_type = String, format = Password)]
        passphrase: String,
    },
    /// `threshold` of `shares` are needed to unseal.
    Shamir {
        /// 2 to `shares`.
        threshold: u8,
        /// 2 to 16.
        shares: u8,
    },
    /// A key of the hardware security module that the server is configured with: it unseals by itself.
    Pkcs11,
}

/// Initialise a new server.
#[expect(missing_debug_implementations, reason = "may hold a passphrase")]
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InitRequest {
    /// How the root key is to be protected.
    pub protection: Protection,
    /// The name of the first administrator.
    pub admin: String,
}

/// What `init` and `rekey` answer. Shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_debug_implementations,
    reason = "holds shares and a token that are shown once and never logged"
)]
pub struct InitResponse {
    /// Shamir: the shares, one for each holder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<String>,
    /// The enrolment token of the first administrator, for `writ login`; absent in the answer to `rekey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment_token: Option<String>,
}

/// One share, or the passphrase.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a share or passphrase")]
pub struct UnsealRequest {
    /// A Shamir share or the passphrase; nothing for a development key file or a hardware security
    /// module.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    pub key: Option<String>,
    /// Forget the shares given so far.
    #[serde(default)]
    pub reset: bool,
}

/// Replace the protection of the root key; the root key stays.
#[expect(missing_debug_implementations, reason = "may hold a passphrase")]
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RekeyRequest {
    /// The new protection.
    pub protection: Protection,
}

/// Health of the server.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok`, `sealed`, `uninitialized`, `draining` or `degraded`.
    pub status: String,
    /// The version of the server.
    pub version: String,
    /// What is wrong, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

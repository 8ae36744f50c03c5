//! Cloud connections: references, never credentials.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use writ_kernel::Timestamp;

use crate::errands::ErrandState;

/// Where a deployment acts. Holds names of things in the customer's cloud and nothing that opens them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "cloud", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Cloud {
    /// Amazon Web Services, by assuming a role with an external id.
    Aws {
        /// `arn:aws:iam::<account>:role/<name>`.
        role_arn: String,
        /// The external id the role's trust policy demands: 2 to 1224 of `A-Z a-z 0-9 + = , . @ : / -`.
        external_id: String,
        /// The region to work in.
        region: String,
        /// The regions a plan may name; empty for only `region`.
        #[serde(default)]
        allowed_regions: Vec<String>,
    },
    /// Microsoft Azure, by workload identity and a Key Vault.
    Azure {
        /// The directory (tenant) id.
        directory_id: String,
        /// The subscription id.
        subscription_id: String,
        /// `https://<name>.vault.azure.net`.
        key_vault_uri: String,
        /// The name of the secret that holds the client id.
        client_id_secret: String,
        /// The name of the secret that holds the client secret.
        client_secret_secret: String,
        /// The locations a plan may name; empty for any.
        #[serde(default)]
        allowed_regions: Vec<String>,
    },
    /// Google Cloud, by impersonating a service account.
    Gcp {
        /// The project id.
        project_id: String,
        /// `<name>@<project>.iam.gserviceaccount.com`.
        service_account: String,
        /// The regions a plan may name; empty for any.
        #[serde(default)]
        allowed_regions: Vec<String>,
    },
    /// No cloud: configurations that need no credential. Only in environments of kind dev.
    Local {},
}

/// Where the tool keeps its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum StateBackend {
    /// An S3 bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// Its region.
        region: String,
        /// The prefix of the state's key; the deployment target's name follows it.
        prefix: String,
        /// The DynamoDB table for locks; absent for a lock file in the bucket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lock_table: Option<String>,
    },
    /// An Azure storage container.
    Azurerm {
        /// The storage account.
        storage_account: String,
        /// The container.
        container: String,
        /// The prefix of the state's key.
        prefix: String,
        /// The resource group of the account.
        resource_group: String,
    },
    /// A Google Cloud Storage bucket.
    Gcs {
        /// The bucket.
        bucket: String,
        /// The prefix of the state's objects.
        prefix: String,
    },
    /// A file kept by the server. Only in environments of kind dev.
    Local {},
}

/// Register a connection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateConnection {
    /// A name: 1 to 63 of `a-z`, `0-9`, `-`, unique in the tenant.
    pub name: String,
    /// The environment it is for.
    pub environment: Uuid,
    /// Where it acts.
    pub target: Cloud,
    /// Where state is kept.
    pub backend: StateBackend,
    /// Provider sources a configuration may use, like `hashicorp/aws`; the built-in one always is.
    #[serde(default)]
    pub allowed_providers: Vec<String>,
}

/// A cloud connection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The environment it is for.
    pub environment: Uuid,
    /// Where it acts.
    pub target: Cloud,
    /// Where state is kept.
    pub backend: StateBackend,
    /// Provider sources a configuration may use.
    pub allowed_providers: Vec<String>,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What a preflight found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreflightReport {
    /// Whether nothing blocks.
    pub passed: bool,
    /// Each check.
    pub checks: Vec<PreflightCheck>,
    /// The validation that the last rows come from; absent while no runner has tried the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validated>,
}

/// The last time a runner tried a connection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validated {
    /// The errand.
    pub errand: Uuid,
    /// How it ended.
    pub state: ErrandState,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How long ago that is, in seconds.
    pub age_seconds: u64,
}

/// One check of a preflight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreflightCheck {
    /// The stable word for machines.
    pub check: String,
    /// `pass`, `fail`, or `skipped` for what only a runner can find out, or could not for a row before it.
    pub status: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

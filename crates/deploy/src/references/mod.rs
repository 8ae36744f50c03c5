//! Grammars of references: what is not exactly a reference does not get in.

use writ_kernel::{Error, Result};
use writ_wire::connections::{Cloud, StateBackend};

/// One thing that is checked about a connection.
pub(crate) struct Check {
    /// The stable word for machines.
    pub(crate) name: &'static str,
    /// The member of the request it is about.
    pub(crate) field: &'static str,
    /// What it should be, for people.
    pub(crate) expected: &'static str,
    /// Whether it is.
    pub(crate) passed: bool,
}

/// Every check of the form of a connection, passed or not.
pub(crate) fn checks(cloud: &Cloud, backend: &StateBackend, providers: &[String]) -> Vec<Check> {
    let mut checks = of_cloud(cloud);
    checks.extend(of_backend(backend));
    let providers = all(providers, provider);
    checks.push(check("providers", "allowedProviders", "`[<host>/]<namespace>/<type>`", providers));
    checks
}

const fn check(name: &'static str, field: &'static str, expected: &'static str, passed: bool) -> Check {
    Check { name, field, expected, passed }
}

const EXTERNAL_ID: &str =
    "2 to 1224 of `A-Z a-z 0-9 + = , . @ : / _ -`; required, so that a confused deputy gets nowhere";

fn of_cloud(cloud: &Cloud) -> Vec<Check> {
    let regions = |words, allowed: &[String]| {
        check("allowed_regions", "target.allowedRegions", words, all(allowed, region_word))
    };
    match cloud {
        Cloud::Aws { role_arn, external_id, region, allowed_regions } => vec![
            check(
                "aws_role_arn",
                "target.roleArn",
                "`arn:aws:iam::<12 digits>:role/<name>`",
                aws_role(role_arn),
            ),
            check("aws_external_id", "target.externalId", EXTERNAL_ID, aws_external_id(external_id)),
            check("aws_region", "target.region", "a region like `eu-central-1`", region_word(region)),
            regions("regions", allowed_regions),
        ],
        Cloud::Azure {
            directory_id,
            subscription_id,
            key_vault_uri,
            client_id_secret,
            client_secret_secret,
            allowed_regions,
        } => vec![
            check("azure_directory", "target.directoryId", "a UUID", uuid(directory_id)),
            check("azure_subscription", "target.subscriptionId", "a UUID", uuid(subscription_id)),
            check(
                "azure_key_vault",
                "target.keyVaultUri",
                "`https://<name>.vault.azure.net`",
                key_vault(key_vault_uri),
            ),
            check(
                "azure_secret_names",
                "target.clientSecretSecret",
                "names of secrets: 1 to 127 of `A-Z a-z 0-9 -`",
                azure_secret(client_id_secret) && azure_secret(client_secret_secret),
            ),
            regions("locations", allowed_regions),
        ],
        Cloud::Gcp { project_id, service_account, allowed_regions } => vec![
            check(
                "gcp_project",
                "target.projectId",
                "6 to 30 of `a-z 0-9 -`, a letter first",
                gcp_project(project_id),
            ),
            check(
                "gcp_service_account",
                "target.serviceAccount",
                "`<name>@<project>.iam.gserviceaccount.com`",
                gcp_account(service_account),
            ),
            regions("regions", allowed_regions),
        ],
        Cloud::Local {} => Vec::new(),
    }
}

fn of_backend(backend: &StateBackend) -> Vec<Check> {
    let plain =
        |prefix| check("state_prefix", "backend.prefix", "plain path components", prefix_path(prefix));
    match backend {
        StateBackend::S3 { bucket, region, prefix, lock_table } => vec![
            check("s3_bucket", "backend.bucket", "3 to 63 of `a-z 0-9 . -`", s3_bucket(bucket)),
            check("s3_region", "backend.region", "a region like `eu-central-1`", region_word(region)),
            plain(prefix),
            check(
                "s3_lock_table",
                "backend.lockTable",
                "3 to 255 of `A-Z a-z 0-9 _ . -`",
                lock_table.as_deref().is_none_or(dynamodb_table),
            ),
        ],
        StateBackend::Azurerm { storage_account, container, prefix, resource_group } => vec![
            check(
                "azurerm_account",
                "backend.storageAccount",
                "3 to 24 of `a-z 0-9`",
                storage_account_name(storage_account),
            ),
            check(
                "azurerm_container",
                "backend.container",
                "3 to 63 of `a-z 0-9 -`",
                container_name(container),
            ),
            plain(prefix),
            check(
                "azurerm_group",
                "backend.resourceGroup",
                "1 to 90 of `A-Z a-z 0-9 _ . ( ) -`",
                resource_group_name(resource_group),
            ),
        ],
        StateBackend::Gcs { bucket, prefix } => vec![
            check("gcs_bucket", "backend.bucket", "3 to 63 of `a-z 0-9 . _ -`", gcs_bucket(bucket)),
            plain(prefix),
        ],
        StateBackend::Local {} => Vec::new(),
    }
}

/// Refuses a connection whose references are not what they should be.
///
/// # Errors
/// `Invalid`, naming the first member that is malformed and what it should be.
pub(crate) fn parse(cloud: &Cloud, backend: &StateBackend, providers: &[String]) -> Result<()> {
    match checks(cloud, backend, providers).into_iter().find(|check| !check.passed) {
        None => Ok(()),
        Some(check) => {
            Err(Error::invalid("malformed_reference", format!("expected {}", check.expected)).at(check.field))
        }
    }
}

fn all(items: &[String], each: impl Fn(&str) -> bool) -> bool {
    items.len() <= 100 && items.iter().all(|item| each(item))
}

fn within(text: &str, lengths: std::ops::RangeInclusive<usize>, also: &str) -> bool {
    lengths.contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

fn lower(text: &str, lengths: std::ops::RangeInclusive<usize>, also: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || also.contains(c);
    lengths.contains(&text.len()) && text.chars().all(fits)
}

fn edges(text: &str) -> bool {
    let plain = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    plain(text.chars().next()) && plain(text.chars().next_back())
}

fn aws_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [prefix, partition, service, region, account, resource] = parts.as_slice() else { return false };
    let named = resource.strip_prefix("role/").is_some_and(|path| {
        within(path, 1..=512, "+=,.@_-/")
            && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
    });
    *prefix == "arn"
        && matches!(*partition, "aws" | "aws-cn" | "aws-us-gov")
        && *service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && named
}

fn aws_external_id(id: &str) -> bool {
    within(id, 2..=1224, "+=,.@:/_-")
}

fn region_word(region: &str) -> bool {
    lower(region, 2..=40, "-") && edges(region)
}

fn uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

fn key_vault(uri: &str) -> bool {
    let host = uri.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let name = host.and_then(|host| {
        [".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net"]
            .iter()
            .find_map(|suffix| host.strip_suffix(suffix))
    });
    name.is_some_and(|name| within(name, 3..=24, "-") && edges(name))
}

fn azure_secret(name: &str) -> bool {
    within(name, 1..=127, "-")
}

fn gcp_project(id: &str) -> bool {
    lower(id, 6..=30, "-") && edges(id) && id.starts_with(|c: char| c.is_ascii_lowercase())
}

fn gcp_account(email: &str) -> bool {
    let parts = email.strip_suffix(".iam.gserviceaccount.com").and_then(|rest| rest.split_once('@'));
    parts.is_some_and(|(name, project)| lower(name, 6..=30, "-") && edges(name) && gcp_project(project))
}

fn s3_bucket(name: &str) -> bool {
    lower(name, 3..=63, ".-") && edges(name) && !name.contains("..")
}

fn gcs_bucket(name: &str) -> bool {
    lower(name, 3..=63, "._-") && edges(name) && !name.contains("..")
}

fn dynamodb_table(name: &str) -> bool {
    within(name, 3..=255, "_.-")
}

fn storage_account_name(name: &str) -> bool {
    lower(name, 3..=24, "")
}

fn container_name(name: &str) -> bool {
    lower(name, 3..=63, "-") && edges(name) && !name.contains("--")
}

fn resource_group_name(name: &str) -> bool {
    within(name, 1..=90, "_.()-") && !name.ends_with('.')
}

fn prefix_path(prefix: &str) -> bool {
    let part = |part: &str| within(part, 1..=100, "_.-") && part != "." && part != "..";
    prefix.is_empty() || (prefix.len() <= 400 && prefix.split('/').all(part))
}

fn provider(source: &str) -> bool {
    let parts: Vec<&str> = source.split('/').collect();
    let name = |part: &&str| lower(part, 1..=64, "_-") && edges(part);
    match parts.as_slice() {
        [namespace, kind] => name(namespace) && name(kind),
        [host, namespace, kind] => {
            lower(host, 3..=253, ".-") && host.contains('.') && edges(host) && name(namespace) && name(kind)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;

//! The `terraform` block: backend, cloud and state encryption.

use super::{
    GatePolicy, Report,
    providers::{is_secret, leaves},
    tree::Block,
};

/// Checks one `terraform` block.
pub(super) fn check(file: &str, settings: &Block, policy: &GatePolicy, report: &mut Report) {
    settings.body.blocks("backend").for_each(|block| backend(file, block, policy, report));
    for block in settings.body.blocks("cloud") {
        report.block(
            "cloud-block",
            (file, block.line),
            "the run would go on in another place",
            "remove the `cloud` block",
        );
    }
    settings.body.blocks("encryption").for_each(|block| encryption(file, block, policy, report));
}

fn backend(file: &str, block: &Block, policy: &GatePolicy, report: &mut Report) {
    let (kind, expected) = (block.label(0), policy.backend.as_str());
    if kind != expected {
        report.block(
            "backend-kind",
            (file, block.line),
            format!("state would be kept in `{kind}`, the connection keeps it in `{expected}`"),
            "leave the backend block empty: `terraform { backend \"s3\" {} }` with the connection's kind",
        );
    }
    for (path, attribute) in leaves(&block.body) {
        let at = (file, attribute.line);
        if is_secret(&attribute.name) {
            report.block(
                "backend-secret",
                at,
                format!("`{path}` of the backend would be written to disk and into plans"),
                "remove it: the runner borrows credentials for the run",
            );
        } else if ELSEWHERE.iter().any(|name| path.split('.').any(|part| part == *name)) {
            report.block(
                "backend-identity",
                at,
                format!("`{path}` of the backend chooses an identity or an address of its own"),
                "remove it: the connection says where state is and who reads it",
            );
        }
    }
    for inner in block.body.blocks.iter().filter(|inner| ELSEWHERE.contains(&inner.kind.as_str())) {
        report.block(
            "backend-identity",
            (file, inner.line),
            format!("`{}` of the backend chooses an identity or an address of its own", inner.kind),
            "remove it: the connection says where state is and who reads it",
        );
    }
}

/// Settings with which a backend uses another identity, or shows its requests to somebody else.
const ELSEWHERE: &[&str] = &[
    "address",
    "assume_role",
    "assume_role_with_web_identity",
    "custom_ca_bundle",
    "dynamodb_endpoint",
    "endpoint",
    "endpoints",
    "http_proxy",
    "https_proxy",
    "iam_endpoint",
    "impersonate_service_account",
    "insecure",
    "lock_address",
    "metadata_host",
    "path",
    "profile",
    "role_arn",
    "shared_config_files",
    "shared_credentials_file",
    "shared_credentials_files",
    "storage_custom_endpoint",
    "sts_endpoint",
    "unlock_address",
    "workspace_dir",
];

/// OpenTofu's state encryption.
fn encryption(file: &str, block: &Block, policy: &GatePolicy, report: &mut Report) {
    for inner in &block.body.blocks {
        if matches!(inner.kind.as_str(), "key_provider" | "method")
            && inner.label(0) == "external"
            && !policy.allow_external_data
        {
            report.block(
                "encryption-external",
                (file, inner.line),
                format!("`{}` runs a program", inner.kind),
                "use a key management service",
            );
        }
        for (path, attribute) in leaves(&inner.body) {
            if (is_secret(&attribute.name) || attribute.name == "key") && attribute.value.is_written_out() {
                report.block(
                    "encryption-secret",
                    (file, attribute.line),
                    format!("`{path}` of the state encryption is written out"),
                    "use a key management service",
                );
            }
        }
    }
}

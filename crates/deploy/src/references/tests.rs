//! What is a reference and what only looks like one.

use super::*;

fn aws(role_arn: &str, external_id: &str) -> Cloud {
    let (role_arn, external_id) = (role_arn.to_owned(), external_id.to_owned());
    Cloud::Aws { role_arn, external_id, region: "eu-central-1".to_owned(), allowed_regions: vec![] }
}

const ROLE: &str = "arn:aws:iam::123456789012:role/deploy/payments";

#[test]
fn a_role_arn_is_taken_to_the_letter() {
    assert!(parse(&aws(ROLE, "tenant-7"), &StateBackend::Local {}, &[]).is_ok());
    for arn in [
        "",
        "arn:aws:iam::123456789012:user/x",
        "arn:aws:iam::12345678901:role/x",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/../admin",
        "arn:aws:iam::123456789012:role/a b",
        "arn:aws:sts::123456789012:role/x",
        "AKIAIOSFODNN7EXAMPLE",
    ] {
        let error = parse(&aws(arn, "tenant-7"), &StateBackend::Local {}, &[]).unwrap_err();
        assert_eq!(error.field(), Some("target.roleArn"), "{arn}");
    }
}

#[test]
fn an_external_id_is_required() {
    for id in ["", "x", "a b", "a\n", &"x".repeat(1225)] {
        let error = parse(&aws(ROLE, id), &StateBackend::Local {}, &[]).unwrap_err();
        assert_eq!(error.field(), Some("target.externalId"), "{id:?}");
    }
}

#[test]
fn a_key_vault_is_one_of_azure_and_nothing_else() {
    for (uri, good) in [
        ("https://payments.vault.azure.net", true),
        ("https://payments.vault.azure.net/", true),
        ("http://payments.vault.azure.net", false),
        ("https://payments.vault.azure.net.evil.example", false),
        ("https://evil.example/#.vault.azure.net", false),
        ("https://user@payments.vault.azure.net", false),
        ("https://payments.vault.azure.net/secrets/x", false),
    ] {
        assert_eq!(key_vault(uri), good, "{uri}");
    }
}

#[test]
fn a_prefix_cannot_climb() {
    for (prefix, good) in
        [("", true), ("team/a", true), ("../b", false), ("a//b", false), ("/a", false), ("a/..", false)]
    {
        assert_eq!(prefix_path(prefix), good, "{prefix}");
    }
}

#[test]
fn a_provider_is_a_source_address() {
    for (source, good) in [
        ("hashicorp/aws", true),
        ("registry.opentofu.org/hashicorp/aws", true),
        ("aws", false),
        ("../x/y", false),
        ("hashicorp/aws/../x", false),
        ("https://x/y", false),
    ] {
        assert_eq!(provider(source), good, "{source}");
    }
}

#[test]
fn a_service_account_names_its_project() {
    assert!(gcp_account("deployer@payments-prod.iam.gserviceaccount.com"));
    for email in [
        "deployer@gmail.com",
        "deployer@.iam.gserviceaccount.com",
        "x y@payments-prod.iam.gserviceaccount.com",
    ] {
        assert!(!gcp_account(email), "{email}");
    }
}

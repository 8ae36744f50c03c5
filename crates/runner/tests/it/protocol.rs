//! The parts of a life that are only words: what a runner is told, what it binds, where state is kept.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use writ_crypto::hash::{hex, sha256};
use writ_redact::{Redactor, Rules};
use writ_runner::run::{
    Bootstrap,
    backend::{override_file, settings},
    binding::{LOCK_FILE, LockFile, plan_digest, tree_digest},
    declared,
    facts::{changes, facts},
};
use writ_wire::connections::StateBackend;

use crate::plane::SALT;

fn bootstrap() -> Value {
    json!({ "serverUrl": "https://127.0.0.1:8443", "pin": "ab".repeat(32), "token": "writ_run_t0ken" })
}

fn with(member: &str, value: Value) -> Value {
    let mut bootstrap = bootstrap();
    bootstrap[member] = value;
    bootstrap
}

#[test]
fn a_bootstrap_needs_only_where_whom_and_the_token() {
    let read = Bootstrap::read(bootstrap().to_string().as_bytes()).unwrap();
    assert_eq!((read.token.expose(), read.tool.as_str(), read.grace_seconds), ("writ_run_t0ken", "any", 60));
    assert!(read.identity.is_none() && !read.gate.allow_local_exec);
}

#[test]
fn a_bootstrap_that_is_not_one_is_refused_without_quoting_it() {
    let long = with("serverUrl", json!("x".repeat(70_000)));
    for (bootstrap, code) in [
        (json!({ "token": "writ_run_t0ken" }), "malformed_bootstrap"),
        (with("token", json!(["writ_run_t0ken"])), "malformed_bootstrap"),
        (with("writ_run_t0ken", json!(1)), "malformed_bootstrap"),
        (with("pin", json!("ab")), "malformed_pin"),
        (with("tool", json!("./terraform")), "malformed_bootstrap"),
        (with("localState", json!("state")), "malformed_bootstrap"),
        (with("graceSeconds", json!(0)), "malformed_bootstrap"),
        (with("identity", json!({ "source": "profile" })), "malformed_bootstrap"),
        (long, "bootstrap_too_large"),
    ] {
        let error = Bootstrap::read(bootstrap.to_string().as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), code, "{bootstrap}");
        assert!(!format!("{error:?}").contains("writ_run_t0ken"), "{error:?}");
    }
}

const LOCK: &str = r#"# This file is maintained automatically by "terraform init".
provider "registry.terraform.io/hashicorp/null" {
  version     = "3.2.4"
  constraints = "~> 3.0"
  hashes = [
    "zh:59f6b52ab4ff35739647f9509ee6d93d7c032985d9f8c6237d1f8a59471bbbe2",
    "h1:L5V05xwp/Gto1leRryuesxjMfgZwjb7oool4WS1UEFQ=",
  ]
}
provider "registry.opentofu.org/team/thing" {
  version = "0.1.0"
}
"#;

#[test]
fn a_lock_file_tells_each_providers_hashes() {
    let lock = LockFile::parse(LOCK.as_bytes()).unwrap();
    assert_eq!(lock.digest, format!("sha256:{}", hex(&sha256(LOCK.as_bytes()))));
    let hashes = [
        "h1:L5V05xwp/Gto1leRryuesxjMfgZwjb7oool4WS1UEFQ=",
        "zh:59f6b52ab4ff35739647f9509ee6d93d7c032985d9f8c6237d1f8a59471bbbe2",
    ];
    let expected = BTreeMap::from([
        ("registry.terraform.io/hashicorp/null".to_owned(), hashes.map(str::to_owned).to_vec()),
        ("registry.opentofu.org/team/thing".to_owned(), Vec::new()),
    ]);
    assert_eq!(lock.providers, expected);
}

#[test]
fn what_is_no_provider_or_hash_does_not_leave_with_a_lock_file() {
    let text = r#"
provider "registry.terraform.io/hashicorp/null" {
  hashes = ["h1:s3cr3t", "zh:s3cr3t", "s3cr3t", "h1:L5V05xwp/Gto1leRryuesxjMfgZwjb7oool4WS1UEFQ="]
}
provider "s3cr3t" {}
provider "registry.terraform.io/a b/S3CR3T" {}
"#;
    let expected = BTreeMap::from([(
        "registry.terraform.io/hashicorp/null".to_owned(),
        vec!["h1:L5V05xwp/Gto1leRryuesxjMfgZwjb7oool4WS1UEFQ=".to_owned()],
    )]);
    assert_eq!(LockFile::parse(text.as_bytes()).unwrap().providers, expected);
}

#[test]
fn a_lock_file_is_a_regular_file_or_none() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(LockFile::read(dir.path()).unwrap(), None);
    let path = dir.path().join(LOCK_FILE);
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    assert_eq!(LockFile::read(dir.path()).unwrap_err().code(), "malformed_lock_file");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "provider {").unwrap();
    assert_eq!(LockFile::read(dir.path()).unwrap_err().code(), "malformed_lock_file");
    std::fs::write(&path, LOCK).unwrap();
    assert_eq!(LockFile::read(dir.path()).unwrap().unwrap().providers.len(), 2);
}

fn plan() -> Value {
    json!({
        "format_version": "1.2", "timestamp": "2026-11-22T12:00:00Z", "terraform_version": "1.11.4",
        "resource_changes": [
            { "address": "a.b", "mode": "managed", "type": "a", "change": { "actions": ["create"], "after": { "n": 1 } } },
            { "address": "c.d", "mode": "managed", "type": "c", "change": { "actions": ["delete"], "after": null } },
        ],
        "relevant_attributes": [{ "resource": "a.b", "attribute": ["x"] }, { "resource": "c.d", "attribute": ["y"] }],
        "output_changes": {},
    })
}

#[test]
fn what_is_volatile_or_has_no_order_is_not_in_a_plans_digest() {
    let mut later = plan();
    later["timestamp"] = json!("2026-11-22T12:00:07Z");
    later["relevant_attributes"].as_array_mut().unwrap().reverse();
    assert_eq!(plan_digest(SALT, &later).unwrap(), plan_digest(SALT, &plan()).unwrap());
}

#[test]
fn what_a_plan_would_do_and_the_salt_are_in_its_digest() {
    let digest = plan_digest(SALT, &plan()).unwrap();
    let mut digests = vec![digest, plan_digest("ff", &plan()).unwrap()];
    // The last two differ beyond what a double tells apart.
    for after in [
        json!({ "n": 2 }),
        json!({ "n": 9_007_199_254_740_992_u64 }),
        json!({ "n": 9_007_199_254_740_993_u64 }),
    ] {
        let mut other = plan();
        other["resource_changes"][0]["change"]["after"] = after;
        digests.push(plan_digest(SALT, &other).unwrap());
    }
    let mut distinct = digests.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), digests.len(), "{digests:?}");
}

#[test]
fn facts_count_what_changes_and_nothing_else() {
    let mut plan = plan();
    let changes_of =
        |actions: Value| json!({ "mode": "managed", "type": "x", "change": { "actions": actions } });
    let list = plan["resource_changes"].as_array_mut().unwrap();
    list.extend([
        changes_of(json!(["delete", "create"])),
        changes_of(json!(["forget"])),
        changes_of(json!(["no-op"])),
        json!({ "mode": "data", "type": "data", "change": { "actions": ["read"] } }),
    ]);
    let projection = json!({ "regions": ["eu-central-1"], "images": ["ami"], "providers": ["p"] });
    let facts = facts(&plan, &projection, [&"q".to_owned()]);
    assert_eq!((facts.create, facts.update, facts.delete, facts.replace), (1, 0, 2, 1));
    assert_eq!(facts.types, BTreeMap::from([("a".to_owned(), 1), ("c".to_owned(), 1), ("x".to_owned(), 2)]));
    assert_eq!(
        (facts.regions, facts.providers),
        (vec!["eu-central-1".to_owned()], vec!["p".to_owned(), "q".to_owned()])
    );
}

#[test]
fn a_plan_changes_something_if_a_resource_an_output_or_the_tool_says_so() {
    assert!(!changes(
        &json!({ "resource_changes": [], "resource_drift": [{ "change": { "actions": ["update"] } }] })
    ));
    assert!(changes(&json!({ "output_changes": { "x": { "actions": ["update"] } } })));
    assert!(changes(&json!({ "applyable": true })));
    assert!(changes(&plan()));
}

#[test]
fn the_override_names_the_backend_and_nothing_of_it() {
    let text = override_file(&StateBackend::Gcs { bucket: "b".into(), prefix: "p".into() });
    assert_eq!(
        serde_json::from_slice::<Value>(&text).unwrap(),
        json!({ "terraform": { "backend": { "gcs": {} } } })
    );
}

#[test]
fn states_are_told_apart_by_target_below_the_prefix() {
    let pairs = |backend: &StateBackend| -> BTreeMap<String, String> {
        settings(backend, "web", Some("/states/web/terraform.tfstate".as_ref()), false)
            .unwrap()
            .into_iter()
            .collect()
    };
    let s3 = |prefix: &str, lock_table: Option<&str>| {
        let (bucket, region) = ("states".into(), "eu-central-1".into());
        pairs(&StateBackend::S3 {
            bucket,
            region,
            prefix: prefix.into(),
            lock_table: lock_table.map(Into::into),
        })
    };
    let modern = s3("acme/dev/", None);
    assert_eq!(
        (modern["key"].as_str(), modern["use_lockfile"].as_str()),
        ("acme/dev/web/terraform.tfstate", "true")
    );
    assert_eq!((modern["bucket"].as_str(), modern["encrypt"].as_str()), ("states", "true"));
    let table = s3("", Some("locks"));
    assert_eq!((table["key"].as_str(), table["dynamodb_table"].as_str()), ("web/terraform.tfstate", "locks"));
    assert!(!table.contains_key("use_lockfile") && !table.contains_key("use_path_style"));
    assert_eq!(pairs(&StateBackend::Local {})["path"], "/states/web/terraform.tfstate");
    assert_eq!(settings(&StateBackend::Local {}, "web", None, false).unwrap_err().code(), "no_local_state");
}

#[test]
fn secrets_a_configuration_declares_are_known_before_anything_is_planned() {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        (
            "a.tf",
            "variable \"one\" {\n  sensitive = true\n  default = { deep = [\"value-one-1\"] }\n}\nvariable \"open\" { default = \"ordinary-text\" }\n",
        ),
        ("b.tf.json", "{\"variable\": {\"two\": {\"ephemeral\": true, \"default\": \"value-two-2\"}}}"),
        ("c.tf", "variable \"three\" { sensitive = true }\nvariable \"four\" { sensitive = true }\n"),
        ("terraform.tfvars", "three = <<EOT\nvalue-three-3\nEOT\nopen = \"also-ordinary\"\n"),
    ];
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let given = BTreeMap::from([("four".to_owned(), json!("value-four-4"))]);
    let mut redactor = Redactor::new(&Rules::standard(), &declared::secrets(dir.path(), &given));
    for secret in ["value-one-1", "value-two-2", "value-three-3", "value-four-4"] {
        assert_eq!(redactor.text(&format!("got {secret}.")), "got [REDACTED:sensitive].", "{secret}");
    }
    assert_eq!(redactor.text("ordinary-text and also-ordinary"), "ordinary-text and also-ordinary");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn hostile_lock_files_and_bootstraps_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = LockFile::parse(&bytes);
        prop_assert!(Bootstrap::read(&*bytes).is_err());
    }
}

#[test]
fn files_have_one_digest_however_they_were_packed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("modules/x")).unwrap();
    for (name, text) in [("main.tf", "a"), ("modules/x/y.tf", "b"), ("modules-z.tf", "c")] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let files: [(&str, &[u8]); 3] = [("modules-z.tf", b"c"), ("modules/x/y.tf", b"b"), ("main.tf", b"a")];
    let expected = writ_crypto::hash::file_tree(files);
    assert_eq!(tree_digest(dir.path()).unwrap(), format!("sha256:{}", hex(&expected)));
}

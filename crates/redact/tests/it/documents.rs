//! Plans, states and machine-readable output.

#![expect(clippy::expect_used, reason = "a test may fail so")]

use serde_json::{Value, json};
use writ_redact::{
    Redactor, Values,
    json::{MASKED, collect_sensitive, mask_json},
    plan,
    ui::{Changes, redact_ui_line},
};

use crate::{RULES, redacted};

/// Made by Terraform 1.11.4 of the configuration in `plan.tf`.
const PLAN: &str = include_str!("plan.json");
const SECRETS: &[&str] = &["S3nsitive<&>\"pw\"-line1", "first-secret-line-123", "second<secret>&line-456"];

fn plan() -> Value {
    serde_json::from_str(PLAN).expect("a document of JSON")
}

fn redactor(values: &Values) -> Redactor {
    Redactor::new(&RULES, values)
}

#[test]
fn a_mask_covers_subtrees_and_follows_names_and_indices() {
    let mut value = json!({"a": {"b": 1, "c": [2, 3]}, "d": {"e": "x"}, "f": null});
    mask_json(&mut value, &json!({"a": {"c": [false, true]}, "d": true, "g": true}));
    assert_eq!(value, json!({"a": {"b": 1, "c": [2, MASKED]}, "d": MASKED, "f": null}));
}

#[test]
fn values_under_a_mask_are_collected() {
    let mut values = Values::new();
    collect_sensitive(
        &json!({"a": {"x": ["collected-one", 123_456_789]}, "b": "not-collected"}),
        &json!({"a": true}),
        &mut values,
    );
    assert_eq!(
        redacted(&values, b"collected-one 123456789 not-collected"),
        "[REDACTED:sensitive] [REDACTED:sensitive] not-collected"
    );
}

#[test]
fn all_sensitive_values_of_a_plan_are_known_by_it() {
    let values = plan::sensitive_values(&plan());
    for secret in SECRETS {
        assert_eq!(redacted(&values, secret.as_bytes()), "[REDACTED:sensitive]");
    }
    assert_eq!(
        redacted(&values, b"eu-west-1 web-0 arn:aws:iam::123456789012:role/deployer"),
        "eu-west-1 web-0 arn:aws:iam::123456789012:role/deployer"
    );
}

#[test]
fn sensitive_variables_have_no_mask_and_are_taken_from_the_configuration() {
    let plan = json!({
        "variables": {"a": {"value": "secret-of-a"}, "b": {"value": "open-value-b"}},
        "configuration": {"root_module": {"variables": {"a": {"sensitive": true}, "b": {}}}},
    });
    assert_eq!(
        redacted(&plan::sensitive_values(&plan), b"secret-of-a open-value-b"),
        "[REDACTED:sensitive] open-value-b"
    );
}

#[test]
fn sensitive_values_of_modules_in_a_state_are_known() {
    let state = json!({"values": {"root_module": {"child_modules": [{"resources": [
        {"values": {"result": "generated-by-module"}, "sensitive_values": {"result": true}}]}]}}});
    assert_eq!(redacted(&plan::sensitive_values(&state), b"generated-by-module"), "[REDACTED:sensitive]");
}

#[test]
fn the_projection_of_a_plan_holds_no_secret() {
    let plan = plan();
    // Without known values: the marks alone suffice.
    let projection = plan::project(&plan, &mut redactor(&Values::new())).to_string();
    for secret in SECRETS.iter().flat_map(|secret| [(*secret).to_owned(), Value::from(*secret).to_string()]) {
        assert!(!projection.contains(secret.trim_matches('"')), "{secret} in {projection}");
    }
}

#[test]
fn the_projection_of_a_plan_says_what_changes() {
    let projection = plan::project(&plan(), &mut redactor(&Values::new()));
    assert_eq!(
        projection["counts"],
        json!({"create": 4, "update": 0, "delete": 0, "replace": 0, "read": 0, "noop": 0})
    );
    let first = &projection["resources"][0];
    assert_eq!(first["address"], "terraform_data.a[0]");
    assert_eq!(first["provider"], "terraform.io/builtin/terraform");
    assert_eq!(first["actions"], json!(["create"]));
    assert_eq!(first["changed"], json!(["id", "input", "output", "triggers_replace"]));
    assert_eq!(first["after"]["input"]["password"], MASKED);
    assert_eq!(first["after"]["input"]["name"], "web-0");
    assert_eq!(first["after"]["id"], "(known after apply)");
    assert_eq!(projection["outputs"]["secret"]["after"], MASKED);
    assert_eq!(projection["outputs"]["secret"]["sensitive"], true);
    assert_eq!(projection["outputs"]["nested"]["after"]["list"], json!([1, 2, 3]));
    assert_eq!(projection["types"], json!(["terraform_data"]));
    assert_eq!(
        projection["images"],
        json!(["nginx@sha256:b29814cf5792e684cd75d6a7fce7a67a11887e312f87ca2ac2496d81f365ff72"])
    );
    assert_eq!(projection["truncated"], false);
}

#[test]
fn the_projection_counts_each_kind_of_change_and_collects_regions_and_images() {
    let change = |actions: Value| json!({"address": "a.b", "type": "a", "change": {"actions": actions}});
    let mut task = change(json!(["update"]));
    task["change"]["after"] =
        json!({"region": "eu-west-1", "container_definitions": "[{\"image\":\"nginx:1.27\"}]"});
    let plan = json!({
        "resource_changes": [
            change(json!(["create"])), task, change(json!(["delete"])), change(json!(["delete", "create"])),
            change(json!(["create", "delete"])), change(json!(["read"])), change(json!(["no-op"])),
        ],
        "configuration": {"provider_config": {"aws": {"expressions": {"region": {"constant_value": "us-east-1"}}}}},
    });
    let projection = plan::project(&plan, &mut redactor(&Values::new()));
    assert_eq!(
        projection["counts"],
        json!({"create": 1, "update": 1, "delete": 1, "replace": 2, "read": 1, "noop": 1})
    );
    assert_eq!(projection["regions"], json!(["eu-west-1", "us-east-1"]));
    assert_eq!(projection["images"], json!(["nginx:1.27"]));
}

#[test]
fn the_projection_of_a_huge_plan_is_bounded() {
    let change = json!({"address": "a.b", "type": "a", "change": {"actions": ["create"], "after": {"text": "x y ".repeat(10_000)}}});
    let plan = json!({"resource_changes": vec![change; 3000]});
    let projection = plan::project(&plan, &mut redactor(&Values::new()));
    assert!(projection.to_string().len() < 3 * 1024 * 1024);
    assert_eq!(projection["truncated"], true);
    assert_eq!(projection["counts"]["create"], 3000);
}

#[test]
fn an_event_is_redacted_in_its_decoded_texts() {
    let mut values = Values::new();
    assert!(values.add("db", b"zxcvb<&>\"qw"));
    let line = br#"{"@level":"info","@message":"b (local-exec): zxcvb\u003c\u0026\u003e\"qw","type":"provision_progress","hook":{"resource":{"addr":"terraform_data.b"},"output":"zxcvb\u003c\u0026\u003e\"qw"}}"#;
    let line = redact_ui_line(line, &mut redactor(&values));
    assert!(!line.text.contains("zxcvb"), "{}", line.text);
    let event = line.event.unwrap();
    assert_eq!(event.message, "b (local-exec): [REDACTED:db]");
    assert_eq!(
        (event.kind.as_str(), event.address.as_deref()),
        ("provision_progress", Some("terraform_data.b"))
    );
}

#[test]
fn events_of_an_apply_are_typed() {
    let lines = include_str!("ordinary/apply.jsonl").lines();
    let mut redactor = redactor(&Values::new());
    let events: Vec<_> =
        lines.filter_map(|line| redact_ui_line(line.as_bytes(), &mut redactor).event).collect();
    let complete = events.iter().rfind(|event| event.kind == "apply_complete").unwrap();
    assert_eq!(complete.address.as_deref(), Some("terraform_data.a[1]"));
    assert_eq!(complete.action.as_deref(), Some("create"));
    assert_eq!(complete.elapsed, Some(std::time::Duration::ZERO));
    let summary = events.iter().rfind(|event| event.kind == "change_summary").unwrap();
    assert_eq!(summary.changes, Some(Changes { add: 1, change: 0, remove: 1, import: 0 }));
}

#[test]
fn source_code_in_a_diagnostic_is_withheld() {
    let line = json!({"@level": "error", "@message": "Error: x", "type": "diagnostic", "diagnostic": {
        "severity": "error", "summary": "x", "detail": "failed with password=hunter2", "address": "a.b",
        "range": {"filename": "main.tf", "start": {"line": 7}},
        "snippet": {"code": "  content = \"inline-private-text\"", "values": [{"traversal": "var.x", "statement": "is \"plain\""}]}}});
    let line = redact_ui_line(line.to_string().as_bytes(), &mut redactor(&Values::new()));
    assert!(!line.text.contains("inline-private-text") && !line.text.contains("hunter2"), "{}", line.text);
    let diagnostic = line.event.unwrap().diagnostic.unwrap();
    assert_eq!(diagnostic.detail, "failed with password=[REDACTED:assignment]");
    assert_eq!(diagnostic.place, Some(("main.tf".to_owned(), 7)));
}

#[test]
fn an_output_whose_name_says_that_it_is_secret_is_redacted_in_the_projection() {
    let change = json!({"actions": ["update"], "before": "first-value-1", "after": "second-value-2"});
    let plan = json!({"output_changes": {"database_password": change, "address": change}});
    let projection = plan::project(&plan, &mut redactor(&Values::new()));
    let shown = projection["outputs"]["database_password"].to_string();
    assert!(!shown.contains("-value-"), "{shown}");
    assert_eq!(projection["outputs"]["address"]["after"], "second-value-2");
}

#[test]
fn a_sensitive_output_is_masked_even_if_the_tool_prints_it() {
    let line = br#"{"@level":"info","@message":"Outputs: 1","outputs":{"x":{"sensitive":true,"type":"string","value":"plainword"}},"type":"outputs"}"#;
    assert!(!redact_ui_line(line, &mut redactor(&Values::new())).text.contains("plainword"));
}

#[test]
fn a_plain_line_among_events_is_redacted_as_text() {
    let line = redact_ui_line(b"Acquiring state lock with token=abcdef123\n", &mut redactor(&Values::new()));
    assert_eq!(line.text, "Acquiring state lock with token=[REDACTED:assignment]");
    assert_eq!(line.event, None);
}

#[test]
fn a_member_with_a_secret_name_is_redacted() {
    let mut value =
        json!({"password": "hunter2", "key": "Name", "nested": [{"api_token": "abcdef123"}], "token": null});
    writ_redact::json::redact(&mut value, &mut redactor(&Values::new()));
    assert_eq!(
        value,
        json!({"password": "[REDACTED:assignment]", "key": "Name", "nested": [{"api_token": "[REDACTED:assignment]"}], "token": null})
    );
}

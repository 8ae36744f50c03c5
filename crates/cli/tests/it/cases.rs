//! `writ policy test --offline`.

use serde_json::json;

use crate::terminal::Terminal;

const CASES: &str = r#"{"cases": [
    {"name": "developers plan", "expect": "allow", "action": "runtime.deployments.create", "roles": ["developer"]},
    {"name": "prod needs an approval", "expect": "deny", "action": "runtime.deployments.apply",
     "roles": ["developer"], "environment": "prod"},
    {"name": "and has one", "expect": "allow", "action": "runtime.deployments.apply",
     "roles": ["developer"], "environment": "prod", "approvals": 1},
    {"name": "nobody does nothing", "expect": "deny", "action": "runtime.deployments.create"}
]}"#;

#[test]
fn cases_that_come_out_as_expected_succeed() {
    let terminal = Terminal::new();
    terminal.file("cases.json", CASES);
    let said = terminal.run("policy test cases.json --offline").well();
    assert!(said.out.contains("4 cases, 0 failed"), "{}", said.out);
    assert!(
        said.out.contains("production-demands-an-approval"),
        "the deciding policy is named: {}",
        said.out
    );
}

#[test]
fn own_policies_hold_beside_the_built_in_ones() {
    let terminal = Terminal::new();
    terminal.file("cases.json", CASES);
    let freeze =
        r#"@id("freeze") forbid (principal, action == Writ::Action::"runtime.deployments.apply", resource);"#;
    terminal.file("freeze.cedar", freeze);
    let said = terminal.run("--json policy test cases.json --offline --policies freeze.cedar");
    assert_eq!(said.code, 1, "{}", said.err);
    let failed =
        json!({ "name": "and has one", "decision": "deny", "passed": false, "reasons": ["tenant/freeze"] });
    assert_eq!(said.json()["results"][2], failed);
    assert_eq!(said.json()["passed"], false);
}

#[test]
fn malformed_policies_and_cases_are_usage_errors() {
    let terminal = Terminal::new();
    terminal.file("cases.json", CASES);
    terminal.file("broken.cedar", "permit (principal");
    assert_eq!(terminal.run("policy test cases.json --offline --policies broken.cedar").code, 2);
    terminal
        .file("odd.json", r#"{"cases": [{"name": "x", "expect": "maybe", "action": "policy.sets.read"}]}"#);
    terminal.run("policy test odd.json --offline").badly(2, "neither `allow` nor `deny`");
    terminal.file("odd.json", r#"{"cases": [{"name": "x", "expect": "deny", "action": "no.such.action"}]}"#);
    terminal.run("policy test odd.json --offline").badly(2, "`no.such.action` is not an action");
    terminal.file("odd.json", r#"{"cases": [{"name": "x", "expect": "deny", "acton": "policy.sets.read"}]}"#);
    terminal.run("policy test odd.json --offline").badly(2, "`acton`");
}

#[test]
fn cases_may_come_in_on_standard_input() {
    Terminal::new().typing(CASES, "policy test - --offline").well();
}

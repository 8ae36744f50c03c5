//! A first day with a server, in one terminal after another.

use std::fs;

use serde_json::json;

use crate::{
    house::House,
    terminal::{Said, Terminal},
};

#[test]
fn a_first_day() {
    let house = House::without_tool();
    let root = house.person(&initialise(&house));
    let ada = house.person(&a_tenant(&root));
    people_and_roles(&house, &ada);
    environments_and_connections(&ada);
    policies(&ada);
    keys(&house, &ada);
    a_deployment_without_a_tool(&house, &ada);
    evidence(&house, &ada);
    sealing(&root);
    leaving(&ada);
}

/// The enrolment token of the first administrator.
fn initialise(house: &House) -> String {
    let stranger = house.stranger();
    assert_eq!(stranger.run("--json status").json()["initialized"], false);
    assert_eq!(stranger.run("status").code, 1, "a script can wait for the server to hold its keys");
    stranger.run("unseal").badly(1, "initialise it with `writ init`");
    let said = stranger.run("init --protection dev-file --admin root").well();
    assert!(said.line().starts_with("writ_enrol_"), "a secret stands alone on standard output: {}", said.out);
    stranger.run("init --protection dev-file --admin root").badly(1, "error: ");
    stranger.run("status").well();
    stranger.run("whoami").badly(1, "error: ");
    said.line().to_owned()
}

/// The enrolment token of a tenant's administrator.
fn a_tenant(root: &Terminal) -> String {
    assert_eq!(root.run("--json whoami").json()["name"], "root");
    let profile = root.home().join(".config/writ/profile.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(profile).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "nobody else reads the session's token");
    let said = root.run("tenant create acme --admin ada").well();
    assert!(said.err.contains("tenant acme"), "{}", said.err);
    assert!(root.run("tenant list").well().out.contains("acme"));
    said.line().to_owned()
}

fn people_and_roles(house: &House, ada: &Terminal) {
    let token = ada.run("person add bob --display-name Bob").well().line().to_owned();
    ada.run("person add eve").well();
    ada.run("person add bob").badly(1, "error: ");
    ada.run("role bind developer bob").well();
    ada.run("role bind approver eve --expires-in 8h").well();
    ada.run("role bind developer nobody")
        .badly(1, "there is neither a person nor a service account `nobody`");
    let roles = ada.run("role list --all").well().out;
    assert!(roles.lines().any(|line| line.starts_with("developer") && line.contains("bob")), "{roles}");
    let bob = house.person(&token);
    bob.run("tenant create mine --admin bob").badly(1, "error: ");
    house.stranger().typing(&token, "login").badly(1, "an enrolment token is good once");
    ada.run("service add ci --owner bob --purpose builds").well();
    assert!(ada.run("service list").well().out.contains("builds"));
    let page = ada.run("--json person list --limit 1").well().json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let next = page["next"].as_str().unwrap();
    let following = ada.run(&format!("--json person list --limit 1 --after {next}")).well().json();
    assert_ne!(following["items"][0]["id"], page["items"][0]["id"]);
    let all = ada.run("--json person list --all").well().json();
    assert_eq!((all["items"].as_array().unwrap().len(), all.get("next")), (3, None));
}

fn environments_and_connections(ada: &Terminal) {
    ada.run("env create dev --kind dev").well();
    ada.run("env create prod --kind prod --required-approvals 1").well();
    let updated = ada.run("--json env update prod --required-approvals 2").well().json();
    assert_eq!(updated["requiredApprovals"], 2);
    ada.run("env update prod").badly(2, "nothing says what to change");
    ada.run("connection create lab --env dev --local").well();
    assert!(ada.run("connection preflight lab").well().out.contains("nothing blocks"));
    let refused = ada.run("connection create core --env prod --local").badly(1, "environment of kind dev");
    assert!(refused.err.contains("trace: "), "a refusal can be asked about: {}", refused.err);
    ada.run("connection create aws --env prod --role-arn x").badly(2, "is missing");
    let file = json!({
        "name": "cloud", "environment": "prod",
        "target": { "cloud": "aws", "roleArn": "arn:aws:iam::123456789012:role/writ", "externalId": "acme-prod-1",
            "region": "eu-central-1" },
        "backend": { "kind": "s3", "bucket": "acme-state", "region": "eu-central-1", "prefix": "prod" },
    });
    ada.file("cloud.json", file.to_string());
    ada.run("connection create --file cloud.json").well();
    assert_eq!(ada.run("--json connection show cloud").well().json()["target"]["cloud"], "aws");
    ada.run("connection delete cloud").well();
    ada.run("connection show cloud").badly(1, "there is no connection `cloud`");
}

fn policies(ada: &Terminal) {
    let freeze =
        r#"@id("freeze") forbid (principal, action == Writ::Action::"runtime.deployments.apply", resource);"#;
    ada.file("freeze.cedar", freeze);
    let case = json!({ "name": "frozen", "expect": "deny", "action": "runtime.deployments.apply", "roles": ["developer"] });
    ada.file("cases.json", json!({ "cases": [case] }).to_string());
    assert_eq!(ada.run("policy test cases.json").code, 1, "not before it is put");
    ada.run("policy test cases.json --policies freeze.cedar").well();
    ada.run("policy put freeze.cedar").well();
    ada.run("policy test cases.json").well();
    assert_eq!(ada.run("policy show").well().out.trim_end(), freeze);
    ada.file("broken.cedar", "permit (principal");
    assert_ne!(ada.run("policy put broken.cedar").code, 0);
    assert_eq!(ada.run("policy show").well().out.trim_end(), freeze);
}

fn keys(house: &House, ada: &Terminal) {
    let said = ada.run("key create laptop --scope identity.* --expires-in 30d").well();
    let secret = said.line().to_owned();
    let program = house.stranger().with("WRIT_TOKEN", &secret);
    assert_eq!(program.run("--json whoami").well().json()["scopes"], json!(["identity.*"]));
    program.run("env list").badly(1, "scope");
    let listed = ada.run("key list").well().out;
    assert!(listed.contains("laptop") && !listed.contains(&secret), "{listed}");
    let id = ada.run("--json key list").json()["items"][0]["id"].as_str().unwrap().to_owned();
    ada.run(&format!("key revoke {id}")).well();
    program.run("whoami").badly(1, "error: ");
}

/// A deployment is followed to its end, which is the program's end too.
fn a_deployment_without_a_tool(house: &House, ada: &Terminal) {
    let developer = house.member(ada, "dan", "developer");
    developer.file("net/main.tf", "output \"x\" { value = 1 }\n");
    developer.run("deploy absent --connection lab --target net").badly(2, "`absent` cannot be read");
    developer.run("deploy net --connection lab --target net --timeout 10h").badly(2, "1 minute to 4 hours");
    let said = developer.run("deploy net --connection lab --target net --follow --reason first");
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.err.contains("uploading directory net (1 file,"), "{}", said.err);
    let listed = developer.run("--json deployment list --env dev --target net").well().json();
    let deployment = &listed["items"][0];
    assert_eq!((&deployment["state"], &deployment["reason"]), (&json!("failed"), &json!("first")));
    let id = deployment["id"].as_str().unwrap();
    assert!(said.out.contains(&format!("deployment {id}: failed")), "{}", said.out);
    assert!(developer.run(&format!("deployment show {id}")).well().out.contains("failed"));
    developer.run(&format!("deployment cancel {id}")).badly(1, "error: ");
}

/// What the server exports verifies without it, and continues what was seen of it before.
fn evidence(house: &House, ada: &Terminal) {
    let auditor = house.member(ada, "ian", "auditor");
    let refusals = auditor.run("--json evidence list --outcome refuse --all").well().json();
    let refusal = refusals["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|record| record["action"] == "runtime.connections.create");
    let id = refusal.unwrap()["id"].as_str().unwrap().to_owned();
    assert!(auditor.run(&format!("evidence show {id}")).well().out.contains("refuse"));
    let log = auditor.run("--json evidence log").well().json();
    let keys: Vec<_> = log["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    auditor.file("keys", keys.join("\n"));
    // Its place in the tree comes within a second.
    let mut proved = auditor.run(&format!("evidence proof {id} --to proof"));
    while proved.code != 0 && proved.err.contains("yet") {
        proved = auditor.run(&format!("evidence proof {id} --to proof"));
    }
    proved.well();
    let line = format!("evidence verify --leaf proof/{id}.leaf --proof proof/{id}.tlog-proof --key keys");
    auditor.run(&line).well();
    let checkpoint = auditor.run("evidence checkpoint").well().out;
    auditor.file("earlier", checkpoint);
    auditor.run("evidence export --to log.tar.gz").well();
    auditor.run("evidence export --to log.tar.gz").badly(2, "is there already");
    let said = auditor.run("evidence verify log.tar.gz --key keys --known earlier").well();
    assert!(said.out.ends_with("evidence verified\n"), "{}", said.out);
}

fn sealing(root: &Terminal) {
    root.run("seal").well();
    assert_eq!(root.run("--json status").json()["sealed"], true);
    root.run("whoami").badly(1, "unseal it with `writ unseal`");
    assert!(root.run("unseal").well().out.contains("unsealed"));
    root.run("whoami").well();
}

fn leaving(ada: &Terminal) {
    let Said { out, .. } = ada.run("session list").well();
    assert!(out.contains("desk"), "{out}");
    ada.run("logout").well();
    ada.run("whoami").badly(2, "log in with `writ login`");
    ada.run("logout").well();
}

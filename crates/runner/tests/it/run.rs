//! Whole lives of a runner, with the real tool.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use writ_kernel::Result;
use writ_runner::{
    run::{Bootstrap, live},
    sandbox::Launcher,
};

use crate::{
    borrowing::{System, world},
    common::{alive, launcher},
    plane::{Plane, Turn, app, canary},
};

const SECRET: &str = "s3cr3t-Zx81-wibble";

/// Where the states of a target are kept over its runs.
pub(crate) struct States(TempDir);

impl States {
    pub(crate) fn new() -> Self {
        Self(reachable())
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("web/terraform.tfstate")
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }
}

pub(crate) fn reachable() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    dir
}

/// One life against `plane`, with `more` in its bootstrap, and what the plane has heard of it.
pub(crate) async fn life(plane: Plane, states: &States, more: &Value) -> (Plane, Result<()>) {
    let plane = Arc::new(Mutex::new(plane));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(axum::serve(listener, app(Arc::clone(&plane))).into_future());
    let places = reachable();
    let mut bootstrap = json!({
        "serverUrl": format!("http://{address}"), "token": "writ_run_once", "tool": "any", "graceSeconds": 5,
        "workspaceParent": places.path(), "localState": states.file(), "gate": { "allowLocalExec": true },
    });
    bootstrap.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let bootstrap = Bootstrap::read(bootstrap.to_string().as_bytes()).unwrap();
    let launcher = Launcher { program: launcher(), args: Vec::new() };
    let result = live(bootstrap, None, launcher, world(&Arc::new(System))).await;
    serving.abort();
    let left: Vec<_> = std::fs::read_dir(places.path()).unwrap().collect();
    assert!(left.is_empty(), "something of the workspace is left: {left:?}");
    let heard = std::mem::take(&mut *plane.lock().unwrap());
    (heard, result)
}

/// A life that is told to its end.
async fn told(plane: Plane, states: &States) -> Plane {
    told_with(plane, states, &json!({})).await
}

pub(crate) async fn told_with(plane: Plane, states: &States, more: &Value) -> Plane {
    let (heard, result) = life(plane, states, more).await;
    result.unwrap();
    assert_eq!(heard.finish()["outputDigest"], json!(heard.digest()));
    assert_eq!(heard.finish()["wiped"], true);
    for body in &heard.bodies {
        assert!(!body.contains(SECRET), "{body}");
        assert!(!canary().sighted(body.as_bytes()), "{body}");
        assert!(!body.contains("writ_runner_session"), "{body}");
    }
    heard
}

/// Checks the word for machines, and quotes what was said when it is another.
pub(crate) fn assert_ends(heard: &Plane, code: &str) {
    assert_eq!(heard.finish()["outcome"]["code"], code, "{} {}", heard.finish(), heard.said());
}

const LEAKY: &str = r#"
variable "password" {
  type      = string
  sensitive = true
}
resource "terraform_data" "x" {
  input = var.password
}
resource "terraform_data" "shout" {
  provisioner "local-exec" {
    command = "echo canary $WRIT_CANARY; head -1 terraform.tfvars; head -1 terraform.tfvars | base64; echo done shouting"
  }
}
output "open" { value = "plain" }
output "closed" {
  value     = var.password
  sensitive = true
}
"#;

fn leaky() -> Plane {
    let mut plane = Plane::permitting(LEAKY);
    plane.files.push(("terraform.tfvars".to_owned(), format!("password = \"{SECRET}\"\n")));
    plane
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_planned_applied_and_told_in_order_although_every_answer_is_lost_once() {
    let states = States::new();
    let heard = told(Plane { lossy: true, ..leaky() }, &states).await;
    assert_ends(&heard, "applied");
    let finish = heard.finish();
    assert_eq!(finish["succeeded"], true);
    assert_eq!(finish["outcome"]["outputs"], json!({ "open": "plain" }));
    // Repeated, never skipped, never taken twice.
    assert_eq!(heard.taken, (1..=heard.taken.len() as u64).collect::<Vec<_>>());
    assert!(heard.tries.values().all(|tries| *tries == 2), "{:?}", heard.tries);
    let said = heard.said();
    for words in ["apply: terraform_data.shout", "done shouting", "[REDACTED:canary]", "Plan: 2 to add"] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    assert!(finish["redactions"]["canary"].as_u64().unwrap() >= 1, "{finish}");
    // The check and the walls are on record before the plan is submitted.
    let kinds: Vec<_> = heard.events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["checked", "isolated"]);
    let kept = states.state();
    assert_eq!(
        (&finish["state"]["lineage"], &finish["state"]["serial"]),
        (&kept["lineage"], &kept["serial"])
    );
    let plan = heard.plan.as_ref().unwrap();
    assert_eq!(plan["facts"]["create"], 2);
    assert_eq!(plan["facts"]["types"], json!({ "terraform_data": 2 }));
    assert_eq!((&plan["changes"], &plan["bound"]["stateSerial"]), (&json!(true), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_runs_go_on_from_the_state_and_what_is_removed_is_gone() {
    let states = States::new();
    assert_ends(&told(leaky(), &states).await, "applied");
    let again = told(leaky(), &states).await;
    let bound = &again.plan.as_ref().unwrap()["bound"];
    let (lineage, serial) = (states.state()["lineage"].clone(), states.state()["serial"].clone());
    assert_eq!((&bound["stateLineage"], &again.plan.as_ref().unwrap()["changes"]), (&lineage, &json!(false)));
    assert!(serial.as_u64() >= bound["stateSerial"].as_u64());
    let gone = told(Plane { mode: "destroy", ..leaky() }, &states).await;
    assert_ends(&gone, "destroyed");
    assert_eq!(gone.plan.as_ref().unwrap()["facts"]["delete"], 2);
    assert_eq!(states.state()["resources"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identical_plan_has_the_same_binding_and_another_has_not() {
    let (states, mut bindings) = (States::new(), Vec::new());
    let wait = json!({ "decision": "wait", "reason": "1 approval(s) needed" });
    for main in
        [LEAKY, LEAKY, &LEAKY.replace("echo done", "echo gone"), &LEAKY.replace("\"plain\"", "\"other\"")]
    {
        let mut plane = Plane { decision: wait.clone(), ..leaky() };
        main.clone_into(&mut plane.files[0].1);
        let heard = told(plane, &states).await;
        assert_ends(&heard, "waiting");
        bindings.push(heard.plan.unwrap()["bound"].clone());
    }
    assert_eq!(bindings[0], bindings[1]);
    assert_ne!(bindings[0]["configuration"], bindings[2]["configuration"]);
    assert_ne!(bindings[0]["plan"], bindings[3]["plan"], "an output differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_refused_costs_no_step() {
    let main = "data \"http\" \"x\" { url = \"http://169.254.169.254/\" }";
    let heard = told(Plane::permitting(main), &States::new()).await;
    assert_ends(&heard, "static_gate_refused");
    assert_eq!((heard.events.len(), &heard.events[0]["passed"]), (1, &json!(false)));
    assert!(heard.plan.is_none());
    assert!(heard.lines.iter().all(|(step, _)| step == "check"), "{}", heard.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_fails_says_why_without_its_secrets() {
    let main = format!(
        "variable \"p\" {{\n  default = \"{SECRET}\"\n  sensitive = true\n}}\n\
         resource \"terraform_data\" \"x\" {{\n  lifecycle {{\n    precondition {{\n      condition = var.p == \"\"\n      \
         error_message = \"because of ${{nonsensitive(var.p)}}\"\n    }}\n  }}\n}}\n"
    );
    let heard = told(Plane::permitting(&main), &States::new()).await;
    assert_ends(&heard, "plan_failed");
    assert!(heard.said().contains("because of [REDACTED:sensitive]"), "{}", heard.said());
}

fn sleeping(marker: &str) -> String {
    format!(
        "resource \"terraform_data\" \"x\" {{\n  provisioner \"local-exec\" {{ command = \"echo begun; sleep {marker}\" }}\n}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_known_no_more_stops_its_tool_and_leaves_nothing() {
    let plane = Plane { turn: Some(("): begun", Turn::Over)), ..Plane::permitting(&sleeping("80020")) };
    let (heard, result) = life(plane, &States::new(), &json!({})).await;
    assert_eq!(result.unwrap_err().code(), "run_over");
    assert!(heard.said().contains("): begun"));
    assert_eq!(alive("80020"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_apply_is_stopped_and_says_what_is_left() {
    let plane = Plane { turn: Some(("): begun", Turn::Cancel)), ..Plane::permitting(&sleeping("80021")) };
    let heard = told(plane, &States::new()).await;
    assert_ends(&heard, "cancelled");
    assert_eq!((&heard.finish()["cancelled"], &heard.finish()["succeeded"]), (&json!(true), &json!(false)));
    assert!(
        heard.finish()["outcome"]["detail"].as_str().unwrap().contains("a part of the plan was carried out")
    );
    assert_eq!(alive("80021"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_out_of_time_is_stopped_before_its_deadline_and_says_so() {
    let heard = told(Plane { seconds: 12, ..Plane::permitting(&sleeping("80022")) }, &States::new()).await;
    assert_ends(&heard, "timed_out");
    assert_eq!(alive("80022"), 0);
}

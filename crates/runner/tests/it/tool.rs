//! The real tools, driven through the sandbox. Built-in resources need no provider and so no network.

use std::{ffi::OsString, fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use writ_crypto::SecretString;
use writ_runner::{
    sandbox::Sandbox,
    tool::{
        Bounds, Chunk, Drive, Flavour, PlanChanges, PlanFile, PlanMode, Preference, Setting, StepOutcome,
        Stop, Tool, Verdict, Watch,
    },
    workspace::Workspace,
};

use crate::common::{alive, configured, sandbox};

fn search() -> OsString {
    std::env::var_os("PATH").unwrap()
}

/// Every tool this machine has; `WRIT_TOFU` names an OpenTofu outside `PATH`.
async fn tools() -> Vec<Tool> {
    let mut wanted = vec![Preference::Terraform, Preference::OpenTofu];
    wanted.extend(std::env::var_os("WRIT_TOFU").map(|path| Preference::Path(path.into())));
    let mut tools = Vec::new();
    for preference in wanted {
        tools.extend(Tool::find(&preference, &search()).await.ok());
    }
    assert!(!tools.is_empty(), "these tests need OpenTofu or Terraform on PATH");
    tools
}

fn setting() -> Setting {
    Setting {
        directory: PathBuf::new(),
        backend: Vec::new(),
        variables: serde_json::Map::new(),
        mirror: None,
        env: Vec::new(),
        readable: Vec::new(),
        writable: Vec::new(),
        lock_timeout: Duration::ZERO,
    }
}

/// A watch, and the end of its sink.
fn listening(bounds: Bounds) -> (Watch, mpsc::Receiver<Chunk>) {
    let (sink, output) = mpsc::channel(8);
    (Watch { sink, cancel: CancellationToken::new(), bounds }, output)
}

/// Takes output until `word` was in it.
async fn until(output: &mut mpsc::Receiver<Chunk>, word: &str) {
    let mut text = String::new();
    while !text.contains(word) {
        let chunk = output.recv().await.unwrap_or_else(|| panic!("no `{word}` in {text}"));
        text.push_str(&String::from_utf8_lossy(&chunk.bytes));
    }
}

/// A watch whose output nobody wants.
fn quiet() -> Watch {
    let (sink, output) = mpsc::channel(1);
    drop(output);
    Watch { sink, cancel: CancellationToken::new(), bounds: Bounds::default() }
}

async fn planned(drive: &Drive<'_>) -> PlanFile {
    let outcome = drive.init(&quiet()).await.unwrap();
    assert!(outcome.succeeded(), "{outcome:?}");
    let (outcome, plan) = drive.plan(PlanMode::Apply, &quiet()).await.unwrap();
    plan.unwrap_or_else(|| panic!("{outcome:?}"))
}

const GREETING: &str = r#"
variable "name" { type = string }
resource "terraform_data" "greeting" {
  input = "hello ${var.name}"
}
output "greeting" { value = terraform_data.greeting.output }
"#;

#[tokio::test]
async fn a_configuration_is_planned_applied_and_destroyed() {
    for tool in tools().await {
        let (sandbox, workspace) = (sandbox(), configured(GREETING));
        let variables = serde_json::from_str(r#"{"name": "ann"}"#).unwrap();
        let drive = Drive::begin(&tool, &sandbox, &workspace, Setting { variables, ..setting() }).unwrap();
        let plan = planned(&drive).await;
        assert!(drive.validate(&quiet()).await.unwrap().succeeded());
        let document = drive.show_plan(&plan, &quiet()).await.unwrap();
        assert_eq!(document.changes, PlanChanges { create: 1, outputs: 1, ..PlanChanges::default() });

        let before = drive.state(&quiet()).await.unwrap();
        assert_eq!(before.lineage, None);
        let applied = drive.apply(&plan, &quiet()).await.unwrap();
        let after = drive.state(&quiet()).await.unwrap();
        assert_eq!(applied.verdict(Some(&before), Some(&after)), Verdict::Done);
        assert_eq!(applied.summary.as_ref().map(|summary| (summary.add, summary.remove)), Some((1, 0)));
        assert!(after.serial > before.serial && after.lineage.is_some());

        let outputs: serde_json::Value =
            serde_json::from_slice(drive.outputs(&quiet()).await.unwrap().expose()).unwrap();
        assert_eq!(outputs["greeting"]["value"], "hello ann");
        let state = drive.show_state(&quiet()).await.unwrap();
        assert!(String::from_utf8_lossy(state.expose()).contains("terraform_data.greeting"));

        let (_, destroy) = drive.plan(PlanMode::Destroy, &quiet()).await.unwrap();
        let destroyed = drive.apply(&destroy.unwrap(), &quiet()).await.unwrap();
        assert_eq!(destroyed.summary.as_ref().map(|summary| summary.remove), Some(1));
    }
}

#[tokio::test]
async fn a_plan_is_applied_once() {
    for tool in tools().await {
        let (sandbox, workspace) = (sandbox(), configured("resource \"terraform_data\" \"a\" {}"));
        let drive = Drive::begin(&tool, &sandbox, &workspace, setting()).unwrap();
        let plan = planned(&drive).await;
        assert!(drive.apply(&plan, &quiet()).await.unwrap().succeeded());
        let state = drive.state(&quiet()).await.unwrap();
        let again = drive.apply(&plan, &quiet()).await.unwrap();
        assert!(!again.succeeded());
        let unchanged = drive.state(&quiet()).await.unwrap();
        assert_eq!(again.verdict(Some(&state), Some(&unchanged)), Verdict::Untouched);
        assert_eq!(again.error().code(), "tool_failed");
    }
}

#[tokio::test]
async fn a_plan_written_to_after_it_was_made_is_refused() {
    let tool = tools().await.remove(0);
    let (sandbox, workspace) = (sandbox(), configured("resource \"terraform_data\" \"a\" {}"));
    let drive = Drive::begin(&tool, &sandbox, &workspace, setting()).unwrap();
    let plan = planned(&drive).await;
    fs::write(&plan.path, "another plan").unwrap();
    assert_eq!(drive.apply(&plan, &quiet()).await.unwrap_err().code(), "plan_changed");
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_told_by_its_diagnostics() {
    for tool in tools().await {
        let (sandbox, workspace) = (sandbox(), configured("output \"x\" { value = local.missing }"));
        let drive = Drive::begin(&tool, &sandbox, &workspace, setting()).unwrap();
        assert!(drive.init(&quiet()).await.unwrap().succeeded());
        let validated = drive.validate(&quiet()).await.unwrap();
        assert!(!validated.succeeded());
        assert!(validated.diagnostics[0].summary.contains("undeclared local"), "{validated:?}");
        let (outcome, plan) = drive.plan(PlanMode::Apply, &quiet()).await.unwrap();
        assert!(plan.is_none());
        assert_eq!(outcome.errors, 1);
    }
}

fn local_exec(command: &str) -> String {
    format!(
        "resource \"terraform_data\" \"first\" {{}}\n\
         resource \"terraform_data\" \"second\" {{\n  depends_on = [terraform_data.first]\n  \
         provisioner \"local-exec\" {{ command = {} }}\n}}\n",
        serde_json::Value::from(command)
    )
}

/// Applies a configuration whose second resource runs `command`, and hears all of its output.
async fn provision(
    tool: &Tool,
    sandbox: &Sandbox,
    workspace: &Workspace,
    setting: Setting,
) -> (StepOutcome, String) {
    let drive = Drive::begin(tool, sandbox, workspace, setting).unwrap();
    let plan = planned(&drive).await;
    let (watch, mut output) = listening(Bounds::default());
    let hear = async {
        let mut text = Vec::new();
        while let Some(chunk) = output.recv().await {
            text.extend_from_slice(&chunk.bytes);
        }
        String::from_utf8(text).unwrap()
    };
    let apply = async {
        let watch = watch;
        drive.apply(&plan, &watch).await.unwrap()
    };
    tokio::join!(apply, hear)
}

#[tokio::test]
async fn a_provisioner_is_shut_in() {
    for tool in tools().await {
        let command = format!(
            "cat /etc/shadow; cat /proc/{}/environ; echo x > /tmp/writ-escape; echo x > /usr/writ-escape; \
             echo inside > made && echo made-$(cat made)",
            std::process::id()
        );
        let (sandbox, workspace) = (sandbox(), configured(&local_exec(&command)));
        let (outcome, output) = provision(&tool, &sandbox, &workspace, setting()).await;
        assert!(outcome.succeeded(), "{outcome:?}");
        assert!(output.contains("made-inside"), "{output}");
        assert!(!output.contains("root:"), "{output}");
        assert!(!output.contains("CARGO"), "the environment of the tests: {output}");
        assert!(!std::path::Path::new("/tmp/writ-escape").exists());
    }
}

#[tokio::test]
async fn the_tool_sees_a_cleared_environment_and_what_the_run_adds() {
    let tool = tools().await.remove(0);
    let (sandbox, workspace) = (sandbox(), configured(&local_exec("env")));
    let env = vec![
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(),
            SecretString::new("http://127.0.0.1:1/".to_owned()),
        ),
        ("HOME".to_owned(), SecretString::new("/root".to_owned())),
    ];
    let (outcome, output) = provision(&tool, &sandbox, &workspace, Setting { env, ..setting() }).await;
    assert!(outcome.succeeded(), "{outcome:?}");
    assert!(output.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:1/"), "{output}");
    assert!(
        output.contains(&format!("HOME={}", workspace.home().display())),
        "it cannot be replaced: {output}"
    );
    assert!(!output.contains("CARGO_MANIFEST_DIR"), "{output}");
}

#[tokio::test]
async fn cancelling_an_apply_leaves_a_true_account_and_no_process() {
    for tool in tools().await {
        let (sandbox, workspace) =
            (sandbox(), configured(&local_exec("echo begun; sleep 80010 & sleep 80010")));
        let drive = Drive::begin(&tool, &sandbox, &workspace, setting()).unwrap();
        let plan = planned(&drive).await;
        let before = drive.state(&quiet()).await.unwrap();
        let (watch, mut output) = listening(Bounds { grace: Duration::from_secs(20), ..Bounds::default() });
        let cancel = watch.cancel.clone();
        let stop = async {
            until(&mut output, "): begun").await;
            cancel.cancel();
            while output.recv().await.is_some() {}
        };
        let apply = async {
            let watch = watch;
            drive.apply(&plan, &watch).await.unwrap()
        };
        let (outcome, ()) = tokio::join!(apply, stop);
        assert_eq!(outcome.stopped, Some(Stop::Cancelled));
        assert_eq!(outcome.error().code(), "cancelled");
        assert_eq!((outcome.started, outcome.completed), (2, 1));
        assert_eq!(alive("80010"), 0);
        let after = drive.state(&quiet()).await.unwrap();
        assert_eq!(outcome.verdict(Some(&before), Some(&after)), Verdict::Partial);
        // The lock was given back: planning works.
        assert!(drive.plan(PlanMode::Apply, &quiet()).await.unwrap().0.succeeded());
    }
}

#[tokio::test]
async fn a_step_that_hangs_is_stopped_in_time_and_killed_when_it_does_not_listen() {
    for tool in tools().await {
        // The shell ignores what the tool sends it, so the tool waits for it beyond the grace.
        let command = "trap '' INT TERM HUP; while :; do sleep 80011; done";
        let (sandbox, workspace) = (sandbox(), configured(&local_exec(command)));
        let drive = Drive::begin(&tool, &sandbox, &workspace, setting()).unwrap();
        let plan = planned(&drive).await;
        let bounds =
            Bounds { timeout: Duration::from_secs(2), grace: Duration::from_secs(1), ..Bounds::default() };
        let outcome = drive.apply(&plan, &Watch { bounds, ..quiet() }).await.unwrap();
        assert_eq!(outcome.stopped, Some(Stop::TimedOut));
        assert_eq!(outcome.error().code(), "tool_timeout");
        assert_eq!(alive("80011"), 0);
    }
}

#[tokio::test]
async fn a_flood_of_output_is_stopped() {
    for tool in tools().await {
        let (sandbox, workspace) = (sandbox(), configured(&local_exec("exec yes 80012-flood")));
        let drive = Drive::begin(&tool, &sandbox, &workspace, setting()).unwrap();
        let plan = planned(&drive).await;
        let bounds = Bounds { output: 1 << 20, grace: Duration::from_secs(5), ..Bounds::default() };
        let (watch, mut output) = listening(bounds);
        let hear = async {
            let mut heard = 0;
            while let Some(chunk) = output.recv().await {
                heard += chunk.bytes.len();
            }
            heard
        };
        let apply = async {
            let watch = watch;
            drive.apply(&plan, &watch).await.unwrap()
        };
        let (outcome, heard) = tokio::join!(apply, hear);
        assert_eq!(outcome.stopped, Some(Stop::OutputLimit));
        assert_eq!(outcome.error().code(), "output_limit");
        assert!(heard <= 1 << 20, "{heard}");
        assert_eq!(alive("80012-flood"), 0);
    }
}

#[tokio::test]
async fn a_document_larger_than_its_bound_is_refused() {
    let tool = tools().await.remove(0);
    let (sandbox, workspace) = (
        sandbox(),
        configured("output \"x\" { value = join(\"\", [for i in range(1000) : \"0123456789\"]) }"),
    );
    let drive = Drive::begin(&tool, &sandbox, &workspace, setting()).unwrap();
    let plan = planned(&drive).await;
    let bounds = Bounds { document: 4 << 10, grace: Duration::from_secs(1), ..Bounds::default() };
    let refused = drive.show_plan(&plan, &Watch { bounds, ..quiet() }).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "output_limit");
}

#[tokio::test]
async fn the_holder_of_a_state_lock_is_named() {
    for tool in tools().await {
        let (sandbox, workspace) = (sandbox(), configured(&local_exec("echo begun; sleep 80013")));
        let drive = Drive::begin(&tool, &sandbox, &workspace, setting()).unwrap();
        let plan = planned(&drive).await;
        let (watch, mut output) = listening(Bounds { grace: Duration::from_secs(20), ..Bounds::default() });
        let contend = async {
            until(&mut output, "): begun").await;
            let (outcome, plan) = drive.plan(PlanMode::Apply, &quiet()).await.unwrap();
            watch.cancel.cancel();
            // Nobody takes the rest.
            drop(output);
            assert!(plan.is_none());
            outcome
        };
        let (_, outcome) = tokio::join!(drive.apply(&plan, &watch), contend);
        assert_eq!(outcome.error().code(), "state_locked");
        let held = outcome.lock.unwrap();
        assert_eq!(held.operation, "OperationTypeApply");
        assert_eq!(held.path, "terraform.tfstate");
        assert!(held.id.len() == 36 && held.who.contains('@') && held.created.starts_with("20"), "{held:?}");
    }
}

#[tokio::test]
async fn a_lock_file_is_binding() {
    let tool = tools().await.remove(0);
    let main = "terraform {\n  required_providers {\n    null = {\n      source = \"hashicorp/null\"\n    }\n  }\n}\n";
    let workspace = configured(main);
    let mirror = tempfile::tempdir().unwrap();
    fs::set_permissions(mirror.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(workspace.config().join(".terraform.lock.hcl"), "").unwrap();
    let sandbox = sandbox();
    let setting = Setting { mirror: Some(mirror.path().to_owned()), ..setting() };
    let drive = Drive::begin(&tool, &sandbox, &workspace, setting).unwrap();
    // The mirror is empty and the only source: nothing is fetched from anywhere else.
    let outcome = drive.init(&quiet()).await.unwrap();
    assert!(!outcome.succeeded());
    assert_eq!(fs::read_to_string(workspace.config().join(".terraform.lock.hcl")).unwrap(), "");
}

#[tokio::test]
async fn a_credential_in_the_backend_settings_is_refused() {
    let tool = tools().await.remove(0);
    let (sandbox, workspace) = (sandbox(), configured(""));
    for key in ["access_key", "secret_key", "sas_token", "assume_role.token"] {
        let backend = vec![(key.to_owned(), "x".to_owned())];
        let refused = Drive::begin(&tool, &sandbox, &workspace, Setting { backend, ..setting() }).map(|_| ());
        assert_eq!(refused.unwrap_err().code(), "sensitive_backend_key");
    }
}

#[tokio::test]
async fn a_mirror_the_tool_cannot_reach_is_a_typed_error() {
    let tool = tools().await.remove(0);
    let (sandbox, workspace) = (sandbox(), configured(""));
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let begun = |mirror: PathBuf| {
        Drive::begin(&tool, &sandbox, &workspace, Setting { mirror: Some(mirror), ..setting() }).map(|_| ())
    };
    let refused = begun(closed.path().join("mirror")).map_err(|error| error.code());
    let own_user = sandbox.account.is_some();
    assert_eq!(refused, if own_user { Err("unreachable_mirror") } else { Ok(()) });
    assert!(begun("/usr/share".into()).is_ok());
}

#[tokio::test]
async fn a_directory_outside_the_configuration_is_refused() {
    let tool = tools().await.remove(0);
    let (sandbox, workspace) = (sandbox(), configured(""));
    for directory in ["..", "/etc", "missing", "main.tf"] {
        let setting = Setting { directory: directory.into(), ..setting() };
        let refused = Drive::begin(&tool, &sandbox, &workspace, setting).map(|_| ());
        assert_eq!(refused.unwrap_err().code(), "no_such_directory");
    }
}

#[tokio::test]
async fn missing_strange_and_old_tools_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Tool::find(&Preference::Any, dir.path().as_os_str()).await.unwrap_err();
    assert_eq!(missing.code(), "missing_tool");
    let program = |says: &str| {
        let path = dir.path().join("terraform");
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    for (says, code) in [
        ("Terraform v0.11.14", "wrong_tool_version"),
        ("Terraform v2.0.0", "wrong_tool_version"),
        ("OpenTofu v1.5.9", "wrong_tool_version"),
        ("Packer v1.9.0", "unknown_tool"),
    ] {
        program(says);
        let refused = Tool::find(&Preference::Any, dir.path().as_os_str()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{says}");
    }
    program("OpenTofu v1.9.1");
    let found = Tool::find(&Preference::Any, dir.path().as_os_str()).await.unwrap();
    assert_eq!((found.flavour, found.version.to_string()), (Flavour::OpenTofu, "1.9.1".to_owned()));
    assert_eq!(found.sha256.len(), 64);
}

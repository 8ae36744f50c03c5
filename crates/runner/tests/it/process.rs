//! The runner as the process it is in the product, started over a pipe.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    common::{alive, example},
    plane::{Plane, app},
    run::{States, reachable},
};

fn start(bootstrap: &Value) -> Child {
    let mut child = Command::new(example("runner"))
        .arg("runner")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bootstrap.to_string().as_bytes()).unwrap();
    child
}

/// A control plane that is listening.
async fn listening(plane: Plane) -> (Arc<Mutex<Plane>>, String) {
    let plane = Arc::new(Mutex::new(plane));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app(Arc::clone(&plane))).into_future());
    (plane, url)
}

async fn ended(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

/// Waits until the plane has heard `word`.
async fn until(plane: &Mutex<Plane>, word: &str) {
    for _ in 0..600 {
        if plane.lock().unwrap().said().contains(word) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // another process tells no other way
    }
    panic!("no `{word}` in {}", plane.lock().unwrap().said());
}

fn sleeping(marker: &str) -> Plane {
    Plane::permitting(&format!(
        "resource \"terraform_data\" \"x\" {{\n  provisioner \"local-exec\" {{ command = \"echo begun; sleep {marker}\" }}\n}}\n"
    ))
}

fn entries(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_keeps_its_token_to_itself_and_its_state_where_others_cannot_go() {
    let (plane, url) = listening(sleeping("1")).await;
    let places = reachable();
    // The server's directories are closed to the identity the tool runs as.
    let closed = tempfile::tempdir().unwrap();
    let state = closed.path().join("tenant/dev/web/terraform.tfstate");
    let child = start(&json!({
        "serverUrl": url, "token": "writ_run_once", "workspaceParent": places.path(), "localState": state,
        "gate": { "allowLocalExec": true },
    }));
    until(&plane, "): begun").await;
    let process = Path::new("/proc").join(child.id().to_string());
    for name in ["cmdline", "environ"] {
        let bytes = fs::read(process.join(name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("writ_run_once") && !text.contains("writ_runner_session"), "{name}: {text}");
    }
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let output = ended(child).await;
    let heard = plane.lock().unwrap();
    assert_eq!(heard.finish()["outcome"]["code"], "applied", "{} {}", heard.finish(), heard.said());
    assert!(output.status.success());
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0), "{output:?}");
    assert_eq!(entries(places.path()), Vec::<String>::new());
    let kept: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    assert_eq!(kept["serial"], heard.finish()["state"]["serial"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_killed_takes_its_tool_and_its_workspace_along() {
    let (plane, url) = listening(sleeping("80030")).await;
    let (places, states) = (reachable(), States::new());
    let mut child = start(&json!({
        "serverUrl": url, "token": "writ_run_once", "workspaceParent": places.path(), "localState": states.file(),
        "gate": { "allowLocalExec": true },
    }));
    until(&plane, "): begun").await;
    assert!(alive("80030") > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..200 {
        if alive("80030") == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // the kernel tells no other way
    }
    assert_eq!(alive("80030"), 0);
    // Where this process may mount, all that is left are the empty places of what was mounted.
    for name in entries(places.path()) {
        assert_eq!(entries(&places.path().join(&name)), Vec::<String>::new(), "{name}");
    }
    assert!(plane.lock().unwrap().finish.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_told_to_end_stops_the_tool_and_tells_the_truth() {
    let (plane, url) = listening(sleeping("80031")).await;
    let (places, states) = (reachable(), States::new());
    let child = start(&json!({
        "serverUrl": url, "token": "writ_run_once", "workspaceParent": places.path(), "localState": states.file(),
        "gate": { "allowLocalExec": true }, "graceSeconds": 5,
    }));
    until(&plane, "): begun").await;
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(ended(child).await.status.success(), "its end was told");
    let heard = plane.lock().unwrap();
    assert_eq!(heard.finish()["outcome"]["code"], "interrupted", "{}", heard.finish());
    assert_eq!((&heard.finish()["cancelled"], alive("80031")), (&json!(false), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_is_one_line_without_the_token() {
    let nobody = json!({ "serverUrl": "https://127.0.0.1:1", "token": "writ_run_once" });
    for bootstrap in [json!({ "token": "writ_run_once" }), nobody] {
        let output = ended(start(&bootstrap)).await;
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        let line: Value = serde_json::from_str(said.trim_end()).unwrap();
        assert!(line["error"].is_string() && said.lines().count() == 1, "{said}");
        assert!(!said.contains("writ_run_once"), "{said}");
    }
}

//! Configurations that mean harm.

use std::{fs, time::Duration};

use rustix::process::Signal;
use writ_wire::deployments::State;

use crate::{
    house::{CANARY, Followed, House, Tenant, eventually},
    processes::{self, marker},
};

/// Runs `script` while it applies.
fn running(script: &str) -> String {
    format!(
        r#"
resource "terraform_data" "hostile" {{
  provisioner "local-exec" {{
    command = <<-EOT
      {script}
    EOT
  }}
}}
"#
    )
}

/// Deploys, and makes sure that nothing of the run is left.
async fn deploy(house: &House, tenant: &Tenant, script: &str) -> Followed {
    let dev = tenant.workbench("dev", 0).await;
    let followed = tenant.deploy_main(&dev, &running(script)).await;
    eventually("the end of the runner", || house.runners().is_empty().then_some(())).await;
    assert_eq!(house.left_in_workspaces(), Vec::<std::path::PathBuf>::new());
    followed
}

async fn lenient() -> (House, Tenant) {
    let house = House::start("allow_local_exec = true").await;
    let tenant = Tenant::found(&house).await;
    (house, tenant)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_refused_before_anything_ran() {
    let house = House::start("").await;
    let tenant = Tenant::found(&house).await;
    let dev = tenant.workbench("dev", 0).await;
    let marker = house.directory().join("ran");
    let refused = tenant.deploy_main(&dev, &running(&format!("touch {}", marker.display()))).await;
    let refused = refused.must(State::Failed, "static_gate_refused");
    assert!(
        refused.lines.iter().all(|line| ["check", "runner"].contains(&line.step.as_str())),
        "{}",
        refused.text()
    );
    assert!(!marker.exists());
    assert!(refused.deployment.plan.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn gigabytes_of_output_end_the_run_and_not_the_server() {
    let (house, tenant) = lenient().await;
    let followed = deploy(&house, &tenant, "yes $(head -c 4000 /dev/zero | tr '\\0' x) | head -c 4G").await;
    assert_eq!(followed.ended(), (State::Failed, "output_limit"), "{:?}", followed.deployment.outcome);
    let size: u64 =
        crate::house::files_below(&house.data()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(size < 400 << 20, "{size} bytes are kept");
    house.client(None).get::<serde_json::Value>("/healthz").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_forks_and_hides_dies_with_its_run() {
    let (house, tenant) = lenient().await;
    let marker = marker(1);
    let script = format!(
        "for i in $(seq 1 40); do (setsid sh -c '(sleep {marker} &) ; sleep {marker}' >/dev/null 2>&1 &) ; done; echo forked"
    );
    let followed = deploy(&house, &tenant, &script).await.must(State::Succeeded, "applied");
    assert!(followed.text().contains("forked"), "{}", followed.text());
    assert_eq!(processes::marked(&marker).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_is_stopped_on_request() {
    let (house, tenant) = lenient().await;
    let marker = marker(2);
    let dev = tenant.workbench("dev", 0).await;
    let wish =
        tenant.wish(&dev, &running(&format!("trap '' TERM INT HUP; sleep {marker}; sleep {marker}"))).await;
    let id = tenant.ask(&wish).await;
    let seen = eventually("the command", || processes::marked(&marker).into_iter().next()).await;
    assert_eq!(tenant.look(id).await.state, State::Applying);
    tenant.cancel(id).await;
    let cancelled = tenant.follow(id, |_| false).await.must(State::Cancelled, "cancelled");
    assert!(cancelled.deployment.outcome.unwrap().detail.contains("; "), "it tells what is left");
    eventually("the end of the runner", || house.runners().is_empty().then_some(())).await;
    assert_eq!(processes::marked(&marker).len(), 0);
    if seen.uid != 0 {
        assert_eq!(processes::of_user(seen.uid).len(), 0, "nothing of the run's user is left");
    }
    assert!(house.left_in_workspaces().is_empty());

    // And the target is not stuck.
    let fine = r#"resource "terraform_data" "fine" { input = "x" }"#;
    tenant.deploy_main(&dev, fine).await.must(State::Succeeded, "applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn walls_hold_towards_files_secrets_and_other_processes() {
    let (house, tenant) = lenient().await;
    let outside = house.directory().join("outside");
    fs::create_dir(&outside).unwrap();
    // Open to everybody, so that only the walls are in the way.
    fs::set_permissions(&outside, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    // Listens like a metadata service would: a port that no tool was given.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (place, data) = (outside.display(), house.data());
    let database = data.join("writ.db");
    let script = format!(
        r#"tried() {{ name=$1; shift; if "$@" >/dev/null 2>&1; then echo "tried $name: possible"; else echo "tried $name: refused"; fi; }}
      tried own-workspace sh -c 'echo x >inside'
      tried outside sh -c 'echo x >{place}/file'
      tried tmp sh -c 'echo x >/tmp/writ-e2e-outside'
      tried shadow cat /etc/shadow
      tried database cat {}
      tried connect bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'
      tried signal kill -0 {}
      tried environ sh -c 'cat /proc/$$PPID/environ /proc/{}/environ'
      for pid in $(ls /proc | grep -E "^[0-9]+$"); do tr "\\0" "\\n" </proc/$pid/environ 2>/dev/null | grep -c "{}" ; done | grep -v "^0$" || echo "tried others-environments: refused""#,
        database.display(),
        house.pid(),
        house.pid(),
        CANARY,
    );
    let script = script.replace("$$PPID", "$PPID");
    let followed = deploy(&house, &tenant, &script).await.must(State::Succeeded, "applied");
    let text = followed.text();
    let told = |name: &str, answer: &str| text.contains(&format!("tried {name}: {answer}"));
    assert!(told("own-workspace", "possible"), "{text}");
    for name in
        ["outside", "tmp", "shadow", "database", "connect", "signal", "environ", "others-environments"]
    {
        assert!(told(name, "refused"), "{name}: {text}");
    }
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_holds_nothing_of_the_server() {
    let (house, tenant) = lenient().await;
    let script = r#"echo "names: $(env | cut -d= -f1 | grep -E '^(AWS|ARM|GOOGLE|WRIT|TF_VAR)' | sort | tr '\n' ' ')"; echo "canary: $WRIT_CANARY""#;
    let followed = deploy(&house, &tenant, script).await.must(State::Succeeded, "applied");
    let told = followed.lines.iter().find_map(|line| line.text.split_once("(local-exec): names:"));
    // The canary is there to be seen, should anything print it.
    assert_eq!(told.expect("it ran").1.trim(), "WRIT_CANARY", "{}", followed.text());
    assert!(followed.text().contains("canary: [REDACTED:canary]"), "{}", followed.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_tool_is_named() {
    let house = House::start("tool = '/nowhere/tofu'").await;
    let tenant = Tenant::found(&house).await;
    let dev = tenant.workbench("dev", 0).await;
    let failed = tenant.deploy_main(&dev, r#"resource "terraform_data" "a" {}"#).await;
    assert_eq!(failed.deployment.state, State::Failed);
    let outcome = failed.deployment.outcome.as_ref().unwrap();
    assert!(outcome.code == "missing_tool" && outcome.detail.contains("/nowhere/tofu"), "{outcome:?}");
    assert!(outcome.hint.is_some(), "it says what to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_asked_to_end_ends_its_tool_in_order() {
    let (house, tenant) = lenient().await;
    let marker = marker(3);
    let dev = tenant.workbench("dev", 0).await;
    let wish = tenant.wish(&dev, &running(&format!("sleep {marker}"))).await;
    let id = tenant.ask(&wish).await;
    eventually("the command", || processes::marked(&marker).into_iter().next()).await;
    processes::signal(house.runners()[0], Signal::TERM);
    let ended = tokio::time::timeout(Duration::from_mins(1), tenant.follow(id, |_| false)).await.unwrap();
    ended.must(State::Failed, "interrupted");
    assert_eq!(processes::marked(&marker).len(), 0);
}

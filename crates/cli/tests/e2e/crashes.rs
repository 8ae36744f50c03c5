//! Power cuts: runners and servers are killed at each step, and what is told afterwards is what is real.

use std::{fs, path::PathBuf};

use rustix::process::Signal;
use serde_json::Value;
use uuid::Uuid;
use writ_wire::{connections::Connection, deployments::State};

use crate::{
    house::{Followed, House, Tenant, eventually},
    processes::{self, marker},
};

const SIMPLE: &str = r#"resource "terraform_data" "a" { input = "a" }"#;

/// One resource at once, and another that takes its time.
fn slow(marker: &str) -> String {
    format!(
        r#"
resource "terraform_data" "quick" {{ input = "quick" }}
resource "terraform_data" "slow" {{
  input = terraform_data.quick.id
  provisioner "local-exec" {{ command = "sleep {marker}" }}
}}
"#
    )
}

struct Scene {
    house: House,
    tenant: Tenant,
    dev: Connection,
}

impl Scene {
    async fn set() -> Self {
        let house = House::start("allow_local_exec = true").await;
        let tenant = Tenant::found(&house).await;
        let dev = tenant.workbench("dev", 0).await;
        Self { house, tenant, dev }
    }

    /// Asks for `main`, and waits for its runner.
    async fn begin(&self, main: &str) -> (Uuid, i32) {
        let id = self.tenant.ask(&self.tenant.wish(&self.dev, main).await).await;
        (id, eventually("a runner", || self.house.runners().first().copied()).await)
    }

    /// The same, until the tool is at `step`.
    async fn until(&self, main: &str, step: &str) -> (Uuid, i32) {
        let (id, runner) = self.begin(main).await;
        eventually(step, || processes::tool_at(runner, step)).await;
        (id, runner)
    }

    /// What the state file says: how many resources there are, and its serial.
    fn state(&self) -> Option<(usize, u64)> {
        let file = |path: &PathBuf| path.extension().is_some_and(|end| end == "tfstate");
        let path = crate::house::files_below(&self.house.data().join("states")).into_iter().find(file)?;
        let state: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        Some((state["resources"].as_array().unwrap().len(), state["serial"].as_u64().unwrap()))
    }

    /// How it ended, once evidence says the same.
    async fn end_of(&self, id: Uuid) -> Followed {
        let ended = self.tenant.follow(id, |_| false).await;
        let records = self.tenant.evidence(id).await;
        let count = |action: &str, outcome: &str| {
            records.iter().filter(|record| record.action == action && record.outcome == outcome).count()
        };
        let apply = "runtime.deployments.apply";
        let permitted = count(apply, "intent");
        let (done, failed) = (count(apply, "done"), count(apply, "fail"));
        assert_eq!(permitted, done + failed, "each permit has its outcome on record");
        match (ended.deployment.state, ended.ended().1) {
            (State::Succeeded, "applied") => assert_eq!((permitted, done), (1, 1)),
            (State::Lost, _) | (State::Failed, "apply_failed") => assert_eq!((permitted, failed), (1, 1)),
            _ => assert_eq!(permitted, 0, "nothing was permitted"),
        }
        ended
    }

    /// The target works again, and nothing is under way.
    async fn goes_on(&self) {
        let next = self.tenant.deploy_main(&self.dev, SIMPLE).await;
        assert!(
            [(State::Succeeded, "applied"), (State::Succeeded, "no_changes")].contains(&next.ended()),
            "{:?}\n{}",
            next.deployment.outcome,
            next.text()
        );
        assert_eq!(self.state().unwrap().0, 1);
        let path = "/api/v1/deployments?limit=200";
        let all: writ_wire::page::Page<writ_wire::deployments::Deployment> =
            self.tenant.alice.get(path).await.unwrap();
        assert!(all.items.iter().all(|deployment| deployment.state.is_final()), "none is unfinished");
    }
}

/// Kills the runner and waits until nothing that it started is alive.
async fn kill_runner(runner: i32) {
    let family = processes::below(runner);
    processes::signal(runner, Signal::KILL);
    eventually("the end of all it started", || {
        let all = processes::all();
        let alive =
            |seen: &processes::Seen| all.iter().any(|now| now.pid == seen.pid && now.args == seen.args);
        (!family.iter().any(alive)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_when_it_has_just_started_changes_nothing() {
    let scene = Scene::set().await;
    let (id, runner) = scene.begin(SIMPLE).await;
    kill_runner(runner).await;
    scene.end_of(id).await.must(State::Failed, "runner_lost");
    assert_eq!(scene.state(), None);
    scene.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_while_it_prepares_or_plans_changes_nothing() {
    for step in ["init", "plan"] {
        let scene = Scene::set().await;
        let (id, runner) = scene.until(SIMPLE, step).await;
        kill_runner(runner).await;
        scene.end_of(id).await.must(State::Failed, "runner_lost");
        assert_eq!(scene.state(), None);
        scene.goes_on().await;
        assert!(scene.house.left_in_workspaces().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_while_it_waits_for_the_decision_changes_nothing_and_is_told_as_far_as_known() {
    let scene = Scene::set().await;
    let (id, runner) = scene.until(SIMPLE, "show").await;
    processes::signal(scene.house.pid(), Signal::STOP);
    eventually("the end of the plan", || processes::below(runner).is_empty().then_some(())).await;
    kill_runner(runner).await;
    processes::signal(scene.house.pid(), Signal::CONT);
    // The plan was on its way: the permit may have been given to a runner that was dead.
    let ended = scene.end_of(id).await;
    assert_eq!(ended.ended().1, "runner_lost");
    assert_eq!(
        ended.deployment.state == State::Lost,
        ended.detail().contains("unknown"),
        "{}",
        ended.detail()
    );
    assert_eq!(scene.state(), None);
    scene.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_while_it_applies_is_lost_and_the_next_one_goes_on() {
    let scene = Scene::set().await;
    let marker = marker(10);
    let (id, runner) = scene.begin(&slow(&marker)).await;
    eventually("the slow resource", || processes::marked(&marker).into_iter().next()).await;
    assert_eq!(scene.tenant.look(id).await.state, State::Applying);
    kill_runner(runner).await;
    assert_eq!(processes::marked(&marker).len(), 0);
    let lost = scene.end_of(id).await.must(State::Lost, "runner_lost");
    assert!(lost.detail().contains("unknown"), "{}", lost.detail());
    assert!(lost.deployment.outcome.unwrap().hint.is_some());
    scene.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_each_step_comes_back_to_a_run_that_goes_on() {
    let mut scene = Scene::set().await;
    for step in ["init", "plan", "show"] {
        let (id, _) = scene.until(SIMPLE, step).await;
        scene.house.kill().await;
        scene.house.restart().await;
        let ended = scene.end_of(id).await;
        assert!(
            [(State::Succeeded, "applied"), (State::Succeeded, "no_changes")].contains(&ended.ended()),
            "{step}: {:?}\n{}",
            ended.deployment.outcome,
            ended.text()
        );
    }
    scene.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_a_run_applies_hears_of_its_end() {
    let mut scene = Scene::set().await;
    let marker = marker(11);
    let (id, _) = scene.begin(&slow(&marker)).await;
    let sleeping =
        eventually("the slow resource", || processes::marked(&marker).into_iter().find(is_sleep)).await;
    scene.house.kill().await;
    // The run ends while nobody listens.
    processes::signal(sleeping.pid, Signal::TERM);
    eventually("the end of the apply", || processes::marked(&marker).is_empty().then_some(())).await;
    scene.house.restart().await;
    let failed = scene.end_of(id).await.must(State::Failed, "apply_failed");
    assert!(failed.detail().contains("a part of the plan was carried out"), "{}", failed.detail());
    // The command failed, so the resource is tainted; both are in the state.
    assert_eq!(scene.state().unwrap().0, 2);
    scene.goes_on().await;
}

fn is_sleep(seen: &processes::Seen) -> bool {
    seen.args.first().is_some_and(|arg| arg == "sleep")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_for_long_hears_its_runners_before_it_calls_them_lost() {
    let mut scene = Scene::set().await;
    let marker = marker(12);
    let (id, runner) = scene.begin(&slow(&marker)).await;
    let sleeping =
        eventually("the slow resource", || processes::marked(&marker).into_iter().find(is_sleep)).await;
    let away = std::time::Instant::now();
    scene.house.kill().await;
    // Longer than a runner may be silent.
    eventually("a long time", || (away.elapsed().as_secs() >= 12).then_some(())).await;
    assert!(processes::all().iter().any(|seen| seen.pid == runner), "the run goes on alone");
    scene.house.restart().await;
    let heard = |line: &writ_wire::deployments::OutputLine| line.step == "apply";
    let seen = scene.tenant.follow_until(id, |_, lines| lines.iter().any(heard)).await;
    assert_eq!(seen.deployment.state, State::Applying, "{:?}", seen.deployment.outcome);
    processes::signal(sleeping.pid, Signal::TERM);
    scene.end_of(id).await.must(State::Failed, "apply_failed");
    scene.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_and_runner_killed_together_leave_nothing_unfinished() {
    let mut scene = Scene::set().await;
    let marker = marker(13);
    let (id, runner) = scene.begin(&slow(&marker)).await;
    eventually("the slow resource", || processes::marked(&marker).into_iter().next()).await;
    scene.house.kill().await;
    kill_runner(runner).await;
    scene.house.restart().await;
    scene.end_of(id).await.must(State::Lost, "runner_lost");
    assert!(processes::marked(&marker).is_empty());
    scene.goes_on().await;
}

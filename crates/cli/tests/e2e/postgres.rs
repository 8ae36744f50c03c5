//! The same on PostgreSQL: the server as the application's role, migrated by the owner of the tables.

use rustix::process::Signal;
use writ_store::{Config, testing::TestDb};
use writ_wire::{approvals::Verdict, deployments::State};

use crate::{
    house::{House, Tenant, Wanted, decide, eventually},
    processes::{self, marker},
};

fn url(config: &Config) -> String {
    match config {
        Config::Postgres { url, .. } => url.clone(),
        Config::Sqlite { .. } => panic!("not PostgreSQL"),
    }
}

async fn start(database: &TestDb) -> (House, Tenant) {
    let database = format!("url = {:?}\nmigrate_url = {:?}", url(&database.config), url(&database.owner));
    let runner = "allow_local_exec = true".to_owned();
    let house = House::with(Wanted { runner, database, data: None }).await;
    let tenant = Tenant::found(&house).await;
    (house, tenant)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_approved_and_applied() {
    let database = TestDb::postgres().await;
    let (_house, tenant) = start(&database).await;
    let careful = tenant.workbench("careful", 1).await;
    let main = r#"resource "terraform_data" "a" { input = "a" }"#;
    let waiting = tenant.deploy_main(&careful, main).await.must(State::AwaitingApproval, "");
    decide(&tenant.bob, &waiting.deployment, Verdict::Approve).await.unwrap();
    tenant.follow(waiting.id(), |_| false).await.must(State::Succeeded, "applied");
    tenant.deploy_main(&careful, main).await.must(State::Succeeded, "no_changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_while_a_run_applies_leaves_nothing_unfinished() {
    let database = TestDb::postgres().await;
    let (mut house, tenant) = start(&database).await;
    let dev = tenant.workbench("dev", 0).await;
    let marker = marker(30);
    let slow = format!(
        "resource \"terraform_data\" \"a\" {{\n provisioner \"local-exec\" {{ command = \"sleep {marker}\" }}\n}}"
    );
    let id = tenant.ask(&tenant.wish(&dev, &slow).await).await;
    eventually("the slow resource", || processes::marked(&marker).into_iter().next()).await;
    let runner = house.runners()[0];
    house.kill().await;
    processes::signal(runner, Signal::KILL);
    eventually("the end of the tool", || processes::marked(&marker).is_empty().then_some(())).await;
    house.restart().await;
    tenant.follow(id, |_| false).await.must(State::Lost, "runner_lost");
    let simple = r#"resource "terraform_data" "a" { input = "a" }"#;
    let next = tenant.deploy_main(&dev, simple).await;
    assert_eq!(next.deployment.state, State::Succeeded, "{:?}", next.deployment.outcome);
}

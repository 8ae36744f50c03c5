//! Runners that try connections and release locks: real processes, real signals, an emulated cloud.

use rustix::process::Signal;
use serde_json::json;
use uuid::Uuid;
use writ_client::Client;
use writ_wire::{
    connections::{Connection, PreflightReport},
    deployments::State,
    errands::{Errand, ErrandState, ReleaseLock},
};

use crate::{
    aws::{Moto, Trust, bucket, client, cloud, house},
    house::{House, Tenant, eventually},
    processes,
};

const CONFIGURATION: &str = r#"resource "terraform_data" "a" { input = "first" }"#;
const LOCK: &str = "1d1f5e0a-0c5c-4b6e-9a52-3e2b6c9f7a11";

struct Scene {
    moto: Moto,
    house: House,
    tenant: Tenant,
    _token: tempfile::NamedTempFile,
}

impl Scene {
    async fn set() -> Self {
        let moto = Moto::start().await;
        moto.make_places().await;
        let (house, tenant, token) = house(&moto).await;
        Self { moto, house, tenant, _token: token }
    }

    fn trust(&self, trust: Trust) {
        *self.moto.trust.lock().unwrap() = trust;
    }

    async fn validate(&self, connection: &Connection) -> Uuid {
        let path = format!("/api/v1/connections/{}/validations", connection.id);
        self.tenant.alice.post::<_, Errand>(&path, &json!({})).await.unwrap().id
    }

    async fn unlock(&self, connection: &Connection, lock: &str, holder: Option<&str>) -> Errand {
        let wanted = ReleaseLock {
            target: "app".to_owned(),
            lock: lock.to_owned(),
            holder: holder.map(str::to_owned),
            reason: "the laptop is lost".to_owned(),
        };
        let path = format!("/api/v1/connections/{}/unlocks", connection.id);
        let asked: Errand = self.tenant.oscar.post(&path, &wanted).await.unwrap();
        ended(&self.tenant.oscar, asked.id).await
    }

    async fn put_lock(&self, who: &str) {
        let lock = json!({ "ID": LOCK, "Operation": "OperationTypeApply", "Info": "", "Who": who, "Version": "1.11.4",
            "Created": "2026-11-22T12:00:00Z", "Path": "state/files/app/terraform.tfstate" });
        let url = format!("{}/state/files/app/terraform.tfstate.tflock", self.moto.url);
        self.moto.ask("s3", client().put(url).body(lock.to_string())).await;
    }

    async fn locked(&self) -> bool {
        self.moto.objects().await.contains(".tflock")
    }
}

async fn ended(client: &Client, id: Uuid) -> Errand {
    loop {
        let errand: Errand = client.get(&format!("/api/v1/errands/{id}?wait=20")).await.unwrap();
        if errand.state.is_final() {
            return errand;
        }
    }
}

fn status<'a>(errand: &'a Errand, check: &str) -> &'a str {
    errand.report.iter().find(|row| row.check == check).map_or("absent", |row| row.status.as_str())
}

fn code(errand: &Errand) -> &str {
    errand.outcome.as_ref().map_or("", |outcome| &outcome.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_tried_by_a_runner_and_the_preflight_shows_what_it_found() {
    let scene = Scene::set().await;
    let connection = scene.tenant.connection("files", 0, cloud(), bucket("files", Some("locks"))).await;
    let errand = ended(&scene.tenant.alice, scene.validate(&connection).await).await;
    assert_eq!((errand.state, code(&errand)), (ErrandState::Succeeded, "validated"), "{errand:#?}");
    let path = format!("/api/v1/connections/{}/preflight", connection.id);
    let report: PreflightReport = scene.tenant.alice.post(&path, &json!({})).await.unwrap();
    assert!(report.passed && report.checks.iter().all(|row| row.status == "pass"), "{report:#?}");
    assert_eq!(report.validation.unwrap().errand, errand.id);
    assert!(scene.house.left_in_workspaces().is_empty());
    // A role that lets everybody in is a finding, and nothing is deployed with it.
    scene.trust(Trust::Everybody);
    let errand = ended(&scene.tenant.alice, scene.validate(&connection).await).await;
    assert_eq!(errand.state, ErrandState::Failed);
    assert_eq!((status(&errand, "authority"), status(&errand, "confused_deputy")), ("pass", "fail"));
    let wish = scene.tenant.wish(&connection, CONFIGURATION).await;
    let refused =
        scene.tenant.alice.post::<_, serde_json::Value>("/api/v1/deployments", &wish).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().code, "preflight_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_of_a_silent_cloud_can_be_stopped_and_killed_and_leaves_nothing() {
    let scene = Scene::set().await;
    scene.trust(Trust::Silent);
    let connection = scene.tenant.connection("files", 0, cloud(), bucket("files", None)).await;
    let id = scene.validate(&connection).await;
    eventually("a runner", || scene.house.runners().first().copied()).await;
    scene.tenant.alice.post::<_, Errand>(&format!("/api/v1/errands/{id}/cancel"), &json!({})).await.unwrap();
    let errand = ended(&scene.tenant.alice, id).await;
    assert_eq!((errand.state, code(&errand)), (ErrandState::Cancelled, "cancelled"));
    eventually("its end", || scene.house.runners().is_empty().then_some(())).await;
    assert!(scene.house.left_in_workspaces().is_empty());

    let id = scene.validate(&connection).await;
    let runner = eventually("a runner", || scene.house.runners().first().copied()).await;
    processes::signal(runner, Signal::KILL);
    let errand = ended(&scene.tenant.alice, id).await;
    assert_eq!((errand.state, code(&errand)), (ErrandState::Failed, "runner_lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_releases_a_strangers_lock_and_work_goes_on() {
    let scene = Scene::set().await;
    let connection = scene.tenant.connection("files", 0, cloud(), bucket("files", None)).await;
    scene.tenant.deploy_main(&connection, CONFIGURATION).await.must(State::Succeeded, "applied");
    scene.put_lock("joe@laptop").await;
    let changed = CONFIGURATION.replace("first", "second");
    scene.tenant.deploy_main(&connection, &changed).await.must(State::Failed, "state_locked");
    for (lock, holder, why) in [("another", None, "lock_changed"), (LOCK, Some("ann@desk"), "holder_changed")]
    {
        let errand = scene.unlock(&connection, lock, holder).await;
        assert_eq!((errand.state, code(&errand)), (ErrandState::Failed, why));
        assert!(scene.locked().await);
    }
    let errand = scene.unlock(&connection, LOCK, Some("joe@laptop")).await;
    assert_eq!((errand.state, code(&errand)), (ErrandState::Succeeded, "released"), "{errand:#?}");
    assert!(!scene.locked().await);
    scene.tenant.deploy_main(&connection, &changed).await.must(State::Succeeded, "applied");
    let errand = scene.unlock(&connection, LOCK, None).await;
    assert_eq!((errand.state, code(&errand)), (ErrandState::Failed, "not_locked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_a_run_that_may_live_is_nobodys_to_release() {
    let scene = Scene::set().await;
    let connection = scene.tenant.connection("files", 0, cloud(), bucket("files", None)).await;
    // A run whose process nobody has seen dead: it is at work, elsewhere.
    let marker = processes::marker(31);
    let slow = format!(
        "resource \"terraform_data\" \"a\" {{\n provisioner \"local-exec\" {{ command = \"sleep {marker}\" }}\n}}"
    );
    let other = scene.tenant.connection("other", 0, cloud(), bucket("other", None)).await;
    let living = scene.tenant.ask(&scene.tenant.wish(&other, &slow).await).await;
    eventually("the slow resource", || processes::marked(&marker).into_iter().next()).await;
    let run = scene.house.runners()[0];
    let id = run_of(&scene.tenant, living).await;
    scene.put_lock(&format!("writ-{id}@here")).await;
    let errand = scene.unlock(&connection, LOCK, None).await;
    assert_eq!((errand.state, code(&errand)), (ErrandState::Failed, "holder_may_live"), "{errand:#?}");
    assert!(scene.locked().await);
    processes::signal(run, Signal::KILL);
    scene.tenant.follow(living, |_| false).await.must(State::Lost, "runner_lost");
    let errand = scene.unlock(&connection, LOCK, None).await;
    assert_eq!((errand.state, code(&errand)), (ErrandState::Succeeded, "released"), "{errand:#?}");
}

/// The run of a deployment, as its evidence tells it.
async fn run_of(tenant: &Tenant, deployment: Uuid) -> String {
    for record in tenant.evidence(deployment).await {
        let record: writ_wire::evidence::Record =
            tenant.iris.get(&format!("/api/v1/evidence/{}", record.id)).await.unwrap();
        let run = record.payload.as_ref().and_then(|payload| payload.pointer("/detail/run"));
        if let Some(run) = run.and_then(|run| run.as_str()) {
            return run.to_owned();
        }
    }
    panic!("no run is on record")
}

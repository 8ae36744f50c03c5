//! New values for secrets, also where they are used.

use std::{sync::Arc, time::Duration};

use http::Method;
use serde_json::{Value as Json, json};
use writ_kernel::{Id, Principal, Result, TenantId};
use writ_store::{on_both, testing::TestDb};
use writ_targets::testing::Target;
use writ_testkit::App;
use writ_vault::{
    Fate, NewSecret, NewVersion, Place, Value, Vault,
    ports::{Boxed, People},
    rotation::{Rotations, Turner, routes},
};

use super::stage::{Stage, run, works};

struct Nobody;

impl People for Nobody {
    fn accountable(&self, _: TenantId, _: Id<Principal>) -> Boxed<'_, Result<Option<Id<Principal>>>> {
        Box::pin(async { Ok(None) })
    }
}

struct Turning {
    vault: Vault,
    app: App,
    turner: Turner,
    secret: Id<writ_kernel::Secret>,
}

impl Turning {
    async fn of(stage: &Stage, value: &str) -> Self {
        let vault = Vault::new(stage.house.gate.clone(), Arc::new(Nobody));
        let rotations = Rotations::new(vault.clone(), stage.leases.clone());
        let value = Value::text(value.to_owned()).unwrap();
        let new = NewSecret::new(Some("dev".to_owned()), "app/database".parse().unwrap(), Some(value));
        let (secret, _) = vault.create(&stage.sam.caller, new).await.unwrap();
        let app = stage.house.app([routes(rotations.clone())]);
        Self { vault, app, turner: Turner::new(rotations), secret: secret.id }
    }

    async fn ask(&self, stage: &Stage, method: Method, path: &str, body: &Json, status: u16) -> Json {
        let answer = self.app.send(&stage.sam, method, path, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if answer.body.is_empty() { Json::Null } else { answer.json() }
    }

    async fn rotator(&self, stage: &Stage, spec: &Json) {
        let path = format!("/api/v1/rotators/{}", self.secret);
        let wanted = json!({ "spec": spec, "everySeconds": 86_400, "overlapSeconds": 600 });
        self.ask(stage, Method::PUT, &path, &wanted, 200).await;
    }

    async fn rotate(&self, stage: &Stage, status: u16) -> Json {
        let path = format!("/api/v1/rotators/{}/rotations", self.secret);
        self.ask(stage, Method::POST, &path, &Json::Null, status).await
    }

    async fn read(&self, stage: &Stage, version: Option<u32>) -> Option<String> {
        let (reading, _) =
            self.vault.read(&stage.sam.caller, &Place::Id(self.secret), version).await.unwrap();
        let value = reading.value.ok()?;
        Some(String::from_utf8(value.bytes().expose().to_vec()).unwrap())
    }
}

on_both! {
    async fn a_role_gets_a_new_password_that_was_tried_before_it_is_current(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        run(&target.superuser(), "CREATE ROLE app LOGIN PASSWORD 'the first one'").await.unwrap();
        let turning = Turning::of(&stage, "the first one").await;
        assert_eq!(turning.rotate(&stage, 409).await["code"], "no_rotator");
        turning.rotator(&stage, &json!({ "kind": "postgres", "engine": engine, "username": "app" })).await;
        let rotation = turning.rotate(&stage, 200).await;
        assert_eq!((&rotation["state"], &rotation["version"]), (&json!("overlapping"), &json!(2)));
        let new = turning.read(&stage, None).await.unwrap();
        assert!(works(&target.login("app", &new)).await);
        assert!(!works(&target.login("app", "the first one")).await);
        assert!(turning.read(&stage, Some(1)).await.is_some());
        stage.house.advance(Duration::from_mins(10));
        turning.turner.round().await.unwrap();
        assert!(turning.read(&stage, Some(1)).await.is_none(), "the overlap is over");
    }

    async fn a_rotation_waits_for_a_server_that_is_gone_and_makes_nothing_current_before(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        run(&target.superuser(), "CREATE ROLE app LOGIN PASSWORD 'the first one'").await.unwrap();
        let turning = Turning::of(&stage, "the first one").await;
        turning.rotator(&stage, &json!({ "kind": "postgres", "engine": engine, "username": "app" })).await;
        target.stop();
        assert_eq!(turning.rotate(&stage, 200).await["state"], "pending");
        assert_eq!(turning.read(&stage, None).await.unwrap(), "the first one");
        assert_eq!(turning.rotate(&stage, 409).await["code"], "rotating");
        target.resume().await;
        stage.house.advance(Duration::from_secs(2));
        turning.turner.round().await.unwrap();
        let new = turning.read(&stage, None).await.unwrap();
        assert!(works(&target.login("app", &new)).await);
    }

    async fn a_password_that_does_not_work_is_taken_back(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        run(&target.superuser(), "CREATE ROLE app NOLOGIN PASSWORD 'the first one'").await.unwrap();
        let turning = Turning::of(&stage, "the first one").await;
        turning.rotator(&stage, &json!({ "kind": "postgres", "engine": engine, "username": "app" })).await;
        assert_eq!(turning.rotate(&stage, 200).await["state"], "rolledBack");
        assert_eq!(turning.read(&stage, None).await.unwrap(), "the first one");
        run(&target.superuser(), "ALTER ROLE app LOGIN").await.unwrap();
        assert!(works(&target.login("app", "the first one")).await);
    }

    async fn a_new_password_is_kept_where_there_is_no_old_one_to_go_back_to(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        run(&target.superuser(), "CREATE ROLE app NOLOGIN PASSWORD 'the first one'").await.unwrap();
        let turning = Turning::of(&stage, "the first one").await;
        turning.rotator(&stage, &json!({ "kind": "postgres", "engine": engine, "username": "app" })).await;
        let place = Place::Id(turning.secret);
        turning.vault.treat(&stage.sam.caller, &place, &[1], Fate::Destroy).await.unwrap();
        assert_eq!(turning.rotate(&stage, 200).await["state"], "pending");
        let error = turning.vault.destroy(&stage.sam.caller, &place).await.unwrap_err();
        assert_eq!(error.code(), "rotating");
        run(&target.superuser(), "ALTER ROLE app LOGIN").await.unwrap();
        stage.house.advance(Duration::from_secs(2));
        turning.turner.round().await.unwrap();
        let new = turning.read(&stage, None).await.unwrap();
        assert!(works(&target.login("app", &new)).await);
        turning.vault.destroy(&stage.sam.caller, &place).await.unwrap();
        turning.turner.round().await.unwrap();
    }

    async fn a_value_written_over_an_exposed_one_leaves_nothing_of_it_to_read(db: &TestDb) {
        let stage = Stage::over(db).await;
        let turning = Turning::of(&stage, "known to strangers").await;
        let wanted = json!({ "secrets": [turning.secret] });
        let exposure = turning.ask(&stage, Method::POST, "/api/v1/exposures", &wanted, 200).await;
        assert_eq!(exposure["byHand"], json!([turning.secret]));
        let place = Place::Id(turning.secret);
        let back = turning.vault.roll_back(&stage.sam.caller, &place, 1, None).await;
        assert_eq!(back.unwrap_err().code(), "version_exposed");
        let value = Value::text("new".to_owned()).unwrap();
        let new = NewVersion { place, value, cas: None, restored_from: None };
        turning.vault.write(&stage.sam.caller, new).await.unwrap();
        assert_eq!(turning.read(&stage, None).await.unwrap(), "new");
        assert!(turning.read(&stage, Some(1)).await.is_none());
    }

    async fn what_is_exposed_is_reissued_and_told_under_one_case(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, _) = stage.borrow(&stage.ann, &engine, &target).await;
        let turning = Turning::of(&stage, "known to strangers").await;
        turning.rotator(&stage, &json!({ "kind": "generated", "length": 40, "alphabet": "abcdef" })).await;
        let wanted = json!({ "secrets": [turning.secret], "engines": [engine] });
        let exposure = turning.ask(&stage, Method::POST, "/api/v1/exposures", &wanted, 200).await;
        assert_eq!((&exposure["leases"], &exposure["byHand"]), (&json!(1), &json!([])));
        assert_eq!(turning.read(&stage, None).await.unwrap().len(), 40);
        assert!(turning.read(&stage, Some(1)).await.is_none(), "what strangers know is not read for a while longer");
        assert_eq!(exposure["rotations"][0]["state"], "done");
        assert_eq!(stage.lease(&lease).await["state"], "revoking");
        let feed = stage.ask(&stage.sam, Method::GET, "/api/v1/events", &Json::Null, 200).await;
        let of_case = feed["items"].as_array().unwrap().iter().filter(|it| it["data"]["case"] == exposure["case"]);
        let kinds: Vec<_> = of_case.map(|event| event["type"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kinds, ["SecretExposed", "SecretRotated"]);
    }

    async fn a_secret_is_rotated_when_its_time_comes(db: &TestDb) {
        let stage = Stage::over(db).await;
        let turning = Turning::of(&stage, "old").await;
        turning.rotator(&stage, &json!({ "kind": "generated" })).await;
        turning.turner.round().await.unwrap();
        assert_eq!(turning.read(&stage, None).await.unwrap(), "old");
        stage.house.advance(Duration::from_hours(24));
        turning.turner.round().await.unwrap();
        assert_eq!(turning.read(&stage, None).await.unwrap().len(), 32);
    }
}

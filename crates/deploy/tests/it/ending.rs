//! Runs that end badly, or not at all.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, plan};

const SILENCE: Duration = Duration::from_secs(30);

on_both! {
    async fn a_runner_that_vanishes_before_its_permit_changed_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        stage.house.advance(SILENCE);
        stage.round().await;
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("failed", "runner_lost"));
        assert_eq!(runner.say("heartbeat", &json!({})).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(stage.said().await.last().unwrap(), "runtime.runs.report fail");
    }

    async fn a_runner_that_vanishes_while_applying_leaves_the_unknown(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        stage.house.advance(SILENCE);
        stage.round().await;
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("lost", "runner_lost"));
        let said = stage.said().await;
        assert!(said.contains(&"runtime.deployments.apply fail".to_owned()), "{said:?}");
        let late = runner.finish(true, false, "applied").await;
        assert_eq!(late.status, StatusCode::UNAUTHORIZED);
        assert_eq!(stage.state(&deployment).await, "lost");
    }

    async fn a_runner_that_never_claims_is_lost_and_its_token_is_void(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        stage.round().await;
        stage.house.advance(SILENCE);
        stage.round().await;
        assert_eq!(stage.state(&deployment).await, "failed");
        let (_, token) = stage.launches.last();
        assert_eq!(stage.claim(&token).await.status, StatusCode::UNAUTHORIZED);
    }

    async fn a_heartbeat_keeps_a_run_alive_until_its_deadline(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy_with(&connection, &json!({ "timeoutSeconds": 60 })).await;
        let runner = stage.runner().await;
        for _ in 0..4 {
            stage.house.advance(Duration::from_secs(10));
            assert_eq!(runner.say("heartbeat", &json!({})).await.status, StatusCode::OK);
            stage.round().await;
            assert_eq!(stage.state(&deployment).await, "planning");
        }
        stage.house.advance(Duration::from_secs(15));
        stage.round().await;
        assert_eq!(stage.outcome(&deployment).await, "runner_lost");
    }

    async fn a_process_that_died_is_noticed_at_once(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        stage.launches.died(runner.run());
        stage.round().await;
        assert_eq!(stage.state(&deployment).await, "failed");
    }

    async fn a_process_that_died_is_noticed_behind_any_number_of_others(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        stage.runner().await.finish(false, false, "ended").await;
        let mut tx = db.db.tx(stage.admin.tenant()).await.unwrap();
        for number in 0..250 {
            let id = uuid::Uuid::from_u128(number);
            writ_store::execute!(tx, |conn, tenant| sqlx::query(
                "INSERT INTO runs (tenant_id, run_id, deployment_id, environment_id, state, canary, process, gone, pushes, heartbeat_at, deadline, created_at)
                 SELECT tenant_id, $2, deployment_id, environment_id, 'finished', canary, 'elsewhere', 0, 0, heartbeat_at, deadline, created_at
                 FROM runs WHERE tenant_id = $1 AND process <> 'elsewhere'").bind(tenant).bind(id).execute(conn)).unwrap();
        }
        tx.commit().await.unwrap();
        let deployment = stage.deploy(&connection).await;
        let run = stage.runner().await.run().to_owned();
        stage.launches.died(&run);
        stage.round().await;
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("failed", "runner_lost"));
    }

    async fn after_a_lost_run_the_environment_is_free(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let next = stage.deploy(&connection).await;
        stage.runner().await;
        stage.house.advance(SILENCE);
        stage.runner().await;
        assert_eq!(stage.state(&next).await, "planning");
    }

    async fn a_lock_is_released_only_when_its_holder_is_this_dead_run(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let dead = stage.runner().await.run().to_owned();
        stage.launches.died(&dead);
        stage.round().await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let mut push = 0;
        for (holder, released) in [
            ("writ-00000000-0000-7000-8000-000000000000@host".to_owned(), false), ("ann@laptop".to_owned(), false),
            (format!("writ-{}@host", runner.run()), false), (format!("writ-{dead}@host"), true),
        ] {
            push += 1;
            let event = json!({ "push": push, "events": [{ "event": "state_locked", "lock": "lock-1", "holder": holder }] });
            let pulse = runner.say("events", &event).await.json();
            assert_eq!(pulse["release"].as_str(), released.then_some("lock-1"), "{holder}");
        }
        assert_eq!(stage.said().await.iter().filter(|said| *said == "runtime.state.unlock intent").count(), 1);
    }

    async fn what_fails_is_told_as_it_was(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        runner.finish(false, false, "apply_failed").await;
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("failed", "apply_failed"));
        assert!(stage.said().await.contains(&"runtime.deployments.apply fail".to_owned()));
        assert_eq!(runner.say("heartbeat", &json!({})).await.status, StatusCode::UNAUTHORIZED);
    }
}

//! Errands: a runner tries a connection, or releases a lock, when somebody who may asks for it.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};
use writ_testkit::Answer;

use crate::stage::{Runner, Stage, aws, id, plan};

const LOCK: &str = "1d1f5e0a-0c5c-4b6e-9a52-3e2b6c9f7a11";

fn row(check: &str, status: &str) -> Value {
    json!({ "check": check, "status": status, "detail": "so it is" })
}

/// What a runner ends an errand with.
fn end(succeeded: bool, report: &Value) -> Value {
    json!({ "succeeded": succeeded, "outcome": { "code": "validated", "detail": "so it ended" },
        "outputDigest": "sha256:00", "redactions": {}, "report": report, "wiped": true })
}

fn locked(lock: &str, holder: &str) -> Value {
    json!({ "push": 1, "events": [{ "event": "state_locked", "lock": lock, "holder": holder }] })
}

async fn validation(stage: &Stage, connection: &str) -> String {
    stage.tick();
    id(&stage.post(&stage.ann, &format!("/api/v1/connections/{connection}/validations"), &json!({})).await)
}

fn unlock() -> Value {
    json!({ "target": "web", "lock": LOCK, "reason": "its laptop is at the bottom of the sea" })
}

async fn released(stage: &Stage, connection: &str, more: &Value) -> String {
    stage.tick();
    let mut wanted = unlock();
    wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("/api/v1/connections/{connection}/unlocks");
    id(&stage.post(&stage.olga().await, &path, &wanted).await)
}

async fn errand(stage: &Stage, id: &str) -> Value {
    stage.get(&stage.ann, &format!("/api/v1/errands/{id}")).await
}

/// A runner of an earlier deployment that was lost while it applied; whether its process has been seen dead.
async fn vanished(stage: &Stage, connection: &str, seen: bool) -> String {
    stage.deploy(connection).await;
    let lost = stage.runner().await;
    assert_eq!(lost.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], "apply");
    let run = lost.run().to_owned();
    if seen {
        stage.launches.died(&run);
    } else {
        stage.house.advance(Duration::from_secs(30));
    }
    stage.round().await;
    run
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

async fn report(runner: &Runner<'_>, event: &Value) -> Value {
    let answer = runner.say("events", event).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

on_both! {
    async fn a_validation_is_done_by_a_runner_and_shown_in_the_preflight_with_its_age(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.aws("prod").await;
        let asked = validation(&stage, &connection).await;
        let runner = stage.runner().await;
        assert_eq!((&runner.claim["task"], &runner.claim["deployment"]), (&json!({ "task": "validate" }), &json!(asked)));
        assert_eq!(runner.claim["cloud"]["externalId"], "writ-acme");
        let report = json!([row("authority", "pass"), row("reachability", "fail")]);
        assert_eq!(runner.say("finish", &end(false, &report)).await.status, StatusCode::OK);
        let shown = errand(&stage, &asked).await;
        assert_eq!((&shown["state"], &shown["report"]), (&json!("failed"), &report));
        stage.house.advance(Duration::from_secs(90));
        let preflight = stage.post(&stage.ann, &format!("/api/v1/connections/{connection}/preflight"), &json!({})).await;
        assert_eq!(preflight["passed"], false);
        let rows = preflight["checks"].as_array().unwrap();
        assert_eq!(&rows[rows.len() - 2..], report.as_array().unwrap());
        assert_eq!(preflight["validation"]["errand"], asked);
        assert!(preflight["validation"]["ageSeconds"].as_u64().unwrap() >= 90, "{preflight}");
        // Leaves of one commit have no order.
        let mut said = stage.said().await.split_off(1);
        said.sort();
        assert_eq!(said, [
            "runtime.connections.preflight allow",
            "runtime.connections.preflight allow",
            "runtime.connections.preflight fail",
            "runtime.runs.claim allow",
            "runtime.runs.report allow",
            "runtime.runs.start intent",
        ]);
    }

    async fn without_a_validation_the_preflight_says_that_none_has_tried(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.aws("prod").await;
        let preflight = stage.post(&stage.ann, &format!("/api/v1/connections/{connection}/preflight"), &json!({})).await;
        assert_eq!(preflight["validation"], Value::Null);
        let skipped: Vec<_> = preflight["checks"].as_array().unwrap().iter()
            .filter(|row| row["status"] == "skipped").map(|row| row["check"].as_str().unwrap().to_owned()).collect();
        assert_eq!(skipped, ["reachability", "authority"]);
    }

    async fn a_row_that_fails_is_a_failure_whatever_the_runner_says(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.aws("prod").await;
        for report in [json!([row("authority", "fail")]), json!([])] {
            let asked = validation(&stage, &connection).await;
            let runner = stage.runner().await;
            runner.say("finish", &end(true, &report)).await;
            assert_eq!(errand(&stage, &asked).await["state"], "failed", "{report}");
        }
    }

    async fn a_connection_whose_role_lets_strangers_in_deploys_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.aws("prod").await;
        for (status, answer) in [("fail", StatusCode::CONFLICT), ("pass", StatusCode::CREATED)] {
            validation(&stage, &connection).await;
            let runner = stage.runner().await;
            runner.say("finish", &end(status == "pass", &json!([row("confused_deputy", status)]))).await;
            let wanted = stage.wanted(&connection, &json!({})).await;
            let asked = stage.app.send(&stage.ann, Method::POST, "/api/v1/deployments", &wanted).await;
            assert_eq!(asked.status, answer, "{status}: {asked:?}");
        }
        assert_eq!(stage.refusal("runtime.deployments.create").await.as_deref(), Some("preflight_failed"));
    }

    async fn a_validation_that_could_not_find_out_lifts_no_block(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.aws("prod").await;
        validation(&stage, &connection).await;
        stage.runner().await.say("finish", &end(false, &json!([row("confused_deputy", "fail")]))).await;
        // One is lost, one breaks off, one does not come to the question.
        validation(&stage, &connection).await;
        stage.launches.died(stage.runner().await.run());
        stage.round().await;
        for report in [json!([row("authority", "fail")]), json!([row("confused_deputy", "skipped")])] {
            validation(&stage, &connection).await;
            stage.runner().await.say("finish", &end(false, &report)).await;
            let wanted = stage.wanted(&connection, &json!({})).await;
            let asked = stage.app.send(&stage.ann, Method::POST, "/api/v1/deployments", &wanted).await;
            assert_eq!(code(&asked), "preflight_failed", "{report}");
        }
    }

    async fn a_validation_does_not_wait_for_a_deployment_nor_a_deployment_for_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        stage.round().await;
        validation(&stage, &connection).await;
        let runner = stage.runner().await;
        assert_eq!(runner.claim["task"]["task"], "validate");
        assert_eq!(stage.state(&deployment).await, "planning");
        let other = stage.local("other", 0).await;
        validation(&stage, &other).await;
        stage.round().await;
        let second = stage.deploy(&other).await;
        stage.round().await;
        assert_eq!(stage.state(&second).await, "planning");
    }

    async fn a_validation_has_no_configuration_no_plan_and_no_output(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        validation(&stage, &connection).await;
        let runner = stage.runner().await;
        assert_eq!(runner.say("plan", &plan("01", &json!({}))).await.status, StatusCode::CONFLICT);
        assert_eq!(runner.say("output", &json!({ "push": 1, "lines": [] })).await.status, StatusCode::CONFLICT);
        let session = runner.claim["session"].as_str();
        let archive = stage.app.ask(session, Method::GET, "/runner/v1/configuration", axum::body::Body::empty()).await;
        assert_eq!(archive.status, StatusCode::CONFLICT);
        assert_eq!(stage.refusal("runtime.runs.report").await.as_deref(), Some("no_deployment"));
    }

    async fn a_canary_in_a_report_ends_the_validation_and_is_not_kept(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let asked = validation(&stage, &connection).await;
        let runner = stage.runner().await;
        let mut leaking = row("authority", "pass");
        leaking["detail"] = runner.claim["canary"].clone();
        assert_eq!(runner.say("finish", &end(true, &json!([leaking]))).await.status, StatusCode::CONFLICT);
        let shown = errand(&stage, &asked).await;
        assert_eq!((&shown["state"], &shown["outcome"]["code"]), (&json!("failed"), &json!("canary_seen")));
        assert!(!shown.to_string().contains(runner.claim["canary"].as_str().unwrap()));
    }

    async fn a_report_of_odd_words_or_without_bounds_is_refused(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        validation(&stage, &connection).await;
        let runner = stage.runner().await;
        let many: Vec<Value> = (0..51).map(|_| row("authority", "pass")).collect();
        for report in [json!([row("authority", "excellent")]), json!(many)] {
            let answer = runner.say("finish", &end(true, &report)).await;
            assert_eq!((answer.status, code(&answer).as_str()), (StatusCode::BAD_REQUEST, "malformed_report"));
        }
    }

    async fn a_killed_validation_has_failed_and_a_cancelled_one_is_cancelled(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let killed = validation(&stage, &connection).await;
        let runner = stage.runner().await;
        stage.launches.died(runner.run());
        stage.round().await;
        let shown = errand(&stage, &killed).await;
        assert_eq!((&shown["state"], &shown["outcome"]["code"]), (&json!("failed"), &json!("runner_lost")));
        let preflight = stage.post(&stage.ann, &format!("/api/v1/connections/{connection}/preflight"), &json!({})).await;
        assert!(preflight["checks"].as_array().unwrap().iter().any(|row| row["check"] == "validation" && row["status"] == "fail"));

        let queued = validation(&stage, &connection).await;
        stage.post(&stage.ann, &format!("/api/v1/errands/{queued}/cancel"), &json!({})).await;
        assert_eq!(errand(&stage, &queued).await["state"], "cancelled");

        let running = validation(&stage, &connection).await;
        let runner = stage.runner().await;
        stage.post(&stage.ann, &format!("/api/v1/errands/{running}/cancel"), &json!({})).await;
        assert_eq!(runner.say("heartbeat", &json!({})).await.json()["cancel"], true);
        let mut cancelled = end(false, &json!([row("tool", "pass")]));
        cancelled["cancelled"] = json!(true);
        runner.say("finish", &cancelled).await;
        assert_eq!(errand(&stage, &running).await["state"], "cancelled");
        let again = stage.app.send(&stage.ann, Method::POST, &format!("/api/v1/errands/{running}/cancel"), &json!({})).await;
        assert_eq!(code(&again), "errand_over");
    }

    async fn a_connection_is_not_removed_while_a_runner_tries_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        validation(&stage, &connection).await;
        let path = format!("/api/v1/connections/{connection}");
        let refused = stage.app.send(&stage.admin, Method::DELETE, &path, &json!({})).await;
        assert_eq!(code(&refused), "connection_in_use");
    }

    async fn references_that_are_not_sound_are_never_tried(db: &TestDb) {
        let stage = Stage::over(db).await;
        let environment = stage.environment("mixed", "prod", 0).await;
        let mut odd = aws("mixed", &environment);
        odd["backend"] = json!({ "kind": "gcs", "bucket": "acme-state", "prefix": "writ" });
        let connection = id(&stage.post(&stage.admin, "/api/v1/connections", &odd).await);
        let path = format!("/api/v1/connections/{connection}/validations");
        let refused = stage.app.send(&stage.ann, Method::POST, &path, &json!({})).await;
        assert_eq!(code(&refused), "preflight_failed");
    }

    async fn a_lock_of_a_stranger_is_released_on_an_operators_word_and_on_nobody_elses(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let path = format!("/api/v1/connections/{connection}/unlocks");
        let refused = stage.app.send(&stage.ann, Method::POST, &path, &unlock()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let asked = released(&stage, &connection, &json!({ "holder": "joe@laptop" })).await;
        let runner = stage.runner().await;
        assert_eq!((&runner.claim["task"], &runner.claim["target"]), (&json!({ "task": "unlock", "lock": LOCK }), &json!("web")));
        let found = locked(LOCK, "joe@laptop since yesterday: OperationTypeApply");
        assert_eq!(report(&runner, &found).await["release"], LOCK);
        // The answer was lost: it is given again, and decided once.
        assert_eq!(report(&runner, &found).await["release"], LOCK);
        runner.say("finish", &end(true, &json!([]))).await;
        assert_eq!(errand(&stage, &asked).await["state"], "succeeded");
        let said: Vec<String> = stage.said().await.into_iter().filter(|said| said.starts_with("runtime.state.unlock")).collect();
        assert_eq!(said, ["refuse", "allow", "intent", "done"].map(|outcome| format!("runtime.state.unlock {outcome}")));
        let intent = stage.records().await.into_iter().find(|record| record.said() == "runtime.state.unlock intent").unwrap();
        assert_eq!(intent.payload["decision"]["policies"], json!(["operator-operates"]), "{:?}", intent.payload);
    }

    async fn a_lock_that_is_not_the_one_that_was_meant_is_left_alone(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        for (found, code) in [
            (locked("another", "joe@laptop since yesterday: x"), "lock_changed"),
            (locked(LOCK, "ann@desk since yesterday: x"), "holder_changed"),
        ] {
            let asked = released(&stage, &connection, &json!({ "holder": "joe@laptop" })).await;
            let runner = stage.runner().await;
            assert_eq!(report(&runner, &found).await["release"], Value::Null);
            // Without a permit nothing was released, whatever the runner says.
            runner.say("finish", &end(true, &json!([]))).await;
            let shown = errand(&stage, &asked).await;
            assert_eq!((&shown["state"], &shown["outcome"]["code"]), (&json!("failed"), &json!(code)));
            assert_eq!(stage.refusal("runtime.state.unlock").await.as_deref(), Some(code));
        }
    }

    async fn a_lock_of_a_run_that_may_be_alive_is_left_alone_and_that_of_a_dead_one_is_not(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (seen, later, answer) in [
            (false, Duration::ZERO, Value::Null),
            (true, Duration::ZERO, json!(LOCK)),
            // Nobody has seen it dead, but no credential it had is good any more.
            (false, Duration::from_secs(3_600 + 3_700), json!(LOCK)),
        ] {
            let name = format!("dev-{seen}-{}", later.as_secs());
            let connection = stage.local(&name, 0).await;
            let run = vanished(&stage, &connection, seen).await;
            stage.house.advance(later);
            released(&stage, &connection, &json!({})).await;
            let runner = stage.runner().await;
            let found = locked(LOCK, &format!("writ-{run}@here since yesterday: OperationTypeApply"));
            assert_eq!(report(&runner, &found).await["release"], answer, "{seen} {later:?}");
            runner.say("finish", &end(true, &json!([]))).await;
        }
        assert_eq!(stage.refusal("runtime.state.unlock").await.as_deref(), Some("holder_may_live"));
    }

    async fn whoever_lost_the_role_meanwhile_releases_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let asked = released(&stage, &connection, &json!({})).await;
        let runner = stage.runner().await;
        let people = stage.get(&stage.admin, "/api/v1/people").await;
        let olga = people["items"].as_array().unwrap().iter().find(|person| person["name"] == "olga").unwrap();
        let disabled = stage.app.send(&stage.admin, Method::POST, &format!("/api/v1/people/{}/disable", id(olga)), &json!({})).await;
        assert!(disabled.status.is_success(), "{disabled:?}");
        let found = locked(LOCK, "joe@laptop since yesterday: x");
        assert_eq!(report(&runner, &found).await["release"], Value::Null);
        runner.say("finish", &end(false, &json!([]))).await;
        assert_eq!(errand(&stage, &asked).await["outcome"]["code"], "author_disabled");
    }

    async fn releasing_a_lock_needs_the_environment_for_itself(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let deploying = stage.runner().await;
        let asked = released(&stage, &connection, &json!({})).await;
        stage.round().await;
        assert_eq!(errand(&stage, &asked).await["state"], "queued");
        deploying.finish(false, false, "init_failed").await;
        let runner = stage.runner().await;
        assert_eq!(runner.claim["task"]["task"], "unlock");
    }

    async fn a_runner_that_vanished_while_it_released_leaves_the_unknown(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let asked = released(&stage, &connection, &json!({})).await;
        let runner = stage.runner().await;
        report(&runner, &locked(LOCK, "joe@laptop since yesterday: x")).await;
        stage.launches.died(runner.run());
        stage.round().await;
        assert_eq!(errand(&stage, &asked).await["state"], "lost");
        let said = stage.said().await;
        assert!(said.contains(&"runtime.state.unlock fail".to_owned()), "{said:#?}");
    }

    async fn malformed_locks_are_refused_and_name_the_member(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let olga = stage.olga().await;
        let path = format!("/api/v1/connections/{connection}/unlocks");
        for (member, value) in [("lock", "-force"), ("lock", "a b"), ("target", "../x"), ("reason", ""), ("holder", "a\u{0}b")] {
            let mut wanted = unlock();
            wanted[member] = json!(value);
            let refused = stage.app.send(&olga, Method::POST, &path, &wanted).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{member}: {refused:?}");
            assert!(refused.text().contains(member), "{refused:?}");
        }
    }

    async fn another_tenant_sees_and_stops_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let asked = validation(&stage, &connection).await;
        let other = stage.house.tenant("other").await;
        for (method, path) in [
            (Method::GET, format!("/api/v1/errands/{asked}")),
            (Method::POST, format!("/api/v1/errands/{asked}/cancel")),
            (Method::POST, format!("/api/v1/connections/{connection}/validations")),
        ] {
            let answer = stage.app.send(&other, method, &path, &json!({})).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}

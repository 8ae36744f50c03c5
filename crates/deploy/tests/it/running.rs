//! A run is claimed once, and reports until it ends.

use http::StatusCode;
use serde_json::json;
use writ_store::{on, on_both, testing::TestDb};

use crate::stage::{Stage, plan};

on_both! {
    async fn a_claim_says_everything_a_runner_needs(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy_with(&connection, &json!({ "variables": { "size": 3 } })).await;
        let runner = stage.runner().await;
        let claim = &runner.claim;
        assert_eq!(claim["deployment"], deployment);
        assert_eq!((&claim["environment"], &claim["environmentKind"]), (&json!("dev"), &json!("dev")));
        assert_eq!((&claim["target"], &claim["mode"]), (&json!("web"), &json!("apply")));
        assert_eq!(claim["variables"], json!({ "size": 3 }));
        assert_eq!(claim["allowedProviders"], json!(["hashicorp/null"]));
        let archive = stage.app.ask(claim["session"].as_str(), http::Method::GET, "/runner/v1/configuration", axum::body::Body::empty()).await;
        assert_eq!(archive.header("content-type"), "application/gzip");
        assert_eq!(&archive.body[..2], [0x1f, 0x8b]);
        assert_eq!(stage.state(&deployment).await, "planning");
    }

    async fn a_token_claims_once_and_its_replay_is_on_record(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let (_, token) = stage.launches.last();
        let replay = stage.claim(&token).await;
        assert_eq!(replay.status, StatusCode::UNAUTHORIZED);
        assert_eq!(stage.refusal("runtime.runs.claim").await.as_deref(), Some("token_spent"));
        assert_eq!(runner.say("heartbeat", &json!({})).await.status, StatusCode::OK);
    }

    async fn a_token_that_was_altered_expired_or_made_up_claims_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy_with(&connection, &json!({ "timeoutSeconds": 60 })).await;
        stage.round().await;
        let (_, token) = stage.launches.last();
        let altered = format!("{}x", &token[..token.len() - 1]);
        for bad in [altered.as_str(), "writ_run_", "hello", &stage.ann.token] {
            assert_eq!(stage.claim(bad).await.status, StatusCode::UNAUTHORIZED, "{bad}");
        }
        stage.house.advance(std::time::Duration::from_secs(200));
        assert_eq!(stage.claim(&token).await.status, StatusCode::UNAUTHORIZED);
    }

    async fn a_session_token_opens_the_api_of_runners_only_and_a_persons_opens_the_other_only(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let session = runner.claim["session"].as_str();
        let empty = axum::body::Body::empty;
        let api = stage.app.ask(session, http::Method::GET, "/api/v1/deployments", empty()).await;
        assert_eq!(api.status, StatusCode::UNAUTHORIZED);
        let person = stage.app.ask(Some(&stage.ann.token), http::Method::POST, "/runner/v1/heartbeat", empty()).await;
        assert_eq!(person.status, StatusCode::UNAUTHORIZED);
    }

    async fn output_is_kept_in_order_and_a_repeated_push_is_kept_once(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let push = |number: u64, text: &str| {
            json!({ "push": number, "lines": [{ "at": "2026-11-22T12:00:00Z", "step": "plan", "text": text }] })
        };
        for (number, text) in [(1, "one"), (2, "two"), (2, "two"), (1, "one"), (3, "three")] {
            assert_eq!(runner.say("output", &push(number, text)).await.status, StatusCode::OK);
        }
        let output = stage.get(&stage.ann, &format!("/api/v1/deployments/{deployment}/output")).await;
        let lines: Vec<_> = output["lines"].as_array().unwrap().iter()
            .map(|line| (line["sequence"].as_u64().unwrap(), line["text"].as_str().unwrap())).collect();
        assert_eq!(lines, [(1, "one"), (2, "two"), (3, "three")]);
        let rest = stage.get(&stage.ann, &format!("/api/v1/deployments/{deployment}/output?after=2")).await;
        assert_eq!(rest["lines"].as_array().unwrap().len(), 1);
    }

    async fn a_push_that_skips_one_is_refused_rather_than_lost(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let skipping = json!({ "push": 2, "lines": [{ "at": "2026-11-22T12:00:00Z", "step": "plan", "text": "two" }] });
        assert_eq!(runner.say("output", &skipping).await.status, StatusCode::CONFLICT);
    }

    async fn a_canary_in_what_is_sent_ends_the_run_and_is_not_kept(db: &TestDb) {
        let stage = Stage::over(db).await;
        for path in ["output", "events", "plan", "finish"] {
            let connection = stage.local(path, 0).await;
            let deployment = stage.deploy(&connection).await;
            let runner = stage.runner().await;
            let canary = runner.claim["canary"].as_str().unwrap().to_owned();
            let mut changes = plan("01", &json!({}));
            changes["projection"] = json!({ "leaked": format!("<{canary}>") });
            let body = match path {
                "output" => json!({ "push": 1, "lines": [{ "at": "2026-11-22T12:00:00Z", "step": "plan", "text": format!("x{canary}y") }] }),
                "events" => json!({ "push": 1, "events": [{ "event": "credential_refused", "reason": canary }] }),
                "plan" => changes,
                _ => json!({ "succeeded": true, "outcome": { "code": "applied", "detail": canary }, "outputDigest": "sha256:00", "redactions": {}, "wiped": true }),
            };
            let answer = runner.say(path, &body).await;
            assert_eq!(answer.status, StatusCode::CONFLICT, "{path}: {answer:?}");
            assert!(!answer.text().contains(&canary));
            assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("failed", "canary_seen"), "{path}");
            assert_eq!(runner.say("heartbeat", &json!({})).await.status, StatusCode::UNAUTHORIZED);
            let records = stage.records().await;
            assert!(records.iter().any(|record| record.payload["detail"]["canary"] == "seen" && record.leaf["out"] == "fail"));
            assert!(records.iter().all(|record| !record.payload.to_string().contains(&canary)));
        }
    }

    async fn one_run_at_a_time_in_an_environment(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (dev, other) = (stage.local("dev", 0).await, stage.local("other", 0).await);
        let first = stage.deploy(&dev).await;
        let second = stage.deploy(&dev).await;
        let elsewhere = stage.deploy(&other).await;
        stage.round().await;
        stage.round().await;
        assert_eq!(stage.launches.count(), 2);
        assert_eq!(stage.state(&first).await, "planning");
        assert_eq!(stage.state(&second).await, "queued");
        assert_eq!(stage.state(&elsewhere).await, "planning");
    }

    async fn many_workers_start_one_run(db: &TestDb) {
        let stage = std::sync::Arc::new(Stage::over(db).await);
        let dev = stage.local("dev", 0).await;
        let (first, second) = (stage.deploy(&dev).await, stage.deploy(&dev).await);
        let rounds: Vec<_> = (0..4).map(|_| {
            let stage = stage.clone();
            tokio::spawn(async move { Box::pin(stage.scheduler.round()).await })
        }).collect();
        for round in rounds {
            round.await.unwrap().unwrap();
        }
        assert_eq!(stage.launches.count(), 1);
        assert_eq!([stage.state(&first).await, stage.state(&second).await].iter().filter(|state| *state == "planning").count(), 1);
    }

    async fn a_runner_that_cannot_be_started_fails_its_deployment(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        stage.launches.break_down();
        stage.round().await;
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("failed", "runner_lost"));
    }

    async fn no_token_of_a_run_is_in_the_database(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let (_, token) = stage.launches.last();
        let mut tx = db.db.read(stage.admin.tenant()).await.unwrap();
        let hash = on!(tx, |conn, tenant| sqlx::query_scalar::<_, Vec<u8>>("SELECT session_hash FROM runs WHERE tenant_id = $1").bind(tenant).fetch_one(conn)).unwrap();
        assert_eq!(hash.len(), 32);
        if let writ_store::Config::Sqlite { path } = &db.config {
            for file in path.parent().unwrap().read_dir().unwrap() {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                for secret in [token.as_str(), runner.claim["session"].as_str().unwrap()] {
                    assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
                }
            }
        }
    }
}

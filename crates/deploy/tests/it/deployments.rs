//! Asking for a change, looking at it, stopping it.

use http::{Method, StatusCode};
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, id, plan};

on_both! {
    async fn a_deployment_waits_for_a_runner(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        assert_eq!(stage.state(&deployment).await, "queued");
        let listed = stage.get(&stage.ann, "/api/v1/deployments").await;
        assert_eq!(listed["items"][0]["id"], deployment);
        assert_eq!(listed["items"][0]["author"], stage.ann.id().to_string());
    }

    async fn the_same_key_and_request_are_the_same_deployment(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let wanted = stage.wanted(&connection, &json!({})).await;
        let ask = |body: serde_json::Value| stage.app.ask_with_key(&stage.ann, "key-1", "/api/v1/deployments", body);
        let (first, second) = (ask(wanted.clone()).await, ask(wanted.clone()).await);
        assert_eq!(id(&first.json()), id(&second.json()));
        let mut other = wanted;
        other["target"] = json!("api");
        let reused = ask(other).await;
        assert_eq!(reused.status, StatusCode::CONFLICT, "{reused:?}");
        assert_eq!(stage.get(&stage.ann, "/api/v1/deployments").await["items"].as_array().unwrap().len(), 1);
    }

    async fn a_target_that_is_no_name_is_not_looked_for(db: &TestDb) {
        let stage = Stage::over(db).await;
        for target in ["%00", "a%00b", "..", "Web"] {
            let answer = stage.app.get(&stage.ann, &format!("/api/v1/deployments?target={target}")).await;
            assert_eq!(answer.status.as_u16(), 400, "{answer:?}");
        }
    }

    async fn a_connection_is_removed_or_used_and_never_both(db: &TestDb) {
        let stage = Stage::over(db).await;
        for round in 0..8 {
            let connection = stage.local(&format!("dev-{round}"), 0).await;
            let wanted = stage.wanted(&connection, &json!({})).await;
            let path = format!("/api/v1/connections/{connection}");
            let nothing = json!({});
            let (begun, removed) = tokio::join!(
                stage.app.send(&stage.ann, Method::POST, "/api/v1/deployments", &wanted),
                stage.app.send(&stage.admin, Method::DELETE, &path, &nothing),
            );
            assert_ne!(begun.status.is_success(), removed.status.is_success(), "{begun:?} {removed:?}");
        }
    }

    async fn bad_requests_are_told_what_is_wrong(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        for (more, status) in [
            (json!({ "target": "../etc" }), 400), (json!({ "timeoutSeconds": 5 }), 400), (json!({ "colour": "red" }), 400),
            (json!({ "mode": "smash" }), 400), (json!({ "reason": "two\nlines" }), 400),
            (json!({ "connection": "00000000-0000-7000-8000-000000000000" }), 404),
            (json!({ "configuration": "00000000-0000-7000-8000-000000000000" }), 404),
            (json!({ "variables": { "x": "y".repeat(70_000) } }), 413),
        ] {
            let wanted = stage.wanted(&connection, &more).await;
            let answer = stage.app.send(&stage.ann, Method::POST, "/api/v1/deployments", &wanted).await;
            assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        }
        assert!(stage.get(&stage.ann, "/api/v1/deployments").await["items"].as_array().unwrap().is_empty());
    }

    async fn no_tenant_sees_anothers_deployments(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        let approval = id(&stage.approval(&deployment).await);
        let admin = stage.house.tenant("umbrella").await;
        let stranger = stage.house.person(&admin, "eve", &["developer", "operator", "approver"]).await;
        for path in [
            format!("/api/v1/deployments/{deployment}"), format!("/api/v1/deployments/{deployment}/output"),
            format!("/api/v1/approvals/{approval}"), format!("/api/v1/connections/{connection}"),
        ] {
            assert_eq!(stage.app.get(&stranger, &path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        for (path, body) in [
            (format!("/api/v1/deployments/{deployment}/cancel"), json!({})),
            (format!("/api/v1/deployments/{deployment}/rollback"), json!({})),
            (format!("/api/v1/approvals/{approval}/decide"), json!({ "verdict": "approve", "binding": "sha256:00" })),
        ] {
            let answer = stage.app.send(&stranger, Method::POST, &path, &body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {answer:?}");
        }
        for path in ["/api/v1/deployments", "/api/v1/approvals", "/api/v1/configurations"] {
            assert!(stage.get(&stranger, path).await["items"].as_array().unwrap().is_empty(), "{path}");
        }
    }

    async fn a_queued_deployment_is_cancelled_at_once(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        stage.post(&stage.ann, &format!("/api/v1/deployments/{deployment}/cancel"), &json!({})).await;
        assert_eq!(stage.state(&deployment).await, "cancelled");
        stage.round().await;
        assert_eq!(stage.launches.count(), 0);
        let path = format!("/api/v1/deployments/{deployment}/cancel");
        let again = stage.app.send(&stage.ann, Method::POST, &path, &json!({})).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
    }

    async fn a_running_deployment_is_cancelled_when_its_runner_hears_of_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        assert_eq!(runner.say("heartbeat", &json!({})).await.json()["cancel"], false);
        stage.post(&stage.ann, &format!("/api/v1/deployments/{deployment}/cancel"), &json!({})).await;
        assert_eq!(stage.state(&deployment).await, "planning");
        assert_eq!(runner.say("heartbeat", &json!({})).await.json()["cancel"], true);
        assert_eq!(runner.finish(false, true, "cancelled").await.status, StatusCode::OK);
        assert_eq!(stage.state(&deployment).await, "cancelled");
    }

    async fn nobody_but_author_operator_and_admin_cancels(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let path = format!("/api/v1/deployments/{deployment}/cancel");
        let answer = stage.app.send(&stage.bob, Method::POST, &path, &json!({})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(stage.refusal("runtime.deployments.cancel").await.as_deref(), Some("forbidden"));
        stage.post(&stage.admin, &path, &json!({})).await;
    }

    async fn a_rollback_asks_for_the_same_again(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let first = stage.deploy_with(&connection, &json!({ "variables": { "size": 3 } })).await;
        let back = format!("/api/v1/deployments/{first}/rollback");
        let early = stage.app.send(&stage.ann, Method::POST, &back, &json!({})).await;
        assert_eq!(early.status, StatusCode::CONFLICT);
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        runner.finish(true, false, "applied").await;
        stage.tick();
        let second = stage.post(&stage.ann, &back, &json!({ "reason": "it was better" })).await;
        assert_ne!(id(&second), first);
        let runner = stage.runner().await;
        assert_eq!(runner.claim["variables"], json!({ "size": 3 }));
        assert_eq!(runner.claim["deployment"], second["id"]);
    }
}

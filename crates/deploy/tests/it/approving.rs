//! Others agree to exactly one plan.

use http::StatusCode;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, plan};

on_both! {
    async fn a_change_waits_for_others_and_the_author_is_not_one_of_them(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let author = stage.house.person(&stage.admin, "cleo", &["developer", "approver"]).await;
        let wanted = stage.wanted(&connection, &json!({})).await;
        let deployment = crate::stage::id(&stage.post(&author, "/api/v1/deployments", &wanted).await);
        let runner = stage.runner().await;
        assert_eq!(runner.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], "wait");
        runner.finish(true, false, "waiting").await;
        assert_eq!(stage.state(&deployment).await, "awaiting_approval");
        let approval = stage.approval(&deployment).await;
        let own = stage.vote(&author, &approval, "approve").await;
        assert_eq!(own.status, StatusCode::FORBIDDEN);
        assert!(own.text().contains("no-one-decides-on-own-change"), "{own:?}");
        assert_eq!(stage.refusal("runtime.approvals.decide").await.as_deref(), Some("forbidden"));
        assert_eq!(stage.state(&deployment).await, "awaiting_approval");
    }

    async fn an_identical_plan_is_applied_once_after_approval(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let deployment = stage.deploy(&connection).await;
        let first = stage.runner().await;
        first.plan(&plan("01", &json!({ "create": 1 }))).await;
        first.finish(true, false, "waiting").await;
        let approval = stage.approval(&deployment).await;
        let voted = stage.vote(&stage.bob, &approval, "approve").await;
        assert_eq!((voted.status, &voted.json()["state"]), (StatusCode::OK, &json!("approved")));
        assert_eq!(stage.state(&deployment).await, "approved");
        let second = stage.runner().await;
        assert_ne!(first.run(), second.run());
        let decision = second.plan(&plan("01", &json!({ "create": 1 }))).await;
        assert_eq!(decision["decision"], "apply");
        assert_eq!(stage.approval(&deployment).await["state"], "used");
        second.finish(true, false, "applied").await;
        assert_eq!(stage.state(&deployment).await, "succeeded");
        let records = stage.records().await;
        let intents: Vec<_> = records.iter().filter(|record| record.said() == "runtime.deployments.apply intent").collect();
        assert_eq!(intents.len(), 1);
        assert_eq!(intents[0].payload["detail"]["approval"], approval["id"]);
        assert_eq!(intents[0].payload["decision"]["approvals"], 1);
    }

    async fn the_vote_of_somebody_dismissed_meanwhile_does_not_count(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let deployment = stage.deploy(&connection).await;
        let first = stage.runner().await;
        first.plan(&plan("01", &json!({ "create": 1 }))).await;
        first.finish(true, false, "waiting").await;
        let approval = stage.approval(&deployment).await;
        assert_eq!(stage.vote(&stage.bob, &approval, "approve").await.status, StatusCode::OK);
        let path = format!("/api/v1/people/{}/disable", stage.bob.id());
        assert!(stage.app.send(&stage.admin, http::Method::POST, &path, &json!({})).await.status.is_success());
        let second = stage.runner().await;
        assert_eq!(second.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], "wait");
        second.finish(true, false, "waiting").await;
        assert_eq!(stage.state(&deployment).await, "awaiting_approval");
    }

    async fn another_plan_needs_another_approval(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let deployment = stage.deploy(&connection).await;
        let first = stage.runner().await;
        first.plan(&plan("01", &json!({ "create": 1 }))).await;
        first.finish(true, false, "waiting").await;
        let approval = stage.approval(&deployment).await;
        stage.vote(&stage.bob, &approval, "approve").await;
        let second = stage.runner().await;
        assert_eq!(second.plan(&plan("02", &json!({ "create": 1 }))).await["decision"], "wait");
        second.finish(true, false, "waiting").await;
        let newer = stage.approval(&deployment).await;
        assert_ne!(newer["id"], approval["id"]);
        assert_ne!(newer["binding"], approval["binding"]);
        let old = stage.get(&stage.ann, &format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap())).await;
        assert_eq!(old["state"], "superseded");
        assert_eq!(stage.state(&deployment).await, "awaiting_approval");
    }

    async fn whatever_is_bound_voids_the_approval_when_it_differs(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (number, (field, value)) in [
            ("configuration", json!("sha256:dd")), ("toolDigest", json!("sha256:dd")), ("runnerDigest", json!("sha256:dd")),
            ("stateSerial", json!(7)), ("stateLineage", json!("other")), ("lockFile", json!("sha256:dd")),
            ("providers", json!({ "hashicorp/null": ["h1:x"] })), ("toolVersion", json!("1.11.1")),
        ].into_iter().enumerate() {
            let connection = stage.local(&format!("env-{number}"), 1).await;
            let deployment = stage.deploy(&connection).await;
            let first = stage.runner().await;
            first.plan(&plan("01", &json!({ "create": 1 }))).await;
            first.finish(true, false, "waiting").await;
            let approval = stage.approval(&deployment).await;
            stage.vote(&stage.bob, &approval, "approve").await;
            let second = stage.runner().await;
            let mut other = plan("01", &json!({ "create": 1 }));
            other["bound"][field] = value;
            assert_eq!(second.plan(&other).await["decision"], "wait", "{field}");
            second.finish(true, false, "waiting").await;
        }
    }

    async fn a_new_policy_voids_the_approval(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let deployment = stage.deploy(&connection).await;
        let first = stage.runner().await;
        first.plan(&plan("01", &json!({ "create": 1 }))).await;
        first.finish(true, false, "waiting").await;
        let approval = stage.approval(&deployment).await;
        stage.vote(&stage.bob, &approval, "approve").await;
        let put = stage.app.send(&stage.admin, http::Method::PUT, "/api/v1/policies", &json!({ "policies": "// changed" })).await;
        assert!(put.status.is_success(), "{put:?}");
        let second = stage.runner().await;
        assert_eq!(second.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], "wait");
    }

    async fn production_needs_somebody_else_even_where_none_is_demanded(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.aws("prod").await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        assert_eq!(runner.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], "wait");
    }

    async fn a_no_ends_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        runner.finish(true, false, "waiting").await;
        let approval = stage.approval(&deployment).await;
        assert_eq!(stage.vote(&stage.bob, &approval, "reject").await.json()["state"], "rejected");
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("refused", "rejected"));
        stage.round().await;
        assert_eq!(stage.launches.count(), 1);
        assert_eq!(stage.vote(&stage.bob, &approval, "approve").await.status, StatusCode::CONFLICT);
    }

    async fn a_vote_on_something_else_is_refused_and_on_record(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        let mut approval = stage.approval(&deployment).await;
        approval["binding"] = json!("sha256:ff");
        assert_eq!(stage.vote(&stage.bob, &approval, "approve").await.status, StatusCode::CONFLICT);
        assert_eq!(stage.refusal("runtime.approvals.decide").await.as_deref(), Some("binding_mismatch"));
        assert_eq!(stage.state(&deployment).await, "awaiting_approval");
    }

    async fn what_nobody_answers_is_refused_in_the_end(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 1).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        runner.finish(true, false, "waiting").await;
        let later = stage.again(&stage.ann).await;
        stage.house.advance(writ_gate::approvals::LIFETIME);
        stage.round().await;
        let shown = stage.get(&later, &format!("/api/v1/deployments/{deployment}")).await;
        assert_eq!((&shown["state"], &shown["outcome"]["code"]), (&json!("refused"), &json!("approval_expired")));
    }
}

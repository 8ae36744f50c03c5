//! What may become of a plan when nobody else must agree.

use http::StatusCode;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, plan};

on_both! {
    async fn a_plan_that_policy_allows_is_applied_under_a_permit(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let decision = runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        assert_eq!(decision["decision"], "apply");
        assert!(decision["permit"].is_string());
        assert_eq!(stage.state(&deployment).await, "applying");
        assert_eq!(runner.finish(true, false, "applied").await.status, StatusCode::OK);
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("succeeded", "applied"));
        let steps = [
            "runtime.connections.create allow", "runtime.configurations.create allow", "runtime.deployments.create allow",
            "runtime.runs.start intent", "runtime.runs.claim allow", "runtime.runs.report allow",
            "runtime.deployments.apply intent", "runtime.deployments.apply done", "runtime.runs.report allow",
        ];
        let mut said = stage.said().await;
        // What stands in one commit has no order of its own.
        let mut steps = steps.map(str::to_owned);
        steps.sort();
        said.sort();
        assert_eq!(said, steps);
    }

    async fn the_intent_to_apply_is_the_authors_and_names_what_was_bound(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let permit = runner.plan(&plan("0123", &json!({ "create": 1 }))).await["permit"].clone();
        let records = stage.records().await;
        let intent = records.iter().find(|record| record.said() == "runtime.deployments.apply intent").unwrap();
        assert_eq!(intent.payload["actor"]["id"], stage.ann.id().to_string());
        assert_eq!(intent.payload["detail"]["permit"], permit);
        assert_eq!(intent.payload["detail"]["bound"]["plan"], "sha256:0123");
        assert_eq!(intent.payload["decision"]["plan"]["create"], 1);
    }

    async fn one_permit_for_one_run(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        let again = runner.say("plan", &plan("01", &json!({ "create": 1 }))).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert_eq!(stage.said().await.iter().filter(|said| *said == "runtime.deployments.apply intent").count(), 1);
    }

    async fn nothing_to_do_ends_well_without_a_permit(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 3).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let mut unchanged = plan("01", &json!({}));
        unchanged["changes"] = json!(false);
        assert_eq!(runner.plan(&unchanged).await["decision"], "done");
        runner.finish(true, false, "no_changes").await;
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("succeeded", "no_changes"));
    }

    async fn a_look_is_never_applied(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy_with(&connection, &json!({ "mode": "plan" })).await;
        let runner = stage.runner().await;
        assert_eq!(runner.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], "done");
        runner.finish(true, false, "planned").await;
        assert_eq!(stage.state(&deployment).await, "succeeded");
        assert!(!stage.said().await.iter().any(|said| said.starts_with("runtime.deployments.apply")));
    }

    async fn a_run_that_claims_success_without_a_plan_has_failed(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.finish(true, false, "applied").await;
        assert_eq!(stage.state(&deployment).await, "failed");
    }

    async fn what_policy_forbids_is_refused_whoever_approves(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let own = "@id(\"no-deletes\") forbid (principal, action == Writ::Action::\"runtime.deployments.apply\", resource)
                   when { context has plan && context.plan.delete > 0 };";
        let wanted = json!({ "policies": own });
        let put = stage.app.send(&stage.admin, http::Method::PUT, "/api/v1/policies", &wanted).await;
        assert!(put.status.is_success(), "{put:?}");
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let decision = runner.plan(&plan("01", &json!({ "delete": 1 }))).await;
        assert_eq!(decision["decision"], "refused");
        assert_eq!(decision["reason"], "policy refuses this plan: policy `tenant/no-deletes`");
        runner.finish(false, false, "refused").await;
        assert_eq!((stage.state(&deployment).await.as_str(), stage.outcome(&deployment).await.as_str()), ("refused", "policy_refused"));
        assert_eq!(stage.refusal("runtime.deployments.apply").await.as_deref(), Some("policy_refused"));
        // The leaf tells the decision that it is about, and not the one that let the runner report.
        let records = stage.records().await;
        let refused = records.iter().find(|record| record.said() == "runtime.deployments.apply refuse").unwrap();
        assert_eq!(refused.payload["decision"]["allow"], false);
        assert_eq!(refused.payload["decision"]["policies"], json!(["tenant/no-deletes"]));
    }

    async fn a_permit_is_decided_under_the_circumstances_of_the_request(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (network, decision) in [("192.0.2.0/24", "apply"), ("198.51.100.0/24", "refused")] {
            let connection = stage.local(&network.replace(['.', '/'], "-"), 0).await;
            let own = format!("@id(\"office\") forbid (principal, action == Writ::Action::\"runtime.deployments.apply\", resource)
                unless {{ context has source && context.source.isInRange(ip(\"{network}\")) && context.sessionAgeSeconds > 0 }};");
            let put = stage.app.send(&stage.admin, http::Method::PUT, "/api/v1/policies", &json!({ "policies": own })).await;
            assert!(put.status.is_success(), "{put:?}");
            stage.deploy(&connection).await;
            let runner = stage.runner().await;
            assert_eq!(runner.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], decision, "{network}");
            runner.finish(false, false, "ended").await;
        }
    }

    async fn who_applied_last_removes_it_or_an_operator_and_no_other_developer(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        stage.deploy(&connection).await;
        let runner = stage.runner().await;
        runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        runner.finish(true, false, "applied").await;
        let olga = stage.olga().await;
        for (who, decision) in [(&stage.bob, "refused"), (&stage.ann, "apply"), (&olga, "apply")] {
            stage.tick();
            let wanted = stage.wanted(&connection, &json!({ "mode": "destroy" })).await;
            stage.post(who, "/api/v1/deployments", &wanted).await;
            let runner = stage.runner().await;
            assert_eq!(runner.plan(&plan("02", &json!({ "delete": 1 }))).await["decision"], decision);
            runner.finish(true, false, "destroyed").await;
        }
        // What nobody applied is nobody's to remove, but an operator's.
        for (who, decision) in [(&stage.ann, "refused"), (&olga, "apply")] {
            stage.tick();
            let wanted = stage.wanted(&connection, &json!({ "mode": "destroy", "target": "other" })).await;
            stage.post(who, "/api/v1/deployments", &wanted).await;
            let runner = stage.runner().await;
            assert_eq!(runner.plan(&plan("03", &json!({ "delete": 1 }))).await["decision"], decision);
            runner.finish(true, false, "destroyed").await;
        }
    }

    async fn a_region_that_the_connection_does_not_name_is_refused(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.aws("prod").await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let decision = runner.plan(&plan("01", &json!({ "create": 1, "regions": ["eu-west-1", "us-east-1"] }))).await;
        assert_eq!(decision["decision"], "refused");
        assert!(decision["reason"].as_str().unwrap().contains("`us-east-1`"));
        assert_eq!(stage.outcome(&deployment).await, "region_not_allowed");
    }

    async fn a_cancelled_plan_gets_no_permit(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        stage.post(&stage.ann, &format!("/api/v1/deployments/{deployment}/cancel"), &json!({})).await;
        assert_eq!(runner.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], "refused");
        runner.finish(false, true, "cancelled").await;
        assert_eq!((stage.state(&deployment).await, stage.outcome(&deployment).await), ("cancelled".into(), "cancelled".into()));
    }

    async fn whoever_was_disabled_meanwhile_changes_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let runner = stage.runner().await;
        let path = format!("/api/v1/people/{}/disable", stage.ann.id());
        assert!(stage.app.send(&stage.admin, http::Method::POST, &path, &json!({})).await.status.is_success());
        let decision = runner.plan(&plan("01", &json!({ "create": 1 }))).await;
        assert_eq!(decision["decision"], "refused");
        let shown = stage.get(&stage.bob, &format!("/api/v1/deployments/{deployment}")).await;
        assert_eq!((&shown["state"], &shown["outcome"]["code"]), (&json!("refused"), &json!("author_disabled")));
    }

    async fn a_runner_less_isolated_than_demanded_applies_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let environments = stage.get(&stage.admin, "/api/v1/environments").await;
        let environment = environments["items"][0]["id"].as_str().unwrap();
        let path = format!("/api/v1/environments/{environment}");
        let answer = stage.app.send(&stage.admin, http::Method::PATCH, &path, &json!({ "minimumIsolation": "full" })).await;
        assert!(answer.status.is_success(), "{answer:?}");
        for (level, decision) in [("partial", "refused"), ("full", "apply")] {
            stage.deploy(&connection).await;
            let runner = stage.runner().await;
            let reached = json!({ "push": 1, "events": [{ "event": "isolated", "level": level, "layers": {} }] });
            assert_eq!(runner.say("events", &reached).await.status, StatusCode::OK);
            assert_eq!(runner.plan(&plan("01", &json!({ "create": 1 }))).await["decision"], decision, "{level}");
            runner.finish(false, false, "ended").await;
        }
    }
}

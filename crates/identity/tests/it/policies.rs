//! A tenant's own policies, through the API.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, text};

async fn put(stage: &Stage, body: &Value) -> writ_testkit::Answer {
    stage.app.send(&stage.admin, Method::PUT, "/api/v1/policies", body).await
}

on_both! {
    async fn what_does_not_compile_changes_nothing_and_is_told_with_its_line(db: &TestDb) {
        let stage = Stage::over(db).await;
        let before = stage.app.get(&stage.admin, "/api/v1/policies").await.json();
        let answer = put(&stage, &json!({ "policies": "\npermit (principal, action" })).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("line 2: "), "{answer:?}");
        assert_eq!(stage.app.get(&stage.admin, "/api/v1/policies").await.json(), before);
    }

    async fn a_version_replaces_the_one_it_names(db: &TestDb) {
        let stage = Stage::over(db).await;
        let first = put(&stage, &json!({ "policies": "// first" })).await.json();
        let second = put(&stage, &json!({ "policies": "// second", "replaces": first["id"] })).await;
        assert_eq!(second.status, StatusCode::OK, "{second:?}");
        let stale = put(&stage, &json!({ "policies": "// third", "replaces": first["id"] })).await;
        assert_eq!((stale.status, &stale.json()["code"]), (StatusCode::CONFLICT, &json!("stale_policy_set")));
        let active = stage.app.get(&stage.admin, "/api/v1/policies").await.json();
        assert_eq!((&active["policies"], &active["id"]), (&json!("// second"), &second.json()["id"]));
        assert!(text(&active["builtIn"]).contains("no-one-decides-on-own-change"));
    }

    async fn a_permit_of_ones_own_holds_at_once(db: &TestDb) {
        let stage = Stage::over(db).await;
        let ann = stage.house.person(&stage.admin, "ann", &["reader"]).await;
        assert_eq!(stage.app.get(&ann, "/api/v1/people").await.status, StatusCode::FORBIDDEN);
        let own = "permit (principal in Writ::Role::\"reader\", action == Writ::Action::\"identity.people.read\", resource);";
        assert_eq!(put(&stage, &json!({ "policies": own })).await.status, StatusCode::OK);
        assert_eq!(stage.app.get(&ann, "/api/v1/people").await.status, StatusCode::OK);
    }

    async fn nobody_locks_the_tenant_out(db: &TestDb) {
        let stage = Stage::over(db).await;
        let answer = put(&stage, &json!({ "policies": "forbid (principal, action, resource);" })).await;
        assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::CONFLICT, &json!("locked_out")));
        assert_eq!(put(&stage, &json!({ "policies": "// still here" })).await.status, StatusCode::OK);
    }

    async fn no_policy_of_a_tenant_gives_it_the_platform(db: &TestDb) {
        let stage = Stage::over(db).await;
        let own = "permit (principal in Writ::Role::\"admin\", action, resource);";
        assert_eq!(put(&stage, &json!({ "policies": own })).await.status, StatusCode::OK);
        let wanted = json!({ "name": "mine", "admin": "mine" });
        let answer = stage.post(&stage.admin, "/api/v1/tenants", &wanted).await;
        assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::FORBIDDEN, &json!("platform_action")));
        let listed = stage.app.get(&stage.admin, "/api/v1/tenants").await;
        assert_eq!(listed.status, StatusCode::FORBIDDEN);
    }

    async fn cases_are_tried_without_effect(db: &TestDb) {
        let stage = Stage::over(db).await;
        let own = "forbid (principal, action == Writ::Action::\"runtime.deployments.apply\", resource) when { context has plan && context.plan.delete > 0 };";
        let case = |name: &str, delete: u32, expect: &str| json!({ "name": name, "expect": expect, "roles": ["operator"],
            "action": "runtime.deployments.apply", "environment": "dev", "plan": { "delete": delete } });
        let wanted = json!({ "policies": own, "cases": [case("kept", 0, "allow"), case("gone", 1, "deny"), case("wrong", 1, "allow")] });
        let report = stage.post(&stage.admin, "/api/v1/policies/test", &wanted).await.json();
        let passed: Vec<_> = report["results"].as_array().unwrap().iter().map(|result| result["passed"].as_bool().unwrap()).collect();
        assert_eq!((report["passed"].as_bool(), passed), (Some(false), vec![true, true, false]));
        assert_eq!(stage.app.get(&stage.admin, "/api/v1/policies").await.json()["policies"], "");
    }

    async fn too_much_policy_is_refused(db: &TestDb) {
        let stage = Stage::over(db).await;
        let text = "permit (principal, action, resource);\n".repeat(8_000);
        assert_eq!(put(&stage, &json!({ "policies": text })).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}

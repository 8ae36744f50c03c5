//! Who holds which role, where, and until when.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, text};

on_both! {
    async fn a_role_holds_from_the_next_request_on_and_until_it_is_taken(db: &TestDb) {
        let stage = Stage::over(db).await;
        let ann = stage.house.person(&stage.admin, "ann", &[]).await;
        assert_eq!(stage.app.get(&ann, "/api/v1/people").await.status, StatusCode::FORBIDDEN);
        let wanted = json!({ "principal": ann.id(), "role": "auditor" });
        let binding = text(&stage.post(&stage.admin, "/api/v1/role-bindings", &wanted).await.json()["id"]);
        assert_eq!(stage.app.get(&ann, "/api/v1/people").await.status, StatusCode::OK);
        let path = format!("/api/v1/role-bindings/{binding}");
        assert_eq!(stage.delete(&stage.admin, &path).await.status, StatusCode::NO_CONTENT);
        assert_eq!(stage.app.get(&ann, "/api/v1/people").await.status, StatusCode::FORBIDDEN);
        assert_eq!(stage.delete(&stage.admin, &path).await.status, StatusCode::NOT_FOUND);
    }

    async fn a_role_with_an_end_stops_when_the_clock_passes_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let ann = stage.house.person(&stage.admin, "ann", &[]).await;
        let wanted = json!({ "principal": ann.id(), "role": "auditor", "expiresAt": "2026-11-22T13:00:00Z" });
        assert_eq!(stage.post(&stage.admin, "/api/v1/role-bindings", &wanted).await.status, StatusCode::CREATED);
        stage.house.advance(Duration::from_secs(3_599));
        assert_eq!(stage.app.get(&ann, "/api/v1/people").await.status, StatusCode::OK);
        stage.house.advance(Duration::from_secs(1));
        assert_eq!(stage.app.get(&ann, "/api/v1/people").await.status, StatusCode::FORBIDDEN);
    }

    async fn a_role_that_is_over_before_it_begins_is_refused(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "principal": stage.admin.id(), "role": "auditor", "expiresAt": "2026-11-22T12:00:00Z" });
        assert_eq!(stage.post(&stage.admin, "/api/v1/role-bindings", &wanted).await.status, StatusCode::BAD_REQUEST);
    }

    async fn the_servers_own_role_exists_in_the_platform_tenant_only(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "principal": stage.admin.id(), "role": "platform-admin" });
        let answer = stage.post(&stage.admin, "/api/v1/role-bindings", &wanted).await;
        assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::FORBIDDEN, &json!("platform_role")));
        assert_eq!(stage.refusal("identity.roles.bind").await.as_deref(), Some("platform_role"));
        assert_eq!(stage.app.get(&stage.admin, "/api/v1/tenants").await.status, StatusCode::FORBIDDEN);
        let root = &stage.house.root;
        assert_eq!(stage.app.get(root, "/api/v1/tenants").await.status, StatusCode::OK);
        let more = stage.house.person(root, "second", &["platform-admin"]).await;
        assert_eq!(stage.app.get(&more, "/api/v1/tenants").await.status, StatusCode::OK);
    }

    async fn nobody_but_administrators_gives_roles(db: &TestDb) {
        let stage = Stage::over(db).await;
        let ann = stage.house.person(&stage.admin, "ann", &["developer", "operator", "approver", "auditor", "viewer"]).await;
        let wanted = json!({ "principal": ann.id(), "role": "admin" });
        assert_eq!(stage.post(&ann, "/api/v1/role-bindings", &wanted).await.status, StatusCode::FORBIDDEN);
    }

    async fn nobody_and_nowhere_get_no_role(db: &TestDb) {
        let stage = Stage::over(db).await;
        let nobody = "00000000-0000-7000-8000-00000000000a";
        let missing = json!({ "principal": nobody, "role": "viewer" });
        assert_eq!(stage.post(&stage.admin, "/api/v1/role-bindings", &missing).await.status, StatusCode::NOT_FOUND);
        let nowhere = json!({ "principal": stage.admin.id(), "role": "viewer", "environment": nobody });
        assert_eq!(stage.post(&stage.admin, "/api/v1/role-bindings", &nowhere).await.status, StatusCode::NOT_FOUND);
    }
}

//! Tenants cannot see each other.

use http::{Method, StatusCode};
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, text};

on_both! {
    async fn what_belongs_to_another_tenant_does_not_exist(db: &TestDb) {
        let stage = Stage::over(db).await;
        let stranger = stage.house.tenant("umbrella").await;
        let ann = stage.house.person(&stage.admin, "ann", &["viewer"]).await;
        let (key, _) = stage.key(&stage.admin, &["*"]).await;
        let service = json!({ "name": "ci", "owner": ann.id(), "purpose": "builds" });
        let service = text(&stage.post(&stage.admin, "/api/v1/services", &service).await.json()["id"]);
        let environment = json!({ "name": "dev", "kind": "dev" });
        let environment = text(&stage.post(&stage.admin, "/api/v1/environments", &environment).await.json()["id"]);
        let listed = stage.app.get(&stage.admin, "/api/v1/role-bindings").await.json();
        let binding = text(&listed["items"][0]["id"]);
        let session = text(&stage.app.get(&stage.admin, "/api/v1/sessions").await.json()["items"][0]["id"]);
        for (method, path) in [
            (Method::GET, format!("/api/v1/people/{}", ann.id())), (Method::POST, format!("/api/v1/people/{}/disable", ann.id())),
            (Method::POST, format!("/api/v1/services/{service}/retire")), (Method::PATCH, format!("/api/v1/environments/{environment}")),
            (Method::DELETE, format!("/api/v1/role-bindings/{binding}")), (Method::DELETE, format!("/api/v1/api-keys/{key}")),
            (Method::DELETE, format!("/api/v1/sessions/{session}")),
        ] {
            let answer = stage.app.send(&stranger, method, &path, &json!({})).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {answer:?}");
        }
        for (path, body) in [
            ("/api/v1/role-bindings", json!({ "principal": ann.id(), "role": "admin" })),
            ("/api/v1/role-bindings", json!({ "principal": stranger.id(), "role": "viewer", "environment": environment })),
            ("/api/v1/api-keys", json!({ "label": "x", "scopes": ["*"], "expiresAt": "2026-12-01T00:00:00Z", "service": service })),
        ] {
            let answer = stage.post(&stranger, path, &body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {answer:?}");
        }
        assert_eq!(stage.who(&ann.token).await.status, StatusCode::OK);
    }

    async fn an_owner_of_another_tenant_is_as_unknown_as_nobody(db: &TestDb) {
        let stage = Stage::over(db).await;
        let stranger = stage.house.tenant("umbrella").await;
        let owned_by = |owner: String| json!({ "name": "x", "owner": owner, "purpose": "x" });
        let nobody = stage.house.gate.world().uuid().to_string();
        let theirs = stage.post(&stranger, "/api/v1/services", &owned_by(stage.admin.id().to_string())).await;
        let none = stage.post(&stranger, "/api/v1/services", &owned_by(nobody)).await;
        assert_eq!((theirs.status, &theirs.json()["detail"]), (none.status, &none.json()["detail"]));
        assert_eq!(theirs.status, StatusCode::BAD_REQUEST);
    }

    async fn a_listing_is_of_ones_own_tenant(db: &TestDb) {
        let stage = Stage::over(db).await;
        let stranger = stage.house.tenant("umbrella").await;
        let ann = stage.house.person(&stage.admin, "ann", &["viewer"]).await;
        stage.key(&ann, &["*"]).await;
        for path in ["people", "services", "role-bindings", "api-keys", "sessions", "environments"] {
            let answer = stage.app.get(&stranger, &format!("/api/v1/{path}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            for theirs in [ann.id().to_string(), stage.admin.id().to_string()] {
                assert!(!answer.text().contains(&theirs), "{path}: {answer:?}");
            }
        }
        let keys = stage.app.get(&stranger, &format!("/api/v1/api-keys?principal={}", ann.id())).await.json();
        assert!(keys["items"].as_array().unwrap().is_empty());
    }

    async fn the_same_names_live_in_two_tenants(db: &TestDb) {
        let stage = Stage::over(db).await;
        let stranger = stage.house.tenant("umbrella").await;
        for who in [&stage.admin, &stranger] {
            assert_eq!(stage.post(who, "/api/v1/people", &json!({ "name": "ann" })).await.status, StatusCode::CREATED);
            assert_eq!(stage.post(who, "/api/v1/people", &json!({ "name": "ann" })).await.status, StatusCode::CONFLICT);
        }
    }

    async fn the_name_of_a_tenant_is_taken_once_and_the_failure_is_on_record(db: &TestDb) {
        let stage = Stage::over(db).await;
        let root = &stage.house.root;
        let again = stage.post(root, "/api/v1/tenants", &json!({ "name": "acme", "admin": "eve" })).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        let said: Vec<_> = stage.house.records(root.tenant()).await.iter().map(writ_testkit::Record::said).collect();
        assert!(said.contains(&"platform.tenants.create fail".to_owned()), "{said:?}");
    }
}

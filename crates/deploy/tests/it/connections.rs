//! Connections are references, and are checked before anything uses them.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, aws, id};

fn checks(report: &Value) -> Vec<(String, String)> {
    let rows = report["checks"].as_array().unwrap().iter();
    rows.map(|row| (row["check"].as_str().unwrap().to_owned(), row["status"].as_str().unwrap().to_owned()))
        .collect()
}

on_both! {
    async fn a_sound_connection_passes_its_preflight(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.aws("prod").await;
        let report = stage.post(&stage.ann, &format!("/api/v1/connections/{connection}/preflight"), &json!({})).await;
        assert_eq!(report["passed"], true, "{report}");
        assert!(checks(&report).contains(&("reachability".to_owned(), "skipped".to_owned())));
    }

    async fn a_malformed_reference_is_refused_and_told_where(db: &TestDb) {
        let stage = Stage::over(db).await;
        let environment = stage.environment("prod", "prod", 0).await;
        for (field, value) in [
            ("roleArn", "arn:aws:iam::123456789012:role/../admin"), ("roleArn", "AKIAIOSFODNN7EXAMPLE"),
            ("region", "eu-west-1/../../x"), ("externalId", "has spaces"),
        ] {
            let mut wanted = aws("broken", &environment);
            wanted["target"][field] = json!(value);
            let answer = stage.app.send(&stage.admin, Method::POST, "/api/v1/connections", &wanted).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}: {answer:?}");
        }
    }

    async fn local_state_has_no_place_in_production(db: &TestDb) {
        let stage = Stage::over(db).await;
        let environment = stage.environment("prod", "prod", 0).await;
        let mut wanted = aws("prod", &environment);
        wanted["backend"] = json!({ "kind": "local" });
        let answer = stage.app.send(&stage.admin, Method::POST, "/api/v1/connections", &wanted).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert!(stage.get(&stage.admin, "/api/v1/connections").await["items"].as_array().unwrap().is_empty());
    }

    async fn another_tenants_environment_and_connection_do_not_exist(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let environment = stage.environment("more", "prod", 0).await;
        let stranger = stage.house.tenant("umbrella").await;
        let answer = stage.app.send(&stranger, Method::POST, "/api/v1/connections", &aws("x", &environment)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let path = format!("/api/v1/connections/{connection}");
        assert_eq!(stage.app.get(&stranger, &path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(stage.app.send(&stranger, Method::DELETE, &path, &json!({})).await.status, StatusCode::NOT_FOUND);
        assert!(stage.get(&stranger, "/api/v1/connections").await["items"].as_array().unwrap().is_empty());
        stage.get(&stage.ann, &path).await;
    }

    async fn what_an_unfinished_deployment_needs_is_not_removed(db: &TestDb) {
        let stage = Stage::over(db).await;
        let connection = stage.local("dev", 0).await;
        let deployment = stage.deploy(&connection).await;
        let path = format!("/api/v1/connections/{connection}");
        let answer = stage.app.send(&stage.admin, Method::DELETE, &path, &json!({})).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
        stage.post(&stage.ann, &format!("/api/v1/deployments/{deployment}/cancel"), &json!({})).await;
        assert_eq!(stage.app.send(&stage.admin, Method::DELETE, &path, &json!({})).await.status, StatusCode::NO_CONTENT);
    }

    async fn a_name_is_taken_once(db: &TestDb) {
        let stage = Stage::over(db).await;
        let environment = stage.environment("prod", "prod", 0).await;
        let first = stage.post(&stage.admin, "/api/v1/connections", &aws("main", &environment)).await;
        assert!(!id(&first).is_empty());
        let second = stage.app.send(&stage.admin, Method::POST, "/api/v1/connections", &aws("main", &environment)).await;
        assert_eq!(second.status, StatusCode::CONFLICT);
    }
}

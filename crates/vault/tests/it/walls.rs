//! What the wrong people get.

use http::Method;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};
use writ_vault::{NewSecret, Value};

use crate::stage::Stage;

on_both! {
    async fn a_dev_identity_cannot_learn_that_a_prod_secret_exists(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store_in("prod", "billing/database", "hunter2").await;
        let path = format!("/api/v1/secrets/{id}");
        let missing = "/api/v1/secrets/01900000-0000-7000-8000-000000000000";
        let dev = &stage.dev;
        for suffix in ["", "/metadata", "/history", "/versions"] {
            let there = stage.get(dev, &format!("{path}{suffix}")).await;
            let not_there = stage.get(dev, &format!("{missing}{suffix}")).await;
            assert_eq!(there.status, 404, "{suffix}");
            assert_eq!(there.json()["detail"], not_there.json()["detail"], "{suffix}");
        }
        let write = stage.send(dev, Method::PUT, &format!("{path}/value"), &json!({ "value": "x" })).await;
        assert_eq!(write.status, 404);
        assert_eq!(stage.bare(dev, Method::DELETE, &path).await.status, 404);
        assert_eq!(stage.send(dev, Method::PATCH, &path, &json!({ "name": "mine" })).await.status, 404);
    }

    async fn a_dev_identity_cannot_name_the_environment_prod(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.store_in("prod", "a", "x").await;
        let dev = &stage.dev;
        let by_path = stage.get(dev, "/api/v1/secrets/by-path?path=a&environment=prod").await;
        let nowhere = stage.get(dev, "/api/v1/secrets/by-path?path=a&environment=nowhere").await;
        assert_eq!((by_path.status.as_u16(), nowhere.status.as_u16()), (404, 404));
        assert_eq!(by_path.json()["detail"], nowhere.json()["detail"]);
        assert_eq!(stage.get(dev, "/api/v1/secrets?environment=prod").await.status, 404);
        assert_eq!(stage.get(dev, "/api/v1/secrets/folders?environment=prod").await.status, 404);
        let wanted = json!({ "name": "mine", "value": "x", "environment": "prod" });
        assert_eq!(stage.post(dev, "/api/v1/secrets", &wanted).await.status, 404);
    }

    async fn storing_or_importing_does_not_tell_which_paths_of_prod_are_taken(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.store_in("prod", "taken", "x").await;
        let mut told = Vec::new();
        for path in ["taken", "free"] {
            let new = || {
                let value = Value::text("y".to_owned()).unwrap();
                NewSecret::new(Some("prod".to_owned()), path.parse().unwrap(), Some(value))
            };
            let put = stage.vault.put(&stage.dev.caller, new(), Some(1)).await.unwrap_err();
            let imported = stage.vault.import(&stage.dev.caller, new()).await.unwrap_err();
            told.push([put, imported].map(|error| (error.code(), error.public().to_owned())));
        }
        assert_eq!(told[0], told[1]);
    }

    async fn another_tenant_has_no_such_secret(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "hunter2").await;
        let stranger = stage.house.tenant("rival").await;
        let stranger = stage.house.person(&stranger, "spy", &["secrets-admin"]).await;
        let path = format!("/api/v1/secrets/{id}");
        assert_eq!(stage.get(&stranger, &path).await.status, 404);
        assert_eq!(stage.bare(&stranger, Method::DELETE, &path).await.status, 404);
        assert_eq!(stage.get(&stage.keeper, &path).await.json()["value"], "hunter2");
    }

    async fn who_may_list_a_secret_is_told_that_they_may_not_read_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "hunter2").await;
        let viewer = stage.house.person(&stage.admin, "viewer", &["viewer"]).await;
        assert_eq!(stage.get(&viewer, &format!("/api/v1/secrets/{id}/metadata")).await.status, 200);
        let refused = stage.get(&viewer, &format!("/api/v1/secrets/{id}")).await;
        assert_eq!(refused.status, 403);
        assert!(!refused.text().contains("hunter2"));
        assert_eq!(stage.count("vault.secrets.read refuse").await, 1);
    }

    async fn an_auditor_sees_names_and_no_value(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "hunter2").await;
        let auditor = stage.house.person(&stage.admin, "auditor", &["auditor"]).await;
        assert_eq!(stage.get(&auditor, &format!("/api/v1/secrets/{id}")).await.status, 403);
        assert_eq!(stage.get(&auditor, &format!("/api/v1/secrets/{id}/history")).await.status, 403);
        assert_eq!(stage.get(&auditor, "/api/v1/secrets?environment=dev").await.status, 200);
    }

    async fn paths_that_lead_elsewhere_are_refused(db: &TestDb) {
        let stage = Stage::over(db).await;
        for name in ["../prod/a", "a//b", "/a", "a/", "a%2Fb", "a\\b", "\u{430}pp", "a\u{200b}"] {
            let wanted = json!({ "name": name, "value": "x" });
            let answer = stage.post(&stage.dev, "/api/v1/secrets", &wanted).await;

            assert_eq!(answer.json()["code"], "malformed_path", "{name:?}");
        }
        let encoded = stage.get(&stage.dev, "/api/v1/secrets/by-path?path=a%252fb").await;
        assert_eq!(encoded.json()["code"], "malformed_path");
    }
}

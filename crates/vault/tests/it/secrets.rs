//! A secret's life: stored, read, replaced, taken away.

use std::time::Duration;

use http::Method;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, text};

on_both! {
    async fn a_stored_value_is_read_back_by_id_and_by_path(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("billing/database", "hunter2").await;
        let by_id = stage.get(&stage.dev, &format!("/api/v1/secrets/{id}")).await;
        assert_eq!((by_id.status.as_u16(), &by_id.json()["value"]), (200, &json!("hunter2")));
        // `dev` holds roles in one environment only, so nothing else can be meant.
        let by_path = stage.get(&stage.dev, "/api/v1/secrets/by-path?path=billing/database").await;
        assert_eq!(by_path.json()["value"], "hunter2");
        assert_eq!(by_path.json()["version"], 1);
    }

    async fn a_reading_is_on_record_and_its_receipt_comes_with_the_value(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "hunter2").await;
        let read = stage.get(&stage.dev, &format!("/api/v1/secrets/{id}")).await;
        let records = stage.house.records(stage.admin.tenant()).await;
        let record = records.iter().rfind(|record| record.said() == "vault.secrets.read allow").unwrap();
        assert!(read.header("writ-receipt").contains(record.leaf["id"].as_str().unwrap()));
        assert_eq!(record.payload["object"]["name"], "a");
        assert_eq!(record.payload["detail"]["version"], 1);
    }

    async fn what_a_client_does_not_state_is_assumed_and_said_so(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "a", "value": "x", "description": "opens the safe\nand more" });
        let stored = stage.post(&stage.dev, "/api/v1/secrets", &wanted).await.json();
        assert_eq!(stored["owner"], json!(stage.dev.caller.principal));
        assert_eq!(stored["purpose"], "opens the safe");
        assert_eq!(stored["classification"], "confidential");
        assert_eq!(stored["rotateEverySeconds"], 90 * 24 * 3_600);
        assert_eq!(stored["assumed"], json!(["owner", "purpose", "rotation", "classification"]));
    }

    async fn what_is_stated_later_is_assumed_no_longer(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "x").await;
        let wanted = json!({ "purpose": "opens the safe", "classification": "restricted" });
        let path = format!("/api/v1/secrets/{id}");
        let updated = stage.send(&stage.keeper, Method::PATCH, &path, &wanted).await.json();
        assert_eq!(updated["assumed"], json!(["owner", "rotation"]));
        assert_eq!(updated["classification"], "restricted");
    }

    async fn a_write_that_names_another_version_than_the_current_one_writes_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let path = format!("/api/v1/secrets/{id}/value");
        let put = async |cas: u32, value: &str| {
            stage.send(&stage.keeper, Method::PUT, &path, &json!({ "value": value, "cas": cas })).await
        };
        assert_eq!(put(1, "two").await.json()["version"], 2);
        let refused = put(1, "three").await;
        assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (409, &json!("version_conflict")));
        let read = stage.get(&stage.keeper, &format!("/api/v1/secrets/{id}")).await;
        assert_eq!(read.json()["value"], "two");
    }

    async fn of_two_writers_that_saw_the_same_version_one_wins(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let path = format!("/api/v1/secrets/{id}/value");
        let put = |value: &'static str| {
            let (app, keeper, path) = (stage.app.clone(), stage.keeper.clone(), path.clone());
            tokio::spawn(async move {
                app.send(&keeper, Method::PUT, &path, &json!({ "value": value, "cas": 1 })).await.status
            })
        };
        let (one, other) = (put("two"), put("zwei"));
        let mut statuses = [one.await.unwrap().as_u16(), other.await.unwrap().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }

    async fn a_secret_that_demands_it_is_written_with_a_version_only(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let path = format!("/api/v1/secrets/{id}");
        stage.send(&stage.keeper, Method::PATCH, &path, &json!({ "casRequired": true })).await;
        assert_eq!(stage.write(&id, "two").await.json()["code"], "cas_required");
    }

    async fn rolling_back_writes_the_earlier_value_as_a_new_version(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        stage.write(&id, "two").await;
        let back = stage
            .post(&stage.keeper, &format!("/api/v1/secrets/{id}/rollback"), &json!({ "version": 1 }))
            .await;
        assert_eq!(back.json()["version"], 3);
        let history = stage.get(&stage.keeper, &format!("/api/v1/secrets/{id}/history")).await.json();
        let values: Vec<_> = history["versions"].as_array().unwrap().iter().map(|v| text(&v["value"])).collect();
        assert_eq!(values, ["one", "two", "one"]);
        assert_eq!(history["versions"][0]["restoredFromVersion"], 1);
    }

    async fn a_deleted_version_is_gone_until_it_is_restored(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (path, nothing) = (format!("/api/v1/secrets/{id}"), json!({}));
        stage.post(&stage.keeper, &format!("{path}/versions/delete"), &nothing).await;
        let gone = stage.get(&stage.keeper, &path).await;
        assert_eq!((gone.status.as_u16(), &gone.json()["code"]), (410, &json!("version_deleted")));
        stage.post(&stage.keeper, &format!("{path}/versions/restore"), &json!({ "versions": [1] })).await;
        assert_eq!(stage.get(&stage.keeper, &path).await.json()["value"], "one");
    }

    async fn a_destroyed_version_never_comes_back(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (path, first) = (format!("/api/v1/secrets/{id}"), json!({ "versions": [1] }));
        let destroyed = stage.post(&stage.keeper, &format!("{path}/versions/destroy"), &first).await;
        assert_eq!(destroyed.status, 204);
        stage.post(&stage.keeper, &format!("{path}/versions/restore"), &first).await;
        assert_eq!(stage.get(&stage.keeper, &path).await.json()["code"], "version_destroyed");
    }

    async fn only_so_many_versions_are_kept(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "1").await;
        let path = format!("/api/v1/secrets/{id}");
        stage.send(&stage.keeper, Method::PATCH, &path, &json!({ "maxVersions": 2 })).await;
        for value in ["2", "3"] {
            stage.write(&id, value).await;
        }
        assert_eq!(stage.get(&stage.keeper, &format!("{path}?version=1")).await.status, 404);
        assert_eq!(stage.get(&stage.keeper, &format!("{path}?version=2")).await.json()["value"], "2");
    }

    async fn a_version_may_be_written_to_delete_itself(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "a", "value": "x", "environment": "dev", "deleteAfterSeconds": 60 });
        let id = text(&stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await.json()["id"]);
        let path = format!("/api/v1/secrets/{id}");
        stage.house.advance(Duration::from_secs(59));
        assert_eq!(stage.get(&stage.keeper, &path).await.status, 200);
        stage.house.advance(Duration::from_secs(1));
        assert_eq!(stage.get(&stage.keeper, &path).await.json()["code"], "version_deleted");
    }

    async fn what_is_out_of_use_is_neither_read_nor_written_and_the_attempt_is_on_record(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let path = format!("/api/v1/secrets/{id}");
        stage.bare(&stage.keeper, Method::POST, &format!("{path}/deactivate")).await;
        assert_eq!(stage.get(&stage.keeper, &path).await.json()["code"], "secret_inactive");
        assert_eq!(stage.write(&id, "two").await.status, 409);
        assert_eq!(stage.count("vault.secrets.read refuse").await, 1);
        assert_eq!(stage.count("vault.secrets.write refuse").await, 1);
        stage.bare(&stage.keeper, Method::POST, &format!("{path}/activate")).await;
        assert_eq!(stage.get(&stage.keeper, &path).await.json()["value"], "one");
    }

    async fn an_expired_secret_is_not_handed_out_and_the_attempt_is_on_record(db: &TestDb) {
        let stage = Stage::over(db).await;
        let end = stage.house.gate.world().now().plus(Duration::from_hours(1));
        let wanted = json!({ "name": "a", "value": "x", "environment": "dev", "expiresAt": end });
        let id = text(&stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await.json()["id"]);
        stage.house.advance(Duration::from_hours(1));
        let gone = stage.get(&stage.dev, &format!("/api/v1/secrets/{id}")).await;
        assert_eq!((gone.status.as_u16(), &gone.json()["code"]), (410, &json!("secret_expired")));
        assert_eq!(stage.count("vault.secrets.read refuse").await, 1);
    }

    async fn a_destroyed_secret_leaves_its_path_free(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let path = format!("/api/v1/secrets/{id}");
        assert_eq!(stage.bare(&stage.keeper, Method::DELETE, &path).await.status, 204);
        assert_eq!(stage.get(&stage.keeper, &path).await.status, 404);
        let again = stage.store("a", "two").await;
        assert_eq!(stage.get(&stage.keeper, &format!("/api/v1/secrets/{again}")).await.json()["version"], 1);
    }

    async fn two_secrets_cannot_have_one_path(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.store("a", "one").await;
        let other = stage.store("b", "two").await;
        let wanted = json!({ "name": "a", "value": "x", "environment": "dev" });
        assert_eq!(stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await.json()["code"], "secret_exists");
        let renamed = stage
            .send(&stage.keeper, Method::PATCH, &format!("/api/v1/secrets/{other}"), &json!({ "name": "a" }))
            .await;
        assert_eq!(renamed.json()["code"], "secret_exists");
        // The same path of another environment is another path.
        stage.store_in("prod", "a", "three").await;
    }

    async fn a_request_repeated_under_its_key_stores_one_secret(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "a", "value": "one", "environment": "dev" });
        let ask = async |body| stage.app.ask_with_key(&stage.keeper, "k1", "/api/v1/secrets", body).await;
        let (first, second) = (ask(wanted.clone()).await, ask(wanted).await);
        assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
        assert_eq!(first.json()["id"], second.json()["id"]);
        let other = ask(json!({ "name": "a", "value": "two", "environment": "dev" })).await;
        assert_eq!(other.json()["code"], "idempotency_key_reused");
    }

    async fn json_is_kept_byte_for_byte(db: &TestDb) {
        let stage = Stage::over(db).await;
        let document = r#"{"n": 12345678901234567890, "f": 1.50,  "e":1E2}"#;
        let wanted = json!({ "name": "a", "value": document, "format": "json", "environment": "dev" });
        let id = text(&stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await.json()["id"]);
        let read = stage.get(&stage.keeper, &format!("/api/v1/secrets/{id}")).await.json();
        assert_eq!((&read["value"], &read["format"]), (&json!(document), &json!("json")));
    }

    async fn any_bytes_are_a_value(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "a", "value": "/wAB", "format": "binary", "environment": "dev" });
        let id = text(&stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await.json()["id"]);
        let read = stage.get(&stage.keeper, &format!("/api/v1/secrets/{id}")).await.json();
        assert_eq!(read["value"], "/wAB");
        let sizes = stage.get(&stage.keeper, &format!("/api/v1/secrets/{id}/versions")).await.json();
        assert_eq!(sizes["versions"][0]["size"], 3);
    }

    async fn what_goes_with_a_value_is_read_with_it_and_never_listed(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({
            "name": "a", "value": "x", "environment": "dev", "username": "zoe", "notes": "under the mat",
            "custom_fields": [{ "name": "pin", "value": "1234" }], "totp_secret": "JBSWY3DP",
        });
        let id = text(&stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await.json()["id"]);
        let path = format!("/api/v1/secrets/{id}");
        stage.send(&stage.keeper, Method::PATCH, &path, &json!({ "notes": "in the safe" })).await;
        let read = stage.get(&stage.dev, &path).await.json();
        assert_eq!((&read["username"], &read["notes"]), (&json!("zoe"), &json!("in the safe")));
        assert_eq!(read["customFields"][0]["value"], "1234");
        assert_eq!(read["hasTotp"], true);
        let listed = stage.get(&stage.dev, "/api/v1/secrets").await.text();
        for secret in ["zoe", "safe", "1234", "JBSWY3DP"] {
            assert!(!listed.contains(secret), "{listed}");
        }
    }

    async fn a_value_has_a_longest_length(db: &TestDb) {
        let stage = Stage::over(db).await;
        let store = async |name: &str, length: usize| {
            let wanted = json!({ "name": name, "value": "x".repeat(length), "environment": "dev" });
            stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await
        };
        assert_eq!(store("fits", 1 << 20).await.status, 201);
        assert_eq!(store("longer", (1 << 20) + 1).await.json()["code"], "value_too_large");
        assert_eq!(store("enormous", 5 << 20).await.status, 413);
    }
}

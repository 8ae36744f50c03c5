//! Keys are made, changed, rotated and destroyed.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, base64, text};

const DAY: Duration = Duration::from_hours(24);

on_both! {
    async fn a_key_is_made_and_its_making_is_on_record(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.key("orders", "ML-KEM-768").await;
        assert_eq!((&key["name"], &key["algorithm"]), (&json!("orders"), &json!("ML-KEM-768")));
        assert_eq!((&key["keyType"], &key["version"], &key["status"]), (&json!("encryption"), &json!(1), &json!("active")));
        assert_eq!((&key["environment"], &key["isPostQuantum"]), (&json!(stage.dev), &json!(true)));
        let record = stage.last().await;
        assert_eq!(record.said(), "vault.keys.create allow");
        assert_eq!(record.payload["detail"]["algorithm"], "ml-kem-768");
    }

    async fn every_algorithm_has_a_purpose_that_suits_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (algorithm, purpose) in [
            ("ML-KEM-512", "encryption"), ("ML-KEM-1024", "encryption"), ("AES-256-GCM", "encryption"),
            ("ML-DSA-44", "signing"), ("ML-DSA-65", "signing"), ("mldsa-87", "signing"), ("Ed25519", "signing"),
            ("ECDSA-P256", "signing"), ("HMAC", "hmac"), ("HMAC-SHA256", "hmac"),
        ] {
            let key = stage.key(&format!("k-{algorithm}"), algorithm).await;
            assert_eq!(key["keyType"], purpose, "{algorithm}");
        }
        let wanted = json!({ "name": "wrong", "algorithm": "ML-KEM-768", "keyType": "signing" });
        assert_eq!(stage.refused(&stage.ann, "/api/v1/keys", &wanted).await, (400, "wrong_purpose".to_owned()));
    }

    async fn a_name_is_taken_once_in_an_environment(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.key("orders", "AES-256-GCM").await;
        let wanted = json!({ "name": "orders", "environment": "dev" });
        let refused = stage.refused(&stage.keeper, "/api/v1/keys", &wanted).await;
        assert_eq!(refused, (409, "key_name_conflict".to_owned()));
        let elsewhere = json!({ "name": "orders", "environment": "prod" });
        assert_eq!(stage.done(&stage.keeper, "/api/v1/keys", &elsewhere).await["environment"], stage.prod);
    }

    async fn who_can_use_several_environments_says_which(db: &TestDb) {
        let stage = Stage::over(db).await;
        let refused = stage.refused(&stage.keeper, "/api/v1/keys", &json!({ "name": "k" })).await;
        assert_eq!(refused, (400, "environment_required".to_owned()));
        let by_query = stage.done(&stage.keeper, "/api/v1/keys?environment=prod", &json!({ "name": "k" })).await;
        assert_eq!(by_query["environment"], stage.prod);
    }

    async fn rotation_makes_a_version_and_keeps_the_old_one(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.key("orders", "ML-KEM-768").await;
        let old = stage.done(&stage.ann, "/api/v1/transit/encrypt/orders", &json!({ "plaintext": base64("one") })).await;
        let rotated = stage.rotate(&key).await;
        assert_eq!((&rotated["newVersion"], &rotated["previousVersion"], &rotated["version"]), (&json!(2), &json!(1), &json!(2)));
        assert_eq!(rotated["keyId"], key["id"]);
        let new = stage.done(&stage.ann, "/api/v1/transit/encrypt/orders", &json!({ "plaintext": base64("two") })).await;
        assert_eq!((&old["keyVersion"], &new["keyVersion"]), (&json!(1), &json!(2)));
        for (made, plaintext) in [(old, "one"), (new, "two")] {
            let opened = stage.done(&stage.ann, "/api/v1/transit/decrypt/orders", &json!({ "ciphertext": made["ciphertext"] })).await;
            assert_eq!(opened["plaintext"], base64(plaintext));
        }
        let versions = stage.app.get(&stage.ann, &format!("/api/v1/keys/{}/versions", text(&key["id"]))).await.json();
        let states: Vec<_> = versions["versions"].as_array().unwrap().iter().map(|one| text(&one["state"])).collect();
        assert_eq!(states, ["active", "current"]);
    }

    async fn a_period_rotates_a_key_when_it_is_due(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "orders", "rotateEverySeconds": 86_400 });
        let key = stage.done(&stage.ann, "/api/v1/keys", &wanted).await;
        let version = async || {
            stage.app.get(&stage.ann, &format!("/api/v1/keys/{}", text(&key["id"]))).await.json()["version"].clone()
        };
        assert_eq!((stage.work().await, version().await), (0, json!(1)));
        stage.house.advance(DAY);
        assert_eq!((stage.work().await, version().await), (1, json!(2)));
        assert_eq!(stage.work().await, 0);
        assert_eq!(stage.said("vault.keys.rotate allow").await, 1);
    }

    async fn a_key_below_its_minimum_version_does_not_open(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.key("orders", "AES-256-GCM").await;
        let old = stage.done(&stage.ann, "/api/v1/transit/encrypt/orders", &json!({ "plaintext": base64("one") })).await;
        stage.rotate(&key).await;
        let renewed = stage.done(&stage.ann, "/api/v1/transit/rewrap/orders", &json!({ "ciphertext": old["ciphertext"] })).await;
        assert_eq!(renewed["keyVersion"], 2);
        let config = stage.done(&stage.ann, "/api/v1/transit/keys/orders/config", &json!({ "minDecryptionVersion": 2 })).await;
        assert_eq!((&config["latestVersion"], &config["minDecryptionVersion"]), (&json!(2), &json!(2)));
        for path in ["/api/v1/transit/decrypt/orders", "/api/v1/transit/rewrap/orders"] {
            let refused = stage.refused(&stage.ann, path, &json!({ "ciphertext": old["ciphertext"] })).await;
            assert_eq!(refused, (403, "key_version_below_minimum".to_owned()), "{path}");
        }
        let opened = stage.done(&stage.ann, "/api/v1/transit/decrypt/orders", &json!({ "ciphertext": renewed["ciphertext"] })).await;
        assert_eq!(opened["plaintext"], base64("one"));
        let refused = stage.refused(&stage.ann, "/api/v1/transit/keys/orders/config", &json!({ "minDecryptionVersion": 3 })).await;
        assert_eq!(refused, (400, "invalid_min_decryption_version".to_owned()));
    }

    async fn a_key_whose_end_is_scheduled_is_not_used_and_can_be_kept(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.key("orders", "ML-KEM-768").await;
        let path = format!("/api/v1/keys/{}", text(&key["id"]));
        let made = stage.done(&stage.ann, "/api/v1/transit/encrypt/orders", &json!({ "plaintext": base64("one") })).await;
        let refused = stage.app.send(&stage.ann, Method::DELETE, &path, &json!({})).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let deleted = stage.app.send(&stage.keeper, Method::DELETE, &path, &json!({})).await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
        let shown = stage.app.get(&stage.ann, &path).await.json();
        assert_eq!((&shown["status"], &shown["scheduledDeletionDate"]), (&json!("scheduled_deletion"), &json!("2026-11-29T12:00:00Z")));
        let open = json!({ "ciphertext": made["ciphertext"] });
        assert_eq!(stage.refused(&stage.ann, "/api/v1/transit/decrypt/orders", &open).await, (403, "key_revoked".to_owned()));
        stage.done(&stage.keeper, &format!("{path}/cancel-deletion"), &json!({})).await;
        assert_eq!(stage.done(&stage.ann, "/api/v1/transit/decrypt/orders", &open).await["plaintext"], base64("one"));
    }

    async fn a_key_is_destroyed_when_its_grace_has_passed(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.key("orders", "ML-KEM-768").await;
        let path = format!("/api/v1/keys/{}", text(&key["id"]));
        for (days, status) in [(31, 400), (3, 204), (3, 409)] {
            let answer = stage.app.send(&stage.keeper, Method::DELETE, &format!("{path}?scheduleDays={days}"), &json!({})).await;
            assert_eq!(answer.status, status, "{days}: {answer:?}");
        }
        stage.house.advance(DAY * 2 + Duration::from_secs(86_399));
        assert_eq!(stage.work().await, 0);
        stage.house.advance(Duration::from_secs(1));
        assert_eq!(stage.work().await, 1);
        assert_eq!(stage.said("vault.keys.delete allow").await, 2);
        assert_eq!(stage.app.get(&stage.keeper, &path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(stage.key("orders", "ML-KEM-768").await["version"], 1);
    }

    async fn a_key_out_of_use_or_past_its_end_is_refused_on_record(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "orders", "expiresAt": "2026-11-23T12:00:00Z" });
        let key = stage.done(&stage.ann, "/api/v1/keys", &wanted).await;
        let path = format!("/api/v1/keys/{}", text(&key["id"]));
        let encrypt = json!({ "plaintext": base64("one") });
        let set = async |status: &str| {
            let changed = stage.app.send(&stage.ann, Method::PATCH, &path, &json!({ "status": status })).await;
            assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
        };
        set("disabled").await;
        assert_eq!(stage.refused(&stage.ann, "/api/v1/transit/encrypt/orders", &encrypt).await, (403, "key_disabled".to_owned()));
        set("active").await;
        stage.done(&stage.ann, "/api/v1/transit/encrypt/orders", &encrypt).await;
        stage.house.advance(DAY);
        assert_eq!(stage.refused(&stage.ann, "/api/v1/transit/encrypt/orders", &encrypt).await, (403, "key_expired".to_owned()));
    }

    async fn trimmed_versions_are_gone(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.key("orders", "AES-256-GCM").await;
        stage.rotate(&key).await;
        let trim = format!("/api/v1/keys/{}/trim", text(&key["id"]));
        let wanted = json!({ "minAvailableVersion": 2 });
        assert_eq!(stage.refused(&stage.keeper, &trim, &wanted).await, (400, "invalid_min_available_version".to_owned()));
        stage.done(&stage.ann, "/api/v1/transit/keys/orders/config", &json!({ "minDecryptionVersion": 2 })).await;
        let trimmed = stage.done(&stage.keeper, &trim, &wanted).await;
        assert_eq!((&trimmed["minAvailableVersion"], &trimmed["versionCount"]), (&json!(2), &json!(1)));
        let refused = stage.refused(&stage.ann, "/api/v1/transit/keys/orders/config", &json!({ "minDecryptionVersion": 1 })).await;
        assert_eq!(refused.1, "invalid_min_decryption_version");
    }

    async fn only_a_key_made_for_it_is_exported_and_comes_back(db: &TestDb) {
        let stage = Stage::over(db).await;
        let fixed = stage.key("fixed", "AES-256-GCM").await;
        let export = |key: &serde_json::Value| format!("/api/v1/keys/{}/export", text(&key["id"]));
        assert_eq!(stage.refused(&stage.keeper, &export(&fixed), &json!({})).await, (403, "key_not_exportable".to_owned()));
        let wanted = json!({ "name": "loose", "algorithm": "AES-256-GCM", "exportable": true });
        let loose = stage.done(&stage.ann, "/api/v1/keys", &wanted).await;
        assert_eq!(stage.refused(&stage.ann, &export(&loose), &json!({})).await.0, 403);
        let material = stage.done(&stage.keeper, &export(&loose), &json!({})).await["keyMaterial"].clone();
        let made = stage.done(&stage.ann, "/api/v1/transit/encrypt/loose", &json!({ "plaintext": base64("one") })).await;
        let wanted = json!({ "name": "again", "algorithm": "AES-256-GCM", "key_material": material, "environment": "dev" });
        let again = stage.done(&stage.keeper, "/api/v1/keys/import", &wanted).await;
        assert_eq!(again["imported"], true);
        let opened = stage.done(&stage.ann, "/api/v1/transit/decrypt/again", &json!({ "ciphertext": made["ciphertext"] })).await;
        assert_eq!(opened["plaintext"], base64("one"));
    }

    async fn keys_are_listed_by_page_purpose_and_status(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (name, algorithm) in [("a", "ML-KEM-768"), ("b", "AES-256-GCM"), ("c", "ML-DSA-65")] {
            stage.key(name, algorithm).await;
        }
        let list = async |query: &str| stage.app.get(&stage.ann, &format!("/api/v1/keys?{query}")).await.json();
        let first = list("page=1&pageSize=2").await;
        assert_eq!((&first["total"], &first["hasMore"]), (&json!(3), &json!(true)));
        let second = list("page=2&pageSize=2").await;
        assert_eq!((second["keys"].as_array().unwrap().len(), &second["hasMore"]), (1, &json!(false)));
        assert_eq!(list("keyType=signing").await["keys"][0]["name"], "c");
        assert_eq!(list("status=inactive").await["total"], 0);
    }
}

//! Whoever means harm learns nothing and gets nothing.

use http::StatusCode;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, base64, text};

on_both! {
    async fn a_developer_learns_of_no_key_of_another_environment_or_tenant(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.done(&stage.keeper, "/api/v1/keys", &json!({ "name": "gold", "environment": "prod" })).await;
        let id = text(&key["id"]);
        let nobody = "00000000-0000-7000-8000-000000000000";
        let stranger = stage.house.tenant("rival").await;
        for who in [&stage.ann, &stranger] {
            for path in [format!("/api/v1/keys/{id}"), format!("/api/v1/keys/{nobody}")] {
                let answer = stage.app.get(who, &path).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
                assert_eq!(answer.json()["detail"], "no such key");
            }
            let encrypt = json!({ "plaintext": "x", "key_id": id });
            assert_eq!(stage.post(who, "/api/v1/encrypt", &encrypt).await.status, StatusCode::NOT_FOUND);
        }
        for environment in ["prod".to_owned(), stage.prod.clone()] {
            let path = format!("/api/v1/transit/encrypt/gold?environment={environment}");
            let body = json!({ "plaintext": base64("x") });
            assert_eq!(stage.refused(&stage.ann, &path, &body).await, (404, "not_found".to_owned()));
            let missing = format!("/api/v1/transit/encrypt/lead?environment={environment}");
            assert_eq!(stage.refused(&stage.ann, &missing, &body).await, (404, "not_found".to_owned()));
        }
    }

    async fn a_ciphertext_opens_only_whole_and_in_its_place(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (name, algorithm) in [("kem", "ML-KEM-768"), ("aes", "AES-256-GCM")] {
            let key = stage.key(name, algorithm).await;
            stage.key(&format!("{name}-2"), algorithm).await;
            stage.rotate(&key).await;
            let bound = |data: &str, ciphertext: &Value| json!({ "ciphertext": ciphertext, "associatedData": base64(data) });
            let encrypt = json!({ "plaintext": base64("attack at dawn"), "associatedData": base64("a") });
            let made = stage.done(&stage.ann, &format!("/api/v1/transit/encrypt/{name}"), &encrypt).await["ciphertext"].clone();
            let other = stage.done(&stage.ann, &format!("/api/v1/transit/encrypt/{name}"), &encrypt).await["ciphertext"].clone();
            let path = format!("/api/v1/transit/decrypt/{name}");
            assert_eq!(stage.done(&stage.ann, &path, &bound("a", &made)).await["plaintext"], base64("attack at dawn"));
            let body = data_encoding::BASE64.decode(text(&made).rsplit_once(':').unwrap().1.as_bytes()).unwrap();
            let tail = data_encoding::BASE64.decode(text(&other).rsplit_once(':').unwrap().1.as_bytes()).unwrap();
            let half = body.len() / 2;
            let spliced = [&body[..half], &tail[half..]].concat();
            let mut flipped = body.clone();
            *flipped.last_mut().unwrap() ^= 1;
            for (what, altered) in [
                ("truncated", json!(format!("vault:v2:{}", base64(&body[..body.len() - 1])))),
                ("empty", json!("vault:v2:")),
                ("spliced", json!(format!("vault:v2:{}", base64(spliced)))),
                ("flipped", json!(format!("vault:v2:{}", base64(flipped)))),
                ("of another version", json!(text(&made).replace("vault:v2:", "vault:v1:"))),
                ("of version 0", json!(text(&made).replace("vault:v2:", "vault:v0:"))),
                ("of version 4294967296", json!(text(&made).replace("vault:v2:", "vault:v4294967296:"))),
            ] {
                let (status, code) = stage.refused(&stage.ann, &path, &bound("a", &altered)).await;
                assert!(status == 400 && ["decryption_failed", "invalid_ciphertext"].contains(&&*code), "{what}: {status} {code}");
            }
            for (path, data) in [(path.clone(), "b"), (format!("/api/v1/transit/decrypt/{name}-2"), "a")] {
                let body = bound(data, &json!(text(&made).replace("vault:v2:", if path.ends_with("-2") { "vault:v1:" } else { "vault:v2:" })));
                assert_eq!(stage.refused(&stage.ann, &path, &body).await, (400, "decryption_failed".to_owned()));
            }
        }
    }

    async fn no_error_repeats_what_was_to_be_kept(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.key("orders", "ML-KEM-768").await;
        let told = "hunter2-hunter2";
        for (path, body) in [
            ("/api/v1/transit/encrypt/orders", json!({ "plaintext": told })),
            ("/api/v1/transit/encrypt/orders", json!({ "plaintext": told, "encoding": told })),
            ("/api/v1/transit/decrypt/orders", json!({ "ciphertext": told })),
            ("/api/v1/decrypt", json!({ "encrypted_payload": told })),
            ("/api/v1/keys/import", json!({ "name": "k", "algorithm": "AES-256-GCM", "key_material": told })),
        ] {
            let answer = stage.post(&stage.keeper, &format!("{path}?environment=dev"), &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(!answer.text().contains(told), "{path}: {answer:?}");
        }
    }

    async fn names_that_lead_elsewhere_or_look_like_others_are_no_names(db: &TestDb) {
        let stage = Stage::over(db).await;
        let body = json!({ "plaintext": base64("x") });
        for name in ["..", "%2e%2e", "a%2fb", "%2Fetc", "a%00", "r%D0%B0y", "-a", ".hidden"] {
            let answer = stage.post(&stage.ann, &format!("/api/v1/transit/encrypt/{name}"), &body).await;
            assert!([StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND].contains(&answer.status), "{name}: {answer:?}");
        }
        for name in ["", "a/b", "..", "раyments", "a b", &"a".repeat(101)] {
            let answer = stage.post(&stage.ann, "/api/v1/keys", &json!({ "name": name })).await;
            assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::BAD_REQUEST, &json!("malformed_name")), "{name}");
        }
    }

    async fn a_batch_has_its_bounds(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.key("orders", "AES-256-GCM").await;
        let items = |count: usize| json!({ "items": vec![json!({ "plaintext": "" }); count] });
        let path = "/api/v1/transit/batch/encrypt/orders";
        assert_eq!(stage.refused(&stage.ann, path, &items(1_001)).await, (413, "too_many_items".to_owned()));
        assert_eq!(stage.refused(&stage.ann, path, &items(0)).await, (400, "no_items".to_owned()));
        stage.done(&stage.ann, path, &items(1_000)).await;
        let huge = json!({ "plaintext": "A".repeat(9 * 1024 * 1024) });
        let answer = stage.post(&stage.ann, "/api/v1/transit/encrypt/orders", &huge).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    async fn a_sealed_server_uses_no_key_it_had_ready(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.key("orders", "AES-256-GCM").await;
        let body = json!({ "plaintext": base64("x") });
        stage.done(&stage.ann, "/api/v1/transit/encrypt/orders", &body).await;
        stage.house.gate.seal().close();
        stage.house.gate.forget();
        stage.room.forget();
        let answer = stage.post(&stage.ann, "/api/v1/transit/encrypt/orders", &body).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        stage.house.gate.seal().unseal(None).await.unwrap();
        stage.done(&stage.ann, "/api/v1/transit/encrypt/orders", &body).await;
    }

    async fn a_viewer_sees_keys_and_uses_none(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.key("orders", "AES-256-GCM").await;
        let viewer = stage.house.person(&stage.admin, "vi", &["viewer"]).await;
        assert_eq!(stage.app.get(&viewer, &format!("/api/v1/keys/{}", text(&key["id"]))).await.status, StatusCode::OK);
        let body = json!({ "plaintext": base64("x") });
        let refused = stage.refused(&viewer, "/api/v1/transit/encrypt/orders?environment=dev", &body).await;
        assert_eq!(refused, (403, "forbidden".to_owned()));
    }
}

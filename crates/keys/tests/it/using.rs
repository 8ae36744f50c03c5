//! Data is encrypted, decrypted, signed and verified.

use http::StatusCode;
use serde_json::{Value, json};
use writ_crypto::named::Scheme;
use writ_keys::{Claim, Message, Place, Proof, Which, Work};
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, base64, text};

on_both! {
    async fn what_is_encrypted_with_the_default_key_opens_whole_and_in_parts(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "plaintext": "héllo", "key_id": null, "additional_data": "row 7" });
        assert_eq!(stage.refused(&stage.ann, "/api/v1/encrypt", &wanted).await, (400, "no_default_key".to_owned()));
        for algorithm in ["ML-KEM-768", "AES-256-GCM"] {
            let new = json!({ "name": format!("d-{algorithm}"), "algorithm": algorithm, "setAsDefault": true });
            let key = stage.done(&stage.ann, "/api/v1/keys", &new).await;
            let made = stage.done(&stage.ann, "/api/v1/encrypt", &wanted).await;
            assert_eq!((&made["key_id"], &made["algorithm"]), (&key["id"], &json!(algorithm)));
            let whole = json!({ "encrypted_payload": made["encrypted_payload"], "additional_data": "row 7" });
            let opened = stage.done(&stage.ann, "/api/v1/decrypt", &whole).await;
            assert_eq!((&opened["plaintext"], &opened["encoding"]), (&json!("héllo"), &json!("utf8")));
            let mut parts = json!({ "additional_data": "row 7" });
            for part in ["ciphertext", "encapsulated_key", "nonce", "tag", "key_id", "key_version"] {
                parts[part] = made[part].clone();
            }
            assert_eq!(stage.done(&stage.ann, "/api/v1/decrypt", &parts).await["plaintext"], "héllo");
        }
    }

    async fn the_leaf_of_a_use_says_how_much_and_not_what(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.key("orders", "ML-KEM-768").await;
        stage.done(&stage.ann, "/api/v1/transit/encrypt/orders", &json!({ "plaintext": base64("tell nobody") })).await;
        let record = stage.last().await;
        assert_eq!(record.said(), "vault.data.encrypt allow");
        assert_eq!(record.payload["detail"], json!({ "items": 1, "versions": [1] }));
        assert!(!record.payload.to_string().contains(&base64("tell nobody")));
    }

    async fn a_batch_fails_item_by_item(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.key("orders", "ML-KEM-768").await;
        let items: Vec<Value> = (0..150).map(|n| json!({ "plaintext": base64(format!("item {n}")) })).collect();
        let made = stage.done(&stage.ann, "/api/v1/transit/batch/encrypt/orders", &json!({ "items": items })).await;
        let mut sealed: Vec<Value> =
            made["results"].as_array().unwrap().iter().map(|it| json!({ "ciphertext": it["ciphertext"] })).collect();
        assert_eq!(sealed.len(), 150);
        sealed[3] = json!({ "ciphertext": "vault:v9:AAAA" });
        sealed[5] = json!({ "ciphertext": "nonsense" });
        let opened = stage.done(&stage.ann, "/api/v1/transit/batch/decrypt/orders", &json!({ "items": sealed })).await;
        let results = opened["results"].as_array().unwrap();
        assert_eq!((&results[4]["index"], &results[4]["plaintext"]), (&json!(4), &json!(base64("item 4"))));
        assert_eq!((&results[3]["error"], &results[5]["error"]), (&json!("unknown_key_version"), &json!("invalid_ciphertext")));
        assert_eq!(stage.last().await.payload["detail"]["failed"], 2);
    }

    async fn every_signing_key_signs_and_verifies(db: &TestDb) {
        let stage = Stage::over(db).await;
        for algorithm in ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "Ed25519", "ECDSA-P256", "ECDSA-P384"] {
            let key = stage.key(&format!("s-{algorithm}"), algorithm).await;
            let data = base64("a message");
            let made = stage.done(&stage.ann, "/api/v1/sign", &json!({ "data": data, "key_id": key["id"], "algorithm": "ML-DSA-65" })).await;
            assert_eq!(made["algorithm"], algorithm);
            stage.rotate(&key).await;
            for (data, valid) in [(data, true), (base64("another message"), false)] {
                let claim = json!({ "data": data, "key_id": key["id"], "signature": made["signature"] });
                assert_eq!(stage.done(&stage.ann, "/api/v1/verify", &claim).await["is_valid"], valid, "{algorithm}");
            }
        }
    }

    async fn a_batch_is_signed_and_verified_item_by_item(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.key("signer", "Ed25519").await;
        let which = Which::Named(Place::native(None), "signer".parse().unwrap());
        let (caller, scheme) = (&stage.ann.caller, Scheme::default());
        let inputs: Vec<_> = (0..20).map(|n| format!("item {n}").into_bytes()).collect();
        let messages = inputs.iter().map(|input| Message { input: input.clone(), version: None }).collect();
        let (_, made, _) = stage.room.sign(caller, &which, &scheme, &Work::Many(messages)).await.unwrap();
        // The signatures in their order, apart from the last two, which change places.
        let mut proofs: Vec<_> = made.into_iter().map(|made| Proof::Bare(made.unwrap().bytes)).collect();
        proofs.swap(18, 19);
        let claims = inputs.into_iter().zip(proofs).map(|(input, proof)| Claim { input, proof }).collect();
        let (_, valid, _) = stage.room.verify(caller, &which, &scheme, &Work::Many(claims)).await.unwrap();
        let valid: Vec<_> = valid.into_iter().map(|valid| valid.unwrap()).collect();
        assert_eq!(valid, [[true; 18].as_slice(), &[false; 2]].concat());
    }

    async fn codes_of_authenticity_are_made_and_checked(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.key("mac", "HMAC").await;
        for (algorithm, called) in [(None, "sha2-256"), (Some("sha512"), "sha2-512"), (Some("HMAC-SHA3-256"), "sha3-256")] {
            let made = stage.done(&stage.ann, "/api/v1/transit/hmac/mac", &json!({ "data": base64("m"), "algorithm": algorithm })).await;
            assert_eq!(made["algorithm"], called);
            for (data, valid) in [("m", true), ("n", false)] {
                let claim = json!({ "data": base64(data), "hmac": made["hmac"], "algorithm": algorithm });
                assert_eq!(stage.done(&stage.ann, "/api/v1/transit/verify/mac", &claim).await["valid"], valid, "{called}");
            }
        }
    }

    async fn a_data_key_opens_again_with_its_context_only(db: &TestDb) {
        let stage = Stage::over(db).await;
        let key = stage.key("master", "ML-KEM-768").await;
        let path = format!("/api/v1/keys/{}", text(&key["id"]));
        let made = stage.done(&stage.ann, &format!("{path}/generate-data-key"), &json!({ "keyBytes": 16, "context": base64("c") })).await;
        assert_eq!(data_encoding::BASE64.decode(text(&made["plaintextKey"]).as_bytes()).unwrap().len(), 16);
        let unwrap = format!("{path}/unwrap");
        let opened = stage.done(&stage.ann, &unwrap, &json!({ "wrappedKey": made["encryptedKey"], "context": base64("c") })).await;
        assert_eq!((&opened["keyMaterial"], &opened["keyVersion"]), (&made["plaintextKey"], &json!(1)));
        let wrong = json!({ "wrappedKey": made["encryptedKey"], "context": base64("d") });
        assert_eq!(stage.refused(&stage.ann, &unwrap, &wrong).await, (400, "decryption_failed".to_owned()));
        let hidden = stage.done(&stage.ann, "/api/v1/transit/datakey/master/without-plaintext", &json!({})).await;
        assert_eq!(hidden.get("plaintextKey"), None);
    }

    async fn a_derived_key_needs_its_context_and_may_converge(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "c", "algorithm": "AES-256-GCM", "derived": true, "convergent": true });
        stage.done(&stage.ann, "/api/v1/keys", &wanted).await;
        let encrypt = async |context: Option<&str>| {
            let body = json!({ "plaintext": base64("same"), "context": context.map(base64) });
            stage.post(&stage.ann, "/api/v1/transit/encrypt/c", &body).await.json()
        };
        let (one, two) = (encrypt(Some("a")).await, encrypt(Some("a")).await);
        assert_eq!(one["ciphertext"], two["ciphertext"]);
        assert_ne!(one["ciphertext"], encrypt(Some("b")).await["ciphertext"]);
        assert_eq!(encrypt(None).await["code"], "context_required");
    }

    async fn random_bytes_come_in_every_format(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (format, bytes, items) in [("uuid", 32, 2), ("int32", 12, 3), ("int64", 16, 2)] {
            let drawn = stage.done(&stage.ann, "/api/v1/qrng/entropy", &json!({ "bytes": bytes, "format": format })).await;
            assert_eq!(drawn["entropy"].as_array().unwrap().len(), items, "{format}");
        }
        let drawn = stage.done(&stage.ann, "/api/v1/qrng/entropy", &json!({ "bytes": 65_536, "format": "hex" })).await;
        assert_eq!(text(&drawn["entropy"]).len(), 131_072);
        assert_eq!((&drawn["source"], &drawn["sourceDetails"]["isQuantum"]), (&json!("csprng"), &json!(false)));
        assert_eq!(stage.last().await.payload["detail"], json!({ "bytes": 65_536, "sources": [] }));
        for body in [json!({ "bytes": 15, "format": "uuid" }), json!({ "bytes": 0 }), json!({ "bytes": 65_537 })] {
            assert_eq!(stage.post(&stage.ann, "/api/v1/qrng/entropy", &body).await.status, StatusCode::BAD_REQUEST, "{body}");
        }
    }
}

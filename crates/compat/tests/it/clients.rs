//! What the dialect's clients do, call by call: External Secrets Operator, the Terraform provider, vault-action.

use http::Method;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::Stage;

/// `secret/` of version 2, `auth/approle/` with a role `app` that may read it, and the role's two halves.
async fn with_approle(stage: &Stage) -> (String, String) {
    let root = stage.root.clone();
    stage.put("sys/mounts/secret", &root, json!({ "type": "kv", "options": { "version": "2" } })).await;
    stage.put("sys/auth/approle", &root, json!({ "type": "approle" })).await;
    stage
        .policy(
            "app",
            "path \"secret/*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\"] }",
        )
        .await;
    let made = stage
        .put("auth/approle/role/app", &root, json!({ "token_policies": "app", "token_ttl": "1h" }))
        .await;
    assert_eq!(made.status, 204, "{made:?}");
    let role_id = stage.get("auth/approle/role/app/role-id", &root).await;
    let secret_id = stage.put("auth/approle/role/app/secret-id", &root, json!({})).await;
    let text = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    (text(role_id.at("/data/role_id")), text(secret_id.at("/data/secret_id")))
}

async fn sign_in(stage: &Stage, role_id: &str, secret_id: &str) -> String {
    let login = json!({ "role_id": role_id, "secret_id": secret_id });
    let answer = stage.put("auth/approle/login", "", login).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.at("/auth/client_token").as_str().unwrap().to_owned()
}

on_both! {
    async fn external_secrets_operator_signs_in_looks_reads_pushes_and_leaves(db: &TestDb) {
        let stage = Stage::open(db).await;
        let (role_id, secret_id) = with_approle(&stage).await;
        let token = sign_in(&stage, &role_id, &secret_id).await;
        let own = stage.get("auth/token/lookup-self", &token).await;
        assert_eq!((own.at("/data/type"), own.at("/data/ttl")), (json!("service"), json!(3600)));
        assert!(own.at("/data/expire_time").is_string());
        let pushed = json!({ "data": { "password": "x" }, "options": { "cas": 0 } });
        assert_eq!(stage.put("secret/data/db", &token, pushed).await.at("/data/version"), json!(1));
        let marked = json!({ "custom_metadata": { "managed-by": "external-secrets" } });
        assert_eq!(stage.put("secret/metadata/db", &token, marked).await.status, 204);
        let read = stage.get("secret/data/db", &token).await;
        assert_eq!(read.at("/data/data/password"), json!("x"));
        assert_eq!(read.at("/data/metadata/custom_metadata/managed-by"), json!("external-secrets"));
        assert_eq!(stage.get("secret/metadata?list=true", &token).await.at("/data/keys"), json!(["db"]));
        assert_eq!(stage.call(Method::DELETE, "secret/data/db", &token, None).await.status, 204);
        let gone = stage.get("secret/data/db", &token).await;
        assert_eq!((gone.status.as_u16(), gone.at("/data/data")), (404, json!(null)));
        assert!(gone.at("/data/metadata/deletion_time").as_str().is_some_and(|time| !time.is_empty()));
        assert_eq!(stage.call(Method::DELETE, "secret/metadata/db", &token, None).await.status, 204);
        assert_eq!(stage.get("secret/data/db", &token).await.errors(), Vec::<String>::new());
        assert_eq!(stage.put("auth/token/revoke-self", &token, json!({})).await.status, 204);
        assert_eq!(stage.get("secret/data/db", &token).await.status, 403);
    }

    async fn terraform_reads_back_every_field_it_wrote(db: &TestDb) {
        let stage = Stage::open(db).await;
        let root = stage.root.clone();
        with_approle(&stage).await;
        let wanted = json!({
            "bind_secret_id": true, "secret_id_num_uses": 3, "secret_id_ttl": 600, "token_ttl": 60, "token_max_ttl": 120,
            "token_policies": ["app"], "token_no_default_policy": true, "token_num_uses": 7, "token_period": 0,
            "token_type": "service", "token_explicit_max_ttl": 300, "token_bound_cidrs": ["192.0.2.0/24"],
        });
        stage.put("auth/approle/role/tf", &root, wanted.clone()).await;
        let read = stage.get("auth/approle/role/tf", &root).await;
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(&read.at(&format!("/data/{name}")), value, "{name}");
        }
        let key = json!({ "type": "ml-dsa", "parameter_set": "65", "exportable": true });
        stage.put("sys/mounts/transit", &root, json!({ "type": "transit" })).await;
        stage.put("transit/keys/k", &root, key).await;
        let read = stage.get("transit/keys/k", &root).await;
        assert_eq!((read.at("/data/type"), read.at("/data/parameter_set")), (json!("mldsa-65"), json!("65")));
    }

    async fn vault_action_signs_in_and_reads(db: &TestDb) {
        let stage = Stage::open(db).await;
        let (role_id, secret_id) = with_approle(&stage).await;
        let token = sign_in(&stage, &role_id, &secret_id).await;
        stage.put("secret/data/ci", &token, json!({ "data": { "n": 1 } })).await;
        assert_eq!(stage.get("secret/data/ci", &token).await.at("/data/data/n"), json!(1));
        assert_eq!(stage.get("secret/data/absent", &token).await.status, 404);
    }

    async fn wrong_credentials_are_refused_in_the_peers_words(db: &TestDb) {
        let stage = Stage::open(db).await;
        let (role_id, secret_id) = with_approle(&stage).await;
        for (role_id, secret_id) in [("nobody", &*secret_id), (&*role_id, "wrong")] {
            let login = json!({ "role_id": role_id, "secret_id": secret_id });
            let answer = stage.put("auth/approle/login", "", login).await;
            assert_eq!(answer.status, 400);
            assert_eq!(answer.errors(), ["invalid role or secret ID"]);
        }
    }

    async fn a_secret_id_can_be_used_as_often_as_it_says(db: &TestDb) {
        let stage = Stage::open(db).await;
        let (role_id, _) = with_approle(&stage).await;
        let once = stage.put("auth/approle/role/app/secret-id", &stage.root, json!({ "num_uses": 1 })).await;
        let secret_id = once.at("/data/secret_id").as_str().unwrap().to_owned();
        sign_in(&stage, &role_id, &secret_id).await;
        let again = json!({ "role_id": role_id, "secret_id": secret_id });
        assert_eq!(stage.put("auth/approle/login", "", again).await.status, 400);
    }

    async fn five_wrong_passwords_lock_an_account_for_a_while(db: &TestDb) {
        let stage = Stage::open(db).await;
        let root = stage.root.clone();
        stage.put("sys/auth/userpass", &root, json!({ "type": "userpass" })).await;
        stage.put("auth/userpass/users/ann", &root, json!({ "password": "right" })).await;
        let login = async |password: &str| {
            stage.put("auth/userpass/login/ann", "", json!({ "password": password })).await.status.as_u16()
        };
        assert_eq!(login("right").await, 200);
        for _ in 0..5 {
            assert_eq!(login("wrong").await, 400);
        }
        assert_eq!(login("right").await, 400, "locked");
        db.time.advance(std::time::Duration::from_mins(16));
        assert_eq!(login("right").await, 200);
    }

    async fn what_was_stored_comes_back_byte_for_byte(db: &TestDb) {
        let stage = Stage::open(db).await;
        with_approle(&stage).await;
        let document: serde_json::Value = serde_json::from_str(r#"{"data":{"n":12345678901234567890}}"#).unwrap();
        stage.put("secret/data/n", &stage.root, document).await;
        assert!(stage.get("secret/data/n", &stage.root).await.text.contains("12345678901234567890"));
    }

    async fn one_bad_item_fails_alone_and_is_told_with_the_others(db: &TestDb) {
        let stage = Stage::open(db).await;
        let root = stage.root.clone();
        stage.put("sys/mounts/transit", &root, json!({ "type": "transit" })).await;
        let batch = json!({ "batch_input": [{ "plaintext": "aGk=" }, { "plaintext": "!", "reference": "x" }] });
        let answer = stage.put("transit/encrypt/k", &root, batch).await;
        assert_eq!(answer.status, 400);
        let ciphertext = answer.at("/data/batch_results/0/ciphertext");
        assert!(ciphertext.as_str().is_some_and(|text| text.starts_with("vault:v1:")));
        assert_eq!(answer.at("/data/batch_results/1/reference"), json!("x"));
        let opened = stage.put("transit/decrypt/k", &root, json!({ "ciphertext": ciphertext })).await;
        assert_eq!(opened.at("/data/plaintext"), json!("aGk="));
    }
}

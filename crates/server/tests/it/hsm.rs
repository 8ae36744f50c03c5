//! A server whose root key a hardware security module protects: SoftHSM, as `scripts/test-env softhsm` prepares it.

use std::fs;

use serde_json::json;
use writ_store::testing::TestDb;

use crate::ground::{Ground, Server};

/// Nobody else in this binary signs in to the token, so that a wrong PIN is not taken for a right one.
const TOKEN: &str = "writ-tests-pin";

async fn serve(ground: &Ground, pin: &str) -> Server {
    let module = std::env::var("WRIT_SOFTHSM_MODULE")
        .unwrap_or_else(|_| panic!("these tests need SoftHSM: eval \"$(scripts/test-env softhsm)\""));
    let file = ground.files.path().join("pin");
    fs::write(&file, pin).unwrap();
    // Tokens are shared by test runs, and keys are not.
    let key = ground.files.path().file_name().unwrap().to_str().unwrap();
    let told = [
        ("WRIT_HSM_MODULE", module.as_str()),
        ("WRIT_HSM_TOKEN", TOKEN),
        ("WRIT_HSM_KEY", key),
        ("WRIT_HSM_PIN_FILE", file.to_str().unwrap()),
    ];
    ground.serve_with(&told).await
}

#[tokio::test]
async fn a_device_unseals_the_server_at_its_start_and_a_wrong_pin_leaves_it_sealed() {
    let ground = Ground::beside(&TestDb::sqlite().await);
    let server = serve(&ground, "1234").await;
    let wanted = json!({ "protection": { "kind": "pkcs11" }, "admin": "root" });
    let begun = server.say("/api/v1/sys/init", &wanted).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    assert_eq!(begun.json()["shares"], json!(null), "there is nothing to hand out");
    let enrolment = begun.word("enrolmentToken");
    let root = server.say("/api/v1/sessions", &json!({ "token": enrolment })).await.word("token");
    let rotated = server.post(&root, "/api/v1/sys/rotate", &json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    server.stop().await;

    let server = serve(&ground, "1234").await;
    assert_eq!(server.get(&root, "/api/v1/people").await.status, 200, "nobody had to do anything");
    server.stop().await;

    let server = serve(&ground, "4321").await;
    let refused = server.get(&root, "/api/v1/people").await;
    refused.must_be_problem(503, "it serves, and is sealed");
    assert_eq!(refused.code(), "sealed");
    let again = server.say("/api/v1/sys/unseal", &json!({})).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (401, "hsm_pin_wrong"));
    fs::write(ground.files.path().join("pin"), "1234").unwrap();
    let opened = server.say("/api/v1/sys/unseal", &json!({})).await;
    assert_eq!(opened.json()["sealed"], false, "{}", opened.text());
    assert_eq!(server.get(&root, "/api/v1/people").await.status, 200);
    server.stop().await;
}

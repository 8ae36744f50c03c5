//! Sessions of Amazon, keys of our own, and what consumers are told.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};
use writ_targets::testing::Target;
use writ_vault::events::{Courier, Events, Reach};

use super::{hook::Receiver, stage::Stage};

/// An emulator of Amazon's security token service.
struct Moto {
    process: Child,
    port: u16,
}

impl Moto {
    async fn start() -> Self {
        let program =
            std::env::var("WRIT_MOTO_SERVER").expect("WRIT_MOTO_SERVER: eval \"$(scripts/test-env moto)\"");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                break;
            }
            // It has no other way to tell that it is ready.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Self { process, port }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_amazon_is_lent_and_is_over_no_sooner_than_amazon_says() {
    let (mut stage, moto) = (Stage::over(&TestDb::sqlite().await).await, Moto::start().await);
    let config = json!({ "kind": "aws", "region": "eu-central-1", "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "endpoint": format!("http://127.0.0.1:{}/", moto.port) });
    let wanted = json!({ "name": "cloud", "environment": stage.dev, "config": config,
        "credential": "not-a-real-key", "defaultTtlSeconds": 900, "maxTtlSeconds": 3600 });
    let engine = stage.ask(&stage.sam, Method::POST, "/api/v1/engines", &wanted, 201).await;
    let id = engine["id"].as_str().unwrap();
    let spec = json!({ "kind": "aws", "roleArn": "arn:aws:iam::123456789012:role/reader",
        "externalId": "an-external-id", "policy": "{\"Version\":\"2012-10-17\",\"Statement\":[]}" });
    let path = format!("/api/v1/engines/{id}/roles/reader");
    stage.ask(&stage.sam, Method::PUT, &path, &json!({ "spec": spec }), 200).await;
    let broken = json!({ "spec": { "kind": "aws", "roleArn": "arn:aws:iam::1:role/x", "externalId": "x",
        "policy": "no json" } });
    stage.ask(&stage.sam, Method::PUT, &path, &broken, 400).await;

    let wanted = json!({ "engine": id, "role": "reader" });
    let borrowed = stage.ask(&stage.ann, Method::POST, "/api/v1/leases", &wanted, 201).await;
    for part in ["accessKeyId", "secretAccessKey", "sessionToken"] {
        assert!(!borrowed["credential"][part].as_str().unwrap().is_empty());
    }
    let lease = borrowed["lease"]["id"].as_str().unwrap().to_owned();
    let renew = format!("/api/v1/leases/{lease}/renew");
    assert_eq!(stage.ask(&stage.ann, Method::POST, &renew, &json!({}), 409).await["code"], "not_renewable");
    let revoke = format!("/api/v1/leases/{lease}/revoke");
    let revoked = stage.ask(&stage.ann, Method::POST, &revoke, &Value::Null, 200).await;
    assert_eq!(revoked["state"], "revoking");
    assert_eq!(revoked["failure"], "a session cannot be closed: it works until its time is over");
    stage.later(Duration::from_mins(15)).await;
    assert_eq!(stage.lease(&lease).await["state"], "revoking", "clocks may differ");
    stage.later(Duration::from_mins(5)).await;
    assert_eq!(stage.lease(&lease).await["state"], "ended");
}

on_both! {
    async fn a_key_of_a_service_account_is_lent_by_those_who_could_make_one(db: &TestDb) {
        let mut stage = Stage::over(db).await;
        let service = json!({ "name": "robot", "owner": stage.admin.id(), "purpose": "to be lent" });
        let service = stage.ask(&stage.admin, Method::POST, "/api/v1/services", &service, 201).await;
        let config = json!({ "kind": "tokens", "service": service["id"] });
        let wanted = json!({ "name": "robots", "environment": stage.dev, "config": config });
        stage.ask(&stage.sam, Method::POST, "/api/v1/engines", &wanted, 403).await;

        let both = stage.house.person(&stage.admin, "ada", &["admin", "secrets-admin"]).await;
        let engine = stage.ask(&both, Method::POST, "/api/v1/engines", &wanted, 201).await;
        let id = engine["id"].as_str().unwrap();
        let spec = json!({ "spec": { "kind": "tokens", "scopes": ["vault.secrets.list"] } });
        let role = format!("/api/v1/engines/{id}/roles/lister");
        stage.ask(&stage.sam, Method::PUT, &role, &spec, 403).await;
        let longer = json!({ "maxTtlSeconds": 172_800 });
        stage.ask(&stage.sam, Method::PATCH, &format!("/api/v1/engines/{id}"), &longer, 403).await;
        stage.ask(&both, Method::PUT, &role, &spec, 200).await;
        let wanted = json!({ "engine": id, "role": "lister" });
        let borrowed = stage.ask(&stage.ann, Method::POST, "/api/v1/leases", &wanted, 201).await;
        let lease = borrowed["lease"]["id"].as_str().unwrap().to_owned();
        let lent = stage.keys.0.lock().unwrap().values().next().cloned().unwrap();
        assert_eq!((lent.scopes.to_string().as_str(), lent.service.to_string()),
            ("vault.secrets.list", service["id"].as_str().unwrap().to_owned()));
        stage.later(Duration::from_hours(1)).await;
        assert_eq!(stage.lease(&lease).await["state"], "ended");
        assert!(stage.keys.0.lock().unwrap().is_empty());
    }

    async fn consumers_read_what_happened_in_order_and_see_no_value(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, login) = stage.borrow(&stage.ann, &engine, &target).await;
        stage.ask(&stage.ann, Method::POST, &format!("/api/v1/leases/{lease}/revoke"), &Value::Null, 200).await;
        let path = format!("/api/v1/events?environment={}", stage.dev);
        let feed = stage.ask(&stage.ann, Method::GET, &path, &Value::Null, 200).await;
        let events = feed["items"].as_array().unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["LeaseCreated", "LeaseRevoked"]);
        assert_eq!(events[0]["subject"]["id"], lease.as_str());
        assert_eq!(events[0]["principal"], stage.ann.id().to_string());
        assert_eq!(events[0]["tenantId"], stage.admin.tenant().to_string());
        assert!(!feed.to_string().contains(login.password.expose()));
        let rest = format!("{path}&after={}", events[0]["position"]);
        let rest = stage.ask(&stage.ann, Method::GET, &rest, &Value::Null, 200).await;
        assert_eq!(rest["items"].as_array().unwrap().len(), 1);
        let path = format!("/api/v1/events?environment={}", stage.prod);
        stage.ask(&stage.ann, Method::GET, &path, &Value::Null, 403).await;
    }

    async fn a_hook_is_told_with_a_signature_and_what_it_does_not_take_waits_for_replay(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (receiver, sam) = (Receiver::start().await, stage.key(&stage.sam).await);
        let wanted = json!({ "name": "app", "environment": stage.dev, "url": receiver.url(),
            "types": ["LeaseCreated"] });
        let hook = stage.ask(&stage.sam, Method::POST, "/api/v1/event-hooks", &wanted, 201).await;
        let key = hook["signingKey"].as_str().unwrap();
        receiver.answer(500);
        stage.borrow(&stage.ann, &engine, &target).await;
        let courier = Courier::new(Events::new(stage.house.gate.clone(), Reach::Private));
        courier.round().await.unwrap();
        courier.round().await.unwrap();
        assert_eq!(receiver.told().len(), 1, "it is not tried again before its time");
        for _ in 0..13 {
            stage.house.advance(Duration::from_hours(1));
            courier.round().await.unwrap();
        }
        stage.house.advance(Duration::from_hours(2));
        courier.round().await.unwrap();
        assert_eq!(receiver.told().len(), 14, "it is given up");

        let path = format!("/api/v1/event-hooks/{}/dead-letters", hook["hook"]["id"].as_str().unwrap());
        let dead = stage.ask(&sam, Method::GET, &path, &Value::Null, 200).await;
        assert_eq!(dead["items"][0]["event"]["type"], "LeaseCreated");
        assert_eq!(dead["items"][0]["failure"], "the webhook answered with status 500");
        receiver.answer(200);
        stage.ask(&sam, Method::POST, &format!("{path}/replay"), &Value::Null, 200).await;
        courier.round().await.unwrap();
        courier.round().await.unwrap();
        let told = receiver.told();
        assert_eq!(told.len(), 15);
        let (first, last) = (&told[0], &told[14]);
        assert_eq!((&first.id, &first.body), (&last.id, &last.body), "the same envelope under the same id");
        let signed = last.signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let raw: Vec<u8> = (0..64).step_by(2).map(|at| u8::from_str_radix(key.get(at..at + 2).unwrap(), 16).unwrap()).collect();
        let expected = writ_crypto::hash::hmac_sha256(&raw, &[signed.0.as_bytes(), b".", last.body.as_bytes()]);
        assert_eq!(signed.1, writ_crypto::hash::hex(&expected));
    }

    async fn a_hook_in_a_private_network_is_not_set_up(db: &TestDb) {
        let stage = Stage::strict(db).await;
        for url in ["https://10.0.0.1/", "http://example.com/", "https://[::1]/", "http://127.0.0.1:1/"] {
            let wanted = json!({ "name": "app", "environment": stage.dev, "url": url });
            stage.ask(&stage.sam, Method::POST, "/api/v1/event-hooks", &wanted, 400).await;
        }
    }
}

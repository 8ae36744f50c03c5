//! A tenant with two environments, and people in them.

use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use http::Method;
use serde_json::{Value, json};
use writ_crypto::Entropy;
use writ_identity::Identity;
use writ_keys::{Keys, Rotator};
use writ_store::testing::TestDb;
use writ_testkit::{Answer, App, House, Record, Someone};

pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) app: App,
    pub(crate) room: Keys,
    pub(crate) admin: Someone,
    pub(crate) dev: String,
    pub(crate) prod: String,
    /// A secrets administrator of everything.
    pub(crate) keeper: Someone,
    /// A developer of `dev` only.
    pub(crate) ann: Someone,
    /// The receipt of the answer that came last.
    receipt: Mutex<String>,
}

impl Stage {
    pub(crate) async fn over(db: &TestDb) -> Self {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let room = Keys::new(house.gate.clone(), Arc::new(Entropy::os()));
        let app = house
            .app([writ_identity::routes(Identity::new(house.gate.clone())), writ_keys::routes(room.clone())]);
        let (mut environments, kinds) = (Vec::new(), ["dev", "prod"]);
        for kind in kinds {
            let wanted = json!({ "name": kind, "kind": kind });
            let made = app.send(&admin, Method::POST, "/api/v1/environments", &wanted).await;
            assert_eq!(made.status, 201, "{made:?}");
            environments.push(text(&made.json()["id"]));
        }
        let keeper = house.person(&admin, "keeper", &["secrets-admin"]).await;
        let ann = house.person(&admin, "ann", &[]).await;
        let wanted =
            json!({ "principal": ann.caller.principal, "role": "developer", "environment": environments[0] });
        let bound = app.send(&admin, Method::POST, "/api/v1/role-bindings", &wanted).await;
        assert_eq!(bound.status, 201, "{bound:?}");
        let ann = house.again(&ann).await;
        let prod = environments.pop().unwrap();
        let dev = environments.pop().unwrap();
        let (keeper, ann) = (lasting(&app, &keeper).await, lasting(&app, &ann).await);
        Self { house, app, room, admin, dev, prod, keeper, ann, receipt: Mutex::default() }
    }

    pub(crate) async fn post(&self, who: &Someone, path: &str, body: &Value) -> Answer {
        let answer = self.app.send(who, Method::POST, path, body).await;
        self.receipt.lock().unwrap().clone_from(&answer.header("writ-receipt").to_owned());
        answer
    }

    /// What a call answers that must succeed.
    pub(crate) async fn done(&self, who: &Someone, path: &str, body: &Value) -> Value {
        let answer = self.post(who, path, body).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        assert!(answer.header("writ-receipt").starts_with("recorded id="), "{path}: {answer:?}");
        answer.json()
    }

    /// The status and the code of a call that must fail; and that the failure stands in the log.
    pub(crate) async fn refused(&self, who: &Someone, path: &str, body: &Value) -> (u16, String) {
        let answer = self.post(who, path, body).await;
        assert!(!answer.status.is_success(), "{path}: {answer:?}");
        assert!(answer.header("writ-receipt").starts_with("recorded id="), "{path}: {answer:?}");
        let code = text(&answer.json()["code"]);
        assert_eq!(self.last().await.code(), Some(code.as_str()), "{path}");
        (answer.status.as_u16(), code)
    }

    /// Makes a key in `dev`, by Ann.
    pub(crate) async fn key(&self, name: &str, algorithm: &str) -> Value {
        self.done(&self.ann, "/api/v1/keys", &json!({ "name": name, "algorithm": algorithm })).await
    }

    pub(crate) async fn rotate(&self, key: &Value) -> Value {
        self.done(&self.ann, &format!("/api/v1/keys/{}/rotate", text(&key["id"])), &json!({})).await
    }

    /// What the worker does now.
    pub(crate) async fn work(&self) -> usize {
        Rotator::new(self.room.clone()).round().await.unwrap()
    }

    /// The record of the call that was answered last.
    pub(crate) async fn last(&self) -> Record {
        let receipt = self.receipt.lock().unwrap().clone();
        let of_it = |record: &Record| receipt.contains(&text(&record.leaf["id"]));
        self.house.records(self.admin.tenant()).await.into_iter().find(of_it).unwrap()
    }

    /// How many records say this.
    pub(crate) async fn said(&self, what: &str) -> usize {
        self.house.records(self.admin.tenant()).await.iter().filter(|record| record.said() == what).count()
    }
}

/// The same person, with a key instead of a session that ends.
async fn lasting(app: &App, who: &Someone) -> Someone {
    let wanted = json!({ "label": "laptop", "scopes": ["*"], "expiresAt": "2027-06-01T00:00:00Z" });
    let made = app.send(who, Method::POST, "/api/v1/api-keys", &wanted).await;
    assert_eq!(made.status, 201, "{made:?}");
    Someone { token: text(&made.json()["secret"]), caller: who.caller.clone() }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64.encode(bytes.as_ref())
}

//! A house with the identity room in it.

use http::Method;
use serde_json::{Value, json};
use writ_identity::Identity;
use writ_store::testing::TestDb;
use writ_testkit::{Answer, App, House, Someone};

pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) app: App,
    pub(crate) admin: Someone,
}

impl Stage {
    pub(crate) async fn over(db: &TestDb) -> Self {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let app = house.app([writ_identity::routes(Identity::new(house.gate.clone()))]);
        Self { house, app, admin }
    }

    pub(crate) async fn post(&self, who: &Someone, path: &str, body: &Value) -> Answer {
        self.app.send(who, Method::POST, path, body).await
    }

    pub(crate) async fn delete(&self, who: &Someone, path: &str) -> Answer {
        self.app.send(who, Method::DELETE, path, &json!({})).await
    }

    /// A new person's enrolment token.
    pub(crate) async fn enrolment(&self, name: &str) -> (String, String) {
        let created = self.post(&self.admin, "/api/v1/people", &json!({ "name": name })).await;
        assert_eq!(created.status, 201, "{created:?}");
        let body = created.json();
        (text(&body["person"]["id"]), text(&body["enrolmentToken"]))
    }

    pub(crate) async fn log_in(&self, token: &str) -> Answer {
        self.app.anonymous(Method::POST, "/api/v1/sessions", &json!({ "token": token })).await
    }

    /// What the server says to whoever shows `token`.
    pub(crate) async fn who(&self, token: &str) -> Answer {
        self.app.ask(Some(token), Method::GET, "/api/v1/whoami", axum::body::Body::empty()).await
    }

    /// A key of `who`.
    pub(crate) async fn key(&self, who: &Someone, scopes: &[&str]) -> (String, String) {
        let body = self.post(who, "/api/v1/api-keys", &key(scopes, "2026-12-22T12:00:00Z")).await.json();
        (text(&body["key"]["id"]), text(&body["secret"]))
    }

    /// The code of the newest refusal.
    pub(crate) async fn refusal(&self, action: &str) -> Option<String> {
        let records = self.house.records(self.admin.tenant()).await;
        let refused = records.iter().rev().find(|record| record.said() == format!("{action} refuse"));
        refused.and_then(|record| record.code().map(str::to_owned))
    }
}

pub(crate) fn key(scopes: &[&str], expires_at: &str) -> Value {
    json!({ "label": "laptop", "scopes": scopes, "expiresAt": expires_at })
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

//! A house with a vault in it: a tenant with two environments, and somebody for each.

use std::sync::Arc;

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use writ_identity::Identity;
use writ_kernel::{Id, Principal, Result, TenantId};
use writ_store::testing::TestDb;
use writ_testkit::{Answer, App, House, Someone};
use writ_vault::{Vault, ports};

pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) app: App,
    pub(crate) vault: Vault,
    pub(crate) admin: Someone,
    /// `secrets-admin` everywhere.
    pub(crate) keeper: Someone,
    /// `developer` in `dev` only.
    pub(crate) dev: Someone,
}

struct People(Identity);

impl ports::People for People {
    fn accountable(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
    ) -> ports::Boxed<'_, Result<Option<Id<Principal>>>> {
        Box::pin(self.0.accountable(tenant, principal))
    }
}

impl Stage {
    pub(crate) async fn over(db: &TestDb) -> Self {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let identity = Identity::new(house.gate.clone());
        let vault = Vault::new(house.gate.clone(), Arc::new(People(identity.clone())));
        let app = house.app([writ_identity::routes(identity), writ_vault::routes(vault.clone())]);
        let keeper = house.person(&admin, "keeper", &["secrets-admin"]).await;
        let dev = house.person(&admin, "dev", &[]).await;
        let mut stage = Self { house, app, vault, admin, keeper, dev };
        let environment = stage.environment("dev").await;
        stage.environment("prod").await;
        stage.dev = stage.bind(&stage.dev, "developer", Some(&environment)).await;
        stage
    }

    /// A new environment, which is of the kind it is named after.
    pub(crate) async fn environment(&self, name: &str) -> String {
        let wanted = json!({ "name": name, "kind": name });
        let made = self.send(&self.admin, Method::POST, "/api/v1/environments", &wanted).await;
        assert_eq!(made.status, 201, "{made:?}");
        text(&made.json()["id"])
    }

    /// The same person with another role.
    pub(crate) async fn bind(&self, who: &Someone, role: &str, environment: Option<&str>) -> Someone {
        let wanted = json!({ "principal": who.caller.principal, "role": role, "environment": environment });
        let bound = self.send(&self.admin, Method::POST, "/api/v1/role-bindings", &wanted).await;
        assert_eq!(bound.status, 201, "{bound:?}");
        self.house.again(who).await
    }

    pub(crate) async fn get(&self, who: &Someone, path: &str) -> Answer {
        self.app.get(who, path).await
    }

    pub(crate) async fn post(&self, who: &Someone, path: &str, body: &Value) -> Answer {
        self.send(who, Method::POST, path, body).await
    }

    pub(crate) async fn send(&self, who: &Someone, method: Method, path: &str, body: &Value) -> Answer {
        self.app.send(who, method, path, body).await
    }

    /// A request without a body.
    pub(crate) async fn bare(&self, who: &Someone, method: Method, path: &str) -> Answer {
        self.app.ask(Some(&who.token), method, path, Body::empty()).await
    }

    /// Stores a secret in `dev` and returns its id.
    pub(crate) async fn store(&self, name: &str, value: &str) -> String {
        self.store_in("dev", name, value).await
    }

    pub(crate) async fn store_in(&self, environment: &str, name: &str, value: &str) -> String {
        let wanted = json!({ "name": name, "value": value, "environment": environment });
        let stored = self.post(&self.keeper, "/api/v1/secrets", &wanted).await;
        assert_eq!(stored.status, 201, "{stored:?}");
        text(&stored.json()["id"])
    }

    /// Writes a version.
    pub(crate) async fn write(&self, id: &str, value: &str) -> Answer {
        let path = format!("/api/v1/secrets/{id}/value");
        self.send(&self.keeper, Method::PUT, &path, &json!({ "value": value })).await
    }

    /// What the log says of `action`, like `vault.secrets.read allow`.
    pub(crate) async fn count(&self, said: &str) -> usize {
        let records = self.house.records(self.admin.tenant()).await;
        records.iter().filter(|record| record.said() == said).count()
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

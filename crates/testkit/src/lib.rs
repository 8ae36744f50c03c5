#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "test support: what cannot be set up must fail the test"
)]

mod app;
mod records;

use std::time::Duration;

use http::Method;
use serde_json::json;
use tempfile::TempDir;
use writ_crypto::password;
use writ_gate::{Gate, Limits, Rate, tenancy::PLATFORM};
use writ_identity::Identity;
use writ_kernel::{Caller, TenantId, TraceId};
use writ_seal::{Protection, Seal};
use writ_store::testing::{TestDb, Time};
use writ_web::{Authenticate as _, From, openapi::OpenApiRouter};

pub use app::{Answer, App};
pub use records::Record;

/// A gate over a database, behind an open seal, with a platform tenant and its administrator.
#[derive(Debug)]
pub struct House {
    /// The one door.
    pub gate: Gate,
    /// The first administrator of the platform tenant.
    pub root: Someone,
    /// The clock of everything in the house.
    pub time: Time,
    identity: App,
    _keys: TempDir,
}

/// A signed-in person.
#[derive(Debug, Clone)]
pub struct Someone {
    /// The token of their session, as a client sends it.
    pub token: String,
    /// Who it proves them to be. Roles given later are not in it; see [`House::again`].
    pub caller: Caller,
}

impl House {
    /// A new house over `db`, which must be empty. Hardly anything is too often for its rate limits.
    pub async fn over(db: &TestDb) -> Self {
        let keys = TempDir::new().expect("a temporary directory");
        let (world, dev_file) = (db.time.world(), keys.path().join("root.key"));
        let seal = Seal::new(db.db.clone(), world.clone(), dev_file, password::Params::DANGEROUSLY_CHEAP);
        seal.init(Protection::DevFile).await.expect("a root key");
        let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
        let gate = Gate::new(db.db.clone(), seal, world, Limits { tenant: rate, principal: rate });
        let admin = "root".parse().expect("a name");
        let enrolment =
            writ_identity::first_admin(&gate, PLATFORM, &admin).await.expect("the platform tenant");
        let identity = App::new(&gate, [writ_identity::routes(Identity::new(gate.clone()))]);
        let root = sign_in(&gate, &identity, enrolment.expose()).await;
        Self { gate, root, time: db.time.clone(), identity, _keys: keys }
    }

    /// Creates a tenant, and returns its administrator, signed in.
    pub async fn tenant(&self, name: &str) -> Someone {
        let wanted = json!({ "name": name, "admin": "admin" });
        let answer = self.identity.send(&self.root, Method::POST, "/api/v1/tenants", &wanted).await;
        self.sign_in(&answer).await
    }

    /// Creates a person with `roles` in the tenant of `admin`, signed in.
    pub async fn person(&self, admin: &Someone, name: &str, roles: &[&str]) -> Someone {
        let answer =
            self.identity.send(admin, Method::POST, "/api/v1/people", &json!({ "name": name })).await;
        let person = self.sign_in(&answer).await;
        for role in roles {
            let wanted = json!({ "principal": person.caller.principal, "role": role });
            let bound = self.identity.send(admin, Method::POST, "/api/v1/role-bindings", &wanted).await;
            assert_eq!(bound.status, 201, "{bound:?}");
        }
        self.again(&person).await
    }

    /// The same person as they are now.
    pub async fn again(&self, someone: &Someone) -> Someone {
        let token = someone.token.clone();
        Someone { caller: caller(&self.gate, &token).await, token }
    }

    /// A worker of the server, acting inside `tenant`.
    pub fn worker(&self, tenant: TenantId) -> Caller {
        Caller::system(tenant, self.gate.world())
    }

    /// The routes of `rooms`, as they answer to clients.
    pub fn app(&self, rooms: impl IntoIterator<Item = OpenApiRouter>) -> App {
        App::new(&self.gate, rooms)
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.time.advance(by);
    }

    async fn sign_in(&self, created: &Answer) -> Someone {
        assert_eq!(created.status, 201, "{created:?}");
        let body = created.json();
        let enrolment =
            body.get("enrolmentToken").and_then(|token| token.as_str()).expect("an enrolment token");
        sign_in(&self.gate, &self.identity, enrolment).await
    }
}

impl Someone {
    /// The tenant they belong to.
    pub fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    /// Their id as an untyped one, as evidence and role bindings name them.
    pub fn id(&self) -> uuid::Uuid {
        self.caller.principal.uuid()
    }
}

async fn sign_in(gate: &Gate, identity: &App, enrolment: &str) -> Someone {
    let answer = identity.anonymous(Method::POST, "/api/v1/sessions", &json!({ "token": enrolment })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let token = answer.json().get("token").and_then(|token| token.as_str()).expect("a token").to_owned();
    Someone { caller: caller(gate, &token).await, token }
}

async fn caller(gate: &Gate, token: &str) -> Caller {
    let from = From { peer: app::PEER, trace: TraceId::new(gate.world()) };
    Identity::new(gate.clone()).authenticate(token, from).await.expect("a valid token")
}

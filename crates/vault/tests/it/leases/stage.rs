//! A house with engines in it, a PostgreSQL server to make roles on, and the people who use them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_identity::Identity;
use writ_kernel::{Clock as _, Id, Principal, Result, SystemClock, TenantId, TraceId};
use writ_store::testing::TestDb;
use writ_targets::{
    postgres::{Postgres, Template},
    testing::{PASSWORD, Target},
};
use writ_testkit::{App, House, Someone};
use writ_vault::{
    events::{Events, Reach},
    leases::{
        Keeper, Leases, Terms,
        ports::{Boxed, Holders, Key, Tokens},
        routes,
    },
};

/// Everything a test about leases needs.
pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) app: App,
    pub(crate) leases: Leases,
    pub(crate) keeper: Keeper,
    pub(crate) keys: Arc<Keys>,
    pub(crate) admin: Someone,
    /// Sets up engines.
    pub(crate) sam: Someone,
    /// May borrow in development.
    pub(crate) ann: Someone,
    pub(crate) dev: String,
    pub(crate) prod: String,
}

/// Keys that a service account would have.
#[derive(Default)]
pub(crate) struct Keys(pub(crate) Mutex<BTreeMap<Uuid, Key>>);

impl Tokens for Keys {
    fn lend(&self, _: TenantId, wanted: Key) -> Boxed<'_, Result<SecretString>> {
        self.0.lock().unwrap().insert(wanted.id, wanted.clone());
        Box::pin(async move { Ok(SecretString::new(format!("key-{}", wanted.id))) })
    }

    fn withdraw(&self, _: TenantId, id: Uuid) -> Boxed<'_, Result<()>> {
        self.0.lock().unwrap().remove(&id);
        Box::pin(async { Ok(()) })
    }
}

struct People(Identity);

impl Holders for People {
    fn active(&self, tenant: TenantId, principal: Id<Principal>) -> Boxed<'_, Result<bool>> {
        Box::pin(async move {
            let trace: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse()?;
            Ok(self.0.current(tenant, principal, trace).await?.is_some())
        })
    }
}

impl Stage {
    pub(crate) async fn over(db: &TestDb) -> Self {
        Self::with(db, Terms::default()).await
    }

    pub(crate) async fn with(db: &TestDb, terms: Terms) -> Self {
        Self::reaching(db, terms, Reach::Private).await
    }

    /// Where hooks are told things in public only.
    pub(crate) async fn strict(db: &TestDb) -> Self {
        Self::reaching(db, Terms::default(), Reach::Public).await
    }

    async fn reaching(db: &TestDb, terms: Terms, reach: Reach) -> Self {
        // A real server reads a real clock, and must agree with ours on what is over.
        db.time.advance(SystemClock.now().since(db.time.world().now()));
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let identity = Identity::new(house.gate.clone());
        let keys = Arc::new(Keys::default());
        let people = Arc::new(People(identity.clone()));
        let leases = Leases::new(house.gate.clone(), people, keys.clone(), terms);
        let app = house.app([
            writ_identity::routes(identity),
            routes(leases.clone()),
            writ_vault::events::routes(Events::new(house.gate.clone(), reach)),
        ]);
        let environment = async |name: &str, kind: &str| {
            let wanted = json!({ "name": name, "kind": kind });
            let made = app.send(&admin, Method::POST, "/api/v1/environments", &wanted).await;
            assert_eq!(made.status, 201, "{made:?}");
            made.json()["id"].as_str().unwrap().to_owned()
        };
        let (dev, prod) = (environment("dev", "dev").await, environment("prod", "prod").await);
        let ann = house.person(&admin, "ann", &[]).await;
        let bound = json!({ "principal": ann.id(), "role": "developer", "environment": dev });
        let answer = app.send(&admin, Method::POST, "/api/v1/role-bindings", &bound).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let ann = house.again(&ann).await;
        let sam = house.person(&admin, "sam", &["secrets-admin"]).await;
        let keeper = Keeper::new(leases.clone());
        Self { house, app, leases, keeper, keys, admin, sam, ann, dev, prod }
    }

    /// Somebody of another tenant who may do there what `sam` may here.
    pub(crate) async fn stranger(&self) -> Someone {
        let admin = self.house.tenant("globex").await;
        self.house.person(&admin, "sue", &["secrets-admin"]).await
    }

    /// The same person with a key that outlives sessions; made while a session lasts.
    pub(crate) async fn key(&self, who: &Someone) -> Someone {
        let until = self.house.gate.world().now().plus(Duration::from_hours(48));
        let wanted = json!({ "label": "later", "scopes": ["*"], "expiresAt": until });
        let key = self.ask(who, Method::POST, "/api/v1/api-keys", &wanted, 201).await;
        Someone { token: key["secret"].as_str().unwrap().to_owned(), caller: who.caller.clone() }
    }

    /// Asks, and expects `status`.
    pub(crate) async fn ask(
        &self,
        who: &Someone,
        method: Method,
        path: &str,
        body: &Value,
        status: u16,
    ) -> Value {
        let answer = self.app.send(who, method, path, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// An engine on `target` with a role `reader`, for `ann`'s environment.
    pub(crate) async fn engine(&self, target: &Target) -> String {
        let config = json!({
            "kind": "postgres", "host": "127.0.0.1", "port": target.port(), "database": "postgres",
            "username": "postgres",
        });
        let wanted =
            json!({ "name": "orders", "environment": self.dev, "config": config, "credential": PASSWORD });
        let engine = self.ask(&self.sam, Method::POST, "/api/v1/engines", &wanted, 201).await;
        let id = engine["id"].as_str().unwrap().to_owned();
        let creation = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
                        GRANT USAGE ON SCHEMA public TO \"{{name}}\";";
        let role = json!({ "spec": { "kind": "postgres", "creation": creation }, "maxTtlSeconds": 7200 });
        self.ask(&self.sam, Method::PUT, &format!("/api/v1/engines/{id}/roles/reader"), &role, 200).await;
        id
    }

    /// Borrows a credential: the lease, and the log-in.
    pub(crate) async fn borrow(&self, who: &Someone, engine: &str, target: &Target) -> (String, Postgres) {
        let wanted = json!({ "engine": engine, "role": "reader" });
        let borrowed = self.ask(who, Method::POST, "/api/v1/leases", &wanted, 201).await;
        let credential = &borrowed["credential"];
        let login =
            target.login(credential["username"].as_str().unwrap(), credential["password"].as_str().unwrap());
        (borrowed["lease"]["id"].as_str().unwrap().to_owned(), login)
    }

    pub(crate) async fn lease(&self, id: &str) -> Value {
        self.ask(&self.sam, Method::GET, &format!("/api/v1/leases/{id}"), &Value::Null, 200).await
    }

    /// What the log says about leases, sorted: the clock stands still, so times do not tell the order.
    pub(crate) async fn said(&self) -> Vec<String> {
        let records = self.house.records(self.admin.tenant()).await;
        let said = records.iter().map(writ_testkit::Record::said);
        let mut said: Vec<String> =
            said.filter(|said| said.starts_with("vault.leases") && !said.ends_with("read allow")).collect();
        said.sort();
        said
    }

    pub(crate) async fn round(&mut self) {
        self.keeper.round().await.unwrap();
    }

    pub(crate) async fn later(&mut self, by: Duration) {
        self.house.advance(by);
        self.round().await;
    }
}

/// Whether a log-in works, as its server says.
pub(crate) async fn works(login: &Postgres) -> bool {
    match login.log_in().await {
        Ok(()) => true,
        Err(error) if error.code() == "target_login_refused" => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// Runs one statement.
pub(crate) async fn run(login: &Postgres, statement: &str) -> Result<()> {
    let until = "2099-01-01T00:00:00Z".parse().unwrap();
    login.make(&Template::parse(statement).unwrap(), "x", &SecretString::new("x".into()), until).await
}

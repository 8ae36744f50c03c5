//! A server as `init` leaves it, unsealed, with its root token.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use writ_compat::Dialect;
use writ_crypto::{Entropy, password};
use writ_gate::{Gate, Limits, Rate};
use writ_identity::Identity;
use writ_kernel::{Id, Principal, Result, TenantId};
use writ_keys::Keys;
use writ_seal::Seal;
use writ_store::testing::TestDb;
use writ_vault::Vault;
use writ_web::{Guard, Manners, Peer, Terms, Transport, openapi};

const PEER: Peer = Peer(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 1234));

/// A server and its root token.
pub(crate) struct Stage {
    pub(crate) root: String,
    pub(crate) shares: Vec<String>,
    router: Router,
    _keys: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// A value of the document, by its JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// The errors.
    pub(crate) fn errors(&self) -> Vec<String> {
        serde_json::from_value(self.at("/errors")).unwrap()
    }
}

struct People(Identity);

impl writ_vault::ports::People for People {
    fn accountable(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
    ) -> writ_vault::ports::Boxed<'_, Result<Option<Id<Principal>>>> {
        Box::pin(self.0.accountable(tenant, principal))
    }
}

impl Stage {
    /// A server that nobody has initialised.
    pub(crate) fn bare(db: &TestDb) -> Self {
        let (keys, world) = (TempDir::new().unwrap(), db.time.world());
        let dev_file = keys.path().join("root.key");
        let seal = Seal::new(db.db.clone(), world.clone(), dev_file, password::Params::DANGEROUSLY_CHEAP);
        let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
        let gate = Gate::new(db.db.clone(), seal, world.clone(), Limits { tenant: rate, principal: rate });
        let identity = Identity::new(gate.clone());
        let vault = Vault::new(gate.clone(), Arc::new(People(identity.clone())));
        let named = Keys::new(gate.clone(), Arc::new(Entropy::os()));
        let dialect = Dialect::new(gate.clone(), identity, vault, named, writ_compat::Terms::default());
        let (router, _) = openapi::assemble("test", "0", [writ_compat::routes(dialect)]);
        let manners = Manners {
            world,
            body_limit: 1024 * 1024,
            timeout: Duration::from_secs(30),
            concurrency: 1_000,
            guard: Guard::none(),
            sampled: Box::new(|_| false),
            observe: Box::new(|_| {}),
        };
        let router = manners.teach(router.layer(Extension(PEER)));
        Self { root: String::new(), shares: Vec::new(), router, _keys: keys }
    }

    /// A server in use.
    pub(crate) async fn open(db: &TestDb) -> Self {
        let mut stage = Self::bare(db);
        let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
        let begun = stage.call(Method::PUT, "sys/init", "", Some(&wanted)).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        stage.shares = serde_json::from_value(begun.at("/keys_base64")).unwrap();
        begun.at("/root_token").as_str().unwrap().clone_into(&mut stage.root);
        for share in &stage.shares[..2] {
            stage.call(Method::PUT, "sys/unseal", "", Some(&json!({ "key": share }))).await;
        }
        stage
    }

    /// The same server on a port of this machine.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let observe = Box::new(|_| {});
        let terms =
            Terms { transport: Transport::DangerousPlain, limits: writ_web::Limits::default(), observe };
        tokio::spawn(writ_web::serve(listener, self.router.clone(), terms, std::future::pending()));
        address
    }

    /// Any request to `/v1/<path>`; an empty token is none.
    pub(crate) async fn call(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Answer {
        self.call_with(method, path, token, &[], body.map(Value::to_string).unwrap_or_default()).await
    }

    /// [`Stage::call`] with more headers, and a body as it is.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/v1/{path}"));
        if !token.is_empty() {
            request = request.header("X-Vault-Token", token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, token, None).await
    }

    pub(crate) async fn put(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, token, Some(&body)).await
    }

    pub(crate) async fn list(&self, path: &str, token: &str) -> Answer {
        self.call(Method::from_bytes(b"LIST").unwrap(), path, token, None).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Answer {
        self.call(Method::DELETE, path, token, None).await
    }

    /// A token with these policies, made by the root token.
    pub(crate) async fn token(&self, policies: &[&str]) -> String {
        self.token_with(json!({ "policies": policies })).await
    }

    /// A token as the root token is asked for it.
    pub(crate) async fn token_with(&self, wanted: Value) -> String {
        let made = self.put("auth/token/create", &self.root, wanted).await;
        assert_eq!(made.status, 200, "{made:?}");
        made.at("/auth/client_token").as_str().unwrap().to_owned()
    }

    /// Writes a policy.
    pub(crate) async fn policy(&self, name: &str, text: &str) {
        let written =
            self.put(&format!("sys/policies/acl/{name}"), &self.root, json!({ "policy": text })).await;
        assert_eq!(written.status, 204, "{written:?}");
    }
}

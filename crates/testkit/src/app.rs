//! Requests without a network.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use writ_gate::Gate;
use writ_identity::Identity;
use writ_web::{
    Authenticate, Guard, Manners, Peer,
    openapi::{self, OpenApiRouter},
};

use crate::Someone;

/// Where requests seem to come from: an address for documentation (RFC 5737).
pub(crate) const PEER: Peer = Peer(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 1234));

/// The routes of some rooms, as they answer to clients.
#[derive(Debug, Clone)]
pub struct App(Router);

/// What came back, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl App {
    pub(crate) fn new(gate: &Gate, rooms: impl IntoIterator<Item = OpenApiRouter>) -> Self {
        let (router, _) = openapi::assemble("test", "0", rooms);
        let porter: Arc<dyn Authenticate> = Arc::new(Identity::new(gate.clone()));
        let seal = gate.seal().clone();
        let manners = Manners {
            world: gate.world().clone(),
            body_limit: 16 * 1024 * 1024,
            timeout: Duration::from_secs(30),
            concurrency: 1_000,
            guard: Guard { sealed: Box::new(move || seal.is_closed()), open: &[] },
            sampled: Box::new(|_| false),
            observe: Box::new(|_| {}),
        };
        Self(manners.teach(router.layer(Extension(porter)).layer(Extension(PEER))))
    }

    /// GET as `who`.
    pub async fn get(&self, who: &Someone, path: &str) -> Answer {
        self.ask(Some(&who.token), Method::GET, path, Body::empty()).await
    }

    /// A request with a JSON body as `who`.
    pub async fn send(&self, who: &Someone, method: Method, path: &str, body: &Value) -> Answer {
        self.ask(Some(&who.token), method, path, Body::from(body.to_string())).await
    }

    /// POST of a JSON body as `who`, under an idempotency key.
    pub async fn ask_with_key(&self, who: &Someone, key: &str, path: &str, body: Value) -> Answer {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", who.token))
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        self.answer(request.expect("a request")).await
    }

    /// A request with a JSON body by nobody in particular.
    pub async fn anonymous(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.ask(None, method, path, Body::from(body.to_string())).await
    }

    /// Any request; `token` is sent as a bearer token.
    pub async fn ask(&self, token: Option<&str>, method: Method, path: &str, body: Body) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.answer(request.body(body).expect("a request")).await
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let answer = self.0.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("UTF-8")
    }

    /// A header as text; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }
}

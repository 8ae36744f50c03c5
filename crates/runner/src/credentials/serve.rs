//! HTTP/1.1 on loopback, within narrow bounds.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use writ_crypto::{SecretBytes, SecretString, ct_eq};
use writ_kernel::Result;

use super::{CredentialEventKind as Kind, lease::Leases};
use crate::aws::{Credentials, wiped};

/// How many connections may be open; more wait in the system's queue.
const CONNECTIONS: usize = 32;
/// How long a request's head may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait when the system has no descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How much a request's head may hold; hyper's least is 8 KiB.
const HEAD: usize = 16 * 1024;
/// How many refusals are told one by one; after that there is one more event, and no further ones.
const REFUSALS: u32 = 64;

/// What a caller must get right.
pub(super) struct Door {
    host: String,
    path: String,
    token: Arc<SecretString>,
    leases: Arc<Leases>,
    refusals: AtomicU32,
}

impl Door {
    pub(super) fn new(
        address: SocketAddr,
        path: String,
        token: Arc<SecretString>,
        leases: Arc<Leases>,
    ) -> Self {
        Self { host: address.to_string(), path, token, leases, refusals: AtomicU32::new(0) }
    }
}

/// Accepts until aborted; open connections end with it.
pub(super) async fn listen(listener: TcpListener, door: Door) {
    let door = Arc::new(door);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let door = Arc::clone(&door);
        connections.spawn(async move {
            converse(stream, door).await;
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, door: Arc<Door>) {
    let service = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(answer(&request, &door).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the credential endpoint broke");
    }
}

async fn answer(request: &Request<Incoming>, door: &Door) -> Response<Full<Bytes>> {
    if let Some((status, reason)) = fault(request, door) {
        refused(door, reason).await;
        return reply(status, Bytes::new());
    }
    match fetch(door).await {
        Ok(body) => reply(StatusCode::OK, body),
        Err(error) => {
            tracing::warn!(error = %error, "credentials cannot be served");
            reply(StatusCode::SERVICE_UNAVAILABLE, Bytes::new())
        }
    }
}

/// What is wrong with the request, if anything. The token comes first, so that who lacks it learns nothing else.
fn fault(request: &Request<Incoming>, door: &Door) -> Option<(StatusCode, &'static str)> {
    let header = |name| request.headers().get(name).map_or(&[][..], |value| value.as_bytes());
    if !ct_eq(header(header::AUTHORIZATION), door.token.expose().as_bytes()) {
        return Some((StatusCode::FORBIDDEN, "wrong token"));
    }
    if !ct_eq(request.uri().path().as_bytes(), door.path.as_bytes()) || request.uri().query().is_some() {
        return Some((StatusCode::NOT_FOUND, "wrong path"));
    }
    if header(header::HOST) != door.host.as_bytes() {
        return Some((StatusCode::FORBIDDEN, "wrong host"));
    }
    if request.method() != Method::GET {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "wrong method"));
    }
    None
}

async fn refused(door: &Door, reason: &'static str) {
    let before = door.refusals.fetch_add(1, Ordering::Relaxed);
    let reason = match before {
        0..REFUSALS => reason,
        REFUSALS => "too many refusals to tell them all",
        _ => return,
    };
    if let Err(error) = door.leases.tell(Kind::Refused { reason }).await {
        tracing::warn!(error = %error, "a refusal is not recorded");
    }
}

/// The answer of a container credential endpoint (AWS SDKs and Tools Reference, "Container credential provider").
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Container<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

async fn fetch(door: &Door) -> Result<Bytes> {
    let (credentials, lease) = door.leases.current().await?;
    door.leases.tell(Kind::Served(lease)).await?;
    Ok(body(&credentials))
}

/// JSON in memory that is overwritten after it was sent.
fn body(credentials: &Credentials) -> Bytes {
    let container = Container {
        access_key_id: credentials.access_key_id.expose(),
        secret_access_key: credentials.secret_access_key.expose(),
        token: credentials.session_token.expose(),
        expiration: credentials.expiration.to_string(),
    };
    // Room enough that it never moves and leaves a copy behind: escaping at most sextuples the values.
    let values = credentials.access_key_id.len()
        + credentials.secret_access_key.len()
        + credentials.session_token.len();
    let mut json = Vec::with_capacity(256 + 6 * values);
    if serde_json::to_writer(&mut json, &container).is_err() {
        json.clear(); // cannot be: strings always serialise, and a vector takes them
    }
    wiped(SecretBytes::new(json))
}

fn reply(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

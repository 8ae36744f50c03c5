//! What operators see: Prometheus metrics on a listener of their own.

use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use writ_store::Db;
use writ_web::{Event, Served};

/// The metrics of one house.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    latency: Family<Route, Histogram>,
    connections: Gauge,
    handshakes: Family<Handshake, Counter>,
    sealed: Gauge,
    commits: Gauge,
    batches: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handshake {
    result: &'static str,
}

const SECONDS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::with_prefix("writ"),
            requests: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            connections: Gauge::default(),
            handshakes: Family::default(),
            sealed: Gauge::default(),
            commits: Gauge::default(),
            batches: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("http_requests", "Answers, by method, route and status", metrics.requests.clone());
        registry.register(
            "http_request_seconds",
            "Time to the beginning of an answer",
            metrics.latency.clone(),
        );
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register("tls_handshakes", "TLS handshakes, by result", metrics.handshakes.clone());
        registry.register("sealed", "1 while the server holds no keys", metrics.sealed.clone());
        registry.register(
            "database_commits",
            "Transactions made durable since start",
            metrics.commits.clone(),
        );
        registry.register(
            "database_batches",
            "Writes to disk that made them durable",
            metrics.batches.clone(),
        );
        Arc::new(metrics)
    }

    pub(crate) fn served(&self, served: &Served<'_>) {
        let route = served.route.to_owned();
        let labels = Request {
            method: served.method.to_string(),
            route: route.clone(),
            status: served.status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        self.latency.get_or_create(&Route { route }).observe(served.elapsed.as_secs_f64());
    }

    pub(crate) fn connection(&self, event: Event) {
        match event {
            Event::Opened => {
                self.connections.inc();
            }
            Event::Closed => {
                self.connections.dec();
            }
            Event::Refused => self.handshake("refused"),
            Event::HandshakeFailed => self.handshake("failed"),
            Event::Secured(secured) => {
                self.handshake(if secured.post_quantum { "post_quantum" } else { "classical" })
            }
        }
    }

    fn handshake(&self, result: &'static str) {
        self.handshakes.get_or_create(&Handshake { result }).inc();
    }
}

/// The listener's routes: `/metrics` alone.
pub(crate) fn routes(
    metrics: Arc<Metrics>,
    db: Db,
    sealed: impl Fn() -> bool + Clone + Send + Sync + 'static,
) -> Router {
    let scrape = move |State(metrics): State<Arc<Metrics>>| async move {
        let stats = db.stats();
        metrics.sealed.set(i64::from(sealed()));
        metrics.commits.set(i64::try_from(stats.commits).unwrap_or(i64::MAX));
        metrics.batches.set(i64::try_from(stats.batches).unwrap_or(i64::MAX));
        let mut text = String::new();
        match encode(&mut text, &metrics.registry) {
            Ok(()) => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, kind)], text).into_response()
            }
            Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    Router::new().route("/metrics", get(scrape)).with_state(metrics)
}

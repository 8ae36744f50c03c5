//! What operators see: Prometheus metrics on a listener of their own.

use std::{path::PathBuf, sync::Arc};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use writ_kernel::Result;
use writ_seal::Seal;
use writ_store::Db;
use writ_web::{Event, Served};

use crate::{entropy::Watch, process, telemetry::Counts};

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
    refusals: Family<Refusal, Counter>,
    deployments: Family<InState, Gauge>,
    runs: Family<InState, Gauge>,
    pending: Gauge,
    sources: Family<Named, Gauge>,
    disk_free: Gauge,
    spans: Counts,
}

/// What is looked at when somebody asks.
pub(crate) struct Sights {
    pub(crate) db: Db,
    pub(crate) seal: Seal,
    pub(crate) sources: Arc<Watch>,
    pub(crate) data_dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
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
            refusals: Family::default(),
            deployments: Family::default(),
            runs: Family::default(),
            pending: Gauge::default(),
            sources: Family::default(),
            disk_free: Gauge::default(),
            spans: Counts::default(),
        };
        metrics.describe_traffic();
        metrics.describe_house();
        Arc::new(metrics)
    }

    fn describe_traffic(&mut self) {
        let metrics = self;
        let registry = &mut metrics.registry;
        registry.register("http_requests", "Answers, by method, route and status", metrics.requests.clone());
        registry.register(
            "http_request_seconds",
            "Time to the beginning of an answer",
            metrics.latency.clone(),
        );
        registry.register("refusals", "Answers that are a problem, by its code", metrics.refusals.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register("tls_handshakes", "TLS handshakes, by result", metrics.handshakes.clone());
    }

    fn describe_house(&mut self) {
        let metrics = self;
        let registry = &mut metrics.registry;
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
        registry.register("deployments", "Deployments, by state", metrics.deployments.clone());
        registry.register("runs", "Runs, by state", metrics.runs.clone());
        registry.register(
            "evidence_pending",
            "Leaves that wait for their place in a log",
            metrics.pending.clone(),
        );
        registry.register(
            "entropy_source_up",
            "1 while a source of randomness gives some",
            metrics.sources.clone(),
        );
        registry.register("trace_spans_exported", "Spans the collector took", metrics.spans.exported.clone());
        registry.register("trace_spans_dropped", "Spans that are lost", metrics.spans.dropped.clone());
        registry.register(
            "disk_free_bytes",
            "Bytes free where the data directory is",
            metrics.disk_free.clone(),
        );
    }

    /// Looks at what changes by itself.
    async fn look(&self, sights: &Sights) -> Result<()> {
        let stats = sights.db.stats();
        self.sealed.set(i64::from(sights.seal.is_closed()));
        self.commits.set(i64::try_from(stats.commits).unwrap_or(i64::MAX));
        self.batches.set(i64::try_from(stats.batches).unwrap_or(i64::MAX));
        for (name, well) in sights.sources.told() {
            self.sources.get_or_create(&Named { name }).set(i64::from(well));
        }
        self.disk_free.set(i64::try_from(process::disk_free(&sights.data_dir)?).unwrap_or(i64::MAX));
        self.pending.set(writ_evidence::pending(&sights.db).await?);
        let census = writ_deploy::census(&sights.db).await?;
        for (family, counted) in [(&self.deployments, census.deployments), (&self.runs, census.runs)] {
            // A state that nothing is in any more is not counted.
            family.clear();
            for (state, count) in counted {
                family.get_or_create(&InState { state }).set(count);
            }
        }
        Ok(())
    }

    pub(crate) fn served(&self, served: &Served<'_>) {
        let route = served.route.to_owned();
        let labels = Request { method: served.method, route: route.clone(), status: served.status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        if let Some(code) = served.code {
            self.refusals.get_or_create(&Refusal { code }).inc();
        }
        self.latency.get_or_create(&Route { route }).observe(served.elapsed.as_secs_f64());
    }

    /// Where it is counted what becomes of spans.
    pub(crate) fn spans(&self) -> Counts {
        self.spans.clone()
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
                self.handshake(if secured.post_quantum { "post_quantum" } else { "classical" });
            }
        }
    }

    fn handshake(&self, result: &'static str) {
        self.handshakes.get_or_create(&Handshake { result }).inc();
    }
}

/// The listener's routes: `/metrics` alone.
pub(crate) fn routes(metrics: Arc<Metrics>, sights: Sights) -> Router {
    let sights = Arc::new(sights);
    let scrape = move |State(metrics): State<Arc<Metrics>>| async move {
        if let Err(error) = metrics.look(&sights).await {
            // What was seen last is still told.
            tracing::warn!(%error, "not all metrics could be brought up to date");
        }
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

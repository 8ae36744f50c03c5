//! Traces for operators: spans in the OpenTelemetry protocol, off unless an endpoint is configured.
//!
//! Trace and span ids are those of the answer's `traceresponse` and of the evidence, so that a trace leads to its
//! records and back. A span holds a method, a declared route, a status, a code, ids of a tenant, a deployment and a
//! run, and times: no path, no query, no header, no body, no name.

mod otlp;
mod spans;

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};
use writ_client::{Client, Config as ClientConfig, HeaderMap, HeaderName, HeaderValue};
use writ_crypto::SecretString;
use writ_kernel::{Chance, Error, Result, TraceId, World};

use crate::{
    config::{HttpSource, Telemetry},
    entropy,
};
pub(crate) use spans::{Launched, RunSpan};

use otlp::{Answer, Attribute, Export, Span, text};

/// So many spans wait at most; what comes when they are as many is dropped, and counted.
const QUEUE: usize = 4_096;
/// So many are posted at once.
const BATCH: usize = 512;
/// So long a span waits for others to be posted with.
const PAUSE: Duration = Duration::from_secs(1);
/// So long the last ones are tried at the end.
const LAST: Duration = Duration::from_secs(5);
/// So long one post may take, and a collector that asks for more time before the next is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of spans.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    pub(crate) exported: Counter,
    pub(crate) dropped: Counter,
}

/// Takes spans, never waits, and never fails. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tracer(Option<Arc<On>>);

struct On {
    queue: mpsc::Sender<Span>,
    /// Of 2^63: see [`Tracer::samples`].
    threshold: u64,
    counts: Counts,
}

/// Posts what a tracer takes.
pub(crate) struct Exporter {
    queue: mpsc::Receiver<Span>,
    client: Client,
    path: String,
    about: Vec<Attribute>,
    counts: Counts,
    world: World,
    /// Whether the last post arrived: the log tells changes only.
    well: bool,
}

/// What `config` asks for: a tracer, and its exporter if it is on.
///
/// # Errors
/// `Invalid` when the endpoint or the headers cannot be used.
pub(crate) fn open(config: &Telemetry, world: &World, counts: Counts) -> Result<(Tracer, Option<Exporter>)> {
    let Some(endpoint) = config.otlp_endpoint.as_deref().filter(|_| !config.disabled) else {
        return Ok((Tracer(None), None));
    };
    let (base, prefix) = entropy::split(endpoint);
    let trust = entropy::trust(&HttpSource {
        url: endpoint.to_owned(),
        authority: config.authority.clone(),
        pin: config.pin.clone(),
    })?;
    let client = Client::new(ClientConfig {
        timeout: PATIENCE,
        patience: PATIENCE,
        attempts: 3,
        headers: headers(config)?,
        user_agent: concat!("writ-server/", env!("CARGO_PKG_VERSION")).into(),
        ..ClientConfig::new(base, trust, Arc::new(Dice(world.clone())))
    });
    let client = client.map_err(|error| wrong(&error.to_string()))?;
    let about = vec![
        text("service.name", &config.service_name),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", world.uuid()),
    ];
    let (sender, queue) = mpsc::channel(QUEUE);
    let path = format!("{}{}", prefix.trim_end_matches('/'), otlp::PATH);
    let on = On { queue: sender, threshold: threshold(config.sample_ratio), counts: counts.clone() };
    let exporter = Exporter { queue, client, path, about, counts, world: world.clone(), well: true };
    Ok((Tracer(Some(Arc::new(on))), Some(exporter)))
}

impl Tracer {
    /// Whether spans of this trace are kept. Every server with the same ratio says the same of a trace, and so does
    /// whoever else follows OpenTelemetry's `TraceIdRatioBased`.
    pub(crate) fn samples(&self, trace: TraceId) -> bool {
        let Some(on) = &self.0 else { return false };
        let low = u128::from_be_bytes(trace.bytes()) & u128::from(u64::MAX);
        u64::try_from(low).is_ok_and(|low| low >> 1 < on.threshold)
    }

    fn take(&self, span: impl FnOnce() -> Span) {
        if let Some(on) = &self.0
            && on.queue.try_send(span()).is_err()
        {
            on.counts.dropped.inc();
        }
    }
}

#[cfg(test)]
impl Tracer {
    /// One that keeps everything, and whose spans come out here.
    pub(crate) fn into_hand() -> (Self, mpsc::Receiver<Span>) {
        let (queue, spans) = mpsc::channel(1);
        let on = On { queue, threshold: threshold(1.0), counts: Counts::default() };
        (Self(Some(Arc::new(on))), spans)
    }
}

/// Of 2^63, so that 1 is every trace and 0 is none.
fn threshold(ratio: f64) -> u64 {
    const ALL: u64 = 1 << 63;
    // In millionths: exact enough, and whole numbers.
    let millionths = (ratio.clamp(0.0, 1.0) * 1e6).round();
    let whole = (0..=1_000_000_u32).rev().find(|whole| f64::from(*whole) <= millionths).unwrap_or(0);
    u64::try_from(u128::from(ALL) * u128::from(whole) / 1_000_000).unwrap_or(ALL)
}

impl Exporter {
    /// Posts until told to stop; then what is left, for as long as the end allows.
    pub(crate) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH);
        let end = self.work(&mut batch, &mut stopping).await;
        self.queue.close();
        while !batch.is_empty() || self.queue.recv_many(&mut batch, BATCH).await > 0 {
            self.post_under(std::future::ready(end), std::mem::take(&mut batch)).await;
        }
    }

    /// Works until told to stop, and says when everything must be over then.
    async fn work(&mut self, batch: &mut Vec<Span>, stopping: &mut watch::Receiver<bool>) -> Instant {
        loop {
            tokio::select! {
                () = told(stopping) => return Instant::now() + LAST,
                more = self.gather(batch) => if !more { return Instant::now() + LAST },
            }
            let end = async {
                told(stopping).await;
                Instant::now() + LAST
            };
            let spans = std::mem::take(batch);
            if let Some(end) = self.post_under(end, spans).await {
                return end;
            }
        }
    }

    /// Posts; if `end` comes to be known meanwhile, until then at the longest.
    async fn post_under(&mut self, end: impl Future<Output = Instant>, spans: Vec<Span>) -> Option<Instant> {
        let count = spans.len();
        let (end, posted) = {
            let mut post = std::pin::pin!(self.post(spans));
            tokio::select! {
                () = &mut post => return None,
                end = end => (end, timeout_at(end, post).await),
            }
        };
        if posted.is_err() {
            self.lose(count);
        }
        Some(end)
    }

    /// Fills `batch`; `false` when no more will come.
    async fn gather(&mut self, batch: &mut Vec<Span>) -> bool {
        if self.queue.recv_many(batch, BATCH).await == 0 {
            return false;
        }
        let until = Instant::now() + PAUSE;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            match timeout_at(until, self.queue.recv_many(batch, room)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        true
    }

    async fn post(&mut self, spans: Vec<Span>) {
        let count = spans.len();
        let body = Export::new(&self.about, spans);
        // The key is for our own client, which repeats nothing without one; a collector takes no notice.
        let key = self.world.uuid().to_string();
        let posted = self.client.post_once::<_, Option<Answer>>(&self.path, &key, &body).await;
        match posted {
            Ok(answer) => {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                let rejected = answer.unwrap_or_default().rejected().min(count);
                self.counts.exported.inc_by(count - rejected);
                self.counts.dropped.inc_by(rejected);
                if !std::mem::replace(&mut self.well, true) {
                    tracing::info!("the collector of traces takes spans again");
                }
            }
            Err(error) => {
                self.lose(count);
                if std::mem::replace(&mut self.well, false) {
                    tracing::warn!(%error, "the collector of traces takes no spans: they are dropped");
                }
            }
        }
    }

    fn lose(&self, count: usize) {
        self.counts.dropped.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

async fn told(stopping: &mut watch::Receiver<bool>) {
    // Whoever could tell is gone, which tells the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// What the collector wants to see: `name=value,name=value`, values percent-encoded, as the variable
/// `OTEL_EXPORTER_OTLP_HEADERS` has it; or one of them a line.
fn headers(config: &Telemetry) -> Result<HeaderMap> {
    let text = match (&config.headers_file, &config.headers_env) {
        (Some(file), _) => std::fs::read_to_string(file)
            .map_err(|error| wrong(&format!("`{}` cannot be read: {error}", file.display())))?,
        (None, name) => std::env::var(name).unwrap_or_default(),
    };
    parse_headers(&SecretString::new(text))
}

fn parse_headers(text: &SecretString) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.expose().split([',', '\n']).map(str::trim).filter(|pair| !pair.is_empty()) {
        // Nothing of it is quoted: it may be a token without its name.
        let malformed = || wrong("the headers are not of the form `name=value,name=value`");
        let (name, value) = pair.split_once('=').ok_or_else(malformed)?;
        let name: HeaderName = name.trim().parse().map_err(|_| malformed())?;
        let value = percent_decoded(value.trim()).ok_or_else(malformed)?;
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| malformed())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(bytes)
}

fn wrong(why: &str) -> Error {
    Error::invalid("configuration", format!("telemetry: {why}")).at("telemetry")
}

/// Spreads retries.
struct Dice(World);

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_keeps_its_share_of_traces() {
        let tracer = |ratio| {
            let (queue, _) = mpsc::channel(1);
            Tracer(Some(Arc::new(On { queue, threshold: threshold(ratio), counts: Counts::default() })))
        };
        // The 64 low bits decide, in steps of a sixteenth here.
        let kept = |ratio| {
            let tracer = tracer(ratio);
            let trace = |step: u8| format!("{}{step:x}{}", "0".repeat(16), "8".repeat(15));
            (0..16).filter(|step| tracer.samples(trace(*step).parse().unwrap())).count()
        };
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(kept), [0, 4, 8, 16]);
        let last: TraceId = "f".repeat(32).parse().unwrap();
        assert!(tracer(1.0).samples(last) && !tracer(0.999).samples(last));
    }

    #[test]
    fn a_full_queue_drops_what_comes_and_counts_it() {
        let (tracer, mut spans) = Tracer::into_hand();
        let world = World::new(Arc::new(writ_kernel::SystemClock), Arc::new(writ_crypto::Entropy::os()));
        let span = |name: &str| Span {
            trace: TraceId::new(&world),
            id: writ_kernel::SpanId::new(&world),
            parent: None,
            kind: otlp::Kind::Server,
            name: name.to_owned(),
            began: world.now(),
            ended: world.now(),
            attributes: Vec::new(),
            failed: false,
        };
        let _taken = ["first", "second", "third"].map(|name| tracer.take(|| span(name)));
        assert_eq!(spans.try_recv().unwrap().name, "first");
        assert!(spans.try_recv().is_err());
        assert_eq!(tracer.0.unwrap().counts.dropped.get(), 2);
    }

    #[test]
    fn headers_are_read_as_the_variable_has_them_and_never_printed() {
        let text = "api-key=abc%3Dd,Authorization=Bearer%20hunter2\nx-more = y";
        let headers = parse_headers(&SecretString::new(text.to_owned())).unwrap();
        assert_eq!(headers["api-key"], "abc=d");
        assert_eq!(headers["authorization"], "Bearer hunter2");
        assert_eq!(headers["x-more"], "y");
        assert!(!format!("{headers:?}").contains("hunter2"));
    }

    #[test]
    fn malformed_headers_are_refused_and_not_quoted() {
        for text in ["hunter2", "a b=hunter2", "a=%zzhunter2", "a=hunter2%2", "a=hunter2%0a"] {
            let error = parse_headers(&SecretString::new(text.to_owned())).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}

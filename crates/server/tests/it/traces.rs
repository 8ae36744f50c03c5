//! Traces, as a collector gets them.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use reqwest::Method;
use serde_json::{Value as Json, json};
use writ_store::{on_both, testing::TestDb};

use crate::{
    ground::{Ground, Server, ask},
    operating::{METRICS, await_line, scrape},
};

/// A collector that speaks OTLP/HTTP with JSON as the OpenTelemetry protocol has it: POST to `/v1/traces`, content type
/// `application/json`, an answer of `ExportTraceServiceResponse`. It reads with the types that OpenTelemetry generates
/// from the protocol's definition.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Collector {
    /// Listens, and says where.
    async fn open() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, format!("http://{address}"))
    }

    fn spans(&self) -> Vec<Span> {
        let posts = self.0.lock().unwrap();
        let requests = posts.iter().map(|(headers, body)| {
            assert_eq!(headers["content-type"], "application/json");
            serde_json::from_slice::<ExportTraceServiceRequest>(body).unwrap()
        });
        let resources = requests.flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// Everything it was ever told, headers too.
    fn heard(&self) -> String {
        let told = self.0.lock().unwrap();
        told.iter().map(|told| format!("{told:?}")).collect::<Vec<_>>().join("\n")
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> &'static str {
    collector.0.lock().unwrap().push((headers, body));
    "{\"partialSuccess\":{}}"
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|it| it.key == key)?.value.as_ref()?.value.as_ref()
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

async fn traced(ground: &Ground, endpoint: &str, more: &[(&str, &str)]) -> Server {
    let variables: Vec<_> =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)].into_iter().chain(more.iter().copied()).collect();
    ground.serve_with(&variables).await
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

on_both! {
    async fn the_trace_of_a_caller_is_that_of_the_span_and_of_the_evidence(house: &TestDb) {
        let ground = Ground::beside(house);
        let (collector, endpoint) = Collector::open().await;
        let server = traced(&ground, &endpoint, &[("OTEL_SERVICE_NAME", "the-house")]).await;
        let root = server.found().await;
        let admin = server.tenant(&root, "traced").await;
        let request = server.request(Method::GET, "/api/v1/people").bearer_auth(&admin);
        let answer = ask(request.header("traceparent", format!("00-{TRACE}-{PARENT}-00"))).await;
        let told: Vec<_> = answer.header("traceresponse").split('-').map(str::to_owned).collect();
        assert_eq!((told[1].as_str(), told[3].as_str()), (TRACE, "01"), "continued, and kept");
        let records = server.get(&admin, &format!("/api/v1/evidence?trace={TRACE}")).await.json();
        assert_eq!(records["items"].as_array().unwrap().len(), 1, "{records}");
        let leaf: Json = serde_json::from_str(records["items"][0]["leaf"].as_str().unwrap()).unwrap();
        assert_eq!((&leaf["trace"], &leaf["cls"]), (&json!(TRACE), &json!("identity.people.read")));
        server.stop().await;

        let spans = collector.spans();
        let span = spans.iter().find(|span| span.trace_id == bytes(TRACE)).unwrap();
        assert_eq!((&span.span_id, &span.parent_span_id), (&bytes(&told[2]), &bytes(PARENT)));
        assert_eq!((span.name.as_str(), span.kind()), ("GET /api/v1/people", SpanKind::Server));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert_eq!(attribute(&span.attributes, "http.request.method"), Some(&text("GET")));
        assert_eq!(attribute(&span.attributes, "http.route"), Some(&text("/api/v1/people")));
        assert_eq!(attribute(&span.attributes, "http.response.status_code"), Some(&Value::IntValue(200)));
        let Some(Value::StringValue(tenant)) = attribute(&span.attributes, "writ.tenant") else {
            panic!("no tenant in {span:?}");
        };
        assert_eq!(tenant.len(), 36);
        assert_eq!(span.attributes.len(), 4, "nothing else: {span:?}");
        assert!(collector.heard().contains("the-house"));
    }

    async fn a_refusal_has_its_code_and_is_no_failure_of_ours(house: &TestDb) {
        let ground = Ground::beside(house);
        let (collector, endpoint) = Collector::open().await;
        let server = traced(&ground, &endpoint, &[]).await;
        let answer = server.say("/api/v1/sys/unseal", &json!({})).await;
        answer.must_be_problem(409, "there is nothing to unseal yet");
        server.stop().await;
        let spans = collector.spans();
        let span = spans.iter().find(|span| span.name == "POST /api/v1/sys/unseal").unwrap();
        assert_eq!(attribute(&span.attributes, "error.type"), Some(&text("not_initialized")));
        assert_eq!(attribute(&span.attributes, "writ.tenant"), None);
        assert_eq!(span.status.as_ref().map(opentelemetry_proto::tonic::trace::v1::Status::code), Some(StatusCode::Unset));
        assert_eq!(span.trace_id, bytes(&answer.word("traceId")));
    }
}

/// The rest does not depend on the database.
async fn ground() -> Ground {
    Ground::beside(&TestDb::sqlite().await)
}

#[tokio::test]
async fn nothing_that_a_client_says_is_exported() {
    const WORD: &str = "hunter2hunter2";
    let ground = ground().await;
    let (collector, endpoint) = Collector::open().await;
    let server = traced(&ground, &endpoint, &[]).await;
    let root = server.found().await;
    let method = Method::from_bytes(WORD.as_bytes()).unwrap();
    for (method, path) in [
        (Method::GET, format!("/api/v1/people?token={WORD}")),
        (Method::GET, format!("/api/v1/people/{WORD}")),
        (Method::GET, format!("/{WORD}")),
        (method, "/api/v1/people".to_owned()),
    ] {
        let request = server.request(method, &path).bearer_auth(&root);
        ask(request
            .header("user-agent", WORD)
            .header("tracestate", format!("a={WORD}"))
            .header("baggage", format!("a={WORD}"))
            .header("x-request-id", WORD))
        .await;
    }
    server.post(&root, "/api/v1/people", &json!({ "name": WORD })).await;
    server.stop().await;
    let heard = collector.heard();
    assert!(collector.spans().len() >= 6, "it was listened to: {heard}");
    for secret in [WORD, root.as_str()] {
        assert!(!heard.contains(secret), "`{secret}` is in {heard}");
    }
}

#[tokio::test]
async fn what_the_collector_wants_to_see_is_shown_to_it_and_to_nobody_else() {
    let ground = ground().await;
    let file = ground.files.path().join("headers");
    std::fs::write(&file, "api-key=hunter2").unwrap();
    let (collector, endpoint) = Collector::open().await;
    let more = [("WRIT_TELEMETRY_HEADERS_FILE", file.to_str().unwrap())];
    let server = traced(&ground, &endpoint, &more).await;
    let config = ground.config(&more);
    assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
    server.say("/api/v1/sys/unseal", &json!({})).await;
    server.stop().await;
    assert_eq!(collector.0.lock().unwrap()[0].0["api-key"], "hunter2");
}

#[tokio::test]
async fn off_is_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    for (more, connected) in [([("OTEL_SDK_DISABLED", "true")], false), ([("OTEL_SERVICE_NAME", "on")], true)]
    {
        let ground = ground().await;
        let server = traced(&ground, &endpoint, &more).await;
        let answer = server.say("/api/v1/sys/unseal", &json!({})).await;
        assert_eq!(answer.header("traceresponse").ends_with("-01"), connected);
        server.stop().await;
        assert_eq!(listener.accept().is_ok(), connected, "{more:?}");
    }
}

#[tokio::test]
async fn a_collector_that_is_silent_holds_up_nobody() {
    // The connection is made and nothing is ever said.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ground = ground().await;
    let server = traced(&ground, &format!("http://{}", listener.local_addr().unwrap()), &[]).await;
    let begun = Instant::now();
    for _ in 0..50 {
        server.say("/api/v1/sys/unseal", &json!({})).await.must_be_problem(409, "answered as ever");
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let stopping = Instant::now();
    server.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(15), "{:?}", stopping.elapsed());
}

#[tokio::test]
async fn spans_that_nobody_takes_are_counted() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ground = ground().await;
    let server = traced(&ground, &format!("http://{closed}"), &[METRICS]).await;
    assert!(scrape(&server).await.contains("\nwrit_trace_spans_dropped_total 0\n"));
    server.say("/api/v1/sys/unseal", &json!({})).await;
    await_line(&server, "writ_trace_spans_dropped_total 1").await;
    assert!(scrape(&server).await.contains("\nwrit_trace_spans_exported_total 0\n"));
    server.stop().await;
}

//! What a request meets on its way to a handler and back, without a network.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode, header},
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use writ_kernel::{Error, Id, Label, Name, Tenant};
use writ_web::{
    Bytes, Guard, IdempotencyKey, Json, Manners, Outcome, Path, Query, Trace, body_limit, created,
};

use crate::world::world;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: Name,
    label: Option<Label>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    limit: Option<u16>,
}

pub(crate) fn manners() -> Manners {
    Manners {
        world: world(),
        body_limit: 1024,
        timeout: Duration::from_secs(30),
        concurrency: 8,
        guard: Guard::none(),
        sampled: Box::new(|_| false),
        observe: Box::new(|_| {}),
    }
}

fn routes() -> Router {
    Router::new()
        .route("/things", post(async |Json(thing): Json<Thing>| created("/things/1", thing)))
        .route("/things", get(async |Query(filter): Query<Filter>| Json(filter.limit)))
        .route("/things/{id}", get(async |Path(id): Path<Id<Tenant>>| id.to_string()))
        .route("/blobs", post(async |Bytes(body): Bytes| body.len().to_string()).layer(body_limit(2048)))
        .route("/trace", get(async |trace: Trace| trace.id().to_string()))
        .route("/key", post(async |IdempotencyKey(key): IdempotencyKey| Json(key)))
        .route("/panic", get(panics))
        .route("/broken", get(async || -> Outcome<()> { Err(Error::internal("the ledger is gone").into()) }))
        .route("/never", get(std::future::pending::<()>))
}

async fn panics() {
    panic!("a defect");
}

pub(crate) async fn ask(manners: Manners, request: Request<Body>) -> Response<Body> {
    manners.teach(routes()).oneshot(request).await.unwrap()
}

fn look(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn send(content_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/things").header(header::CONTENT_TYPE, content_type).body(body.into()).unwrap()
}

pub(crate) async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The status and the document of a refusal.
pub(crate) async fn problem(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let document: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(document["status"], status);
    assert_eq!(document["error"], document["code"]);
    (status, document)
}

#[tokio::test]
async fn a_problem_says_everything_the_caller_may_know() {
    let request = send("application/json", r#"{"name":"a","nmae":"b"}"#);
    let (status, document) = problem(ask(manners(), request).await).await;
    assert_eq!(status, 400);
    let expected = json!({
        "type": "urn:writ:problem:unknown_field",
        "title": "Bad Request",
        "status": 400,
        "detail": "there is no such field",
        "code": "unknown_field",
        "error": "unknown_field",
        "field": "/nmae",
        "hint": "expected `name` or `label`",
        "traceId": "01".repeat(16),
    });
    assert_eq!(document, expected);
}

#[tokio::test]
async fn a_created_thing_comes_with_its_place() {
    let response = ask(manners(), send("application/json", r#"{"name":"a"}"#)).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()[header::LOCATION], "/things/1");
    assert_eq!(text(response).await, r#"{"name":"a","label":null}"#);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_unsupported() {
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let (status, document) = problem(ask(manners(), send(content_type, r#"{"name":"a"}"#)).await).await;
        assert_eq!((status, &document["code"]), (415, &json!("unsupported_media_type")), "{content_type}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_and_a_route_may_choose_its_own() {
    let long = format!(r#"{{"name":"a","label":"{}"}}"#, "x".repeat(1024));
    let (status, document) = problem(ask(manners(), send("application/json", long)).await).await;
    assert_eq!((status, &document["code"]), (413, &json!("body_too_large")));
    for (length, status) in [(2048, 200), (2049, 413)] {
        let request = Request::post("/blobs").body(Body::from(vec![0; length])).unwrap();
        assert_eq!(ask(manners(), request).await.status(), status);
    }
}

#[tokio::test]
async fn a_wrong_parameter_is_named_and_its_value_is_not_repeated() {
    for (path, code, field) in [
        ("/things?limit=hunter2", "invalid_value", "limit"),
        ("/things?hunter=2", "unknown_field", "hunter"),
        ("/things?limit=99999999", "invalid_value", "limit"),
        ("/things/hunter2", "invalid_value", "id"),
        ("/things/%ff", "malformed_path", "id"),
    ] {
        let (status, document) = problem(ask(manners(), look(path)).await).await;
        assert_eq!(
            (status, &document["code"], &document["field"]),
            (400, &json!(code), &json!(field)),
            "{path}"
        );
        assert!(!document.to_string().contains("hunter2"), "{document}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_optional_and_well_formed() {
    let keyed = |keys: &[&str]| {
        let mut request = Request::post("/key");
        for key in keys {
            request = request.header("Idempotency-Key", *key);
        }
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(text(ask(manners(), keyed(&[])).await).await, "null");
    assert_eq!(text(ask(manners(), keyed(&["k-1"])).await).await, r#""k-1""#);
    for keys in [&[""][..], &["two words"], &["é"], &["x".repeat(129).as_str()], &["one", "two"]] {
        let (status, document) = problem(ask(manners(), keyed(keys)).await).await;
        assert_eq!((status, &document["code"]), (400, &json!("malformed_idempotency_key")), "{keys:?}");
    }
}

#[tokio::test]
async fn a_refused_head_has_no_body() {
    let response = ask(manners(), Request::head("/nowhere").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn there_is_a_problem_for_what_is_not_there() {
    assert_eq!(problem(ask(manners(), look("/nowhere")).await).await.0, 404);
    let request = Request::delete("/things").body(Body::empty()).unwrap();
    let response = ask(manners(), request).await;
    let mut allowed: Vec<_> = response.headers()[header::ALLOW].to_str().unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    let (status, document) = problem(response).await;
    assert_eq!((status, &document["title"]), (405, &json!("Method Not Allowed")));
}

#[tokio::test]
async fn our_own_faults_stay_with_us() {
    for path in ["/panic", "/broken"] {
        let (status, document) = problem(ask(manners(), look(path)).await).await;
        assert_eq!((status, &document["code"]), (500, &json!("internal")), "{path}");
        assert!(!document.to_string().contains("ledger") && !document.to_string().contains("defect"));
        assert_eq!(document["traceId"], "01".repeat(16));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_dropped() {
    let (status, document) = problem(ask(manners(), look("/never")).await).await;
    assert_eq!((status, &document["code"]), (504, &json!("timeout")));
}

#[tokio::test]
async fn one_request_too_many_is_told_to_come_back() {
    let (entered, inside) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let hold = {
        let (entered, inside) = (Arc::clone(&entered), Arc::clone(&inside));
        async move || {
            entered.notify_one();
            inside.notified().await;
        }
    };
    let router = Router::new().route("/", get(hold));
    let router = Manners { concurrency: 1, ..manners() }.teach(router);
    let first = tokio::spawn(router.clone().oneshot(look("/")));
    entered.notified().await;
    let second = router.clone().oneshot(look("/")).await.unwrap();
    assert_eq!(second.headers()[header::RETRY_AFTER], "1");
    let (status, document) = problem(second).await;
    assert_eq!((status, &document["code"]), (503, &json!("overloaded")));
    inside.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_sealed_house_opens_only_the_doors_it_names() {
    let sealed = || Guard { sealed: Box::new(|| true), open: &["/trace"] };
    let (status, document) =
        problem(ask(Manners { guard: sealed(), ..manners() }, look("/things")).await).await;
    assert_eq!((status, &document["code"]), (503, &json!("sealed")));
    assert_eq!(ask(Manners { guard: sealed(), ..manners() }, look("/trace")).await.status(), StatusCode::OK);
    assert_eq!(ask(Manners { guard: sealed(), ..manners() }, look("/trace/../things")).await.status(), 503);
}

#[tokio::test]
async fn a_trace_is_continued_or_begun_and_told() {
    let mut request = look("/trace");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    request.headers_mut().insert("traceparent", parent);
    let response = ask(manners(), request).await;
    let told = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-00", "01".repeat(8));
    assert_eq!(response.headers()["traceresponse"], told);
    assert_eq!(text(response).await, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(text(ask(manners(), look("/trace")).await).await, "01".repeat(16));
}

#[tokio::test]
async fn whoever_asks_is_told_that_we_keep_our_span_only_if_we_do() {
    let keep = || Manners { sampled: Box::new(|trace| trace.bytes() == [1; 16]), ..manners() };
    let told = ask(keep(), look("/trace")).await.headers()["traceresponse"].to_str().unwrap().to_owned();
    assert_eq!(told, format!("00-{}-{}-01", "01".repeat(16), "02".repeat(8)));
    let mut request = look("/trace");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    request.headers_mut().insert("traceparent", parent);
    let told = ask(keep(), request).await.headers()["traceresponse"].to_str().unwrap().to_owned();
    assert!(told.ends_with("-00"), "a client does not decide what we keep: {told}");
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_not_repeated() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for method in ["GET", "SECRETWORD"] {
        let seen = Arc::clone(&seen);
        let observe = Box::new(move |served: &writ_web::Served<'_>| seen.lock().unwrap().push(served.method));
        let request = Request::builder().method(method).uri("/trace").body(Body::empty()).unwrap();
        ask(Manners { observe, ..manners() }, request).await;
    }
    assert_eq!(*seen.lock().unwrap(), ["GET", "_OTHER"]);
}

#[tokio::test]
async fn every_answer_protects_the_browser() {
    for path in ["/trace", "/nowhere", "/panic"] {
        let response = ask(manners(), look(path)).await;
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert!(!response.headers().contains_key(header::STRICT_TRANSPORT_SECURITY), "not over plain HTTP");
    }
}

#[tokio::test]
async fn metrics_know_the_declared_route_and_nothing_else() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for path in ["/things/hunter2?token=hunter2", "/hunter2"] {
        let seen = Arc::clone(&seen);
        let observe = Box::new(move |served: &writ_web::Served<'_>| {
            let line = (served.method, served.route.to_owned(), served.status.as_u16());
            seen.lock().unwrap().push(line);
        });
        ask(Manners { observe, ..manners() }, look(path)).await;
    }
    let expected = [("GET", "/things/{id}".to_owned(), 400), ("GET", "unmatched".to_owned(), 404)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

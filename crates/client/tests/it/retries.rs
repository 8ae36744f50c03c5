//! When a call is repeated.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::IntoResponse,
    routing::any,
};
use serde_json::json;
use tokio::net::TcpListener;
use writ_client::{Client, Error, Trust};
use writ_kernel::Error as Refusal;
use writ_web::{Json, Problem};

use crate::house::{House, config};

/// What the server saw: the method and idempotency key of each request.
type Seen = Arc<Mutex<Vec<(Method, Option<String>)>>>;

/// A server that refuses the first `times` requests with `refusal`, then says yes.
async fn reluctant(times: usize, refusal: fn() -> axum::response::Response) -> (House, Seen) {
    let seen = Seen::default();
    let answer = async move |State(seen): State<Seen>, method: Method, headers: HeaderMap| {
        let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
        let mut seen = seen.lock().unwrap();
        seen.push((method, key));
        if seen.len() <= times { refusal() } else { Json("yes").into_response() }
    };
    let router = Router::new().route("/", any(answer)).with_state(Arc::clone(&seen));
    (House::open(router).await, seen)
}

fn busy() -> axum::response::Response {
    Problem(Refusal::exhausted("rate_limited", "too many requests", Duration::from_millis(1))).into_response()
}

fn bad_gateway() -> axum::response::Response {
    StatusCode::BAD_GATEWAY.into_response()
}

fn conflict() -> axum::response::Response {
    Problem(Refusal::conflict("changed", "it was changed meanwhile")).into_response()
}

#[tokio::test]
async fn the_time_the_server_asks_for_passes_before_the_next_attempt() {
    let (house, seen) = reluctant(1, busy).await;
    let begun = Instant::now();
    assert_eq!(house.client().get::<String>("/").await.unwrap(), "yes");
    assert!(begun.elapsed() >= Duration::from_secs(1), "a header has whole seconds only");
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn reading_replacing_and_removing_are_repeated() {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let (house, seen) = reluctant(2, bad_gateway).await;
        let client = house.client();
        let answer: String = match method {
            Method::GET => client.get("/").await,
            Method::PUT => client.put("/", &json!({})).await,
            _ => client.delete("/").await,
        }
        .unwrap();
        assert_eq!((answer.as_str(), seen.lock().unwrap().len()), ("yes", 3), "{method}");
    }
}

#[tokio::test]
async fn a_post_is_repeated_only_under_its_key() {
    let (house, seen) = reluctant(1, bad_gateway).await;
    let refused = house.client().post::<_, String>("/", &json!({})).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().status, 502);
    assert_eq!(seen.lock().unwrap().len(), 1);

    let (house, seen) = reluctant(1, bad_gateway).await;
    assert_eq!(house.client().post_once::<_, String>("/", "k1", &json!({})).await.unwrap(), "yes");
    let attempt = || (Method::POST, Some("k1".to_owned()));
    assert_eq!(*seen.lock().unwrap(), [attempt(), attempt()]);
}

#[tokio::test]
async fn a_refusal_that_will_not_pass_is_final() {
    let (house, seen) = reluctant(1, conflict).await;
    assert_eq!(house.client().get::<String>("/").await.unwrap_err().code(), "changed");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn attempts_come_to_an_end() {
    let (house, seen) = reluctant(usize::MAX, bad_gateway).await;
    let mut config = house.config();
    config.attempts = 3;
    let refused = Client::new(config).unwrap().get::<String>("/").await.unwrap_err();
    assert_eq!(refused.problem().unwrap().status, 502);
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut config = config(&format!("http://{address}"), Trust::Loopback);
    config.attempts = 2;
    let refused = Client::new(config).unwrap().get::<String>("/").await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(_)), "{refused:?}");
}

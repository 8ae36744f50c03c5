//! What a call carries and brings back.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect},
    routing::{any, get, post},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use writ_client::{Client, Error, Problem, Token};
use writ_kernel::{Error as Refusal, Name};
use writ_web::{Json, Outcome};

use crate::house::House;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: Name,
}

fn routes() -> Router {
    Router::new()
        .route("/things", post(async |Json(thing): Json<Thing>| Json(thing)))
        .route("/nothing", any(async || StatusCode::NO_CONTENT))
        .route("/length", post(async |writ_web::Bytes(body): writ_web::Bytes| Json(body.len())))
        .route("/receipt", get(async || ([("writ-receipt", "leaf-7")], Json(1))))
        .route("/refused", get(refused))
        .route(
            "/token",
            get(async |headers: HeaderMap| Json(headers["authorization"].to_str().unwrap().to_owned())),
        )
        .route("/away", get(async || Redirect::temporary("/receipt")))
        .route("/long", get(async || Json("x".repeat(100_000))))
        .route("/panic", get(panics))
        .route("/never", get(std::future::pending::<()>))
}

async fn refused() -> Outcome<()> {
    let refusal = Refusal::forbidden("scope_missing", "the key may not do this")
        .hint("ask for a wider key")
        .at("/scope");
    Err(refusal.recorded("leaf-8").into())
}

async fn panics() {
    panic!("a defect");
}

async fn client() -> Client {
    House::open(routes()).await.client()
}

#[tokio::test]
async fn json_goes_there_and_back() {
    let thing = || Thing { name: "a".parse().unwrap() };
    assert_eq!(client().await.post::<_, Thing>("/things", &thing()).await.unwrap(), thing());
    client().await.put::<_, ()>("/nothing", &thing()).await.unwrap();
    client().await.delete::<()>("/nothing").await.unwrap();
}

#[tokio::test]
async fn a_problem_arrives_whole() {
    let refused = client().await.get::<()>("/refused").await.unwrap_err();
    let trace = refused.problem().unwrap().trace_id.clone().unwrap();
    assert_eq!(trace.len(), 32);
    let expected = Problem {
        status: 403,
        code: "scope_missing".into(),
        detail: "the key may not do this".into(),
        hint: Some("ask for a wider key".into()),
        field: Some("/scope".into()),
        trace_id: Some(trace),
        retry_after: None,
        receipt: Some("leaf-8".into()),
    };
    assert_eq!(refused.problem(), Some(&expected));
    assert_eq!(refused.to_string(), "scope_missing: the key may not do this (at `/scope`) [403]");
}

#[tokio::test]
async fn what_the_server_cannot_take_it_says() {
    let client = client().await;
    let status = |error: Error| (error.problem().unwrap().status, error.code().to_owned());
    let unknown = client.post::<_, Thing>("/things", &json!({"name": "a", "nmae": "b"})).await.unwrap_err();
    assert_eq!(unknown.problem().unwrap().field.as_deref(), Some("/nmae"));
    assert_eq!(status(unknown), (400, "unknown_field".into()));
    let text =
        client.post_bytes::<Thing>("/things", "text/plain", Bytes::from_static(b"{}")).await.unwrap_err();
    assert_eq!(status(text), (415, "unsupported_media_type".into()));
    let large = client.post_bytes::<u32>("/length", "x/y", vec![0; 64 * 1024 + 1].into()).await.unwrap_err();
    assert_eq!(status(large), (413, "body_too_large".into()));
    assert_eq!(status(client.get::<()>("/panic").await.unwrap_err()), (500, "internal".into()));
    assert_eq!(status(client.get::<()>("/nowhere").await.unwrap_err()), (404, "no_such_path".into()));
}

#[tokio::test]
async fn the_latest_receipt_is_remembered() {
    let client = client().await;
    assert_eq!(client.last_receipt(), None);
    client.get::<Value>("/receipt").await.unwrap();
    client.get::<()>("/nothing").await.unwrap();
    assert_eq!(client.last_receipt().as_deref(), Some("leaf-7"));
    client.get::<()>("/refused").await.unwrap_err();
    assert_eq!(client.last_receipt().as_deref(), Some("leaf-8"));
}

#[tokio::test]
async fn the_token_is_shown_and_can_be_renewed() {
    let house = House::open(routes()).await;
    let mut config = house.config();
    config.token = Some(Token::new("writ_key_one".into()).unwrap());
    let client = Client::new(config).unwrap();
    assert_eq!(client.get::<String>("/token").await.unwrap(), "Bearer writ_key_one");
    client.renew(Token::new("writ_key_two".into()).unwrap());
    assert_eq!(client.get::<String>("/token").await.unwrap(), "Bearer writ_key_two");
}

#[test]
fn a_token_that_would_break_a_header_is_none() {
    for text in ["", "two words", "a\r\nx-admin: 1", "é"] {
        let refused = Token::new(text.into()).err().unwrap().to_string();
        assert!(text.is_empty() || !refused.contains(text), "{refused}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let refused = client().await.get::<Value>("/away").await.unwrap_err();
    assert_eq!(refused.problem().unwrap().status, 307);
}

#[tokio::test]
async fn an_answer_longer_than_allowed_is_not_read() {
    let house = House::open(routes()).await;
    let mut config = house.config();
    config.longest_answer = 50_000;
    let refused = Client::new(config).unwrap().get::<String>("/long").await.unwrap_err();
    assert_eq!(refused.to_string(), "the answer is not understood: it is longer than 50000 bytes");
}

#[tokio::test]
async fn an_answer_that_is_not_expected_is_not_repeated() {
    let refused = client().await.get::<u8>("/receipt-of-nothing").await.unwrap_err();
    assert_eq!(refused.problem().unwrap().status, 404);
    let refused = client().await.get::<Thing>("/receipt").await.unwrap_err().to_string();
    assert_eq!(refused, "the answer is not understood: not the expected JSON, at line 1 column 1");
}

#[tokio::test]
async fn no_answer_in_time_is_an_error_of_its_own() {
    let house = House::open(routes()).await;
    let mut config = house.config();
    config.timeout = Duration::from_secs(1);
    let refused = Client::new(config).unwrap().get::<()>("/never").await.unwrap_err();
    assert!(matches!(refused, Error::Timeout), "{refused:?}");
}

#[tokio::test]
async fn a_download_arrives_piece_by_piece_while_it_is_made() {
    let (first, more) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let pieces = {
        let (first, more) = (Arc::clone(&first), Arc::clone(&more));
        async move || {
            first.notified().await;
            let stream = futures_util::stream::unfold(0, move |count| {
                let more = Arc::clone(&more);
                async move {
                    if count > 0 {
                        more.notified().await;
                    }
                    (count < 3)
                        .then(|| (Ok::<_, std::io::Error>(Bytes::from(vec![b'a' + count; 2])), count + 1))
                }
            });
            Body::from_stream(stream).into_response()
        }
    };
    let client = House::open(Router::new().route("/", get(pieces))).await.client();
    first.notify_one();
    let mut download = client.download("/").await.unwrap();
    for expected in [Some("aa"), Some("bb"), Some("cc"), None] {
        assert_eq!(download.piece().await.unwrap().as_deref(), expected.map(str::as_bytes));
        more.notify_one();
    }
}

#[tokio::test]
async fn an_upload_is_streamed() {
    let pieces =
        futures_util::stream::iter((0..10).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100]))));
    let body = writ_client::Body::wrap_stream(pieces);
    assert_eq!(
        client().await.upload::<usize>("/length", "application/octet-stream", body).await.unwrap(),
        1000
    );
}

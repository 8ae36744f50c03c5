//! Whom the client speaks to.

use axum::{Router, extract::Extension, routing::get};
use tokio::net::TcpListener;
use writ_client::{Client, Error, Pin, Trust};
use writ_web::{Event, Limits, Secured, Terms, Transport, serve};

use crate::house::{House, config};

async fn house() -> House {
    let told = async |Extension(secured): Extension<Secured>| axum::Json(secured.post_quantum);
    House::open(Router::new().route("/secured", get(told))).await
}

#[tokio::test]
async fn the_pinned_server_is_spoken_to_with_a_post_quantum_key_exchange() {
    assert!(house().await.client().get::<bool>("/secured").await.unwrap());
}

#[tokio::test]
async fn another_certificate_is_refused_and_not_asked_again() {
    let house = house().await;
    let client = Client::new(house.config_trusting(Trust::Pin(Pin([7; 32])))).unwrap();
    let refused = client.get::<bool>("/secured").await.unwrap_err();
    assert!(matches!(refused, Error::Untrusted(_)), "{refused:?}");
    let opened = house.events.lock().unwrap().iter().filter(|event| **event == Event::Opened).count();
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn a_server_known_by_an_authority_must_also_have_the_name() {
    let house = house().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, house.pem.chain()).unwrap();
    let client = Client::new(house.config_trusting(Trust::Authority(file.clone()))).unwrap();
    assert!(client.get::<bool>("/secured").await.unwrap());

    let elsewhere = format!("https://127.0.0.2:{}", house.address.port());
    let client = Client::new(config(&elsewhere, Trust::Authority(file))).unwrap();
    let listener = TcpListener::bind(format!("127.0.0.2:{}", house.address.port())).await.unwrap();
    let tls = writ_web::tls::Tls::new(&house.pem, writ_web::tls::KeyExchange::Hybrid).unwrap();
    let terms =
        Terms { transport: Transport::Tls(tls), limits: Limits::default(), observe: Box::new(|_| {}) };
    tokio::spawn(serve(listener, Router::new(), terms, std::future::pending()));
    assert!(matches!(client.get::<bool>("/secured").await.unwrap_err(), Error::Untrusted(_)));
}

#[tokio::test]
async fn plain_http_works_on_loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(async || axum::Json("hello")));
    let terms =
        Terms { transport: Transport::Loopback, limits: Limits::default(), observe: Box::new(|_| {}) };
    tokio::spawn(serve(listener, router, terms, std::future::pending()));
    let client = Client::new(config(&format!("http://{address}"), Trust::Loopback)).unwrap();
    assert_eq!(client.get::<String>("/").await.unwrap(), "hello");
}

#[test]
fn an_address_that_would_leak_or_trust_nobody_makes_no_client() {
    let pin = || Trust::Pin(Pin([0; 32]));
    for (address, trust) in [
        ("http://192.0.2.1", Trust::Loopback),
        ("http://localhost.example", Trust::Loopback),
        ("http://127.0.0.1", pin()),
        ("https://127.0.0.1", Trust::Loopback),
        ("https://user:secret@127.0.0.1", pin()),
        ("https://127.0.0.1?token=secret", pin()),
        ("ftp://127.0.0.1", pin()),
        ("127.0.0.1", pin()),
        ("https://127.0.0.1", Trust::Authority("/nowhere.pem".into())),
    ] {
        let refused = Client::new(config(address, trust)).unwrap_err();
        assert!(matches!(refused, Error::Setup { .. }), "{address}");
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}

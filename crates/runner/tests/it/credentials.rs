//! The loopback credential endpoint, as the tool and others see it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use writ_crypto::SecretString;
use writ_kernel::{Error, Timestamp};
use writ_runner::{
    aws::{Credentials, IdentitySource},
    credentials::{CredentialEvent, CredentialEventKind as Kind, Endpoint, Renewal, Resolver},
};

use crate::borrowing::{Held, NOON, sts, world};

/// Gives a new half-hour lease each time it is asked, unless told to fail.
#[derive(Clone)]
struct Cloud {
    clock: Arc<Held>,
    asked: Arc<AtomicU32>,
    failing: Arc<Mutex<bool>>,
}

const LEASE: Duration = Duration::from_mins(30);

impl Cloud {
    fn new() -> Self {
        Self { clock: Held::at(NOON), asked: Arc::default(), failing: Arc::default() }
    }

    fn resolver(&self) -> Resolver {
        let cloud = self.clone();
        Box::new(move || {
            let cloud = cloud.clone();
            Box::pin(async move {
                let number = cloud.asked.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                if *cloud.failing.lock().unwrap() {
                    return Err(Error::forbidden("sts_access_denied", "no"));
                }
                Ok(Credentials {
                    access_key_id: SecretString::new(format!("ASIAEXAMPLE{number}")),
                    secret_access_key: SecretString::new(format!("secret-{number}")),
                    session_token: SecretString::new(format!("token-{number}")),
                    expiration: writ_kernel::Clock::now(&*cloud.clock).plus(LEASE),
                })
            })
        })
    }
}

struct Started {
    cloud: Cloud,
    endpoint: Endpoint,
    events: mpsc::Receiver<CredentialEvent>,
    known: Arc<Mutex<Vec<String>>>,
}

async fn start() -> Started {
    let (cloud, known) = (Cloud::new(), Arc::new(Mutex::new(Vec::new())));
    let (send, events) = mpsc::channel(1024);
    let hears = Arc::clone(&known);
    let on_new_values = Box::new(move |credentials: &Credentials| {
        hears.lock().unwrap().push(credentials.secret_access_key.expose().to_owned());
    });
    let world = world(&cloud.clock);
    let endpoint =
        Endpoint::start(world, cloud.resolver(), on_new_values, send, Renewal::default()).await.unwrap();
    Started { cloud, endpoint, events, known }
}

impl Started {
    fn url(&self) -> String {
        self.endpoint.env()[0].1.clone()
    }

    fn token(&self) -> String {
        self.endpoint.env()[1].1.clone()
    }

    async fn fetch(&self) -> (StatusCode, Value) {
        send(Method::GET, &self.url(), &self.token()).await
    }

    fn kinds(&mut self) -> Vec<Kind> {
        std::iter::from_fn(|| self.events.try_recv().ok()).map(|event| event.kind).collect()
    }
}

async fn send(method: Method, url: &str, token: &str) -> (StatusCode, Value) {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let client = Client::builder().no_proxy().build().unwrap();
    let response = client.request(method, url).header("Authorization", token).send().await.unwrap();
    let status = response.status();
    (status, response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn the_tool_gets_what_its_sdk_expects() {
    let mut started = start().await;
    let (status, body) = started.fetch().await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        serde_json::json!({
            "AccessKeyId": "ASIAEXAMPLE1",
            "SecretAccessKey": "secret-1",
            "Token": "token-1",
            "Expiration": "2026-11-22T12:30:00Z",
        })
    );
    let kinds = started.kinds();
    let [Kind::Refreshed(leased), Kind::Served(served)] = kinds.as_slice() else { panic!("{kinds:?}") };
    assert_eq!(leased, served);
    assert_eq!(leased.not_before, NOON.parse::<Timestamp>().unwrap());
    assert_eq!(leased.not_after, "2026-11-22T12:30:00Z".parse::<Timestamp>().unwrap());
    // sha256("ASIAEXAMPLE1"), by coreutils
    assert_eq!(leased.key_hash, KEY_1_HASH);
}

const KEY_1_HASH: &str = "ff66fa769411bf45";

#[tokio::test]
async fn another_runner_can_take_its_identity_from_it_as_from_any_container_endpoint() {
    let started = start().await;
    let token_file = tempfile::NamedTempFile::new().unwrap();
    let source =
        IdentitySource::PodIdentity { endpoint: started.url(), token_file: token_file.path().into() };
    let sts = sts(world(&started.cloud.clock), "http://127.0.0.1:9/");
    let session = "writ-run".parse().unwrap();
    std::fs::write(token_file.path(), format!("{}\n", started.token())).unwrap();
    let identity = source.prove(&sts, &session, &|_| None).await.unwrap();
    assert_eq!(identity.access_key_id.expose(), "ASIAEXAMPLE1");
    assert_eq!(identity.session_token.unwrap().expose(), "token-1");
    std::fs::write(token_file.path(), "another").unwrap();
    assert_eq!(source.prove(&sts, &session, &|_| None).await.err().unwrap().code(), "no_identity");
    std::fs::write(token_file.path(), "x".repeat(30_000)).unwrap();
    assert_eq!(source.prove(&sts, &session, &|_| None).await.err().unwrap().code(), "no_identity");
}

#[tokio::test]
async fn the_environment_holds_an_address_and_a_token_and_no_credential() {
    let started = start().await;
    let env = started.endpoint.env();
    assert_eq!(
        env.each_ref().map(|(name, _)| *name),
        ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    );
    assert!(started.endpoint.address().ip().is_loopback());
    assert!(env[0].1.starts_with(&format!("http://{}/", started.endpoint.address())));
    assert_eq!(env[1].1.len(), 64);
}

#[tokio::test]
async fn who_asks_wrongly_gets_nothing_and_is_told_of() {
    let mut started = start().await;
    let (url, token) = (started.url(), started.token());
    let elsewhere = format!("{}/other", url.rsplit_once('/').unwrap().0);
    let by_name = url.replace("127.0.0.1", "localhost");
    for (method, url, token, status, reason) in [
        (Method::GET, url.as_str(), "wrong", 403, "wrong token"),
        (Method::GET, &url, "", 403, "wrong token"),
        (Method::GET, &elsewhere, "wrong", 403, "wrong token"),
        (Method::GET, &elsewhere, &token, 404, "wrong path"),
        (Method::GET, &format!("{url}?x=1"), &token, 404, "wrong path"),
        (Method::GET, &by_name, &token, 403, "wrong host"),
        (Method::POST, &url, &token, 405, "wrong method"),
        (Method::DELETE, &url, &token, 405, "wrong method"),
    ] {
        started.kinds();
        let (answered, body) = send(method, url, token).await;
        assert_eq!((answered.as_u16(), body), (status, Value::Null));
        assert_eq!(started.kinds(), [Kind::Refused { reason }]);
    }
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_flood_the_evidence() {
    let mut started = start().await;
    started.kinds();
    for _ in 0..100 {
        send(Method::GET, &started.url(), "wrong").await;
    }
    let kinds = started.kinds();
    assert_eq!(kinds.len(), 65);
    assert_eq!(kinds[64], Kind::Refused { reason: "too many refusals to tell them all" });
    assert_eq!(started.fetch().await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_lease_is_renewed_before_it_ends_and_its_values_are_known_first() {
    let mut started = start().await;
    started.cloud.clock.advance(Duration::from_mins(21));
    let (_, body) = started.fetch().await;
    assert_eq!(body["SecretAccessKey"], "secret-2");
    assert_eq!(*started.known.lock().unwrap(), ["secret-1", "secret-2"]);
    let kinds = started.kinds();
    assert!(
        matches!(kinds.as_slice(), [Kind::Refreshed(_), Kind::Refreshed(_), Kind::Served(_)]),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn a_renewal_happens_once_however_many_ask() {
    let started = start().await;
    started.cloud.clock.advance(Duration::from_mins(21));
    let asks = (0..16).map(|_| started.fetch());
    for (status, body) in futures_util::future::join_all(asks).await {
        assert_eq!((status, &body["Token"]), (StatusCode::OK, &Value::from("token-2")));
    }
    assert_eq!(started.cloud.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn while_renewal_fails_the_old_lease_is_served_until_it_is_too_short() {
    let mut started = start().await;
    *started.cloud.failing.lock().unwrap() = true;
    started.cloud.clock.advance(Duration::from_mins(21));
    assert_eq!(started.fetch().await.1["Token"], "token-1");
    assert_eq!(started.fetch().await.1["Token"], "token-1");
    assert_eq!(started.cloud.asked.load(Ordering::SeqCst), 2, "it backs off");
    started.cloud.clock.advance(Duration::from_secs(3));
    started.fetch().await;
    assert_eq!(started.cloud.asked.load(Ordering::SeqCst), 3, "and tries again");
    started.cloud.clock.advance(Duration::from_mins(9));
    assert_eq!(started.fetch().await, (StatusCode::SERVICE_UNAVAILABLE, Value::Null));
    assert!(started.kinds().contains(&Kind::Failed { code: "sts_access_denied" }));
}

#[tokio::test]
async fn an_apply_does_not_start_on_a_lease_that_ends_too_soon() {
    let started = start().await;
    assert_eq!(started.endpoint.remaining().await, LEASE);
    started.cloud.clock.advance(Duration::from_mins(20));
    assert_eq!(started.endpoint.remaining().await, Duration::from_mins(10));
    assert_eq!(started.endpoint.ensure(Duration::from_mins(25)).await.unwrap(), LEASE, "it is renewed first");
    let error = started.endpoint.ensure(Duration::from_mins(45)).await.unwrap_err();
    assert_eq!(error.code(), "lease_too_short");
}

#[tokio::test]
async fn nothing_starts_without_a_first_lease() {
    let cloud = Cloud::new();
    *cloud.failing.lock().unwrap() = true;
    let (send, mut events) = mpsc::channel(4);
    let started =
        Endpoint::start(world(&cloud.clock), cloud.resolver(), Box::new(|_| ()), send, Renewal::default())
            .await;
    assert_eq!(started.err().unwrap().code(), "sts_access_denied");
    assert_eq!(events.recv().await.unwrap().kind, Kind::Failed { code: "sts_access_denied" });
}

#[tokio::test]
async fn without_anyone_to_record_it_nothing_is_served() {
    let mut started = start().await;
    started.events.close();
    assert_eq!(started.fetch().await, (StatusCode::SERVICE_UNAVAILABLE, Value::Null));
}

#[tokio::test]
async fn after_the_end_nobody_answers() {
    let started = start().await;
    let (url, address) = (started.url(), started.url().split('/').nth(2).unwrap().to_owned());
    let mut open = TcpStream::connect(&address).await.unwrap();
    started.endpoint.close().await;
    assert_eq!(open.read(&mut [0]).await.unwrap_or(0), 0, "an open connection ends");
    assert!(TcpStream::connect(&address).await.is_err(), "{url}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let started = start().await;
    let mut stream = TcpStream::connect(started.url().split('/').nth(2).unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    // It ends with a refusal or a reset, before all of this is taken.
    let written = stream.write_all(&vec![b'x'; 8 << 20]).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    assert!(written.is_err() || read.is_err() || answer.starts_with(b"HTTP/1.1 431"), "{}", answer.len());
    assert_eq!(started.fetch().await.0, StatusCode::OK);
}

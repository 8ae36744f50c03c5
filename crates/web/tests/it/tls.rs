//! TLS, from a client of our own making.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Extension, routing::get};
use rustls::{
    ClientConfig, NamedGroup, RootCertStore,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs as provider},
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use writ_kernel::Kind;
use writ_web::{
    Event, Limits, Secured, Terms, Transport, serve,
    tls::{KeyExchange, Pem, Tls},
};

use crate::{requests::manners, world::noon};

const SHORT: Duration = Duration::from_millis(200);

fn pem() -> Pem {
    // Verification in this test goes by the real clock.
    Pem::self_made(
        &["writ.example".into()],
        "2020-01-01T00:00:00Z".parse().unwrap(),
        Duration::from_hours(876_000),
    )
    .unwrap()
}

struct Server {
    address: SocketAddr,
    events: Arc<Mutex<Vec<Event>>>,
}

async fn server(tls: Tls) -> Server {
    server_with(Limits::default(), tls).await
}

async fn server_with(limits: Limits, tls: Tls) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let terms = Terms {
        transport: Transport::Tls(tls),
        limits,
        observe: Box::new(move |event| seen.lock().unwrap().push(event)),
    };
    let told = async |Extension(secured): Extension<Secured>| secured.post_quantum.to_string();
    let router = manners().teach(Router::new().route("/", get(told)));
    tokio::spawn(serve(listener, router, terms, std::future::pending()));
    Server { address, events }
}

async fn connect(
    address: SocketAddr,
    trusted: &Pem,
    groups: Vec<&'static dyn SupportedKxGroup>,
    name: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_speaking(b"http/1.1", address, trusted, groups, name).await
}

async fn connect_speaking(
    protocol: &[u8],
    address: SocketAddr,
    trusted: &Pem,
    groups: Vec<&'static dyn SupportedKxGroup>,
    name: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.chain().as_bytes()).unwrap()).unwrap();
    let provider = CryptoProvider { kx_groups: groups, ..provider::default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
}

fn group(stream: &TlsStream<TcpStream>) -> NamedGroup {
    stream.get_ref().1.negotiated_key_exchange_group().unwrap().name()
}

/// What the handler knows of the connection it is called on.
async fn told(stream: TlsStream<TcpStream>) -> String {
    answer(stream).await.lines().last().unwrap().to_owned()
}

async fn answer(mut stream: TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn over_tls_browsers_are_told_to_stay_on_tls() {
    let pem = pem();
    let server = server(Tls::new(&pem, KeyExchange::Hybrid).unwrap()).await;
    let hybrid = vec![provider::kx_group::X25519MLKEM768];
    let answer = answer(connect(server.address, &pem, hybrid, "localhost").await.unwrap()).await;
    assert!(answer.contains("\r\nstrict-transport-security: max-age=31536000\r\n"), "{answer}");
}

#[tokio::test]
async fn the_key_exchange_is_post_quantum_and_the_handler_knows() {
    let pem = pem();
    let server = server(Tls::new(&pem, KeyExchange::HybridOrClassical).unwrap()).await;
    let usual = provider::default_provider().kx_groups;
    let stream = connect(server.address, &pem, usual, "writ.example").await.unwrap();
    assert_eq!(group(&stream), NamedGroup::X25519MLKEM768);
    assert_eq!(told(stream).await, "true");
}

#[tokio::test]
async fn a_classical_client_is_served_only_where_that_is_allowed() {
    let pem = pem();
    let classical = || vec![provider::kx_group::X25519];
    let lenient = server(Tls::new(&pem, KeyExchange::HybridOrClassical).unwrap()).await;
    let stream = connect(lenient.address, &pem, classical(), "localhost").await.unwrap();
    assert_eq!(group(&stream), NamedGroup::X25519);
    assert_eq!(told(stream).await, "false");

    let strict = server(Tls::new(&pem, KeyExchange::Hybrid).unwrap()).await;
    assert!(connect(strict.address, &pem, classical(), "localhost").await.is_err());
    assert!(!strict.events.lock().unwrap().iter().any(|event| matches!(event, Event::Secured(_))));
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let server = server(Tls::new(&pem(), KeyExchange::HybridOrClassical).unwrap()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&client_hello_of_tls_1_2()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // RFC 5246 section 7.2: an alert record, fatal, protocol_version.
    assert_eq!((answer[0], &answer[3..]), (21, &[0, 2, 2, 70][..]));
}

/// RFC 5246 section 7.4.1.2: no `supported_versions`, so at most TLS 1.2.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let extensions = [
        &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23][..], // supported_groups: x25519, secp256r1
        &[0, 11, 0, 2, 1, 0],                   // ec_point_formats: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],             // signature_algorithms: ecdsa_secp256r1_sha256
    ]
    .concat();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    // version, random, no session, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression
    let body =
        [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, 0], &length(&extensions), &extensions].concat();
    let handshake = [&[1, 0][..], &length(&body), &body].concat();
    [&[22, 3, 1][..], &length(&handshake), &handshake].concat()
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut_off_and_counted() {
    let limits = Limits { handshake: SHORT, ..Limits::default() };
    let server = server_with(limits, Tls::new(&pem(), KeyExchange::Hybrid).unwrap()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(server.events.lock().unwrap().contains(&Event::HandshakeFailed));
}

#[tokio::test]
async fn an_http_2_connection_that_says_nothing_is_closed() {
    let pem = pem();
    let limits = Limits { header: SHORT, ..Limits::default() };
    let server = server_with(limits, Tls::new(&pem, KeyExchange::Hybrid).unwrap()).await;
    let groups = vec![provider::kx_group::X25519MLKEM768];
    let mut stream = connect_speaking(b"h2", server.address, &pem, groups, "localhost").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // Ends, in whatever way, because the server closes; the server's own greeting may come first.
    let mut greeting = Vec::new();
    let closed = tokio::time::timeout(SHORT * 25, stream.read_to_end(&mut greeting)).await;
    assert!(closed.is_ok());
}

#[tokio::test]
async fn a_certificate_is_for_the_named_hosts_and_this_machine() {
    let pem = pem();
    let server = server(Tls::new(&pem, KeyExchange::Hybrid).unwrap()).await;
    let hybrid = || vec![provider::kx_group::X25519MLKEM768];
    for name in ["writ.example", "localhost", "127.0.0.1", "::1"] {
        assert!(connect(server.address, &pem, hybrid(), name).await.is_ok(), "{name}");
    }
    assert!(connect(server.address, &pem, hybrid(), "other.example").await.is_err());
}

#[tokio::test]
async fn a_reloaded_certificate_is_shown_from_then_on() {
    let (old, new) = (pem(), pem());
    let tls = Tls::new(&old, KeyExchange::Hybrid).unwrap();
    let server = server(tls.clone()).await;
    let before = tls.pin();
    tls.reload(&new).unwrap();
    assert_ne!(tls.pin(), before);
    let hybrid = || vec![provider::kx_group::X25519MLKEM768];
    assert!(connect(server.address, &new, hybrid(), "localhost").await.is_ok());
    assert!(connect(server.address, &old, hybrid(), "localhost").await.is_err());
}

#[test]
fn a_saved_certificate_is_the_same_when_loaded_and_its_key_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let made = Pem::self_made(&[], noon(), Duration::from_hours(24)).unwrap();
    made.save(&chain, &key).unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let pin = |pem: &Pem| Tls::new(pem, KeyExchange::Hybrid).unwrap().pin();
    assert_eq!(pin(&Pem::load(&chain, &key).unwrap()), pin(&made));
    assert_eq!(made.save(&chain, &key).unwrap_err().kind(), Kind::Conflict, "nothing is overwritten");
}

#[test]
fn broken_files_are_refused_before_anything_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (one, other) = (pem(), pem());
    one.save(&path("chain"), &path("key")).unwrap();
    other.save(&path("other chain"), &path("other key")).unwrap();
    fs::write(path("empty"), "").unwrap();
    for (chain, key, code) in [
        ("nowhere", "key", "unreadable_file"),
        ("empty", "key", "malformed_pem"),
        ("chain", "empty", "malformed_pem"),
        ("chain", "chain", "malformed_pem"),
        ("chain", "other key", "unusable_certificate"),
    ] {
        let tls = Pem::load(&path(chain), &path(key)).and_then(|pem| Tls::new(&pem, KeyExchange::Hybrid));
        assert_eq!(tls.unwrap_err().code(), code, "{chain} {key}");
    }
    let host = Pem::self_made(&["not a host\n".into(), "é".into()], noon(), Duration::from_hours(1));
    assert_eq!(host.unwrap_err().code(), "malformed_host");
}

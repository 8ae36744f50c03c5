//! Who may connect, and to whom.

use std::sync::Arc;

use rustls::{ClientConfig, NamedGroup, crypto::aws_lc_rs};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use writ_client::{Client, Config, Error, Pin, Trust};
use writ_store::testing::TestDb;

use crate::ground::{Ground, Server, roots};

async fn group(server: &Server, config: ClientConfig) -> std::io::Result<NamedGroup> {
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(stream.get_ref().1.negotiated_key_exchange_group().unwrap().name())
}

fn speaking(ground: &Ground, classical: bool) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    if classical {
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    }
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&ground.certificate()))
        .with_no_client_auth()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_exchange_is_hybrid_and_may_be_nothing_else() {
    let ground = Ground::beside(&TestDb::sqlite().await);
    let server = ground.serve().await;
    assert_eq!(group(&server, speaking(&ground, false)).await.unwrap(), NamedGroup::X25519MLKEM768);
    assert_eq!(group(&server, speaking(&ground, true)).await.unwrap(), NamedGroup::X25519);
    server.stop().await;
    let server = ground.serve_with(&[("WRIT_SERVER_REQUIRE_POST_QUANTUM", "true")]).await;
    assert_eq!(group(&server, speaking(&ground, false)).await.unwrap(), NamedGroup::X25519MLKEM768);
    assert!(group(&server, speaking(&ground, true)).await.is_err());
    server.stop().await;
}

/// A client hello that knows no version after TLS 1.2 (RFC 5246 section 7.4.1.2).
fn hello_1_2() -> Vec<u8> {
    let within = |bytes: Vec<u8>| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 29][..], // groups: x25519
        &[0, 13, 0, 4, 0, 2, 4, 3],      // signatures: ECDSA with SHA-256
    ]
    .concat();
    // Version, random, no session, ECDHE-ECDSA with AES-128-GCM, no compression.
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, 0], &within(extensions)].concat();
    let handshake = [&[1, 0][..], &within(body)].concat();
    [&[22, 3, 1][..], &within(handshake)].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_is_refused_by_its_name() {
    let ground = Ground::beside(&TestDb::sqlite().await);
    let server = ground.serve().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&hello_1_2()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // A fatal alert, protocol_version (RFC 8446 section 6.2).
    assert_eq!((answer.first(), answer.get(5..)), (Some(&0x15), Some(&[2, 70][..])), "{answer:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_client_speaks_to_this_server_and_no_other() {
    let ground = Ground::beside(&TestDb::sqlite().await);
    let server = ground.serve().await;
    let client = |pin: Pin| {
        let base = format!("https://{}", server.address);
        Client::new(Config::new(base, Trust::Pin(pin), Arc::new(writ_crypto::Entropy::os()))).unwrap()
    };
    let pin: Pin = server.pin.parse().unwrap();
    let health: Value = client(pin).get("/healthz").await.unwrap();
    assert_eq!(health["status"], "sealed");
    let mut wrong = pin;
    wrong.0[31] ^= 1;
    let refused = client(wrong).get::<Value>("/healthz").await.unwrap_err();
    assert!(matches!(refused, Error::Untrusted(_)), "{refused:?}");
    server.stop().await;

    // The certificate is kept, so that a pin is too.
    let again = ground.serve().await;
    assert_eq!(again.pin.parse::<Pin>().unwrap(), pin);
    again.stop().await;
}

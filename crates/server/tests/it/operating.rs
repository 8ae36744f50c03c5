//! What operators see and set.

use std::{path::PathBuf, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use reqwest::Method;
use serde_json::json;
use writ_kernel::{Chance as _, Kind};
use writ_server::config::HttpSource;
use writ_store::{on_both, testing::TestDb};

use crate::{
    ground::{Ground, Server, ask, start},
    operations::Things,
};

pub(crate) const METRICS: (&str, &str) = ("WRIT_SERVER_METRICS", "127.0.0.1:0");

pub(crate) async fn scrape(server: &Server) -> String {
    let address = server.metrics.unwrap();
    let answer =
        reqwest::Client::builder().no_proxy().tls_backend_preconfigured(server.tls()).build().unwrap();
    answer.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap()
}

/// Waits for a line of the metrics.
pub(crate) async fn await_line(server: &Server, line: &str) {
    let mut text = String::new();
    for _ in 0..200 {
        text = scrape(server).await;
        if text.lines().any(|it| it == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no `{line}` in\n{text}");
}

on_both! {
    async fn metrics_count_what_happens_and_name_nobody(house: &TestDb) {
        let ground = Ground::beside(house);
        let server = ground.serve_with(&[METRICS]).await;
        assert!(scrape(&server).await.contains("\nwrit_sealed 1\n"));
        let root = server.found().await;
        let admin = server.tenant(&root, "counted").await;
        let boss = server.person(&admin, "boss", &["admin", "developer", "operator"]).await;
        let things = Things::make(&server, &boss, "counted-thing").await;
        ask(server.request(Method::GET, "/api/v1/people")).await.must_be_problem(401, "nobody");
        server.get(&boss, "/api/v1/tenants").await.must_be_problem(403, "not the operator of the server");
        let path = format!("/api/v1/deployments/{}", things.deployment);
        assert_eq!(server.get(&boss, &path).await.status, 200);

        let text = scrape(&server).await;
        for line in [
            "writ_sealed 0",
            "writ_deployments{state=\"queued\"} 1",
            "writ_refusals_total{code=\"no_credential\"} 1",
            "writ_refusals_total{code=\"platform_action\"} 1",
            "writ_http_requests_total{method=\"GET\",route=\"/api/v1/deployments/{id}\",status=\"200\"} 1",
            "writ_tls_handshakes_total{result=\"post_quantum\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
        }
        // The sequencer catches up with everything that was recorded.
        await_line(&server, "writ_evidence_pending 0").await;
        for secret in [&root, &admin, &boss, &things.deployment, &things.person, "counted-thing"] {
            assert!(!text.contains(secret), "the metrics tell `{secret}`");
        }
        server.stop().await;
    }

    async fn a_neighbour_does_not_suffer_for_somebody_elses_haste(house: &TestDb) {
        let ground = Ground::beside(house);
        let slow = [("WRIT_LIMITS_TENANT_PER_SECOND", "1"), ("WRIT_LIMITS_TENANT_BURST", "30")];
        let server = ground.serve_with(&slow).await;
        let root = server.found().await;
        let (hasty, patient) = (server.tenant(&root, "hasty").await, server.tenant(&root, "patient").await);
        let mut answers = Vec::new();
        for _ in 0..40 {
            answers.push(server.get(&hasty, "/api/v1/people").await);
        }
        let refused = answers.iter().find(|answer| answer.status != 200).unwrap();
        refused.must_be_problem(429, "the hasty");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
        assert_ne!(refused.header("writ-receipt"), "");
        let neighbour = server.get(&patient, "/api/v1/people").await;
        assert_eq!(neighbour.status, 200, "{}", neighbour.text());
        server.stop().await;
    }

    async fn readiness_warns_before_the_disk_is_full(house: &TestDb) {
        let ground = Ground::beside(house);
        let server = ground.serve_with(&[("WRIT_LIMITS_DISK_FREE_BYTES", &i64::MAX.to_string())]).await;
        server.found().await;
        let ready = ask(server.request(Method::GET, "/readyz")).await;
        assert_eq!((ready.status.as_u16(), ready.word("status").as_str()), (200, "degraded"));
        assert_eq!(ready.json()["problems"].as_array().map(Vec::len), Some(1));
        server.stop().await;
        let server = ground.serve_with(&[("WRIT_LIMITS_DISK_FREE_BYTES", "0")]).await;
        assert_eq!(ask(server.request(Method::GET, "/readyz")).await.word("status"), "ok");
        server.stop().await;
    }
}

/// Answers like a quantum generator.
async fn generator() -> String {
    let router = Router::new()
        .route(
            "/good",
            get(async || {
                let mut bytes = vec![0; 1500];
                writ_crypto::Entropy::os().fill(&mut bytes);
                bytes
            }),
        )
        .route("/stuck", get(async || vec![7_u8; 1024]))
        .route("/broken", get(async || StatusCode::NOT_FOUND));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_lies_or_fails_is_told_of_and_the_server_works() {
    let ground = Ground::beside(&TestDb::sqlite().await);
    let mut config = ground.config(&[METRICS]);
    let at = generator().await;
    for name in ["good", "stuck", "broken"] {
        let source = HttpSource { url: format!("{at}/{name}"), authority: None, pin: None };
        config.entropy.http.insert(name.to_owned(), source);
    }
    config.entropy.devices.insert("absent".to_owned(), PathBuf::from("/nonexistent"));
    let server = start(config).await.unwrap();
    // Whatever is random from now on has some of each source that gives some.
    server.found().await;
    for (name, up) in [("good", 1), ("stuck", 0), ("broken", 0), ("absent", 0)] {
        await_line(&server, &format!("writ_entropy_source_up{{name=\"{name}\"}} {up}")).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_file_serves_one_server() {
    let ground = Ground::beside(&TestDb::sqlite().await);
    let server = ground.serve().await;
    let second = start(ground.config(&[])).await.err().unwrap();
    assert_eq!((second.kind(), second.code()), (Kind::Conflict, "database_in_use"));
    assert!(second.advice().is_some());
    server.stop().await;
    ground.serve().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_named() {
    let ground = Ground::beside(&TestDb::sqlite().await);
    let server = ground.serve().await;
    let other = Ground::beside(&TestDb::sqlite().await);
    let taken =
        start(other.config(&[("WRIT_SERVER_LISTEN", &server.address.to_string())])).await.err().unwrap();
    assert_eq!(taken.code(), "address_in_use");
    let missing = [("WRIT_SERVER_CERTIFICATE", "/nonexistent.pem"), ("WRIT_SERVER_KEY", "/nonexistent.key")];
    assert_eq!(start(other.config(&missing)).await.err().unwrap().code(), "unreadable_file");
    let mut insecure = other.config(&[]);
    let url = "http://192.0.2.1/random".to_owned();
    insecure.entropy.http.insert("far".to_owned(), HttpSource { url, authority: None, pin: None });
    let refused = start(insecure).await.err().unwrap();
    assert_eq!((refused.kind(), refused.code()), (Kind::Invalid, "configuration"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_keeps_its_memory_and_files_to_itself() {
    use std::os::unix::fs::PermissionsExt as _;

    let ground = Ground::beside(&TestDb::sqlite().await);
    let server = ground.serve().await;
    server.found().await;
    let status = std::fs::read_to_string("/proc/self/limits").unwrap();
    let cores = status.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
    for file in std::fs::read_dir(ground.files.path().join("data")).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        let name = file.file_name().into_string().unwrap();
        assert_eq!(mode & 0o077, 0, "{name} is open to others: {mode:o}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_lets_a_long_poll_finish() {
    let ground = Ground::beside(&TestDb::sqlite().await);
    let mut server = ground.serve().await;
    let root = server.found().await;
    let admin = server.tenant(&root, "first").await;
    let boss = server.person(&admin, "boss", &["admin", "developer", "operator"]).await;
    let things = Things::make(&server, &boss, "thing").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let path = format!("/api/v1/deployments/{}/output?wait=3", things.deployment);
    let poll = server.request(Method::GET, &path).bearer_auth(&boss);
    let poll = tokio::spawn(ask(poll.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))));
    // It is under way once it is on record.
    loop {
        let seen = server.get(&boss, &format!("/api/v1/evidence?trace={trace}")).await.json();
        if seen["items"].as_array().is_some_and(|items| !items.is_empty()) {
            break;
        }
    }
    let address = server.address;
    server.ask_to_stop();
    let answer = poll.await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (200, &json!("queued")));
    server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

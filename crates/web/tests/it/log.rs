//! What the log learns of a request.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{body::Body, http::Request};
use tracing_subscriber::fmt::MakeWriter;

use crate::requests::{ask, manners};

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Page {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Everything that is logged, at every level, while `request` is answered.
async fn logged(request: Request<Body>) -> String {
    let page = Page::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(page.clone());
    let guard = tracing::subscriber::set_default(subscriber.json().finish());
    ask(manners(), request).await;
    drop(guard);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn our_own_faults_are_told_in_full_under_the_trace_the_caller_has() {
    let log = logged(Request::get("/broken").body(Body::empty()).unwrap()).await;
    let fault = log.lines().find(|line| line.contains("\"ERROR\"")).unwrap();
    assert!(fault.contains("the ledger is gone") && fault.contains(&"01".repeat(16)), "{fault}");
}

#[tokio::test]
async fn nothing_a_caller_sends_is_logged() {
    for (path, body) in [
        ("/things?limit=hunter2&hunter2=1", ""),
        ("/things/hunter2", ""),
        ("/hunter2", ""),
        ("/things", r#"{"name":"Hunter2"}"#),
        ("/things", r#"{"hunter2":1}"#),
    ] {
        let request = Request::builder()
            .method(if body.is_empty() { "GET" } else { "POST" })
            .uri(path)
            .header("authorization", "Bearer hunter2")
            .header("content-type", "application/json")
            .header("x-hunter2", "hunter2");
        let log = logged(request.body(Body::from(body)).unwrap()).await;
        assert!(log.contains("request served"), "{log}");
        assert!(!log.to_lowercase().contains("hunter2"), "{log}");
    }
}

//! The load generator: as many connections as there are workers, each asking as soon as it was answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    cases::{Call, Case},
    peers::Peer,
};

/// What came of a cell.
pub(crate) struct Load {
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// Seconds of the server's processor time for a thousand requests.
    pub(crate) cpu_per_thousand: f64,
}

impl Load {
    pub(crate) fn row(&self) -> String {
        let Self { per_second, p50, p99, cpu_per_thousand, .. } = self;
        format!("{per_second:>8.0} {p50:>7.2} {p99:>7.2} {cpu_per_thousand:>7.3}")
    }
}

/// One connection to a server, over TLS.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(address: &str, tls: &Arc<rustls::ClientConfig>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// The status and the body.
    pub(crate) async fn ask(&mut self, token: Option<&str>, (method, path, body): Call) -> (u16, Bytes) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header("host", "localhost")
            .header("x-vault-request", "true");
        if let Some(token) = token {
            request = request.header("x-vault-token", token);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    }

    /// The answer as JSON; anything but success ends the benchmark.
    pub(crate) async fn must(&mut self, token: Option<&str>, call: Call) -> Value {
        let what = format!("{} {}", call.0, call.1);
        let (status, body) = self.ask(token, call).await;
        assert!(status < 300, "{what}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }
}

/// Loads `peer` with `case` for `cell`.
pub(crate) async fn run(peer: &Peer, case: &Case, concurrency: usize, cell: Duration) -> Load {
    let mut connections = Vec::new();
    for _ in 0..concurrency {
        connections.push(peer.connect().await);
    }
    let token = (!case.anonymous).then_some(peer.token.as_str());
    let start = Instant::now();
    let workers = connections.into_iter().enumerate().map(|(worker, mut connection)| async move {
        let (mut times, mut n) = (Vec::new(), worker * 1_000_003);
        while start.elapsed() < cell {
            let wanted = (case.request)(n, &peer.learnt);
            let asked = Instant::now();
            let (status, body) = connection.ask(token, wanted).await;
            times.push(asked.elapsed());
            assert!(status < 300, "{}: {status} {}", case.name, String::from_utf8_lossy(&body));
            n += 1;
        }
        times
    });
    let mut times: Vec<Duration> = join_all(workers).await.into_iter().flatten().collect();
    let elapsed = start.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len() - 1);
        times[index].as_secs_f64() * 1_000.0
    };
    Load {
        requests: times.len(),
        per_second: times.len() as f64 / elapsed,
        p50: at(0.5),
        p99: at(0.99),
        cpu_per_thousand: 0.0,
    }
}

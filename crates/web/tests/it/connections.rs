//! Connections and their limits, over plain TCP on this machine.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use writ_kernel::Result;
use writ_web::{Event, Limits, Peer, Terms, Transport, serve};

const SHORT: Duration = Duration::from_millis(150);

struct Server {
    address: SocketAddr,
    entered: Arc<Notify>,
    release: Arc<Notify>,
    events: Arc<Mutex<Vec<Event>>>,
    shutdown: Option<oneshot::Sender<()>>,
    done: JoinHandle<Result<()>>,
}

async fn server(limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let hold = {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        async move || {
            entered.notify_one();
            release.notified().await;
            "released"
        }
    };
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/peer", get(async |Peer(peer): Peer| peer.to_string()))
        .route("/hold", get(hold));
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let observe = Box::new(move |event| seen.lock().unwrap().push(event));
    let terms = Terms { transport: Transport::Loopback, limits, observe };
    let (shutdown, asked) = oneshot::channel();
    let done = tokio::spawn(serve(listener, router, terms, async { drop(asked.await) }));
    Server { address, entered, release, events, shutdown: Some(shutdown), done }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Writes `request` on a connection of its own and reads until the server closes it.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    fn close(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    // A reset is a way of closing too.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

#[tokio::test]
async fn the_peer_is_the_other_end_of_the_connection() {
    let server = server(Limits { idle: SHORT, ..Limits::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(request("/peer").as_bytes()).await.unwrap();
    let own = stream.local_addr().unwrap().to_string();
    let answer = rest(&mut stream).await;
    assert!(answer.ends_with(&own), "{answer}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let server = server(Limits { header: SHORT, ..Limits::default() }).await;
    let answer = server.exchange("GET / HTTP/1.1\r\nhost: loc").await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = server(Limits { header: SHORT, ..Limits::default() }).await;
    assert_eq!(server.exchange("").await, "");
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_closed() {
    let server = server(Limits { idle: SHORT, ..Limits::default() }).await;
    let answer = server.exchange(&request("/")).await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_slow_answer_does_not_make_a_connection_idle() {
    let server = server(Limits { idle: SHORT, ..Limits::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(request("/hold").as_bytes()).await.unwrap();
    server.entered.notified().await;
    // Another connection begins and ends its whole idle life meanwhile.
    server.exchange(&request("/")).await;
    server.release.notify_one();
    assert!(rest(&mut stream).await.ends_with("released"));
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let server = server(Limits { head_bytes: 8192, headers: 20, ..Limits::default() }).await;
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(30));
    for request in [long, many] {
        assert!(!server.exchange(&request).await.contains("200 OK"));
    }
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let server = server(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = server.connect().await;
    first.write_all(request("/hold").as_bytes()).await.unwrap();
    server.entered.notified().await;
    assert_eq!(server.exchange(&request("/")).await, "");
    assert!(server.events.lock().unwrap().contains(&Event::Refused));
}

#[tokio::test]
async fn a_shutdown_lets_what_is_under_way_finish() {
    let mut server = server(Limits::default()).await;
    let mut stream = server.connect().await;
    let mut idle = server.connect().await;
    stream.write_all(request("/hold").as_bytes()).await.unwrap();
    server.entered.notified().await;
    server.close();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed at once");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody new is let in");
    server.release.notify_one();
    assert!(rest(&mut stream).await.ends_with("released"));
    server.done.await.unwrap().unwrap();
    assert_eq!(server.events.lock().unwrap().last(), Some(&Event::Closed));
}

#[tokio::test]
async fn a_shutdown_waits_only_so_long() {
    let mut server = server(Limits { drain: SHORT, ..Limits::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(request("/hold").as_bytes()).await.unwrap();
    server.entered.notified().await;
    server.close();
    server.done.await.unwrap().unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn plain_http_stays_on_this_machine() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let terms =
        Terms { transport: Transport::Loopback, limits: Limits::default(), observe: Box::new(|_| {}) };
    let refused = serve(listener, Router::new(), terms, std::future::pending()).await.unwrap_err();
    assert_eq!(refused.code(), "plain_http");
}

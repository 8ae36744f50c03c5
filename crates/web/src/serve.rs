//! A listener: connections, their limits, and a shutdown that drains.

use std::{convert::Infallible, fmt, net::SocketAddr, pin::Pin, sync::Arc, task, time::Duration};

use axum::{Router, body::Body, extract::FromRequestParts};
use futures_util::future;
use http::request::Parts;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    rt::{Read, Write},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rustls::{NamedGroup, ServerConnection};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use writ_kernel::{Error, Result};

use crate::{
    Problem,
    tls::{Tls, stays_here},
};

/// What protects the bytes.
#[derive(Debug)]
pub enum Transport {
    /// TLS 1.3, speaking HTTP/2 or HTTP/1.1.
    Tls(Tls),
    /// Nothing, because the listener is on a loopback address. HTTP/1.1.
    Loopback,
    /// Nothing, though others may listen: somebody else must terminate TLS in front. HTTP/1.1.
    DangerousPlain,
}

/// How much a client may take of us.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; further ones are closed at once.
    pub connections: usize,
    /// A TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the first request, and from the first to the last byte of any request's head.
    pub header: Duration,
    /// A connection without a request or answer under way; over HTTP/1.1 the shorter of this and `header`.
    pub idle: Duration,
    /// From the shutdown signal until what is still under way is cut off.
    pub drain: Duration,
    /// Bytes of one request's head; at least 8192.
    pub head_bytes: u32,
    /// Headers of one request (HTTP/1.1).
    pub headers: usize,
    /// Requests under way on one connection (HTTP/2).
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            drain: Duration::from_secs(30),
            head_bytes: 32 * 1024,
            headers: 100,
            streams: 128,
        }
    }
}

/// On what terms a listener serves.
pub struct Terms {
    /// What protects the bytes.
    pub transport: Transport,
    /// How much a client may take of us.
    pub limits: Limits,
    /// Told what happens to connections, for metrics.
    pub observe: Box<dyn Fn(Event) + Send + Sync>,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was accepted.
    Opened,
    /// It was closed at once because there are too many.
    Refused,
    /// It did not complete the TLS handshake.
    HandshakeFailed,
    /// It completed the TLS handshake.
    Secured(Secured),
    /// An accepted one is over.
    Closed,
}

/// The address a request came from: the other end of the connection, whatever headers claim. An extractor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// That a request came over TLS, as a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secured {
    /// Whether the key exchange withstands a quantum computer.
    pub post_quantum: bool,
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get().copied();
        peer.ok_or_else(|| Error::internal("a request has no peer: it did not come through `serve`").into())
    }
}

/// Serves `router` until `shutdown` completes; then accepts nothing more, lets what is under way finish, and
/// after [`Limits::drain`] cuts it off.
///
/// # Errors
/// `Invalid` when [`Transport::Loopback`] is asked for on another address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    terms: Terms,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let address =
        listener.local_addr().map_err(|e| Error::internal("a listener has no address").because(e))?;
    if matches!(terms.transport, Transport::Loopback) && !stays_here(address.ip()) {
        return Err(Error::invalid("plain_http", format!("plain HTTP is not served on `{address}`"))
            .hint("configure TLS, or listen on a loopback address"));
    }
    let places = Arc::new(Semaphore::new(terms.limits.connections));
    let (close, closing) = watch::channel(false);
    let house = Arc::new(House { router, terms, closing });
    let mut guests = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = guests.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                // The client went away, or we are out of file descriptors: then time helps and spinning does not.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            (house.terms.observe)(Event::Refused);
            continue;
        };
        let house = Arc::clone(&house);
        guests.spawn(async move {
            (house.terms.observe)(Event::Opened);
            house.receive(stream, Peer(peer)).await;
            (house.terms.observe)(Event::Closed);
            drop(place);
        });
    }
    drop(listener);
    // Nobody listens when there is no connection.
    let _ = close.send(true);
    let drained =
        timeout(house.terms.limits.drain, async { while guests.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = guests.len(), "connections were cut off by the shutdown");
        guests.shutdown().await;
    }
    Ok(())
}

struct House {
    router: Router,
    terms: Terms,
    closing: watch::Receiver<bool>,
}

impl House {
    async fn receive(&self, stream: TcpStream, peer: Peer) {
        // Only latency is at stake.
        let _ = stream.set_nodelay(true);
        let Transport::Tls(tls) = &self.terms.transport else {
            return self
                .converse(TokioIo::new(stream), peer, None, Builder::new(TokioExecutor::new()).http1_only())
                .await;
        };
        let handshake = timeout(self.terms.limits.handshake, TlsAcceptor::from(tls.config()).accept(stream));
        let accepted = tokio::select! {
            accepted = handshake => accepted,
            () = self.closed() => return,
        };
        let stream = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.handshake_failed(peer, &error),
            Err(elapsed) => return self.handshake_failed(peer, &elapsed),
        };
        let session = stream.get_ref().1;
        let secured = secured(session);
        (self.terms.observe)(Event::Secured(secured));
        let builder = Builder::new(TokioExecutor::new());
        let h2 = session.alpn_protocol() == Some(b"h2");
        let builder = if h2 { builder.http2_only() } else { builder.http1_only() };
        self.converse(TokioIo::new(stream), peer, Some(secured), builder).await;
    }

    fn handshake_failed(&self, Peer(peer): Peer, error: &dyn fmt::Display) {
        tracing::warn!(%peer, %error, "TLS handshake failed");
        (self.terms.observe)(Event::HandshakeFailed);
    }

    async fn converse<I>(&self, io: I, peer: Peer, secured: Option<Secured>, builder: Builder<TokioExecutor>)
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let limits = &self.terms.limits;
        let pulse = Arc::new(watch::Sender::new(Pulse::default()));
        let silent = silence(pulse.subscribe(), limits.header, limits.idle);
        let ending = silence(pulse.subscribe(), limits.header, limits.header);
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            if let Some(secured) = secured {
                request.extensions_mut().insert(secured);
            }
            let (router, held) = (self.router.clone(), Held::new(&pulse));
            async move {
                let Ok(response) = router.oneshot(request.map(Body::new)).await;
                Ok::<_, Infallible>(response.map(|body| Lasting { body, _held: held }))
            }
        });
        let builder = self.limited(builder);
        let connection = builder.serve_connection(io, service);
        tokio::pin!(connection, silent, ending);
        // How a conversation ended is of no interest: whoever broke it off knows.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = silent => {}
            () = self.closed() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection => {}
            () = ending => {}
        }
    }

    fn limited(&self, mut builder: Builder<TokioExecutor>) -> Builder<TokioExecutor> {
        let limits = &self.terms.limits;
        let bytes = usize::try_from(limits.head_bytes).unwrap_or(usize::MAX).max(8192);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .max_buf_size(bytes)
            .max_headers(limits.headers);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(limits.head_bytes)
            .max_concurrent_streams(limits.streams)
            .keep_alive_interval(limits.header)
            .keep_alive_timeout(limits.header);
        builder
    }

    async fn closed(&self) {
        // The sender is dropped only after it has sent.
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }
}

fn secured(session: &ServerConnection) -> Secured {
    let group = session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name);
    Secured { post_quantum: group == Some(NamedGroup::X25519MLKEM768) }
}

/// The requests of one connection.
#[derive(Default)]
struct Pulse {
    begun: bool,
    under_way: usize,
}

/// Completes when nothing has been under way for `first` before, or `later` after the first request.
async fn silence(mut pulse: watch::Receiver<Pulse>, first: Duration, later: Duration) {
    loop {
        let Ok(patience) = pulse
            .wait_for(|pulse| pulse.under_way == 0)
            .await
            .map(|pulse| if pulse.begun { later } else { first })
        else {
            return future::pending().await;
        };
        if timeout(patience, pulse.changed()).await.is_err() {
            return;
        }
    }
}

/// Counts a request as under way until the last byte of its answer is handed over.
struct Held(Arc<watch::Sender<Pulse>>);

impl Held {
    fn new(pulse: &Arc<watch::Sender<Pulse>>) -> Self {
        pulse.send_modify(|pulse| {
            pulse.begun = true;
            pulse.under_way += 1;
        });
        Self(Arc::clone(pulse))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|pulse| pulse.under_way -= 1);
    }
}

struct Lasting {
    body: Body,
    _held: Held,
}

impl hyper::body::Body for Lasting {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("transport", &self.transport)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

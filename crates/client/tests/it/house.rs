//! A small server, and a client for it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use axum::Router;
use tokio::net::TcpListener;
use writ_client::{Client, Config, Pin, Trust};
use writ_kernel::{Chance, Clock, Timestamp, World};
use writ_web::{
    Event, Guard, Limits, Manners, Terms, Transport, serve,
    tls::{KeyExchange, Pem, Tls},
};

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2027-01-31T12:00:00Z".parse().unwrap()
    }
}

#[derive(Default)]
struct Counter(AtomicU8);

impl Chance for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) pem: Pem,
    pub(crate) pin: Pin,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
}

impl House {
    /// Serves `router`, with manners, over TLS.
    pub(crate) async fn open(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The client verifies by the real clock, so the certificate is valid for a century.
        let from = "2020-01-01T00:00:00Z".parse().unwrap();
        let pem = Pem::self_made(&[], from, Duration::from_hours(876_000)).unwrap();
        let tls = Tls::new(&pem, KeyExchange::Hybrid).unwrap();
        let pin = Pin(tls.pin());
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let observe = Box::new(move |event| seen.lock().unwrap().push(event));
        let terms = Terms { transport: Transport::Tls(tls), limits: Limits::default(), observe };
        let manners = Manners {
            world: World::new(Arc::new(Still), Arc::new(Counter::default())),
            body_limit: 64 * 1024,
            timeout: Duration::from_secs(30),
            concurrency: 8,
            guard: Guard::none(),
            sampled: Box::new(|_| false),
            observe: Box::new(|_| {}),
        };
        tokio::spawn(serve(listener, manners.teach(router), terms, std::future::pending()));
        Self { address, pem, pin, events }
    }

    pub(crate) fn config(&self) -> Config {
        self.config_trusting(Trust::Pin(self.pin))
    }

    pub(crate) fn config_trusting(&self, trust: Trust) -> Config {
        Config::new(format!("https://{}", self.address), trust, Arc::new(Counter::default()))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }
}

/// A configuration for `address` without a house.
pub(crate) fn config(address: &str, trust: Trust) -> Config {
    Config::new(address, trust, Arc::new(Counter::default()))
}

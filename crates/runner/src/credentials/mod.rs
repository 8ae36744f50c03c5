//! The loopback credential endpoint of one run.
//!
//! The tool gets an address and a token instead of credentials (the container credential provider of the AWS
//! SDKs), and fetches the credentials when it needs them. So they are never in an environment, on disk, in a plan
//! or in state; they are renewed while the run lasts; and each fetch is told as a [`CredentialEvent`] before a
//! single byte is served.
//!
//! It listens on 127.0.0.1 only, answers `GET` of one random path with one random token, and nothing else. It is
//! no defence against the tool itself or what runs beside it in the same sandbox: they are who it serves.

mod lease;
mod serve;

use std::{fmt, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use writ_crypto::{SecretString, hash::hex};
use writ_kernel::{Error, Result, Timestamp, World};

use crate::aws::Credentials;
use lease::Leases;

/// Borrows credentials; asked again before each lease ends.
pub type Resolver = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Credentials>> + Send>> + Send + Sync>;

/// Told of every credential before it is served for the first time: what the redactor must know.
pub type OnNewValues = Box<dyn Fn(&Credentials) + Send + Sync>;

type Recording = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Puts an event on record, and returns once it is: until then nothing is served.
pub struct Recorder(Box<dyn Fn(CredentialEvent) -> Recording + Send + Sync>);

impl Recorder {
    /// Records with `record`.
    pub fn new<F: Future<Output = Result<()>> + Send + 'static>(
        record: impl Fn(CredentialEvent) -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(move |event| Box::pin(record(event))))
    }
}

impl From<mpsc::Sender<CredentialEvent>> for Recorder {
    /// An event counts as recorded when the channel has taken it.
    fn from(events: mpsc::Sender<CredentialEvent>) -> Self {
        Self::new(move |event| {
            let events = events.clone();
            async move {
                let lost = |_| {
                    Error::unavailable("no_evidence", "nobody records what happens to credentials any more")
                };
                events.send(event).await.map_err(lost)
            }
        })
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// When leases are renewed.
#[derive(Debug, Clone, Copy)]
pub struct Renewal {
    /// A lease with less than this left is renewed before it is served.
    pub ahead: Duration,
    /// A lease with less than this left is not served.
    pub reserve: Duration,
    /// How long to wait after the first failed renewal; doubles with each.
    pub back_off: Duration,
}

impl Default for Renewal {
    fn default() -> Self {
        Self {
            ahead: Duration::from_mins(10),
            reserve: Duration::from_secs(30),
            back_off: Duration::from_secs(2),
        }
    }
}

/// Something that happened to the run's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialEvent {
    /// When.
    pub time: Timestamp,
    /// What.
    pub kind: CredentialEventKind,
}

/// What happened to the run's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialEventKind {
    /// They were borrowed, for the first time or anew.
    Refreshed(Lease),
    /// They are about to be served.
    Served(Lease),
    /// Somebody asked who may not.
    Refused {
        /// Why: a fixed word, never something from the request.
        reason: &'static str,
    },
    /// They could not be borrowed.
    Failed {
        /// The stable code of the error.
        code: &'static str,
    },
}

/// A lease, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// 16 hexadecimal digits that recognise the key id.
    pub key_hash: String,
    /// When it was borrowed.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// A running endpoint. Dropping it ends it too, without waiting.
#[expect(missing_debug_implementations, reason = "holds the token")]
pub struct Endpoint {
    address: SocketAddr,
    path: String,
    token: Arc<SecretString>,
    leases: Arc<Leases>,
    listening: JoinHandle<()>,
}

impl Endpoint {
    /// Borrows the first credentials and serves them until [`Endpoint::close`].
    ///
    /// Events go to `events`, which is waited for: what cannot be recorded is not served.
    ///
    /// # Errors
    /// What `resolver` says; `Internal` when there is no loopback address to listen on.
    pub async fn start(
        world: World,
        resolver: Resolver,
        on_new_values: OnNewValues,
        events: impl Into<Recorder>,
        renewal: Renewal,
    ) -> Result<Self> {
        let path = format!("/{}", hex(&world.bytes::<16>()));
        let token = Arc::new(SecretString::new(hex(&world.bytes::<32>())));
        let leases = Arc::new(Leases::new(world, resolver, on_new_values, events.into(), renewal));
        leases.current().await?;
        let unusable = |error| Error::internal("cannot listen on 127.0.0.1").because(error);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let door = serve::Door::new(address, path.clone(), Arc::clone(&token), Arc::clone(&leases));
        let listening = tokio::spawn(serve::listen(listener, door));
        Ok(Self { address, path, token, leases, listening })
    }

    /// What the tool's environment needs, and all of it.
    pub fn env(&self) -> [(&'static str, String); 2] {
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}{}", self.address, self.path)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", self.token.expose().to_owned()),
        ]
    }

    /// Where it listens: what the tool's sandbox must let it reach.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long the current lease still lasts.
    pub async fn remaining(&self) -> Duration {
        self.leases.remaining().await
    }

    /// Makes sure that credentials last for at least `reserve`, renewing them if need be, and says for how long
    /// they do. An apply that would outlive its credentials orphans what it made.
    ///
    /// # Errors
    /// `Conflict` when even a new lease is too short; what the resolver says.
    pub async fn ensure(&self, reserve: Duration) -> Result<Duration> {
        let remaining = self.leases.at_least(reserve).await?;
        if remaining < reserve {
            return Err(Error::conflict(
                "lease_too_short",
                "the borrowed credentials end too soon to start an apply",
            )
            .hint("let the role's longest session be an hour, or lower the run's reserve"));
        }
        Ok(remaining)
    }

    /// Borrows anew, however long the current lease still lasts: for a resolver that now asks for something else.
    ///
    /// # Errors
    /// What the resolver says.
    pub async fn renew(&self) -> Result<Duration> {
        self.leases.at_least(Duration::MAX).await
    }

    /// Stops serving, ends open connections and wipes the values.
    pub async fn close(mut self) {
        self.listening.abort();
        // Ends with the cancellation just asked for.
        drop((&mut self.listening).await);
        self.leases.wipe().await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

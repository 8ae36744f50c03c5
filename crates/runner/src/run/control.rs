//! The runner's side of `/runner/v1`.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use writ_client::{Client, Config, HeaderName, HeaderValue, Token};
use writ_crypto::SecretBytes;
use writ_kernel::{Chance, Error, Result, Timestamp, Traceparent, World};
use writ_wire::runner::{Claim, Pulse};

use super::Bootstrap;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a control plane that does not answer is waited for at the start.
const START: Duration = Duration::from_mins(1);
/// The first wait before a call is repeated; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The most bytes of a packed configuration.
const CONFIGURATION: usize = 16 << 20;

/// Why a run ends before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The control plane asks for it.
    Cancelled,
    /// The control plane knows the run no more: nothing it says is heard.
    Over,
    /// This process was told to end.
    Interrupted,
}

/// The one switch that stops whatever the run is doing.
#[derive(Debug, Clone, Default)]
pub(super) struct Halt {
    pub(super) token: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

impl Halt {
    /// Stops the run. The first reason counts, unless the run turns out to be over.
    pub(super) fn call(&self, why: Why) {
        let _ = self.why.set(why);
        self.token.cancel();
    }

    /// Why it was stopped, if it was.
    pub(super) fn why(&self) -> Option<Why> {
        self.why.get().copied()
    }
}

/// Calls the control plane.
#[derive(Debug)]
pub(super) struct Control {
    client: Client,
    world: World,
}

impl Control {
    /// Will show the one-time token of the run.
    pub(super) fn new(bootstrap: &Bootstrap, world: &World) -> Result<Self> {
        let mut config =
            Config::new(bootstrap.server_url.clone(), bootstrap.trust()?, Arc::new(Dice(world.clone())));
        config.token = Some(token(bootstrap.token.expose())?);
        config.timeout = PATIENCE;
        config.user_agent = concat!("writ-runner/", env!("CARGO_PKG_VERSION")).into();
        if let Some(parent) = bootstrap.traceparent.as_deref().and_then(Traceparent::parse) {
            let parent = HeaderValue::from_str(&parent.to_string());
            config.headers.extend(parent.ok().map(|parent| (HeaderName::from_static("traceparent"), parent)));
        }
        let client = Client::new(config).map_err(failure)?;
        Ok(Self { client, world: world.clone() })
    }

    /// Takes the run, and shows its session from here on.
    ///
    /// # Errors
    /// What the control plane says; a token that was used before is refused.
    pub(super) async fn claim(&self) -> Result<Claim> {
        let until = self.world.now().plus(START);
        let claim: Claim = self.insist("/runner/v1/claim", &(), Some(until)).await?;
        self.client.renew(token(&claim.session)?);
        Ok(claim)
    }

    /// The packed configuration.
    pub(super) async fn configuration(&self) -> Result<SecretBytes> {
        let mut download = self.client.download("/runner/v1/configuration").await.map_err(failure)?;
        let mut packed = Vec::new();
        while let Some(piece) = download.piece().await.map_err(failure)? {
            if packed.len() + piece.len() > CONFIGURATION {
                return Err(Error::too_large("configuration_too_large", "the configuration is too large"));
            }
            packed.extend_from_slice(&piece);
        }
        Ok(SecretBytes::new(packed))
    }

    /// One sign of life; `None` when nobody answered within `patience`.
    pub(super) async fn beat(&self, patience: Duration) -> Option<Result<Pulse>> {
        match tokio::time::timeout(patience, self.client.post("/runner/v1/heartbeat", &())).await {
            Ok(Err(error)) if passing(&error) => None,
            Ok(answer) => Some(answer.map_err(failure)),
            Err(_) => None,
        }
    }

    /// Posts `body` again and again until there is an answer, or the time is `until`.
    ///
    /// # Errors
    /// What the control plane refuses with; what kept it from answering, once the time is up.
    pub(super) async fn insist<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        until: Option<Timestamp>,
    ) -> Result<T> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.client.post(path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !passing(&error) => return Err(failure(error)),
                Err(error) if until.is_some_and(|until| self.world.now() > until) => {
                    return Err(failure(error));
                }
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Sends a sign of life now and every so often, and hears whether the run is to stop, until dropped.
pub(super) async fn heartbeats(control: Arc<Control>, every: Duration, halt: Halt) {
    let mut times = tokio::time::interval(every);
    times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        match control.beat(every * 2).await {
            Some(Ok(Pulse { cancel: true, .. })) => halt.call(Why::Cancelled),
            Some(Err(_)) => return halt.call(Why::Over),
            Some(Ok(_)) | None => {}
        }
    }
}

/// Runs `work` unless the run is stopped meanwhile.
pub(super) async fn unless_halted<T>(halt: &Halt, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = halt.token.cancelled() => Err(halted()),
    }
}

/// What a stopped run has instead of a result.
pub(super) fn halted() -> Error {
    Error::conflict("halted", "the run was stopped")
}

/// Whether the same call may be answered later.
fn passing(error: &writ_client::Error) -> bool {
    match error {
        writ_client::Error::Unreachable(_) | writ_client::Error::Timeout => true,
        writ_client::Error::Problem(problem) => matches!(problem.status, 408 | 429 | 500..=599),
        _ => false,
    }
}

/// The control plane's refusal, or its silence, in our words.
fn failure(error: writ_client::Error) -> Error {
    let said = match error.problem() {
        Some(problem) if problem.status == 401 => {
            Error::unauthenticated("run_over", "the control plane knows the run no more")
        }
        Some(_) => Error::conflict("report_refused", "the control plane refuses what the runner reports"),
        None => {
            Error::unavailable("control_plane_unreachable", "the control plane does not answer as it should")
                .hint("check the address and the certificate the runner was given")
        }
    };
    let context = error.to_string();
    said.context(context).because(error)
}

fn token(text: &str) -> Result<Token> {
    Token::new(text.to_owned())
        .map_err(|error| Error::invalid("malformed_token", "the token is malformed").because(error))
}

/// The run's own source of randomness, as the client wants it.
struct Dice(World);

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

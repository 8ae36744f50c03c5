//! Secrets for the life of a process: resolved once at start, kept in memory, renewed in the background.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use reqwest::Url;
use serde::Deserialize;
use tokio::sync::watch;
use zeroize::{Zeroize, Zeroizing};

use crate::{Client, Error, Result};

/// The value of a secret, and which version it is. It cannot be printed, cloned or serialised, and is wiped from
/// memory when dropped.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct SecretValue {
    version: u32,
    value: Zeroizing<String>,
}

impl SecretValue {
    /// The version, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The value, as the API spells it: text and JSON as they are, any other bytes in base64.
    pub fn expose(&self) -> &str {
        &self.value
    }
}

/// How one round of renewing went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renewal {
    /// Secrets that have another version now.
    pub changed: usize,
    /// Secrets that could not be asked for. What is known of them stays.
    pub failed: usize,
}

/// Secrets of one environment that a process needs, in memory. Cheap to clone; all clones are the same.
///
/// [`Secrets::resolve`] gets them at start, and until that has succeeded [`Secrets::is_ready`] is false. From then on
/// the process has them for as long as it lives, whether the server can be reached or not: [`Secrets::renew`] takes
/// new versions when it can, and keeps what there is when it cannot.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Secrets(Arc<Inner>);

struct Inner {
    client: Arc<Client>,
    environment: Option<String>,
    known: RwLock<BTreeMap<String, Arc<SecretValue>>>,
    /// Counts the changes, for whoever waits for one.
    changes: watch::Sender<u64>,
}

#[derive(Deserialize)]
struct Answer {
    version: u32,
    value: String,
}

impl Secrets {
    /// None yet. `environment` is a name or an id; absent where the credential can mean only one.
    pub fn new(client: Arc<Client>, environment: Option<String>) -> Self {
        let (changes, _) = watch::channel(0);
        Self(Arc::new(Inner { client, environment, known: RwLock::default(), changes }))
    }

    /// Gets every secret of `paths`, at the start of a process.
    ///
    /// # Errors
    /// The first failure; what was got until then stays known.
    pub async fn resolve(&self, paths: &[&str]) -> Result<()> {
        for path in paths {
            let value = self.ask(path).await?;
            self.keep(path, value);
        }
        Ok(())
    }

    /// The secret at `path`, from memory; `None` when it was never resolved.
    pub fn get(&self, path: &str) -> Option<Arc<SecretValue>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Whether all of `paths` are known: what a readiness probe asks.
    pub fn is_ready(&self, paths: &[&str]) -> bool {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        paths.iter().all(|path| known.contains_key(*path))
    }

    /// Asks anew for every secret that is known, once.
    pub async fn renew(&self) -> Renewal {
        let paths: Vec<String> =
            self.0.known.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let mut renewal = Renewal::default();
        for path in paths {
            match self.ask(&path).await {
                Ok(value) => renewal.changed += usize::from(self.keep(&path, value)),
                Err(error) => {
                    tracing::warn!(code = error.code(), "a secret cannot be renewed; the known value stays");
                    renewal.failed += 1;
                }
            }
        }
        renewal
    }

    /// Renews every `period`, for ever: spawn it, and abort it to stop.
    pub async fn keep_fresh(self, period: Duration) {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.renew().await;
        }
    }

    /// Told whenever a secret has another version.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    async fn ask(&self, path: &str) -> Result<SecretValue> {
        let mut answer: Answer = self.0.client.get(&by_path(self.0.environment.as_deref(), path)?).await?;
        let value = Zeroizing::new(std::mem::take(&mut answer.value));
        answer.value.zeroize();
        Ok(SecretValue { version: answer.version, value })
    }

    /// Whether it is another one than before.
    fn keep(&self, path: &str, value: SecretValue) -> bool {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.get(path).is_some_and(|now| now.version == value.version) {
            return false;
        }
        known.insert(path.to_owned(), Arc::new(value));
        drop(known);
        self.0.changes.send_modify(|changes| *changes += 1);
        true
    }
}

/// The address of the secret at `path`.
fn by_path(environment: Option<&str>, path: &str) -> Result<String> {
    let pairs =
        environment.map(|environment| ("environment", environment)).into_iter().chain([("path", path)]);
    let url = Url::parse_with_params("writ:/api/v1/secrets/by-path", pairs)
        .map_err(|_| Error::setup("the path of a secret cannot be put into an address"))?;
    Ok(format!("{}?{}", url.path(), url.query().unwrap_or_default()))
}

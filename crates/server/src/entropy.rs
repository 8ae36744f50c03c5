//! Where randomness comes from, and who says so when a part of it no longer does.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use writ_client::{Client, Config as ClientConfig, Trust};
use writ_crypto::{
    Entropy,
    entropy::{Fetch, Source, State},
};
use writ_kernel::{Error, Result};

use crate::config::{self, HttpSource};

/// A source is asked at most this often, however much randomness the server uses: the operating system fills the gap.
const SPARE: Duration = Duration::from_secs(1);

/// The randomness of a server: the operating system and every configured source.
///
/// # Errors
/// `Invalid` when a source cannot be understood. One that cannot be reached is no error, but an alert.
pub(crate) fn mixed(config: &config::Entropy) -> Result<Entropy> {
    let device =
        |(name, path): (&String, &PathBuf)| Source::Device { name: name.clone(), path: path.clone() };
    let mut sources: Vec<Source> = config.devices.iter().map(device).collect();
    for (name, source) in &config.http {
        sources.push(Source::External { name: name.clone(), fetch: fetch(source)? });
    }
    Ok(Entropy::new(sources))
}

/// By what a server that we ask is recognised.
///
/// # Errors
/// `Invalid` when it is neither on loopback nor recognisable.
pub(crate) fn trust(source: &HttpSource) -> Result<Trust> {
    let invalid = |why: &str| Err(Error::invalid("configuration", why.to_owned()));
    match (&source.authority, &source.pin) {
        (Some(authority), None) => Ok(Trust::Authority(authority.clone())),
        (None, Some(pin)) => {
            pin.parse().map(Trust::Pin).or_else(|_| invalid("a pin is 64 hexadecimal digits"))
        }
        (None, None) if source.url.starts_with("http://") => Ok(Trust::Loopback),
        (None, None) => invalid("a server over https has an `authority` or a `pin`"),
        (Some(_), Some(_)) => invalid("a server has an `authority` or a `pin`, not both"),
    }
}

/// Asks a source over HTTP. Runs on the thread that reads the source ahead, on a runtime of its own: the server waits
/// for nobody's randomness.
fn fetch(source: &HttpSource) -> Result<Fetch> {
    let invalid = |error: &dyn std::fmt::Display| {
        Error::invalid("configuration", format!("an entropy source: {error}"))
    };
    let (base, path) = split(&source.url);
    // Retries are spread by the operating system: what is configured here is not there yet.
    let client = ClientConfig {
        timeout: Duration::from_secs(10),
        ..ClientConfig::new(base, trust(source)?, Arc::new(Entropy::os()))
    };
    let client = Client::new(client).map_err(|error| invalid(&error))?;
    let asked = Mutex::new(None::<Instant>);
    let path = path.to_owned();
    Ok(Box::new(move |bytes| {
        // Made where it is used: a runtime must not be dropped inside another one.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut filled = 0;
        while let Some(wanted) = bytes.get_mut(filled..).filter(|wanted| !wanted.is_empty()) {
            rest(&asked);
            let got = runtime.block_on(read(&client, &path, wanted)).map_err(io::Error::other)?;
            if got == 0 {
                return Err(io::Error::other("it answered with nothing"));
            }
            filled += got;
        }
        Ok(())
    }))
}

/// Reads one answer into `bytes`, as far as it fits, and says how much there was.
async fn read(client: &Client, path: &str, bytes: &mut [u8]) -> Result<usize, writ_client::Error> {
    let mut download = client.download(path).await?;
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        let Some(piece) = download.piece().await? else { break };
        let length = room.len().min(piece.len());
        room.iter_mut().zip(&piece).for_each(|(to, from)| *to = *from);
        filled += length;
    }
    Ok(filled)
}

fn rest(asked: &Mutex<Option<Instant>>) {
    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(before) = *asked {
        thread::sleep(SPARE.saturating_sub(before.elapsed()));
    }
    *asked = Some(Instant::now());
}

/// Server and path of a URL.
pub(crate) fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    match url.split_at_checked(path) {
        Some((base, path)) if !path.is_empty() => (base, path),
        _ => (url, "/"),
    }
}

/// Watches the sources, and tells the log when one is lost or found again.
pub(crate) struct Watch {
    entropy: Arc<Entropy>,
    /// How many bytes each had given when it was looked at last, and whether it was well then.
    seen: Mutex<HashMap<String, (u64, bool)>>,
}

impl Watch {
    /// Looks at once.
    pub(crate) fn new(entropy: Arc<Entropy>) -> Self {
        let watch = Self { entropy, seen: Mutex::default() };
        watch.look();
        watch
    }

    /// Looks every minute until the future is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_mins(1)).await;
            self.look();
        }
    }

    /// Every source by name, and whether it is well now, or was when looked at last if it is only behind.
    pub(crate) fn told(&self) -> Vec<(String, bool)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let well = |name: &str, state: &State| match state {
            State::Active => true,
            State::Starved => seen.get(name).is_some_and(|(_, well)| *well),
            State::Failed(_) => false,
        };
        let told = self.entropy.status().into_iter();
        told.map(|status| (status.name.clone(), well(&status.name, &status.state))).collect()
    }

    /// A source is well while it contributes, or if it did since it was looked at before.
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for status in self.entropy.status() {
            let (before, was_well) = seen.get(&status.name).copied().unwrap_or((0, true));
            let well = match &status.state {
                State::Active => true,
                State::Starved => status.bytes > before,
                State::Failed(_) => false,
            };
            match (was_well, well, &status.state) {
                (true, false, State::Failed(reason)) => {
                    tracing::error!(
                        source = status.name,
                        reason,
                        "an entropy source failed and is not used until the next start"
                    );
                }
                (true, false, _) => tracing::error!(source = status.name, "an entropy source gives nothing"),
                (false, true, _) => tracing::info!(source = status.name, "an entropy source gives again"),
                _ => {}
            }
            seen.insert(status.name, (status.bytes, well));
        }
    }
}

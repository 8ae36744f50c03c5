//! The source of all randomness: the operating system's generator, and quantum sources mixed into it.
//!
//! Each configured source is read ahead by a thread of its own, health-tested (SP 800-90B, start-up and
//! continuous) and kept in a small buffer. Every [`Entropy::fill`] derives its output with HKDF-SHA-256:
//!
//! ```text
//! ikm  = 64 bytes of the operating system || per source: its number and 32 fresh bytes, if it has some
//! prk  = HKDF-Extract(salt = pool, ikm)
//! out  = HKDF-Expand(prk, "writ/entropy/v1/output")        pool' = HKDF-Expand(prk, "writ/entropy/v1/pool")
//! ```
//!
//! Mixing is not XOR: a source that saw the operating system's bytes could cancel them. A source that lies,
//! hangs or dies leaves the strength of the operating system; bytes that came once stay in the pool.

use std::{
    fs::File,
    io::{self, Read as _},
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use aws_lc_rs::rand;
use writ_kernel::Chance;
use zeroize::Zeroizing;

use crate::{
    hash::{self, HKDF_LIMIT},
    health::{Failure, Health},
};

/// Bytes of one contribution of a source.
const BLOCK: usize = 32;

/// Bytes read from a source at once: 32 contributions, and the samples of the start-up test
/// (SP 800-90B section 4.3 asks for 1024).
const READ: usize = 1024;

/// Contributions kept ahead per source.
const AHEAD: usize = 64;

/// How long [`Entropy::new`] waits for the first bytes of each source.
const PATIENCE: Duration = Duration::from_secs(2);

/// Fills a buffer with bytes from outside, or fails. May block, and is asked again when bytes are used up:
/// retrying and sparing the remote side are its business.
pub type Fetch = Box<dyn Fn(&mut [u8]) -> io::Result<()> + Send + Sync>;

/// A source of randomness besides the operating system.
pub enum Source {
    /// A character device or file.
    Device {
        /// What people call it.
        name: String,
        /// Where it is.
        path: PathBuf,
    },
    /// Anything else, for instance a service over HTTP.
    External {
        /// What people call it.
        name: String,
        /// Gets bytes.
        fetch: Fetch,
    },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.name())
    }
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Device { name, .. } | Self::External { name, .. } => name,
        }
    }
}

/// How a source fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It contributes.
    Active,
    /// It is slow or hangs: the last output had nothing fresh from it.
    Starved,
    /// It was dropped until the next start, for this reason.
    Failed(String),
}

/// One source and how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// What people call it.
    pub name: String,
    /// How it fares.
    pub state: State,
    /// How many of its bytes were mixed in.
    pub bytes: u64,
}

/// The [`Chance`] of a real house.
#[derive(Debug)]
pub struct Entropy(Mutex<Mixer>);

struct Mixer {
    pool: Zeroizing<[u8; 32]>,
    feeds: Vec<Feed>,
}

impl std::fmt::Debug for Mixer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.feeds.iter().map(Feed::status)).finish()
    }
}

struct Feed {
    name: String,
    blocks: Receiver<Block>,
    /// The block that start-up waited for.
    first: Option<Block>,
    /// Why the thread gave up; shared with it, so that a failure shows before the buffer is used up.
    failure: Arc<OnceLock<String>>,
    starved: bool,
    bytes: u64,
}

type Block = Zeroizing<[u8; BLOCK]>;

impl Entropy {
    /// The operating system alone.
    pub fn os() -> Self {
        Self::new(vec![])
    }

    /// The operating system and these sources. Waits up to two seconds for the first bytes of each; one that
    /// is later joins then.
    pub fn new(sources: Vec<Source>) -> Self {
        let mut pool = Zeroizing::new([0; 32]);
        os_fill(&mut *pool);
        let mut feeds: Vec<_> = sources.into_iter().map(Feed::start).collect();
        feeds.iter_mut().for_each(Feed::await_first);
        Self(Mutex::new(Mixer { pool, feeds }))
    }

    /// How each source fares, in the order of configuration.
    pub fn status(&self) -> Vec<SourceStatus> {
        self.mixer().feeds.iter().map(Feed::status).collect()
    }

    fn mixer(&self) -> MutexGuard<'_, Mixer> {
        // A panic between two steps leaves a pool that is still unpredictable, so poison is no reason to stop.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chance for Entropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut mixer = self.mixer();
        bytes.chunks_mut(HKDF_LIMIT).for_each(|chunk| mixer.fill(chunk));
    }

    /// The operating system is `os`; the others have the names of their configuration.
    fn fill_named(&self, bytes: &mut [u8]) -> Vec<String> {
        let mut mixer = self.mixer();
        let before: Vec<u64> = mixer.feeds.iter().map(|feed| feed.bytes).collect();
        bytes.chunks_mut(HKDF_LIMIT).for_each(|chunk| mixer.fill(chunk));
        let gave = mixer.feeds.iter().zip(before).filter(|(feed, before)| feed.bytes > *before);
        std::iter::once("os".to_owned()).chain(gave.map(|(feed, _)| feed.name.clone())).collect()
    }
}

impl Mixer {
    fn fill(&mut self, out: &mut [u8]) {
        let mut ikm = Zeroizing::new(Vec::with_capacity(64 + self.feeds.len() * (1 + BLOCK)));
        ikm.resize(64, 0);
        os_fill(&mut ikm);
        for (number, feed) in (0_u8..).zip(&mut self.feeds) {
            if let Some(block) = feed.take() {
                ikm.push(number);
                ikm.extend_from_slice(&*block);
            }
        }
        let prk = hash::extract(&*self.pool, &ikm);
        hash::hkdf_fill(&prk, b"writ/entropy/v1/output", out);
        hash::hkdf_fill(&prk, b"writ/entropy/v1/pool", &mut *self.pool);
    }
}

impl Feed {
    fn start(source: Source) -> Self {
        let (sender, blocks) = mpsc::sync_channel(AHEAD);
        let name = source.name().to_owned();
        let failure = Arc::new(OnceLock::new());
        let report = Arc::clone(&failure);
        let thread = thread::Builder::new().name(format!("entropy {name}")).spawn(move || {
            let reason = panic::catch_unwind(AssertUnwindSafe(|| read_ahead(source, &sender)));
            if let Some(reason) = reason.unwrap_or_else(|_| Some("reading it panicked".to_owned())) {
                report.get_or_init(|| reason);
            }
        });
        if let Err(error) = thread {
            failure.get_or_init(|| format!("its thread did not start: {error}"));
        }
        Self { name, blocks, first: None, failure, starved: true, bytes: 0 }
    }

    fn await_first(&mut self) {
        self.first = self.blocks.recv_timeout(PATIENCE).ok();
        self.starved = self.first.is_none();
    }

    /// A fresh contribution, if there is one; never waits. A failed source contributes nothing more.
    fn take(&mut self) -> Option<Block> {
        if self.failure.get().is_some() {
            return None;
        }
        let block = self.first.take().or_else(|| self.blocks.try_recv().ok());
        self.starved = block.is_none();
        self.bytes += if self.starved { 0 } else { BLOCK as u64 };
        block
    }

    fn status(&self) -> SourceStatus {
        let state = match self.failure.get() {
            Some(reason) => State::Failed(reason.clone()),
            None if self.starved => State::Starved,
            None => State::Active,
        };
        SourceStatus { name: self.name.clone(), state, bytes: self.bytes }
    }
}

/// Reads `source` until it fails, and says why, or until nobody listens any more.
fn read_ahead(source: Source, sender: &SyncSender<Block>) -> Option<String> {
    match source {
        Source::External { fetch, .. } => feed(fetch, sender),
        Source::Device { path, .. } => match File::open(path) {
            Ok(mut file) => feed(|bytes| file.read_exact(bytes), sender),
            Err(error) => Some(format!("it cannot be opened: {error}")),
        },
    }
}

/// Why the source failed; `None` when nobody listens any more.
fn feed(mut read: impl FnMut(&mut [u8]) -> io::Result<()>, sender: &SyncSender<Block>) -> Option<String> {
    let mut health = Health::default();
    let mut samples = Zeroizing::new([0; READ]);
    for round in 0_u64.. {
        if let Err(error) = read(&mut *samples) {
            return Some(format!("it cannot be read: {error}"));
        }
        match health.test(&*samples) {
            Ok(()) => {}
            Err(Failure::Stuck) => return Some("it failed the repetition-count test".to_owned()),
            Err(Failure::Leaning) => return Some("it failed the adaptive-proportion test".to_owned()),
        }
        if round == 0 {
            continue; // the samples of the start-up test are not used
        }
        for block in samples.as_chunks::<BLOCK>().0 {
            sender.send(Zeroizing::new(*block)).ok()?;
        }
    }
    None
}

/// Bytes of the operating system's generator, through the DRBG that it seeds in AWS-LC.
fn os_fill(bytes: &mut [u8]) {
    if rand::fill(bytes).is_err() {
        // Without it there is no security left to offer.
        std::process::abort();
    }
}

//! Time and chance, as parameters.

use std::{fmt, sync::Arc};

use uuid::Uuid;

use crate::{Id, Timestamp};

/// Tells the time. The daemon reads the operating system's clock; tests set their own.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock: the one place where the time enters.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "everybody else takes the time from a world")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A source of unpredictable bytes, fit for keys.
pub trait Chance: Send + Sync {
    /// Fills `bytes`. Never fails: a source that cannot deliver stops the process rather than degrade.
    fn fill(&self, bytes: &mut [u8]);

    /// Fills `bytes`, and names the sources that contributed something fresh to them; none if it cannot tell.
    fn fill_named(&self, bytes: &mut [u8]) -> Vec<String> {
        self.fill(bytes);
        Vec::new()
    }
}

/// What a verb may know of the outside: the time, and chance.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl World {
    /// A world with this clock and this source of randomness.
    pub fn new(clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self { clock, chance }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `N` unpredictable bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.chance.fill(&mut bytes);
        bytes
    }

    /// Fills `bytes` with unpredictable ones.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.chance.fill(bytes);
    }

    /// Fills `bytes`, and names the sources that contributed; see [`Chance::fill_named`].
    pub fn fill_named(&self, bytes: &mut [u8]) -> Vec<String> {
        self.chance.fill_named(bytes)
    }

    /// A fresh identifier: a UUIDv7 (RFC 9562) of the current millisecond.
    pub fn id<T>(&self) -> Id<T> {
        let millis = u64::try_from(self.now().millis()).unwrap_or(0);
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid())
    }

    /// A fresh bare UUIDv7, where no noun exists for it.
    pub fn uuid(&self) -> Uuid {
        self.id::<()>().uuid()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now()).finish_non_exhaustive()
    }
}

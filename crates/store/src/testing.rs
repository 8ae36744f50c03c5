//! Throw-away databases of both engines, for the tests of every crate.
//!
//! [`TestDb::postgres`] starts one private PostgreSQL cluster per test process, from the binaries in
//! `/usr/lib/postgresql/*/bin` or on PATH; it stops and vanishes with the process. Set
//! `WRIT_TEST_POSTGRES_URL` to a superuser's connection URI to use a running server instead. A missing
//! PostgreSQL is a failure, never a skipped test.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a broken environment must fail the test"
)]

mod cluster;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use writ_kernel::{Chance, Clock, Timestamp, World};

use crate::{Config, Db, migrate};

/// Turns each `async fn name(house: &TestDb) { … }` into two tests, `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($house:ident: $kind:ty) $body:block)+) => {
        $($(#[$attribute])* mod $name {
            #[allow(unused_imports, reason = "a body may need nothing from its module")]
            use super::*;

            async fn body($house: $kind) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body(&$crate::testing::TestDb::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                body(&$crate::testing::TestDb::postgres().await).await;
            }
        })+
    };
}

/// An open, empty, migrated database that vanishes when dropped.
#[derive(Debug)]
pub struct TestDb {
    /// The database.
    pub db: Db,
    /// What it was opened with.
    pub config: Config,
    /// The same database as the owner of its tables; on SQLite the same as `config`.
    pub owner: Config,
    /// Its clock.
    pub time: Time,
    place: Place,
}

impl TestDb {
    /// A database of the embedded engine, in a temporary directory.
    pub async fn sqlite() -> Self {
        Self::open(Place::files()).await
    }

    /// A database of a real PostgreSQL server, opened as the application's role.
    pub async fn postgres() -> Self {
        Self::open(Place::Database(cluster::Database::migrated())).await
    }

    async fn open(place: Place) -> Self {
        let (config, owner, time) = (place.config(), place.owner(), Time::default());
        migrate(&owner, &time.world()).await.expect("migrations");
        let db = Db::open(&config, time.world()).await.expect("an open database");
        Self { db, config, owner, time, place }
    }

    /// Where another database of the same engine may be made; there is none yet.
    pub fn empty_sibling(&self) -> EmptyDb {
        let place = match &self.place {
            Place::Files(_) => Place::files(),
            Place::Database(_) => Place::Database(cluster::Database::empty()),
        };
        EmptyDb { config: place.config(), owner: place.owner(), _place: place }
    }

    /// The same database as its cluster's superuser; `None` on SQLite.
    pub fn superuser(&self) -> Option<Config> {
        match &self.place {
            Place::Files(_) => None,
            Place::Database(database) => Some(database.superuser()),
        }
    }
}

/// A place for a database; emptied when dropped.
#[derive(Debug)]
pub struct EmptyDb {
    /// To open it with, once it is migrated or restored.
    pub config: Config,
    /// To migrate or restore it with.
    pub owner: Config,
    _place: Place,
}

#[derive(Debug)]
enum Place {
    Files(TempDir),
    Database(cluster::Database),
}

impl Place {
    fn files() -> Self {
        Self::Files(TempDir::new().expect("a temporary directory"))
    }

    fn config(&self) -> Config {
        match self {
            Self::Files(files) => Config::Sqlite { path: files.path().join("writ.db") },
            Self::Database(database) => database.config("writ_test_server"),
        }
    }

    fn owner(&self) -> Config {
        match self {
            Self::Files(_) => self.config(),
            Self::Database(database) => database.config("writ_test_owner"),
        }
    }
}

/// A clock that a test moves by hand. It starts at 2026-11-22T12:00:00Z.
#[derive(Debug, Clone)]
pub struct Time(Arc<AtomicI64>);

impl Default for Time {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(1_795_348_800_000_000)))
    }
}

impl Time {
    /// A world with this clock, and randomness fit for tests only.
    pub fn world(&self) -> World {
        World::new(Arc::new(self.clone()), Arc::new(Dice))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.store(self.now().plus(by).micros(), Ordering::SeqCst);
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

struct Dice;

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        // Each `RandomState` has keys of its own, from the operating system at first and counting up after.
        for chunk in bytes.chunks_mut(8) {
            let number = RandomState::new().hash_one(0).to_le_bytes();
            chunk.iter_mut().zip(number).for_each(|(byte, random)| *byte = random);
        }
    }
}

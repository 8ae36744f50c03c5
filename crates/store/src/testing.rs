//! Throw-away databases of both engines, for the tests of every crate.
//!
//! [`TestDb::postgres`] starts one private PostgreSQL cluster per test process, from the binaries in
//! `/usr/lib/postgresql/*/bin` or on PATH; it stops and vanishes with the process. Set
//! `WRIT_TEST_POSTGRES_URL` to a superuser's connection URI to use a running server instead. A missing
//! PostgreSQL is a failure, never a skipped test.
#![expect(clippy::expect_used, clippy::panic, reason = "test support: a broken environment must fail the test")]

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
    ($($(#[$attribute:meta])* async fn $name:ident($house:ident: &TestDb) $body:block)+) => {
        $($(#[$attribute])* mod $name {
            #[allow(unused_imports, reason = "a body may need nothing from its module")]
            use super::*;

            async fn body($house: &$crate::testing::TestDb) $body

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
    _files: Option<TempDir>,
    _database: Option<cluster::Database>,
}

impl TestDb {
    /// A database of the embedded engine, in a temporary directory.
    pub async fn sqlite() -> Self {
        let files = TempDir::new().expect("a temporary directory");
        let config = Config::Sqlite { path: files.path().join("writ.db") };
        let time = Time::default();
        migrate(&config, &time.world()).await.expect("migrations");
        let db = Db::open(&config, time.world()).await.expect("an open database");
        Self { db, owner: config.clone(), config, time, _files: Some(files), _database: None }
    }

    /// A database of a real PostgreSQL server, opened as the application's role.
    pub async fn postgres() -> Self {
        let database = cluster::Database::create();
        let (config, owner) = (database.config("writ_test_server"), database.config("writ_test_owner"));
        let time = Time::default();
        migrate(&owner, &time.world()).await.expect("migrations");
        let db = Db::open(&config, time.world()).await.expect("an open database");
        Self { db, config, owner, time, _files: None, _database: Some(database) }
    }

    /// Where another database of the same engine may be made; there is none yet.
    pub fn empty_sibling(&self) -> EmptyDb {
        if self._database.is_none() {
            let files = TempDir::new().expect("a temporary directory");
            let config = Config::Sqlite { path: files.path().join("writ.db") };
            return EmptyDb { owner: config.clone(), config, _files: Some(files), _database: None };
        }
        let database = cluster::Database::create();
        let (config, owner) = (database.config("writ_test_server"), database.config("writ_test_owner"));
        EmptyDb { config, owner, _files: None, _database: Some(database) }
    }

    /// The same database as its cluster's superuser; `None` on SQLite.
    pub fn superuser(&self) -> Option<Config> {
        self._database.as_ref().map(cluster::Database::superuser)
    }
}

/// A place for a database; emptied when dropped.
#[derive(Debug)]
pub struct EmptyDb {
    /// To open it with, once it is migrated or restored.
    pub config: Config,
    /// To migrate or restore it with.
    pub owner: Config,
    _files: Option<TempDir>,
    _database: Option<cluster::Database>,
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
        let micros = i64::try_from(by.as_micros()).expect("a duration within bounds");
        self.0.fetch_add(micros, Ordering::SeqCst);
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

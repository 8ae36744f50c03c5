//! The embedded engine: one writer with group commit, and a pool of readers.
//!
//! Every read-write transaction is a savepoint inside one open transaction, the *batch*. The writer
//! connection sits behind a fair mutex, and a [`Turn`] is the right to use it. The first turn to leave a
//! batch queues the committer on that same mutex: whoever was already waiting goes first and joins the batch;
//! then the committer flushes once and tells everybody. So nobody waits for company, and one flush serves
//! all who came together.
//!
//! INVARIANT (whole steps): statements that move the connection between the states of [`State`] run in tasks
//! of their own. A caller that gives up waiting can never leave the connection between two states.

use std::{fs::File, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc, time::Duration};

use sqlx::{
    Connection, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard, oneshot},
};
use writ_kernel::{Error, Kind, Result};

use crate::{
    error::{closed, error, shared_error},
    lock::Lock,
    stats::Counters,
};

const READERS: u32 = 4;
const BUSY: Duration = Duration::from_secs(5);
/// The longest wait for a turn. Turns take a millisecond, so longer than this means that one is stuck.
const TURN: Duration = Duration::from_secs(30);

/// An open database file.
pub(crate) struct Engine {
    writer: Arc<Mutex<Writer>>,
    pub(crate) readers: SqlitePool,
}

impl Engine {
    /// Opens the file at `path`, which must exist; refuses while another process has it open.
    pub(crate) async fn open(path: &Path, counters: Arc<Counters>) -> Result<Self> {
        if !path.exists() {
            return Err(Error::conflict(
                "migrations_pending",
                format!("there is no database at `{}`", path.display()),
            )
            .hint("run `writ migrate`"));
        }
        let lock = Lock::take(path)?;
        let conn = SqliteConnection::connect_with(&options(path)).await.map_err(error)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY)
            .connect_with(options(path).pragma("query_only", "ON"))
            .await
            .map_err(error)?;
        let writer = Writer {
            conn: Some(conn),
            lock: Some(lock),
            state: State::Idle,
            waiting: Vec::new(),
            committer_queued: false,
            runtime: Handle::current(),
            counters,
        };
        Ok(Self { writer: Arc::new(Mutex::new(writer)), readers })
    }

    pub(crate) async fn read(&self) -> Result<Transaction<'static, Sqlite>> {
        self.readers.begin().await.map_err(error)
    }

    /// Waits for the writer and opens a savepoint on it.
    pub(crate) async fn write(&self) -> Result<Turn> {
        let writer = Arc::clone(&self.writer);
        let begin = async move {
            let turn = Arc::clone(&writer).lock_owned();
            let mut guard = tokio::time::timeout(TURN, turn).await.map_err(|_| stuck())?;
            guard.open_savepoint().await?;
            Ok(Turn { guard, writer })
        };
        tokio::spawn(begin).await.unwrap_or_else(|_| Err(closed()))
    }

    /// Commits what is under way, then refuses everything.
    pub(crate) async fn close(&self) -> Result<()> {
        let mut writer = self.writer.lock().await;
        writer.commit_batch().await;
        let (conn, lock) = (writer.conn.take(), writer.lock.take());
        drop(writer);
        self.readers.close().await;
        let closed = match conn {
            Some(conn) => conn.close().await.map_err(error),
            None => Ok(()),
        };
        drop(lock);
        closed
    }
}

/// How every connection to the file is set up.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        // One query plan per statement text, for some hundreds of statements.
        .statement_cache_capacity(512)
}

/// Makes the file if there is none, readable by this user only; SQLite gives its companions the same mode.
pub(crate) fn ensure_file(path: &Path) -> Result<()> {
    let made = File::options().append(true).create(true).mode(0o600).open(path);
    made.map(drop).map_err(|cause| {
        Error::unavailable("storage_failed", format!("cannot make `{}`", path.display())).because(cause)
    })
}

/// The right to use the writer, from its savepoint to its end. Dropping it discards what was written.
pub(crate) struct Turn {
    guard: OwnedMutexGuard<Writer>,
    writer: Arc<Mutex<Writer>>,
}

impl Turn {
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection> {
        self.guard.conn.as_mut().ok_or_else(closed)
    }

    /// Keeps what was written and waits until it is on disk.
    pub(crate) async fn commit(mut self) -> Result<()> {
        let (tell, told) = oneshot::channel();
        self.guard.state = State::Kept;
        self.guard.waiting.push(tell);
        drop(self);
        told.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.guard.committer_queued {
            return;
        }
        self.guard.committer_queued = true;
        let writer = Arc::clone(&self.writer);
        self.guard.runtime.spawn(async move { writer.lock().await.commit_batch().await });
    }
}

fn stuck() -> Error {
    Error::unavailable("database_busy", "another change does not end").hint("try again shortly")
}

/// What a member of a failed batch is told. The failure may be another member's doing, so only an outage is
/// passed on as it is.
fn not_recorded(failure: &Arc<sqlx::Error>) -> Error {
    let error = shared_error(failure);
    if error.kind() == Kind::Unavailable {
        return error;
    }
    Error::unavailable("not_recorded", "the database undid the change, so nothing was recorded")
        .hint("try again")
        .because(Arc::clone(failure))
}

struct Writer {
    /// `None` once closed, like the lock.
    conn: Option<SqliteConnection>,
    lock: Option<Lock>,
    state: State,
    /// Who committed into the batch and waits for the flush.
    waiting: Vec<oneshot::Sender<Result<()>>>,
    committer_queued: bool,
    runtime: Handle,
    counters: Arc<Counters>,
}

/// Where the connection stands between two turns.
#[derive(Clone, Copy)]
enum State {
    /// No transaction.
    Idle,
    /// In a batch, in the savepoint of a turn that is under way, or was dropped.
    Open,
    /// In a batch, in the savepoint of a turn that committed.
    Kept,
}

impl Writer {
    async fn open_savepoint(&mut self) -> Result<()> {
        let joined = match self.state {
            State::Idle => return self.begin_batch().await,
            State::Kept => self.control("RELEASE turn; SAVEPOINT turn").await,
            State::Open => self.control("ROLLBACK TO turn").await,
        };
        match joined {
            Ok(()) => {
                self.state = State::Open;
                Ok(())
            }
            // After some failures (disk full, I/O) SQLite rolls back the whole batch by itself.
            Err(failure) => {
                self.abandon_batch(failure).await;
                self.begin_batch().await
            }
        }
    }

    async fn begin_batch(&mut self) -> Result<()> {
        if self.conn.is_none() {
            return Err(closed());
        }
        if let Err(failure) = self.control("BEGIN IMMEDIATE; SAVEPOINT turn").await {
            let answer = shared_error(&Arc::new(failure));
            self.rollback().await;
            return Err(answer);
        }
        self.state = State::Open;
        Ok(())
    }

    /// Flushes the batch and tells everybody how it went.
    async fn commit_batch(&mut self) {
        self.committer_queued = false;
        if self.waiting.is_empty() {
            return self.rollback().await;
        }
        let flushed = match self.state {
            State::Open => self.control("ROLLBACK TO turn; COMMIT").await,
            State::Kept | State::Idle => self.control("COMMIT").await,
        };
        match flushed {
            Ok(()) => {
                self.state = State::Idle;
                self.counters.committed(u64::try_from(self.waiting.len()).unwrap_or(u64::MAX));
                self.waiting.drain(..).for_each(|waiter| drop(waiter.send(Ok(()))));
            }
            Err(failure) => self.abandon_batch(failure).await,
        }
    }

    /// Undoes the batch and tells everybody why.
    async fn abandon_batch(&mut self, failure: sqlx::Error) {
        tracing::warn!(error = %failure, lost = self.waiting.len(), "a batch of transactions was not committed");
        let failure = Arc::new(failure);
        self.waiting.drain(..).for_each(|waiter| drop(waiter.send(Err(not_recorded(&failure)))));
        self.rollback().await;
    }

    async fn rollback(&mut self) {
        if matches!(self.state, State::Idle) {
            return;
        }
        // Fails only when SQLite has rolled back by itself, which is as good.
        self.control("ROLLBACK").await.ok();
        self.state = State::Idle;
    }

    async fn control(&mut self, sql: &'static str) -> sqlx::Result<()> {
        let conn = self.conn.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        sqlx::query(sql).execute(conn).await.map(drop)
    }
}

//! Transactions, and the macros that run one SQL text on both engines.

use std::{fmt, sync::Arc};

use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};
use writ_kernel::{Error, Result, TenantId, World};

use crate::{error::error, execute, sqlite::Turn, stats::Counters};

/// A transaction of one tenant. It owns its connection, so it may be kept in a struct and moved between
/// tasks. Dropping it undoes everything; only [`Tx::commit`] makes it last.
///
/// On SQLite a read-write transaction holds the one writer until it ends: await nothing but its own statements
/// while holding one. Beginning a second one meanwhile (claiming a job, leading) fails after half a minute.
#[must_use]
pub struct Tx {
    tenant: TenantId,
    open: Open,
}

impl Tx {
    pub(crate) fn new(tenant: TenantId, open: Open) -> Self {
        Self { tenant, open }
    }

    /// For [`on!`](crate::on).
    #[doc(hidden)]
    pub fn open(&mut self) -> &mut Open {
        &mut self.open
    }

    /// Whose it is.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The time and chance this database was opened with.
    pub fn world(&self) -> &World {
        &self.open.world
    }

    /// Ends the transaction. When this returns `Ok`, the changes are on disk; when it fails, assume nothing.
    /// Once polled, it runs to its end even if the future is dropped.
    ///
    /// # Errors
    /// `Internal` when a statement of the transaction had failed (nothing is kept then), else whatever the
    /// database says (see [`crate::error()`]).
    pub async fn commit(self) -> Result<()> {
        self.open.commit().await
    }
}

/// A transaction that sees every tenant: for workers and start-up only, never on behalf of a caller.
#[must_use]
pub struct SystemTx {
    open: Open,
}

impl SystemTx {
    pub(crate) fn new(open: Open) -> Self {
        Self { open }
    }

    /// For [`on!`](crate::on).
    #[doc(hidden)]
    pub fn open(&mut self) -> &mut Open {
        &mut self.open
    }

    /// Ends the transaction, like [`Tx::commit`].
    ///
    /// # Errors
    /// Like [`Tx::commit`].
    pub async fn commit(self) -> Result<()> {
        self.open.commit().await
    }
}

/// Either kind of transaction: what [`on!`](crate::on) and [`execute!`](crate::execute) accept.
pub trait Transactional: sealed::Sealed + Send {
    /// What the two kinds share.
    #[doc(hidden)]
    fn open(&mut self) -> &mut Open;
}

impl Transactional for Tx {
    fn open(&mut self) -> &mut Open {
        &mut self.open
    }
}

impl Transactional for SystemTx {
    fn open(&mut self) -> &mut Open {
        &mut self.open
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Tx {}
    impl Sealed for super::SystemTx {}
}

/// An open transaction of either engine.
#[doc(hidden)]
pub struct Open {
    session: Session,
    world: World,
    counters: Arc<Counters>,
    /// Cleared while a statement runs and when one fails. PostgreSQL answers COMMIT of a failed transaction
    /// with success and keeps nothing, and SQLite may have rolled back by itself: neither may look like a commit.
    sound: bool,
}

pub(crate) enum Session {
    SqliteRead(Transaction<'static, Sqlite>),
    SqliteWrite(Turn),
    Postgres(Transaction<'static, Postgres>),
}

/// A connection of either engine.
#[doc(hidden)]
pub enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Open {
    pub(crate) fn new(session: Session, world: World, counters: Arc<Counters>) -> Self {
        Self { session, world, counters, sound: true }
    }

    /// The connection, for one statement, whose result must go to [`Open::settle`].
    pub fn begin_statement(&mut self) -> Result<Conn<'_>> {
        if !self.sound {
            return Err(unsound());
        }
        self.sound = false;
        match &mut self.session {
            Session::SqliteRead(tx) => Ok(Conn::Sqlite(tx)),
            Session::SqliteWrite(turn) => Ok(Conn::Sqlite(turn.connection()?)),
            Session::Postgres(tx) => Ok(Conn::Postgres(tx)),
        }
    }

    /// Notes how the statement went and translates its error.
    pub fn settle<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T> {
        self.sound = matches!(result, Ok(_) | Err(sqlx::Error::RowNotFound));
        result.map_err(error)
    }

    async fn commit(self) -> Result<()> {
        if !self.sound {
            return Err(unsound());
        }
        match self.session {
            Session::SqliteRead(tx) => tx.rollback().await.map_err(error),
            Session::SqliteWrite(turn) => turn.commit().await,
            Session::Postgres(tx) => {
                tx.commit().await.map_err(error)?;
                self.counters.committed(1);
                Ok(())
            }
        }
    }
}

/// Waits until no other transaction of this tenant holds `name`, and holds it until this one ends: what is read
/// and decided after that is still true when it commits. SQLite's one writer gives this for nothing.
pub async fn serialize_on(tx: &mut Tx, name: &str) -> Result<()> {
    if !matches!(tx.open.session, Session::Postgres(_)) {
        return Ok(());
    }
    let key = format!("{}|{name}", tx.tenant);
    execute!(tx, |conn| sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(&key)
        .execute(conn))
    .map(drop)
}

fn unsound() -> Error {
    Error::internal("a transaction was used after one of its statements failed or was abandoned")
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl fmt::Debug for SystemTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemTx").finish_non_exhaustive()
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("sound", &self.sound).finish_non_exhaustive()
    }
}

impl fmt::Debug for Conn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "Sqlite",
            Self::Postgres(_) => "Postgres",
        })
    }
}

/// Runs one query that returns rows, on whichever engine the transaction is of: the expression is
/// type-checked once for each. Awaits it and translates its error with [`error()`](crate::error()).
///
/// With a second parameter, it is the tenant of the [`Tx`] as a [`Uuid`](uuid::Uuid), to be bound as `$1`.
/// After an error the transaction is over: nothing more runs in it and it cannot be committed. So where a
/// conflict is expected, say `ON CONFLICT … DO NOTHING` and count rows.
///
/// ```
/// # use writ_kernel::Result;
/// # use writ_store::{Tx, on};
/// async fn keys(tx: &mut Tx, kind: &str) -> Result<Vec<String>> {
///     const SQL: &str = "SELECT key FROM jobs WHERE tenant_id = $1 AND kind = $2";
///     on!(tx, |conn, tenant| sqlx::query_scalar::<_, String>(SQL).bind(tenant).bind(kind).fetch_all(conn))
/// }
/// ```
#[macro_export]
macro_rules! on {
    ($tx:expr, |$conn:ident, $tenant:ident| $query:expr) => {{
        let $tenant = $tx.tenant().uuid();
        $crate::on!($tx, |$conn| $query)
    }};
    ($tx:expr, |$conn:ident| $query:expr) => {{
        let open = $tx.open();
        match open.begin_statement() {
            Ok($crate::Conn::Sqlite($conn)) => {
                let result = $query.await;
                open.settle(result)
            }
            Ok($crate::Conn::Postgres($conn)) => {
                let result = $query.await;
                open.settle(result)
            }
            Err(error) => Err(error),
        }
    }};
}

/// Runs one statement, like [`on!`](crate::on), and returns how many rows it changed, as `u64`.
///
/// ```
/// # use writ_kernel::Result;
/// # use writ_store::{Tx, execute};
/// async fn forget(tx: &mut Tx, kind: &str) -> Result<u64> {
///     const SQL: &str = "DELETE FROM jobs WHERE tenant_id = $1 AND kind = $2";
///     execute!(tx, |conn, tenant| sqlx::query(SQL).bind(tenant).bind(kind).execute(conn))
/// }
/// ```
#[macro_export]
macro_rules! execute {
    ($tx:expr, |$conn:ident, $tenant:ident| $query:expr) => {{
        let $tenant = $tx.tenant().uuid();
        $crate::execute!($tx, |$conn| $query)
    }};
    ($tx:expr, |$conn:ident| $query:expr) => {
        $crate::on!($tx, |$conn| async { $query.await.map(|done| done.rows_affected()) })
    };
}

//! The database handle.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use writ_kernel::{Error, Result, TenantId, World};

use crate::{
    Config, backup,
    error::error,
    migrate, postgres,
    postgres::Reach,
    sqlite,
    stats::{Counters, Stats},
    tx::{Open, Session, SystemTx, Tx},
};

/// An open database. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    config: Config,
    world: World,
    counters: Arc<Counters>,
    engine: Engine,
}

enum Engine {
    Sqlite(sqlite::Engine),
    Postgres(postgres::Engine),
}

impl Db {
    /// Opens a database that is migrated already (see [`crate::migrate()`]).
    ///
    /// # Errors
    /// `migrations_pending` or `migration_changed` when its tables are not those of this binary;
    /// `database_in_use` when another process has the SQLite file open; `unsafe_database_role` when the
    /// PostgreSQL role is superuser, owner of the tables or exempt from row-level security.
    pub async fn open(config: &Config, world: World) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let engine = match config {
            Config::Sqlite { path } => {
                let engine = sqlite::Engine::open(path, Arc::clone(&counters)).await?;
                let mut conn = engine.readers.acquire().await.map_err(error)?;
                migrate::require_current_sqlite(&mut conn).await?;
                Engine::Sqlite(engine)
            }
            Config::Postgres { url, max_connections, app_role } => {
                let engine = postgres::Engine::open(url, *max_connections, app_role).await?;
                let mut conn = engine.pool.acquire().await.map_err(error)?;
                migrate::require_current_postgres(&mut conn).await?;
                Engine::Postgres(engine)
            }
        };
        Ok(Self(Arc::new(Inner { config: config.clone(), world, counters, engine })))
    }

    /// The time and chance it was opened with.
    pub fn world(&self) -> &World {
        &self.0.world
    }

    /// A read-write transaction of `tenant`. On SQLite it waits for its turn at the one writer.
    ///
    /// On PostgreSQL it is READ COMMITTED: change rows by conditional updates and look at how many changed,
    /// or take [`crate::serialize_on`] first; then both engines behave alike.
    pub async fn tx(&self, tenant: TenantId) -> Result<Tx> {
        Ok(Tx::new(tenant, self.begin(Reach::Tenant(tenant.uuid()), false).await?))
    }

    /// A read-only transaction of `tenant`, which never waits for a writer.
    pub async fn read(&self, tenant: TenantId) -> Result<Tx> {
        Ok(Tx::new(tenant, self.begin(Reach::Tenant(tenant.uuid()), true).await?))
    }

    /// A read-write transaction across all tenants. Dangerous: for workers and start-up, never for a caller.
    pub async fn system_tx(&self) -> Result<SystemTx> {
        Ok(SystemTx::new(self.begin(Reach::Everybody, false).await?))
    }

    /// A read-only transaction across all tenants. Dangerous: for workers and start-up, never for a caller.
    pub async fn system_read(&self) -> Result<SystemTx> {
        Ok(SystemTx::new(self.begin(Reach::Everybody, true).await?))
    }

    /// Writes a consistent copy of the whole database to the new file `to`, while serving.
    ///
    /// # Errors
    /// See [`crate::backup()`].
    pub async fn backup(&self, to: &Path) -> Result<()> {
        backup(&self.0.config, to).await
    }

    /// How busy it is.
    pub fn stats(&self) -> Stats {
        match &self.0.engine {
            Engine::Sqlite(engine) => self.0.counters.stats(&engine.readers),
            Engine::Postgres(engine) => self.0.counters.stats(&engine.pool),
        }
    }

    /// Lets the transactions under way finish, then refuses everything with `shutting_down`.
    pub async fn close(&self) -> Result<()> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => {
                engine.pool.close().await;
                Ok(())
            }
        }
    }

    /// Whether this process is the only one that can change the database, so that what it knows of it stays true until
    /// it changes it itself.
    pub fn is_exclusive(&self) -> bool {
        matches!(self.0.engine, Engine::Sqlite(_))
    }

    /// Whether claims need the text with row locks. The one question about the engine that SQL may ask.
    pub(crate) fn locks_rows(&self) -> bool {
        matches!(self.0.engine, Engine::Postgres(_))
    }

    async fn begin(&self, reach: Reach, read_only: bool) -> Result<Open> {
        let session = match &self.0.engine {
            Engine::Sqlite(engine) if read_only => Session::SqliteRead(engine.read().await?),
            Engine::Sqlite(engine) => Session::SqliteWrite(engine.write().await?),
            Engine::Postgres(engine) => Session::Postgres(engine.begin(reach, read_only).await?),
        };
        Ok(Open::new(session, self.0.world.clone(), Arc::clone(&self.0.counters)))
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Db").field(&self.0.config).finish()
    }
}

/// Does `act`, a whole transaction from begin to commit, again while another transaction was in its way:
/// up to five times, with growing pauses. The one place where that is retried.
///
/// # Errors
/// Those of `act`; after the last attempt `Unavailable` with `contention`.
pub async fn retry<T, F>(mut act: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut pause = Duration::from_millis(5);
    loop {
        match act().await {
            Err(error) if is_contention(&error) && pause < Duration::from_millis(80) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            result => return result,
        }
    }
}

fn is_contention(error: &Error) -> bool {
    error.code() == "contention"
}

//! Backup while serving, and restore into an empty place.
//!
//! SQLite is copied by `VACUUM INTO`; the copy is an ordinary database file. PostgreSQL is dumped by its own
//! `pg_dump` (custom format) and read back by `pg_restore`: they must be installed and at least as new as the
//! server. Sealed columns stay sealed in a backup, and the root key is never in one.

use std::{
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use writ_kernel::{Error, Result};

use crate::{
    Config,
    error::error,
    lock::{Lock, beside},
    migrate, pg_tools, sqlite,
};

/// Writes a consistent copy of the whole database to the new file `to` (mode 0600), while others use it. The
/// file appears complete or not at all.
///
/// # Errors
/// `Conflict` with `backup_exists` when `to` is there already; `Unavailable` with `tool_missing` when
/// PostgreSQL's `pg_dump` is not installed.
pub async fn backup(config: &Config, to: &Path) -> Result<()> {
    if to.exists() {
        return Err(exists(to));
    }
    let partial = Partial::create(to)?;
    match config {
        Config::Sqlite { path } => {
            let mut conn = SqliteConnection::connect_with(&sqlite::options(path)).await.map_err(error)?;
            let into = partial
                .path()
                .to_str()
                .ok_or_else(|| Error::invalid("malformed_path", "the path is not UTF-8"))?;
            sqlx::query("VACUUM INTO $1").bind(into).execute(&mut conn).await.map_err(error)?;
            conn.close().await.map_err(error)?;
        }
        Config::Postgres { url, .. } => pg_tools::dump(url, partial.path()).await?,
    }
    partial.publish(to).await
}

/// Makes a database out of the backup `from`, where there is none yet. On PostgreSQL `config` names the owner,
/// as for [`crate::migrate()`].
///
/// # Errors
/// `Conflict` with `database_exists` when there is a database, `database_in_use` when a server has it open;
/// `Invalid` with `malformed_backup` when `from` is damaged or not ours; `migration_changed` as for migrations.
pub async fn restore(config: &Config, from: &Path) -> Result<()> {
    match config {
        Config::Sqlite { path } => restore_sqlite(path, from).await,
        Config::Postgres { url, app_role, .. } => pg_tools::restore(url, app_role, from).await,
    }
}

async fn restore_sqlite(path: &Path, from: &Path) -> Result<()> {
    let _lock = Lock::take(path)?;
    // A write-ahead log left behind by another database would be played into this one.
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        if file.exists() {
            return Err(Error::conflict("database_exists", format!("`{}` is there already", file.display()))
                .hint("move the old database away, with its `-wal` and `-shm` files"));
        }
    }
    let partial = Partial::create(path)?;
    let (source, copy) = (from.to_owned(), partial.path().to_owned());
    blocking(from, move || fs::copy(source, copy).map(drop)).await?;
    verify(partial.path()).await?;
    partial.publish(path).await
}

async fn verify(copy: &Path) -> Result<()> {
    let malformed = |cause: sqlx::Error| {
        Error::invalid("malformed_backup", "the backup is damaged, or not a Writ database").because(cause)
    };
    let options = SqliteConnectOptions::new().filename(copy).read_only(true).immutable(true);
    let mut conn = SqliteConnection::connect_with(&options).await.map_err(malformed)?;
    let verdict: String =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut conn).await.map_err(malformed)?;
    if verdict != "ok" {
        return Err(Error::invalid("malformed_backup", "the backup is damaged").context(verdict));
    }
    migrate::require_ours_sqlite(&mut conn).await?;
    conn.close().await.map_err(error)
}

/// A file under way to its final name; removed when it does not get there.
struct Partial(PathBuf);

impl Partial {
    /// An empty file beside `target` that only this user can read.
    fn create(target: &Path) -> Result<Self> {
        let path = beside(target, &format!(".partial-{}", std::process::id()));
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| io_error(&path, cause))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Gives the file its name once its bytes are on disk; never replaces another file.
    async fn publish(self, target: &Path) -> Result<()> {
        let (partial, name) = (self.0.clone(), target.to_owned());
        let publish = move || {
            File::open(&partial)?.sync_all()?;
            // Unlike a rename, a link fails when the name is taken.
            fs::hard_link(&partial, &name)?;
            fs::remove_file(&partial)?;
            let directory = name.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(directory)?.sync_all()
        };
        blocking(target, publish).await
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

async fn blocking(path: &Path, act: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<()> {
    match tokio::task::spawn_blocking(act).await {
        Ok(done) => done.map_err(|cause| io_error(path, cause)),
        Err(panic) => Err(Error::internal("file work panicked").because(panic)),
    }
}

fn io_error(path: &Path, cause: std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    match cause.kind() {
        Io::AlreadyExists => exists(path),
        Io::NotFound => Error::invalid("no_such_file", format!("there is no `{}`", path.display())),
        Io::StorageFull => Error::unavailable("disk_full", format!("no space left for `{}`", path.display())),
        _ => Error::unavailable("storage_failed", format!("cannot use `{}`", path.display())).because(cause),
    }
}

fn exists(path: &Path) -> Error {
    Error::conflict("backup_exists", format!("`{}` is there already", path.display()))
        .hint("choose a new name")
}

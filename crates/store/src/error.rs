//! What the databases' errors mean in the words of the house.

use std::sync::Arc;

use sqlx::{postgres::PgDatabaseError, sqlite::SqliteError};
use writ_kernel::{Error, Kind};

/// What `error` means to a caller; the error itself is kept as the source.
///
/// A unique violation is a `Conflict` with the code `already_exists`, a broken reference a `Conflict` with
/// `broken_reference`, two transactions in each other's way an `Unavailable` with `contention`
/// (see [`crate::retry`]), a full disk an `Unavailable` with `disk_full`; other outages are `Unavailable` too.
/// Anything else is our fault.
pub fn error(error: sqlx::Error) -> Error {
    shared_error(&Arc::new(error))
}

/// [`error`], for an error that several callers must hear.
pub(crate) fn shared_error(error: &Arc<sqlx::Error>) -> Error {
    classify(error).because(Arc::clone(error))
}

/// Whether it says that a row with the same unique key is already there.
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Whether `error`, as mapped by [`error`], says that a row with the same unique key is already there.
pub fn is_already_exists(error: &Error) -> bool {
    error.kind() == Kind::Conflict && error.code() == "already_exists"
}

fn classify(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(inner) if inner.is_unique_violation() => {
            Error::conflict("already_exists", "it already exists").context(inner.to_string())
        }
        sqlx::Error::Database(inner) if inner.is_foreign_key_violation() => {
            Error::conflict("broken_reference", "it refers to, or is referred to by, something else")
                .context(inner.to_string())
        }
        sqlx::Error::Database(inner) => {
            let (sqlite, postgres) =
                (inner.try_downcast_ref::<SqliteError>(), inner.try_downcast_ref::<PgDatabaseError>());
            let known = match (sqlite, postgres) {
                (Some(_), _) => inner.code().and_then(|code| sqlite_outage(code.parse().ok()?)),
                (_, Some(postgres)) => postgres_outage(postgres.code()),
                _ => None,
            };
            known.unwrap_or_else(|| Error::internal("statement failed")).context(inner.to_string())
        }
        sqlx::Error::PoolTimedOut => {
            Error::unavailable("database_busy", "the database has no free connection")
                .hint("try again shortly")
        }
        sqlx::Error::PoolClosed => closed(),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => {
            Error::unavailable("database_down", "the database does not answer").context(error.to_string())
        }
        other => Error::internal(format!("statement failed: {other}")),
    }
}

/// The database handle was closed.
pub(crate) fn closed() -> Error {
    Error::unavailable("shutting_down", "the server is shutting down")
}

fn disk_full() -> Error {
    Error::unavailable("disk_full", "the database has no space left, so nothing was recorded")
        .hint("free space on the volume of the database; nothing needs to be restarted")
}

fn contention() -> Error {
    Error::unavailable("contention", "another change came first").hint("try again")
}

/// Result codes: <https://www.sqlite.org/rescode.html>. The low byte is the primary one.
fn sqlite_outage(code: i32) -> Option<Error> {
    match code & 0xff {
        5 | 6 => Some(
            Error::unavailable("database_busy", "another program holds the database")
                .hint("stop other programs that write to the database file"),
        ),
        8 => Some(Error::unavailable("storage_read_only", "the database cannot be written")),
        10 | 14 => Some(Error::unavailable("storage_failed", "the disk of the database reports an error")),
        11 | 26 => Some(
            Error::unavailable("storage_damaged", "the database file is damaged").hint("restore a backup"),
        ),
        13 => Some(disk_full()),
        _ => None,
    }
}

/// SQLSTATE codes: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
fn postgres_outage(code: &str) -> Option<Error> {
    match code {
        "22021" => Some(Error::invalid("malformed_text", "a text holds a character that cannot be kept")),
        "40001" | "40P01" | "55P03" => Some(contention()),
        "53100" => Some(disk_full()),
        "57014" => Some(Error::timeout("database_timeout", "the database took too long")),
        "3D000" => Some(Error::unavailable("database_down", "there is no such database")),
        _ if code.starts_with("28") => {
            Some(Error::unavailable("database_down", "the database refuses these credentials"))
        }
        _ if code.starts_with("53") => Some(
            Error::unavailable("database_busy", "the database is out of resources").hint("try again shortly"),
        ),
        _ if code.starts_with("08") || code.starts_with("57P") => {
            Some(Error::unavailable("database_down", "the database does not answer"))
        }
        _ => None,
    }
}

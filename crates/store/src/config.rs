//! Where the database is.

use std::{fmt, path::PathBuf, str::FromStr};

use sqlx::postgres::PgConnectOptions;
use writ_kernel::{Error, Result};

/// Where the database is, and how much of it to use.
///
/// Text form: `sqlite:///var/lib/writ/writ.db` or `postgres://user:password@host/database?sslmode=verify-full`.
#[derive(Clone, PartialEq, Eq)]
pub enum Config {
    /// The embedded engine.
    Sqlite {
        /// The database file. Beside it appear `-wal`, `-shm` and `.lock`.
        path: PathBuf,
    },
    /// A PostgreSQL server, 15 or later.
    Postgres {
        /// A libpq connection URI. It may hold a password: it is never printed.
        url: String,
        /// The most connections to hold open.
        max_connections: u32,
        /// The group role that migrations grant the tables to.
        app_role: String,
    },
}

impl FromStr for Config {
    type Err = Error;

    /// PostgreSQL gets 16 connections and the group role `writ_app`.
    fn from_str(text: &str) -> Result<Self> {
        let malformed = |message: &str| {
            Error::invalid("malformed_database_url", message)
                .hint("write `sqlite:///path/to/writ.db` or `postgres://user@host/database`")
        };
        if let Some(path) = text.strip_prefix("sqlite://") {
            if path.is_empty() || path.contains(['?', '\0']) {
                return Err(malformed("the database URL names no file"));
            }
            return Ok(Self::Sqlite { path: path.into() });
        }
        // The text may hold a password, so no message repeats it.
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(malformed("the database URL is of an unknown kind"));
        }
        PgConnectOptions::from_str(text).map_err(|_| malformed("the database URL is not well formed"))?;
        Ok(Self::Postgres { url: text.to_owned(), max_connections: 16, app_role: "writ_app".to_owned() })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite://{}", path.display()),
            Self::Postgres { url, .. } => match PgConnectOptions::from_str(url) {
                Ok(it) => {
                    let database = it.get_database().unwrap_or_default();
                    write!(f, "postgres://{}@{}/{database}", it.get_username(), it.get_host())
                }
                Err(_) => f.write_str("postgres://"),
            },
        }
    }
}

/// The connection options of `url`.
pub(crate) fn postgres_options(url: &str) -> Result<PgConnectOptions> {
    // The parser's error may quote the URL, hence the password: it is dropped.
    PgConnectOptions::from_str(url)
        .map_err(|_| Error::invalid("malformed_database_url", "the database URL is not well formed"))
}

//! Roles of a PostgreSQL server.

mod sql;
mod template;

use std::time::Duration;

use writ_crypto::SecretString;
use writ_kernel::{Error, Result, Timestamp};

pub use template::{Template, Values};

/// The most time for one piece of work at a server, connecting included.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// By TLS when the server offers it. Who the server is, is not checked.
    #[default]
    Prefer,
    /// By TLS or not at all. Who the server is, is not checked.
    Require,
    /// By TLS, and the server's certificate is checked against its name and the authorities.
    Verify,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name or address, or the directory of its socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database to work in.
    pub database: String,
    /// How the connection is protected.
    pub tls: Tls,
    /// The authority that vouches for its certificate, PEM; those of the system unless told.
    pub ca: Option<String>,
}

/// A server, and whom to work there as.
#[expect(missing_debug_implementations, reason = "holds a password")]
pub struct Postgres {
    /// The server.
    pub server: Server,
    /// The role to work as.
    pub username: String,
    /// Its password.
    pub password: SecretString,
}

impl Postgres {
    /// Whether the server lets us in.
    ///
    /// # Errors
    /// `Forbidden` with `target_login_refused` when it refuses the password; `Unavailable` or `Timeout` when it cannot
    /// be reached.
    pub async fn log_in(&self) -> Result<()> {
        in_time(async {
            let conn = sql::connect(&self.server, &self.username, &self.password).await?;
            sql::close(conn).await;
            Ok(())
        })
        .await
    }

    /// Whether the server lets another role in with `password`.
    ///
    /// # Errors
    /// As [`Postgres::log_in`].
    pub async fn try_password(&self, name: &str, password: &SecretString) -> Result<()> {
        in_time(async {
            let conn = sql::connect(&self.server, name, password).await?;
            sql::close(conn).await;
            Ok(())
        })
        .await
    }

    /// Makes a role with the statements of `creation`, all or none.
    ///
    /// # Errors
    /// What the server says, by kind.
    pub async fn make(
        &self,
        creation: &Template,
        name: &str,
        password: &SecretString,
        until: Timestamp,
    ) -> Result<()> {
        let expiration = until.to_string();
        let values = Values { name, password: Some(password), expiration: &expiration };
        let statements = creation.fill(values)?;
        in_time(async {
            let mut conn = sql::connect(&self.server, &self.username, &self.password).await?;
            sql::run(&mut conn, statements).await?;
            sql::close(conn).await;
            Ok(())
        })
        .await
    }

    /// Lets a role log in until another time.
    ///
    /// # Errors
    /// What the server says, by kind.
    pub async fn extend(&self, renewal: Option<&Template>, name: &str, until: Timestamp) -> Result<()> {
        let expiration = until.to_string();
        in_time(async {
            let mut conn = sql::connect(&self.server, &self.username, &self.password).await?;
            match renewal {
                Some(renewal) => {
                    let values = Values { name, password: None, expiration: &expiration };
                    sql::run(&mut conn, renewal.fill(values)?).await?;
                }
                None => sql::valid_until(&mut conn, name, &expiration).await?,
            }
            sql::close(conn).await;
            Ok(())
        })
        .await
    }

    /// Ends a role: no new log-in, no session left, then the role itself. A role that is not there is ended already.
    /// What it made in the server's database is kept and passes to whoever we work as.
    ///
    /// # Errors
    /// What the server says, by kind. `Ok` means that the server has confirmed that the role cannot log in.
    pub async fn unmake(&self, revocation: Option<&Template>, name: &str) -> Result<()> {
        in_time(async {
            let mut conn = sql::connect(&self.server, &self.username, &self.password).await?;
            if sql::role(&mut conn, name).await?.is_some() {
                sql::lock_out(&mut conn, name).await?;
                match revocation {
                    Some(revocation) => {
                        let values = Values { name, password: None, expiration: "-infinity" };
                        sql::run(&mut conn, revocation.fill(values)?).await?;
                    }
                    None => sql::drop_role(&mut conn, name).await?,
                }
            }
            let left = sql::role(&mut conn, name).await?;
            sql::close(conn).await;
            match left {
                Some(true) => Err(Error::unavailable("target_failed", "the role can still log in")),
                Some(false) | None => Ok(()),
            }
        })
        .await
    }

    /// Gives a role another password.
    ///
    /// # Errors
    /// What the server says, by kind.
    pub async fn set_password(&self, name: &str, password: &SecretString) -> Result<()> {
        in_time(async {
            let mut conn = sql::connect(&self.server, &self.username, &self.password).await?;
            sql::set_password(&mut conn, name, password).await?;
            sql::close(conn).await;
            Ok(())
        })
        .await
    }
}

async fn in_time(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(Error::timeout("target_silent", "the database did not answer in time")))
}

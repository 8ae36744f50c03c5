//! What is said to a PostgreSQL server. Statements with values that cannot be parameters (names, passwords) are put
//! together here from quoted parts.

use std::{borrow::Cow, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use writ_crypto::SecretString;
use writ_kernel::{Error, Result};

use super::{
    Server, Tls,
    template::{identifier, literal},
};

const CONNECT: Duration = Duration::from_secs(5);

/// Connects. Nothing of the process's environment (`PGHOST`, password files) has a say.
pub(super) async fn connect(
    server: &Server,
    username: &str,
    password: &SecretString,
) -> Result<PgConnection> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&server.host)
        .port(server.port)
        .database(&server.database)
        .username(username)
        .password(password.expose())
        .application_name("writ")
        .statement_cache_capacity(0)
        .options([
            ("statement_timeout", "10s"),
            ("lock_timeout", "5s"),
            ("standard_conforming_strings", "on"),
        ])
        .ssl_mode(match server.tls {
            Tls::Prefer => PgSslMode::Prefer,
            Tls::Require => PgSslMode::Require,
            Tls::Verify => PgSslMode::VerifyFull,
        })
        // The text of a statement may hold a password.
        .disable_statement_logging();
    if let Some(ca) = &server.ca {
        options = options.ssl_root_cert_from_pem(ca.clone().into_bytes());
    }
    match tokio::time::timeout(CONNECT, PgConnection::connect_with(&options)).await {
        Ok(connected) => connected.map_err(|error| said(&error)),
        Err(_) => Err(Error::timeout("target_silent", "the database did not answer in time")),
    }
}

/// Runs `statements`, all or none.
pub(super) async fn run(conn: &mut PgConnection, statements: Vec<SecretString>) -> Result<()> {
    let mut tx = conn.begin().await.map_err(|error| said(&error))?;
    for statement in &statements {
        one(&mut tx, statement.expose()).await?;
    }
    tx.commit().await.map_err(|error| said(&error))
}

async fn one(conn: &mut PgConnection, statement: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(conn)
        .await
        .map(drop)
        .map_err(|error| said(&error))
}

/// Whether the role exists, and whether it may log in.
pub(super) async fn role(conn: &mut PgConnection, name: &str) -> Result<Option<bool>> {
    sqlx::query_scalar::<_, bool>("SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = $1")
        .bind(name)
        .fetch_optional(conn)
        .await
        .map_err(|error| said(&error))
}

/// Closes the door: no new log-in, and no session that is left.
pub(super) async fn lock_out(conn: &mut PgConnection, name: &str) -> Result<()> {
    let role = identifier(name)?;
    one(conn, &format!("ALTER ROLE {role} NOLOGIN")).await?;
    if !usable(conn, name).await? {
        one(conn, &format!("GRANT {role} TO CURRENT_USER")).await?;
    }
    sqlx::query(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = $1",
    )
    .bind(name)
    .execute(conn)
    .await
    .map(drop)
    .map_err(|error| said(&error))
}

/// Ends a role that is locked out. What it made is kept, and belongs to whoever we work as; what it was given goes.
pub(super) async fn drop_role(conn: &mut PgConnection, name: &str) -> Result<()> {
    let role = identifier(name)?;
    let statements = [
        format!("REASSIGN OWNED BY {role} TO CURRENT_USER"),
        format!("DROP OWNED BY {role}"),
        format!("DROP ROLE {role}"),
    ];
    run(conn, statements.into_iter().map(SecretString::new).collect()).await
}

pub(super) async fn valid_until(conn: &mut PgConnection, name: &str, until: &str) -> Result<()> {
    let (role, until) = (identifier(name)?, literal(until)?);
    one(conn, &format!("ALTER ROLE {role} VALID UNTIL {}", until.expose())).await
}

pub(super) async fn set_password(conn: &mut PgConnection, name: &str, password: &SecretString) -> Result<()> {
    let (role, password) = (identifier(name)?, literal(password.expose())?);
    let statement = SecretString::new(format!("ALTER ROLE {role} PASSWORD {}", password.expose()));
    one(conn, statement.expose()).await
}

pub(super) async fn close(conn: PgConnection) {
    // The work is done and committed; how the server takes the farewell changes nothing.
    drop(tokio::time::timeout(CONNECT, conn.close()).await);
}

/// Whether we have the rights of the role, without which its sessions and belongings are not ours to end.
async fn usable(conn: &mut PgConnection, name: &str) -> Result<bool> {
    sqlx::query_scalar::<_, bool>("SELECT pg_catalog.pg_has_role(CURRENT_USER, $1, 'USAGE')")
        .bind(name)
        .fetch_one(conn)
        .await
        .map_err(|error| said(&error))
}

/// The server's messages can quote statements, so only their codes are kept.
fn said(error: &sqlx::Error) -> Error {
    let Some(database) = error.as_database_error() else {
        let what = match error {
            sqlx::Error::Io(error) => format!("input or output: {}", error.kind()),
            sqlx::Error::Tls(_) => "tls".to_owned(),
            _ => "protocol".to_owned(),
        };
        return Error::unavailable("target_unreachable", "the database cannot be reached").context(what);
    };
    let code = database.code().unwrap_or(Cow::Borrowed("unknown"));
    match code.as_ref() {
        "28P01" | "28000" => Error::forbidden("target_login_refused", "the database refuses the log-in"),
        "42501" => Error::forbidden("target_refused", "the database does not let us do this")
            .hint("the engine's role needs CREATEROLE, and what it is to grant"),
        "57P01" | "57P02" | "57P03" | "53300" | "40001" | "40P01" | "55P03" | "57014" => {
            Error::unavailable("target_busy", "the database is busy or shutting down")
        }
        _ => Error::unavailable("target_failed", format!("the database refuses a statement (`{code}`)"))
            .hint("try the statements of the role by hand"),
    }
    .context(format!("sqlstate {code}"))
}

//! Runs PostgreSQL's own `pg_dump` and `pg_restore`.

use std::{io, path::Path, process::Stdio};

use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::process::Command;
use writ_kernel::{Error, Result};

use crate::{config::postgres_options, error::error, migrate};

/// Dumps the database at `url` to `file`, in the custom format.
pub(crate) async fn dump(url: &str, file: &Path) -> Result<()> {
    let mut command = tool("pg_dump", url)?;
    command.args(["--format=custom", "--no-owner", "--enable-row-security", "--file"]).arg(file);
    run("pg_dump", command).await
}

/// Reads the dump `file` into the empty database at `url`, as its owner, all or nothing.
pub(crate) async fn restore(url: &str, app_role: &str, file: &Path) -> Result<()> {
    let options = postgres_options(url)?;
    let mut conn = PgConnection::connect_with(&options).await.map_err(error)?;
    if migrate::is_migrated_postgres(&mut conn).await? {
        return Err(Error::conflict("database_exists", "the database is not empty")
            .hint("restore into a new database: `createdb --owner=… …`"));
    }
    migrate::ensure_role(&mut conn, app_role).await?;
    let mut command = tool("pg_restore", url)?;
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--dbname"]);
    command.arg(options.get_database().unwrap_or_else(|| options.get_username())).arg(file);
    run("pg_restore", command).await?;
    migrate::require_ours_postgres(&mut conn).await?;
    conn.close().await.map_err(error)
}

/// The tool, told by its environment where to connect: other users of the machine can read arguments.
fn tool(name: &str, url: &str) -> Result<Command> {
    let options = postgres_options(url)?;
    let url = options.to_url_lossy();
    let mut command = Command::new(name);
    command
        .env(
            "PGHOST",
            options.get_socket().map_or_else(|| options.get_host().into(), |it| it.as_os_str().to_owned()),
        )
        .env("PGPORT", options.get_port().to_string())
        .env("PGUSER", options.get_username())
        .env("PGDATABASE", options.get_database().unwrap_or_else(|| options.get_username()))
        // Even the owner is behind the tenant wall; this is how a transaction asks to see everybody.
        .env("PGOPTIONS", "-c app.tenant=*")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(password) = url.password() {
        command.env("PGPASSWORD", percent_decoded(password));
    }
    for (key, value) in url.query_pairs() {
        let variable = match &*key {
            "sslmode" => "PGSSLMODE",
            "sslrootcert" => "PGSSLROOTCERT",
            "sslcert" => "PGSSLCERT",
            "sslkey" => "PGSSLKEY",
            _ => continue,
        };
        command.env(variable, &*value);
    }
    Ok(command)
}

async fn run(name: &str, mut command: Command) -> Result<()> {
    let output = command.output().await.map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => Error::unavailable("tool_missing", format!("`{name}` is not installed"))
            .hint("install the client programs of PostgreSQL, at least as new as the server"),
        _ => Error::unavailable("tool_failed", format!("`{name}` cannot be run")).because(cause),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::unavailable("tool_failed", format!("`{name}` failed")).context(complaint))
}

/// Undoes percent-encoding as written by the URL serialiser: every `%` is followed by two hexadecimal digits.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped =
            tail.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_survive_their_encoding() {
        assert_eq!(percent_decoded("p%40ss%2Fw%C3%B6rd"), "p@ss/wörd");
        assert_eq!(percent_decoded("100%"), "100%");
    }
}

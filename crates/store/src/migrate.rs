//! Migrations: append-only, in pairs, applied once each.
//!
//! A pair is `migrations/sqlite/NNNN_name.sql` and `migrations/postgres/NNNN_name.sql`. The script that was
//! applied is kept whole in `writ_migrations`; a script that has changed since is refused. A database that is
//! ahead of the binary is accepted, because releases only expand first: that is what makes upgrades rolling.
//!
//! Two directives, each on a line of its own, keep PostgreSQL scripts short and their tables walled:
//! `-- tenant-table: NAME [rights]` forces row-level security by `tenant_id` and grants the table to the
//! application's role; `-- system-table: NAME [rights]` only grants. Without `rights` (a list like
//! `select, insert`) all four are granted; append-only tables say less.

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use writ_kernel::{Error, Result, World};

use crate::{Config, config::postgres_options, error::error, lock::Lock, sqlite};

/// One migration, for both engines.
pub(crate) struct Pair {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// All there are, in order.
pub(crate) const PAIRS: &[Pair] = include!(concat!(env!("OUT_DIR"), "/pairs.rs"));

const APPLIED: &str = "SELECT name, script FROM writ_migrations ORDER BY name";
const RECORD: &str = "INSERT INTO writ_migrations (name, script, applied_at) VALUES ($1, $2, $3)";

#[derive(sqlx::FromRow)]
pub(crate) struct Applied {
    name: String,
    script: String,
}

/// Brings the database up to date, creating it (SQLite) if need be, and returns the names applied now.
///
/// On PostgreSQL `config` names the **owner** of the tables, which must not be the role the server runs as;
/// the group role `app_role` is created if missing and granted the tables. Several may run this at once.
///
/// # Errors
/// `Conflict` with `migration_changed` when an applied script is not the one built in; `database_in_use` when
/// a server has the SQLite file open.
pub async fn migrate(config: &Config, world: &World) -> Result<Vec<&'static str>> {
    match config {
        Config::Sqlite { path } => {
            let _lock = Lock::take(path)?;
            sqlite::ensure_file(path)?;
            let mut conn = SqliteConnection::connect_with(&sqlite::options(path)).await.map_err(error)?;
            let names = migrate_sqlite(&mut conn, world).await?;
            conn.close().await.map_err(error)?;
            Ok(names)
        }
        Config::Postgres { url, app_role, .. } => {
            let mut conn = PgConnection::connect_with(&postgres_options(url)?).await.map_err(error)?;
            let names = migrate_postgres(&mut conn, app_role, world).await?;
            conn.close().await.map_err(error)?;
            Ok(names)
        }
    }
}

async fn migrate_sqlite(conn: &mut SqliteConnection, world: &World) -> Result<Vec<&'static str>> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS writ_migrations
           (name TEXT NOT NULL PRIMARY KEY, script TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT",
    )
    .execute(&mut *conn)
    .await
    .map_err(error)?;
    let mut names = Vec::new();
    for pair in pending(&applied_sqlite(conn).await?, |pair| pair.sqlite)? {
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(error)?;
        sqlx::raw_sql(pair.sqlite).execute(&mut *tx).await.map_err(|cause| failed(pair, cause))?;
        sqlx::query(RECORD)
            .bind(pair.name)
            .bind(pair.sqlite)
            .bind(world.now().micros())
            .execute(&mut *tx)
            .await
            .map_err(error)?;
        tx.commit().await.map_err(error)?;
        names.push(pair.name);
    }
    Ok(names)
}

async fn migrate_postgres(
    conn: &mut PgConnection,
    app_role: &str,
    world: &World,
) -> Result<Vec<&'static str>> {
    // Held until this connection closes. The number is arbitrary: "writ" in ASCII.
    sqlx::raw_sql("SELECT pg_advisory_lock(2003986804)").execute(&mut *conn).await.map_err(error)?;
    ensure_role(conn, app_role).await?;
    let book = format!(
        "CREATE TABLE IF NOT EXISTS writ_migrations
           (name TEXT NOT NULL PRIMARY KEY, script TEXT NOT NULL, applied_at BIGINT NOT NULL);
         GRANT SELECT ON writ_migrations TO {app_role}"
    );
    sqlx::raw_sql(AssertSqlSafe(book)).execute(&mut *conn).await.map_err(error)?;
    let mut names = Vec::new();
    for pair in pending(&applied_postgres(conn).await?, |pair| pair.postgres)? {
        // Migrations may move rows of every tenant, and the owner is walled in too.
        let mut tx =
            conn.begin_with("BEGIN; SELECT set_config('app.tenant', '*', TRUE)").await.map_err(error)?;
        let script = expand(pair.postgres, app_role);
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *tx).await.map_err(|cause| failed(pair, cause))?;
        sqlx::query(RECORD)
            .bind(pair.name)
            .bind(pair.postgres)
            .bind(world.now().micros())
            .execute(&mut *tx)
            .await
            .map_err(error)?;
        tx.commit().await.map_err(error)?;
        names.push(pair.name);
    }
    Ok(names)
}

fn failed(pair: &Pair, cause: sqlx::Error) -> Error {
    error(cause).context(format!("migration `{}` failed", pair.name))
}

fn require_current(applied: &[Applied], script: impl Fn(&Pair) -> &'static str) -> Result<()> {
    match pending(applied, script)?.first() {
        None => Ok(()),
        Some(pair) => Err(Error::conflict(
            "migrations_pending",
            format!("the database lacks migration `{}`", pair.name),
        )
        .hint("run `writ migrate`")),
    }
}

/// Refuses a database that is behind this binary, or was migrated by other scripts.
pub(crate) async fn require_current_sqlite(conn: &mut SqliteConnection) -> Result<()> {
    require_current(&applied_sqlite(conn).await?, |pair| pair.sqlite)
}

/// Like [`require_current_sqlite`].
pub(crate) async fn require_current_postgres(conn: &mut PgConnection) -> Result<()> {
    require_current(&applied_postgres(conn).await?, |pair| pair.postgres)
}

/// Refuses a database whose tables were not made by our scripts; it may lack the latest.
pub(crate) async fn require_ours_sqlite(conn: &mut SqliteConnection) -> Result<()> {
    require_ours(&applied_sqlite(conn).await?, |pair| pair.sqlite)
}

/// Like [`require_ours_sqlite`].
pub(crate) async fn require_ours_postgres(conn: &mut PgConnection) -> Result<()> {
    require_ours(&applied_postgres(conn).await?, |pair| pair.postgres)
}

fn require_ours(applied: &[Applied], script: impl Fn(&Pair) -> &'static str) -> Result<()> {
    if applied.is_empty() {
        return Err(Error::invalid("malformed_backup", "the backup is not of a Writ database"));
    }
    pending(applied, script).map(drop)
}

/// Whether any migration was ever applied.
pub(crate) async fn is_migrated_postgres(conn: &mut PgConnection) -> Result<bool> {
    Ok(!applied_postgres(conn).await?.is_empty())
}

async fn applied_sqlite(conn: &mut SqliteConnection) -> Result<Vec<Applied>> {
    let exists: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'writ_migrations'")
        .fetch_one(&mut *conn)
        .await
        .map_err(error)?;
    if exists == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_as(APPLIED).fetch_all(conn).await.map_err(error)
}

async fn applied_postgres(conn: &mut PgConnection) -> Result<Vec<Applied>> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('writ_migrations') IS NOT NULL")
        .fetch_one(&mut *conn)
        .await
        .map_err(error)?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_as(APPLIED).fetch_all(conn).await.map_err(error)
}

fn pending(applied: &[Applied], script: impl Fn(&Pair) -> &'static str) -> Result<Vec<&'static Pair>> {
    let mut pending = Vec::new();
    for pair in PAIRS {
        match applied.iter().find(|it| it.name == pair.name) {
            None => pending.push(pair),
            Some(it) if it.script == script(pair) => {}
            Some(_) => {
                return Err(Error::conflict(
                    "migration_changed",
                    format!("migration `{}` is not the one this database was built with", pair.name),
                )
                .hint("use the release that built the database, or a later one"));
            }
        }
    }
    Ok(pending)
}

/// Creates the group role the tables are granted to.
pub(crate) async fn ensure_role(conn: &mut PgConnection, app_role: &str) -> Result<()> {
    // It is spliced into SQL, where a name cannot be a parameter.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if app_role.is_empty() || app_role.len() > 63 || !app_role.chars().all(plain) {
        return Err(Error::invalid(
            "malformed_role",
            format!("`{}` is not a plain role name", app_role.escape_debug()),
        )
        .hint("use lower-case letters, digits and `_`"));
    }
    let exists = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
    let exists: bool =
        sqlx::query_scalar(exists).bind(app_role).fetch_one(&mut *conn).await.map_err(error)?;
    if exists {
        return Ok(());
    }
    // Roles belong to the whole cluster, so a migration of another database may be creating it too.
    let create = format!(
        "DO $$ BEGIN CREATE ROLE {app_role} NOLOGIN;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    );
    sqlx::raw_sql(AssertSqlSafe(create)).execute(conn).await.map(drop).map_err(|cause| {
        Error::invalid(
            "missing_role",
            format!("the group role `{app_role}` is missing and cannot be created"),
        )
        .hint(format!("as an administrator: `CREATE ROLE {app_role} NOLOGIN`"))
        .because(cause)
    })
}

/// The script with its directives written out.
fn expand(script: &str, app_role: &str) -> String {
    let mut sql = String::new();
    for line in script.lines() {
        if let Some(rest) = line.strip_prefix("-- tenant-table:") {
            let (table, rights) = table_and_rights(rest);
            sql.push_str(&wall(table));
            sql.push_str(&grant(table, rights, app_role));
        } else if let Some(rest) = line.strip_prefix("-- system-table:") {
            let (table, rights) = table_and_rights(rest);
            sql.push_str(&grant(table, rights, app_role));
        } else {
            sql.push_str(line);
            sql.push('\n');
        }
    }
    sql
}

fn table_and_rights(rest: &str) -> (&str, &str) {
    match rest.trim().split_once(' ') {
        Some((table, rights)) => (table, rights),
        None => (rest.trim(), "select, insert, update, delete"),
    }
}

/// A row is within reach of its own tenant, or of a transaction that says `*` outright. Nothing set: nothing seen.
fn wall(table: &str) -> String {
    let reach = "current_setting('app.tenant', TRUE) = '*' OR tenant_id = CASE \
                 WHEN current_setting('app.tenant', TRUE) IN ('', '*') THEN NULL \
                 ELSE current_setting('app.tenant', TRUE)::uuid END";
    format!(
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;\n\
         ALTER TABLE {table} FORCE ROW LEVEL SECURITY;\n\
         CREATE POLICY tenant ON {table} USING ({reach}) WITH CHECK ({reach});\n"
    )
}

fn grant(table: &str, rights: &str, app_role: &str) -> String {
    format!("GRANT {rights} ON {table} TO {app_role};\n")
}

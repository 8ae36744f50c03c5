//! The shared engine: a pool, and the check that the role the server uses is walled in.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction, postgres::PgPoolOptions};
use uuid::Uuid;
use writ_kernel::{Error, Result};

use crate::{
    config::postgres_options,
    error::{closed, error},
};

const ACQUIRE: Duration = Duration::from_secs(5);

/// An open pool.
pub(crate) struct Engine {
    pub(crate) pool: PgPool,
}

/// Whose rows a transaction may touch.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    Tenant(Uuid),
    Everybody,
}

impl Engine {
    pub(crate) async fn open(url: &str, max_connections: u32, app_role: &str) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE)
            .after_connect(|conn, _| Box::pin(set_up(conn)))
            .connect_with(postgres_options(url)?)
            .await
            .map_err(error)?;
        let mut conn = pool.acquire().await.map_err(error)?;
        refuse_strong_role(&mut conn, app_role).await?;
        refuse_open_table(&mut conn).await?;
        drop(conn);
        Ok(Self { pool })
    }

    pub(crate) async fn begin(
        &self,
        reach: Reach,
        read_only: bool,
    ) -> Result<Transaction<'static, Postgres>> {
        if self.pool.is_closed() {
            return Err(closed());
        }
        // A reader sees one moment, as it does on SQLite.
        let mode = if read_only {
            "ISOLATION LEVEL REPEATABLE READ READ ONLY"
        } else {
            "ISOLATION LEVEL READ COMMITTED"
        };
        let tenant = match reach {
            Reach::Tenant(uuid) => uuid.to_string(),
            Reach::Everybody => "*".to_owned(),
        };
        // One round trip. The only variable part is a UUID we formatted ourselves.
        let sql = format!("BEGIN {mode}; SELECT set_config('app.tenant', '{tenant}', TRUE)");
        self.pool.begin_with(AssertSqlSafe(sql)).await.map_err(error)
    }
}

/// Guards against a statement or a transaction that never ends, and against a server told not to wait for disk.
async fn set_up(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(
        "SET statement_timeout = '60s';
         SET lock_timeout = '15s';
         SET idle_in_transaction_session_timeout = '120s';
         SELECT set_config('synchronous_commit', 'on', FALSE)
          WHERE current_setting('synchronous_commit') = 'off'",
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A role that is superuser, may bypass row-level security or owns the tables could walk through the tenant wall.
async fn refuse_strong_role(conn: &mut PgConnection, app_role: &str) -> Result<()> {
    #[derive(sqlx::FromRow)]
    struct Role {
        name: String,
        superuser: bool,
        bypasses: bool,
        owns: i64,
    }
    let role: Role = sqlx::query_as(
        "SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypasses,
                (SELECT count(*) FROM pg_class c
                  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
                    AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owns
           FROM pg_roles r WHERE r.rolname = current_user",
    )
    .fetch_one(conn)
    .await
    .map_err(error)?;
    let strength = match role {
        Role { superuser: true, .. } => "is a superuser",
        Role { bypasses: true, .. } => "may bypass row-level security",
        Role { owns: 1.., .. } => "owns the tables",
        _ => return Ok(()),
    };
    Err(Error::invalid("unsafe_database_role", format!("the database role `{}` {strength}", role.name)).hint(format!(
        "give the server a role of its own: `CREATE ROLE writ_server LOGIN PASSWORD '…' IN ROLE {app_role}`"
    )))
}

/// Every table with tenants in it must have its wall.
async fn refuse_open_table(conn: &mut PgConnection) -> Result<()> {
    let open: Option<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
          WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
            AND EXISTS (SELECT FROM pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
          ORDER BY c.relname LIMIT 1",
    )
    .fetch_optional(conn)
    .await
    .map_err(error)?;
    match open {
        None => Ok(()),
        Some(table) => Err(Error::invalid(
            "unsafe_database_table",
            format!("the table `{table}` holds tenants' rows without forced row-level security"),
        )
        .hint("run `writ migrate` as the owner; a migration marks such a table with `-- tenant-table:`")),
    }
}

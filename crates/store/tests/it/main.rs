//! The store, on both engines.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod backup;
mod crash;
mod durability;
mod group_commit;
mod jobs;
mod leader;
mod migrations;
mod transactions;
mod walls;

use writ_kernel::{Result, TenantId};
use writ_store::{Config, Db, Transactional, Tx, jobs::NewJob, on};

/// Adds a job, the handiest row there is.
async fn add(tx: &mut Tx, key: &str) -> Result<bool> {
    let due_at = tx.world().now();
    writ_store::jobs::enqueue(tx, &NewJob { kind: "test", key, payload: "{}", due_at, max_attempts: 3 }).await
}

/// Adds a job in a transaction of its own.
async fn add_durably(db: &Db, tenant: TenantId, key: &str) -> Result<()> {
    let mut tx = db.tx(tenant).await?;
    add(&mut tx, key).await?;
    tx.commit().await
}

/// The keys of all jobs that `tx` can see when its statement forgets the tenant.
async fn visible(tx: &mut impl Transactional) -> Vec<String> {
    on!(tx, |conn| sqlx::query_scalar::<_, String>("SELECT key FROM jobs ORDER BY key").fetch_all(conn))
        .unwrap()
}

/// The keys of all jobs of all tenants.
async fn all_keys(db: &Db) -> Vec<String> {
    visible(&mut db.system_read().await.unwrap()).await
}

/// The file of an embedded database.
fn file(config: &Config) -> &std::path::Path {
    match config {
        Config::Sqlite { path } => path,
        Config::Postgres { .. } => panic!("not a file"),
    }
}

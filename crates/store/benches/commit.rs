//! Durable records a second on SQLite: group commit against one plain transaction a record.
//!
//! `cargo bench -p writ-store --features testing` prints both, and their ratio, at each concurrency.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark reports"
)]

use std::{sync::Arc, time::Instant};

use sqlx::{
    Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Mutex;
use writ_kernel::{TenantId, World};
use writ_store::{Db, jobs, jobs::NewJob, testing::TestDb, testing::Time};

const RECORDS: usize = 4_096;

#[tokio::main]
async fn main() {
    println!(
        "{:>12} {:>14} {:>14} {:>7} {:>11}",
        "concurrency", "grouped rec/s", "plain rec/s", "ratio", "batch size"
    );
    for concurrency in [1, 16, 64] {
        let house = TestDb::sqlite().await;
        let grouped = rate(concurrency, &house.db, grouped).await;
        let stats = house.db.stats();
        let plain = rate(concurrency, &Plain::open().await, plain).await;
        let batch = stats.commits as f64 / stats.batches as f64;
        println!("{concurrency:>12} {grouped:>14.0} {plain:>14.0} {:>7.2} {batch:>11.1}", grouped / plain);
    }
}

/// Records a second when `concurrency` tasks write one after the other each.
async fn rate<S, F>(concurrency: usize, store: &S, write: fn(S, usize) -> F) -> f64
where
    S: Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let tasks: Vec<_> = (0..concurrency)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..RECORDS / concurrency {
                    write(store.clone(), task * RECORDS + n).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    RECORDS as f64 / start.elapsed().as_secs_f64()
}

async fn grouped(db: Db, n: usize) {
    let mut tx = db.tx(TenantId::from_uuid(uuid::Uuid::nil())).await.unwrap();
    let due_at = db.world().now();
    let job = NewJob { kind: "bench", key: &n.to_string(), payload: "{}", due_at, max_attempts: 1 };
    jobs::enqueue(&mut tx, &job).await.unwrap();
    tx.commit().await.unwrap();
}

/// What one would write without the store: a connection behind a lock, the same row, the same durability.
#[derive(Clone)]
struct Plain {
    conn: Arc<Mutex<SqliteConnection>>,
    world: World,
    _files: Arc<tempfile::TempDir>,
}

impl Plain {
    async fn open() -> Self {
        let files = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(files.path().join("plain.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(include_str!("../migrations/sqlite/0001_store.sql")).execute(&mut conn).await.unwrap();
        Self { conn: Arc::new(Mutex::new(conn)), world: Time::default().world(), _files: Arc::new(files) }
    }
}

async fn plain(store: Plain, n: usize) {
    let mut conn = store.conn.lock().await;
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query(
        "INSERT INTO jobs (tenant_id, id, kind, key, payload, due_at, attempt, max_attempts, created_at)
         VALUES ($1, $2, 'bench', $3, '{}', $4, 0, 1, $4)",
    )
    .bind(uuid::Uuid::nil())
    .bind(store.world.uuid())
    .bind(n.to_string())
    .bind(store.world.now().micros())
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

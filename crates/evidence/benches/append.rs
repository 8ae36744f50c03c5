//! Acts on record a second through the gate on SQLite, `synchronous=FULL`, against one plain durable insert of such a
//! leaf in a transaction of its own; then how fast the sequencer integrates what they left.
//!
//! `cargo bench -p writ-evidence` prints both, and their ratio, at each concurrency.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark reports"
)]

use std::{sync::Arc, time::Duration, time::Instant};

use sqlx::{
    Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Mutex;
use writ_evidence::{Evidence, Sequencer};
use writ_gate::{Done, Gate, Resource};
use writ_kernel::{Action, Caller, World};
use writ_store::testing::{TestDb, Time};
use writ_testkit::House;

const LEAVES: usize = 4_096;

#[tokio::main]
async fn main() {
    println!("concurrency    gate leaves/s   plain inserts/s   ratio   sequenced/s");
    for concurrency in [1, 16, 64] {
        let db = TestDb::sqlite().await;
        let house = House::over(&db).await;
        let admin = house.tenant("acme").await;
        let bob = house.person(&admin, "bob", &["viewer"]).await;
        let gated = rate(concurrency, (house.gate.clone(), bob.caller.clone()), act).await;
        let plain = rate(concurrency, Plain::open().await, insert).await;
        house.advance(Duration::from_mins(1));
        let mut sequencer = Sequencer::new(&Evidence::new(house.gate.clone(), "writ.example").unwrap());
        let start = Instant::now();
        let integrated = sequencer.tick().await.unwrap().integrated;
        let placed = integrated as f64 / start.elapsed().as_secs_f64();
        let ratio = gated / plain;
        println!("{concurrency:>11} {gated:>16.0} {plain:>17.0} {ratio:>7.2} {placed:>13.0}");
    }
}

/// Writes a second when `concurrency` tasks write one after the other each.
async fn rate<S, F>(concurrency: usize, store: S, write: fn(S) -> F) -> f64
where
    S: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let tasks = (0..concurrency).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..LEAVES / concurrency {
                write(store.clone()).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    LEAVES as f64 / start.elapsed().as_secs_f64()
}

/// The whole way: enter, decide, write the leaf with its sealed payload, commit.
async fn act((gate, caller): (Gate, Caller)) {
    let grant = gate.grant(&caller, Action::EnvironmentRead, Resource::all("environment")).await.unwrap();
    grant.commit(Done::plain()).await.unwrap();
}

/// What one would write without the house: a connection behind a lock, a row of the same size, the same durability.
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
        let table =
            "CREATE TABLE leaves (leaf_id BLOB NOT NULL PRIMARY KEY, at INTEGER NOT NULL, leaf TEXT NOT NULL,
            payload BLOB NOT NULL) STRICT";
        sqlx::raw_sql(table).execute(&mut conn).await.unwrap();
        Self { conn: Arc::new(Mutex::new(conn)), world: Time::default().world(), _files: Arc::new(files) }
    }
}

async fn insert(store: Plain) {
    let mut conn = store.conn.lock().await;
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("INSERT INTO leaves (leaf_id, at, leaf, payload) VALUES ($1, $2, $3, $4)")
        .bind(store.world.uuid())
        .bind(store.world.now().micros())
        .bind("l".repeat(500))
        .bind(vec![7_u8; 700])
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

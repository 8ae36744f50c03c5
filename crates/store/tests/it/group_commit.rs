//! SQLite: transactions that come together share a flush, and its failure.

use std::sync::Arc;

use tokio::sync::Barrier;
use writ_kernel::{Kind, Result};
use writ_store::{Db, Tx, execute, on_both, testing::TestDb};

use crate::{add, add_durably, all_keys, file};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_come_together_share_flushes() {
    let house = TestDb::sqlite().await;
    let tenant = house.db.world().id();
    let together = Arc::new(Barrier::new(64));
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let (db, together) = (house.db.clone(), Arc::clone(&together));
            tokio::spawn(async move {
                together.wait().await;
                for n in 0..4 {
                    add_durably(&db, tenant, &format!("{task}-{n}")).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = house.db.stats();
    assert_eq!(stats.commits, 256);
    assert!(stats.batches < stats.commits / 2, "{stats:?}");
    assert!(stats.largest_batch > 8, "{stats:?}");
    assert_eq!(all_keys(&house.db).await.len(), 256);
}

#[tokio::test]
async fn a_lone_transaction_does_not_wait_for_company() {
    let house = TestDb::sqlite().await;
    add_durably(&house.db, house.db.world().id(), "a").await.unwrap();
    add_durably(&house.db, house.db.world().id(), "b").await.unwrap();
    let stats = house.db.stats();
    assert_eq!((stats.commits, stats.batches, stats.last_batch), (2, 2, 1));
}

#[tokio::test]
async fn a_dropped_transaction_does_not_take_its_batch_along() {
    let house = TestDb::sqlite().await;
    let tenant = house.db.world().id();
    let mut first = house.db.tx(tenant).await.unwrap();
    add(&mut first, "kept").await.unwrap();
    // On one thread: both transactions below queue for the writer before the committer can.
    let db = house.db.clone();
    let dropped = tokio::spawn(async move {
        let mut tx = db.tx(tenant).await.unwrap();
        add(&mut tx, "dropped").await.unwrap();
    });
    let db = house.db.clone();
    let third = tokio::spawn(async move { add_durably(&db, tenant, "third").await });
    tokio::task::yield_now().await;
    first.commit().await.unwrap();
    dropped.await.unwrap();
    third.await.unwrap().unwrap();
    assert_eq!(all_keys(&house.db).await, ["kept", "third"]);
}

#[tokio::test]
async fn a_failed_flush_is_told_to_every_member_of_the_batch() {
    let house = TestDb::sqlite().await;
    let tenant = house.db.world().id();
    // A deferred constraint is what makes COMMIT itself fail, on demand.
    let mut tx = house.db.tx(tenant).await.unwrap();
    run(&mut tx, "CREATE TABLE p (id INTEGER PRIMARY KEY) STRICT").await.unwrap();
    run(&mut tx, "CREATE TABLE c (p INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED) STRICT")
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let mut first = house.db.tx(tenant).await.unwrap();
    add(&mut first, "innocent").await.unwrap();
    let db = house.db.clone();
    let second = tokio::spawn(async move {
        let mut tx = db.tx(tenant).await?;
        run(&mut tx, "INSERT INTO c VALUES (1)").await?;
        tx.commit().await
    });
    let db = house.db.clone();
    let third = tokio::spawn(async move { add_durably(&db, tenant, "innocent too").await });
    tokio::task::yield_now().await;
    for outcome in [first.commit().await, second.await.unwrap(), third.await.unwrap()] {
        assert_eq!(outcome.unwrap_err().code(), "not_recorded");
    }
    assert!(all_keys(&house.db).await.is_empty());

    add_durably(&house.db, tenant, "after").await.unwrap();
    assert_eq!(all_keys(&house.db).await, ["after"]);
    assert_eq!(house.db.stats().commits, 2);
}

#[tokio::test]
async fn a_full_disk_is_named_and_loses_nothing_acknowledged() {
    let house = TestDb::sqlite().await;
    let tenant = house.db.world().id();
    add_durably(&house.db, tenant, "before").await.unwrap();
    let mut tx = house.db.tx(tenant).await.unwrap();
    add(&mut tx, "first").await.unwrap();
    // A limit below the present size means the present size: the file may not grow.
    run(&mut tx, "PRAGMA max_page_count = 1").await.unwrap();
    let db = house.db.clone();
    let glutton = tokio::spawn(async move {
        let mut tx = db.tx(tenant).await?;
        for n in 0..100 {
            add(&mut tx, &format!("{n}{}", "x".repeat(10_000))).await?;
        }
        tx.commit().await
    });
    tokio::task::yield_now().await;
    let first = tx.commit().await;
    let refused = glutton.await.unwrap().unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Unavailable, "disk_full"));
    assert!(refused.advice().is_some());
    // SQLite may undo the whole batch then: whoever else was in it hears so, or is kept.
    let kept = all_keys(&house.db).await;
    assert_eq!(first.is_ok(), kept.contains(&"first".to_owned()));
    assert!(kept.contains(&"before".to_owned()));

    let mut tx = house.db.tx(tenant).await.unwrap();
    run(&mut tx, "PRAGMA max_page_count = 100000").await.unwrap();
    tx.commit().await.unwrap();
    add_durably(&house.db, tenant, "after").await.unwrap();
    assert!(all_keys(&house.db).await.contains(&"after".to_owned()));
}

async fn run(tx: &mut Tx, sql: &'static str) -> Result<u64> {
    execute!(tx, |conn| sqlx::query(sql).execute(conn))
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused() {
    let house = TestDb::sqlite().await;
    let refused = Db::open(&house.config, house.time.world()).await.unwrap_err();
    assert_eq!(refused.code(), "database_in_use");
    assert!(refused.public().contains(file(&house.config).to_str().unwrap()));
}

on_both! {
    async fn giving_up_on_a_transaction_harms_nobody(house: &TestDb) {
        let tenant = house.db.world().id();
        let held = house.db.tx(tenant).await.unwrap();
        for _ in 0..20 {
            let db = house.db.clone();
            let waiting = tokio::spawn(async move { add_durably(&db, tenant, "abandoned").await });
            tokio::task::yield_now().await;
            waiting.abort();
        }
        drop(held);
        add_durably(&house.db, tenant, "after").await.unwrap();
        let keys = all_keys(&house.db).await;
        assert!(keys.contains(&"after".to_owned()));
    }
}

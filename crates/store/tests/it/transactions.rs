//! What a transaction promises.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use writ_kernel::{Error, Kind};
use writ_store::{execute, on, on_both, retry, testing::TestDb};

use crate::{add, add_durably, all_keys};

on_both! {
    async fn a_committed_row_is_there(house: &TestDb) {
        let tenant = house.db.world().id();
        add_durably(&house.db, tenant, "a").await.unwrap();
        assert_eq!(all_keys(&house.db).await, ["a"]);
    }

    async fn a_dropped_transaction_leaves_nothing(house: &TestDb) {
        let tenant = house.db.world().id();
        let mut tx = house.db.tx(tenant).await.unwrap();
        assert!(add(&mut tx, "dropped").await.unwrap());
        drop(tx);
        add_durably(&house.db, tenant, "kept").await.unwrap();
        assert_eq!(all_keys(&house.db).await, ["kept"]);
    }

    async fn a_transaction_sees_its_own_writes_and_others_do_not(house: &TestDb) {
        let tenant = house.db.world().id();
        let mut tx = house.db.tx(tenant).await.unwrap();
        add(&mut tx, "mine").await.unwrap();
        assert_eq!(crate::visible(&mut tx).await, ["mine"]);
        assert!(all_keys(&house.db).await.is_empty());
        tx.commit().await.unwrap();
    }

    async fn a_read_transaction_cannot_write(house: &TestDb) {
        let mut tx = house.db.read(house.db.world().id()).await.unwrap();
        assert!(add(&mut tx, "a").await.is_err());
        drop(tx);
        assert!(all_keys(&house.db).await.is_empty());
    }

    async fn a_reader_keeps_its_view_while_others_write(house: &TestDb) {
        let tenant = house.db.world().id();
        add_durably(&house.db, tenant, "a").await.unwrap();
        let mut reader = house.db.read(tenant).await.unwrap();
        assert_eq!(crate::visible(&mut reader).await, ["a"]);
        add_durably(&house.db, tenant, "b").await.unwrap();
        assert_eq!(crate::visible(&mut reader).await, ["a"]);
        reader.commit().await.unwrap();
        assert_eq!(all_keys(&house.db).await, ["a", "b"]);
    }

    async fn a_failed_statement_ends_the_transaction(house: &TestDb) {
        let tenant = house.db.world().id();
        let mut tx = house.db.tx(tenant).await.unwrap();
        add(&mut tx, "before").await.unwrap();
        execute!(tx, |conn| sqlx::query("INSERT INTO jobs (id) VALUES (NULL)").execute(conn)).unwrap_err();
        assert_eq!(add(&mut tx, "after").await.unwrap_err().kind(), Kind::Internal);
        assert_eq!(tx.commit().await.unwrap_err().kind(), Kind::Internal);
        assert!(all_keys(&house.db).await.is_empty());
    }

    async fn a_second_row_with_the_same_key_is_a_conflict(house: &TestDb) {
        let tenant = house.db.world().id();
        let mut tx = house.db.tx(tenant).await.unwrap();
        add(&mut tx, "a").await.unwrap();
        let again = execute!(tx, |conn, tenant| sqlx::query(
            "INSERT INTO jobs (tenant_id, id, kind, key, payload, due_at, attempt, max_attempts, created_at)
             SELECT tenant_id, id, kind, key, payload, due_at, attempt, max_attempts, created_at
               FROM jobs WHERE tenant_id = $1"
        )
        .bind(tenant)
        .execute(conn))
        .unwrap_err();
        assert!(writ_store::is_already_exists(&again));
    }

    async fn a_statement_reports_how_many_rows_it_changed(house: &TestDb) {
        let tenant = house.db.world().id();
        let mut tx = house.db.tx(tenant).await.unwrap();
        add(&mut tx, "a").await.unwrap();
        add(&mut tx, "b").await.unwrap();
        let changed = execute!(tx, |conn, tenant| sqlx::query("UPDATE jobs SET kind = 'x' WHERE tenant_id = $1")
            .bind(tenant)
            .execute(conn));
        assert_eq!(changed.unwrap(), 2);
    }

    async fn serialised_decisions_are_not_made_twice(house: &TestDb) {
        let tenant = house.db.world().id();
        let db = &house.db;
        let decide = |key: String| {
            let db = db.clone();
            async move {
                let mut tx = db.tx(tenant).await?;
                writ_store::serialize_on(&mut tx, "first").await?;
                let taken = on!(tx, |conn, tenant| sqlx::query_scalar::<_, i64>(
                    "SELECT count(*) FROM jobs WHERE tenant_id = $1"
                )
                .bind(tenant)
                .fetch_one(conn))?;
                if taken == 0 {
                    add(&mut tx, &key).await?;
                }
                tx.commit().await
            }
        };
        let racers: Vec<_> = (0..8).map(|n| tokio::spawn(decide(n.to_string()))).collect();
        for racer in racers {
            racer.await.unwrap().unwrap();
        }
        assert_eq!(all_keys(db).await.len(), 1);
    }

    async fn giving_up_at_any_point_keeps_all_of_a_transaction_or_nothing(house: &TestDb) {
        let tenant = house.db.world().id();
        for patience in 0..40 {
            let db = house.db.clone();
            let pair = tokio::spawn(async move {
                let mut tx = db.tx(tenant).await?;
                add(&mut tx, &format!("{patience}-a")).await?;
                add(&mut tx, &format!("{patience}-b")).await?;
                tx.commit().await
            });
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
            pair.abort();
        }
        add_durably(&house.db, tenant, "last").await.unwrap();
        let mut keys = all_keys(&house.db).await;
        assert_eq!(keys.pop().unwrap(), "last");
        let halves = |end: &str| keys.iter().filter_map(|key| key.strip_suffix(end)).collect::<Vec<_>>();
        assert_eq!(halves("-a"), halves("-b"));
    }

    async fn a_closed_database_refuses(house: &TestDb) {
        let tenant = house.db.world().id();
        house.db.close().await.unwrap();
        assert_eq!(house.db.tx(tenant).await.unwrap_err().code(), "shutting_down");
        assert_eq!(house.db.read(tenant).await.unwrap_err().code(), "shutting_down");
    }

    async fn closing_waits_for_transactions_under_way(house: &TestDb) {
        let tenant = house.db.world().id();
        let mut tx = house.db.tx(tenant).await.unwrap();
        add(&mut tx, "a").await.unwrap();
        let db = house.db.clone();
        let closing = tokio::spawn(async move { db.close().await });
        tx.commit().await.unwrap();
        closing.await.unwrap().unwrap();
        let reopened = writ_store::Db::open(&house.config, house.time.world()).await.unwrap();
        assert_eq!(all_keys(&reopened).await, ["a"]);
    }
}

#[tokio::test]
async fn contention_is_retried_and_then_reported() {
    let attempts = Arc::new(AtomicU32::new(0));
    let act = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        async { Err::<(), _>(Error::unavailable("contention", "another change came first")) }
    };
    assert_eq!(retry(act).await.unwrap_err().code(), "contention");
    assert_eq!(attempts.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn other_failures_are_not_retried() {
    let attempts = AtomicU32::new(0);
    let act = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        async { Err::<(), _>(Error::not_found("job")) }
    };
    assert_eq!(retry(act).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
}

//! One leader at a time.

use std::time::Duration;

use writ_store::{leader, on_both, testing::TestDb};

const TTL: Duration = Duration::from_secs(10);

on_both! {
    async fn one_of_two_leads(house: &TestDb) {
        let (db, a, b) = (&house.db, house.db.world().uuid(), house.db.world().uuid());
        assert_eq!(leader::try_lead(db, "sequencer", a, TTL).await.unwrap(), Some(1));
        assert_eq!(leader::try_lead(db, "sequencer", b, TTL).await.unwrap(), None);
    }

    async fn names_are_independent(house: &TestDb) {
        let (db, a, b) = (&house.db, house.db.world().uuid(), house.db.world().uuid());
        leader::try_lead(db, "sequencer", a, TTL).await.unwrap();
        assert_eq!(leader::try_lead(db, "rotator", b, TTL).await.unwrap(), Some(1));
    }

    async fn renewing_keeps_the_reign(house: &TestDb) {
        let (db, a, b) = (&house.db, house.db.world().uuid(), house.db.world().uuid());
        leader::try_lead(db, "sequencer", a, TTL).await.unwrap();
        house.time.advance(TTL / 2);
        assert_eq!(leader::try_lead(db, "sequencer", a, TTL).await.unwrap(), Some(1));
        house.time.advance(TTL / 2);
        assert_eq!(leader::try_lead(db, "sequencer", b, TTL).await.unwrap(), None);
    }

    async fn a_successor_begins_a_new_reign_and_the_old_one_is_fenced_off(house: &TestDb) {
        let (db, a, b) = (&house.db, house.db.world().uuid(), house.db.world().uuid());
        let old = leader::try_lead(db, "sequencer", a, TTL).await.unwrap().unwrap();
        house.time.advance(TTL);
        let new = leader::try_lead(db, "sequencer", b, TTL).await.unwrap().unwrap();
        assert_eq!((old, new), (1, 2));
        let mut tx = db.tx(db.world().id()).await.unwrap();
        leader::fence(&mut tx, "sequencer", new).await.unwrap();
        drop(tx);
        let mut tx = db.system_tx().await.unwrap();
        assert_eq!(leader::fence(&mut tx, "sequencer", old).await.unwrap_err().code(), "lease_lost");
    }

    async fn resigning_makes_room_at_once(house: &TestDb) {
        let (db, a, b) = (&house.db, house.db.world().uuid(), house.db.world().uuid());
        leader::try_lead(db, "sequencer", a, TTL).await.unwrap();
        leader::resign(db, "sequencer", b).await.unwrap();
        assert_eq!(leader::try_lead(db, "sequencer", b, TTL).await.unwrap(), None);
        leader::resign(db, "sequencer", a).await.unwrap();
        assert_eq!(leader::try_lead(db, "sequencer", b, TTL).await.unwrap(), Some(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_waits_for_a_fenced_transaction() {
    let house = TestDb::postgres().await;
    let (db, a, b) = (&house.db, house.db.world().uuid(), house.db.world().uuid());
    let epoch = leader::try_lead(db, "sequencer", a, TTL).await.unwrap().unwrap();
    let mut tx = db.tx(db.world().id()).await.unwrap();
    leader::fence(&mut tx, "sequencer", epoch).await.unwrap();
    house.time.advance(TTL);
    let other = db.clone();
    let successor = tokio::spawn(async move { leader::try_lead(&other, "sequencer", b, TTL).await });
    // Comes true only if the fence makes the successor wait.
    let waiting = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut superuser = crate::walls::connect(&house.superuser().unwrap()).await;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut superuser).await.unwrap() == 0 {
        assert!(!successor.is_finished());
    }
    crate::add(&mut tx, "written by the old leader").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(successor.await.unwrap().unwrap(), Some(2));
}

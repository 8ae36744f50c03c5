//! Jobs: at least once, one attempt at a time.

use std::{collections::BTreeSet, time::Duration};

use writ_kernel::TenantId;
use writ_store::{
    Db,
    jobs::{self, Failed, Job, NewJob},
    on_both,
    testing::TestDb,
};

use crate::{add_durably, all_keys};

const LEASE: Duration = Duration::from_secs(30);

async fn claim(db: &Db) -> Option<Job> {
    jobs::claim(db, "test", db.world().uuid(), LEASE).await.unwrap()
}

async fn fail(db: &Db, job: &Job) -> Failed {
    let mut tx = db.tx(job.tenant).await.unwrap();
    let failed = jobs::fail(&mut tx, job, "it broke").await.unwrap();
    tx.commit().await.unwrap();
    failed
}

async fn complete(db: &Db, job: &Job) -> writ_kernel::Result<()> {
    let mut tx = db.tx(job.tenant).await?;
    jobs::complete(&mut tx, job).await?;
    tx.commit().await
}

async fn one_job(house: &TestDb) -> TenantId {
    let tenant = house.db.world().id();
    add_durably(&house.db, tenant, "a").await.unwrap();
    tenant
}

on_both! {
    async fn a_claimed_job_is_what_was_enqueued(house: &TestDb) {
        let tenant = one_job(house).await;
        let job = claim(&house.db).await.unwrap();
        assert_eq!((job.tenant, job.kind.as_str(), job.key.as_str(), job.payload.as_str()), (tenant, "test", "a", "{}"));
        assert_eq!((job.attempt, job.max_attempts), (1, 3));
    }

    async fn a_job_is_claimed_by_one_worker(house: &TestDb) {
        let tenant = house.db.world().id();
        for n in 0..20 {
            add_durably(&house.db, tenant, &n.to_string()).await.unwrap();
        }
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let db = house.db.clone();
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    while let Some(job) = claim(&db).await {
                        mine.push(job.key);
                    }
                    mine
                })
            })
            .collect();
        let mut keys = Vec::new();
        for worker in workers {
            keys.extend(worker.await.unwrap());
        }
        assert_eq!(keys.len(), 20);
        assert_eq!(keys.into_iter().collect::<BTreeSet<_>>().len(), 20);
    }

    async fn a_job_of_another_kind_is_left_alone(house: &TestDb) {
        one_job(house).await;
        let claimed = jobs::claim(&house.db, "other", house.db.world().uuid(), LEASE).await.unwrap();
        assert_eq!(claimed, None);
    }

    async fn a_job_is_not_claimed_before_it_is_due(house: &TestDb) {
        let mut tx = house.db.tx(house.db.world().id()).await.unwrap();
        let due_at = house.db.world().now().plus(Duration::from_secs(10));
        let job = NewJob { kind: "test", key: "later", payload: "{}", due_at, max_attempts: 1 };
        assert!(jobs::enqueue(&mut tx, &job).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(claim(&house.db).await, None);
        house.time.advance(Duration::from_secs(10));
        assert_eq!(claim(&house.db).await.unwrap().key, "later");
    }

    async fn the_same_key_is_enqueued_once(house: &TestDb) {
        let tenant = one_job(house).await;
        let mut tx = house.db.tx(tenant).await.unwrap();
        assert!(!crate::add(&mut tx, "a").await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(all_keys(&house.db).await, ["a"]);
    }

    async fn an_abandoned_job_comes_back_and_its_first_worker_is_fenced_off(house: &TestDb) {
        one_job(house).await;
        let first = claim(&house.db).await.unwrap();
        assert_eq!(claim(&house.db).await, None);
        house.time.advance(LEASE);
        let second = claim(&house.db).await.unwrap();
        assert_eq!(second.attempt, 2);
        assert_eq!(complete(&house.db, &first).await.unwrap_err().code(), "lease_lost");
        complete(&house.db, &second).await.unwrap();
        assert!(all_keys(&house.db).await.is_empty());
    }

    async fn a_heartbeat_keeps_the_lease(house: &TestDb) {
        one_job(house).await;
        let job = claim(&house.db).await.unwrap();
        house.time.advance(LEASE / 2);
        let mut tx = house.db.tx(job.tenant).await.unwrap();
        jobs::heartbeat(&mut tx, &job, LEASE).await.unwrap();
        tx.commit().await.unwrap();
        house.time.advance(LEASE / 2);
        assert_eq!(claim(&house.db).await, None);
    }

    async fn a_failed_job_waits_longer_each_time_and_dies(house: &TestDb) {
        let tenant = one_job(house).await;
        for wait in [2, 4] {
            let job = claim(&house.db).await.unwrap();
            let again = house.db.world().now().plus(Duration::from_secs(wait));
            assert_eq!(fail(&house.db, &job).await, Failed::Again(again));
            assert_eq!(claim(&house.db).await, None);
            house.time.advance(Duration::from_secs(wait));
        }
        let last = claim(&house.db).await.unwrap();
        assert_eq!(fail(&house.db, &last).await, Failed::Dead);
        house.time.advance(Duration::from_hours(1));
        assert_eq!(claim(&house.db).await, None);
        assert_eq!(jobs::dead(&mut house.db.read(tenant).await.unwrap()).await.unwrap(), 1);
    }

    async fn a_job_whose_last_worker_vanished_is_dead(house: &TestDb) {
        let tenant = one_job(house).await;
        for _ in 0..3 {
            claim(&house.db).await.unwrap();
            house.time.advance(LEASE);
        }
        assert_eq!(claim(&house.db).await, None);
        assert_eq!(jobs::dead(&mut house.db.read(tenant).await.unwrap()).await.unwrap(), 1);
    }

    async fn another_tenant_cannot_complete_a_job(house: &TestDb) {
        one_job(house).await;
        let mut job = claim(&house.db).await.unwrap();
        job.tenant = house.db.world().id();
        assert_eq!(complete(&house.db, &job).await.unwrap_err().code(), "lease_lost");
        assert_eq!(all_keys(&house.db).await, ["a"]);
    }
}

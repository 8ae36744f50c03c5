//! `init` does everything or nothing.

use serde_json::json;
use uuid::Uuid;
use writ_kernel::Id;
use writ_store::{Db, execute, on_both, testing::TestDb};

use crate::ground::Ground;

/// In the way of the founding: a tenant that has the platform's name already.
async fn obstruct(ground: &Ground, house: &TestDb) -> Db {
    writ_store::migrate(&ground.place.owner, &house.time.world()).await.unwrap();
    let db = Db::open(&ground.place.config, house.time.world()).await.unwrap();
    let mut tx = db.tx(Id::from_uuid(Uuid::from_u128(7))).await.unwrap();
    execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO tenants (tenant_id, name, log_id, active, created_at) VALUES ($1, 'platform', 'x', 1, 0)"
    )
    .bind(tenant)
    .execute(conn))
    .unwrap();
    tx.commit().await.unwrap();
    db
}

async fn clear(ground: &Ground, house: &TestDb) {
    let db = Db::open(&ground.place.config, house.time.world()).await.unwrap();
    let mut tx = db.tx(Id::from_uuid(Uuid::from_u128(7))).await.unwrap();
    execute!(tx, |conn, tenant| sqlx::query("DELETE FROM tenants WHERE tenant_id = $1")
        .bind(tenant)
        .execute(conn))
    .unwrap();
    tx.commit().await.unwrap();
    db.close().await.unwrap();
}

on_both! {
    async fn a_beginning_that_breaks_off_has_not_begun(house: &TestDb) {
        let ground = Ground::beside(house);
        obstruct(&ground, house).await.close().await.unwrap();
        let server = ground.serve().await;
        let wanted = json!({ "protection": { "kind": "shamir", "threshold": 2, "shares": 2 }, "admin": "root" });
        // The root key is written, then the founding fails: neither is there.
        server.say("/api/v1/sys/init", &wanted).await.must_be_problem(409, "an obstructed beginning");
        let status = server.say("/api/v1/sys/unseal", &json!({ "key": "x" })).await;
        assert_eq!(status.code(), "not_initialized");
        server.say("/api/v1/people", &json!({})).await.must_be_problem(503, "sealed as before");
        server.stop().await;

        clear(&ground, house).await;
        let server = ground.serve().await;
        let root = server.found().await;
        assert_eq!(server.get(&root, "/api/v1/tenants").await.status, 200);
        server.stop().await;
    }

    async fn two_beginnings_at_once_are_one(house: &TestDb) {
        let ground = Ground::beside(house);
        let server = ground.serve().await;
        let wanted = json!({ "protection": { "kind": "dev-file" }, "admin": "root" });
        let (one, other) = tokio::join!(
            server.say("/api/v1/sys/init", &wanted),
            server.say("/api/v1/sys/init", &wanted),
        );
        let (won, lost) = if one.status.is_success() { (one, other) } else { (other, one) };
        lost.must_be_problem(409, "the second beginning");
        let login = json!({ "token": won.word("enrolmentToken") });
        let root = server.say("/api/v1/sessions", &login).await.word("token");
        // The key file is the winner's.
        server.stop().await;
        let server = ground.serve().await;
        assert_eq!(server.get(&root, "/api/v1/whoami").await.status, 200);
        server.stop().await;
    }
}

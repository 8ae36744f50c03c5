//! No tenant reaches another's rows.

use uuid::Uuid;
use writ_store::{Config, Db, execute, migrate, on, on_both, testing::TestDb};

use crate::{add, add_durably, all_keys, visible};

const INSERT: &str =
    "INSERT INTO jobs (tenant_id, id, kind, key, payload, due_at, attempt, max_attempts, created_at)
     VALUES ($1, $2, 'test', 'forged', '{}', 0, 0, 1, 0)";

on_both! {
    async fn a_filtered_statement_sees_only_its_tenant(house: &TestDb) {
        let (ours, theirs) = (house.db.world().id(), house.db.world().id());
        add_durably(&house.db, ours, "ours").await.unwrap();
        add_durably(&house.db, theirs, "theirs").await.unwrap();
        let mut tx = house.db.read(ours).await.unwrap();
        let keys = on!(tx, |conn, tenant| sqlx::query_scalar::<_, String>("SELECT key FROM jobs WHERE tenant_id = $1")
            .bind(tenant)
            .fetch_all(conn));
        assert_eq!(keys.unwrap(), ["ours"]);
    }

    async fn the_same_key_may_exist_in_two_tenants(house: &TestDb) {
        let (ours, theirs) = (house.db.world().id(), house.db.world().id());
        add_durably(&house.db, ours, "same").await.unwrap();
        let mut tx = house.db.tx(theirs).await.unwrap();
        assert!(add(&mut tx, "same").await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(all_keys(&house.db).await, ["same", "same"]);
    }

    async fn a_system_transaction_sees_everybody(house: &TestDb) {
        add_durably(&house.db, house.db.world().id(), "a").await.unwrap();
        add_durably(&house.db, house.db.world().id(), "b").await.unwrap();
        assert_eq!(visible(&mut house.db.system_tx().await.unwrap()).await, ["a", "b"]);
    }
}

#[tokio::test]
async fn a_forgotten_filter_still_sees_only_its_tenant() {
    let house = TestDb::postgres().await;
    let (ours, theirs) = (house.db.world().id(), house.db.world().id());
    add_durably(&house.db, ours, "ours").await.unwrap();
    add_durably(&house.db, theirs, "theirs").await.unwrap();
    assert_eq!(visible(&mut house.db.read(ours).await.unwrap()).await, ["ours"]);
}

#[tokio::test]
async fn a_forgotten_filter_changes_only_its_tenant() {
    let house = TestDb::postgres().await;
    let (ours, theirs) = (house.db.world().id(), house.db.world().id());
    add_durably(&house.db, ours, "ours").await.unwrap();
    add_durably(&house.db, theirs, "theirs").await.unwrap();
    let mut tx = house.db.tx(ours).await.unwrap();
    assert_eq!(execute!(tx, |conn| sqlx::query("UPDATE jobs SET kind = 'x'").execute(conn)).unwrap(), 1);
    assert_eq!(execute!(tx, |conn| sqlx::query("DELETE FROM jobs").execute(conn)).unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(all_keys(&house.db).await, ["theirs"]);
}

#[tokio::test]
async fn a_row_for_another_tenant_cannot_be_inserted() {
    let house = TestDb::postgres().await;
    let (id, theirs) = (house.db.world().uuid(), house.db.world().uuid());
    let mut tx = house.db.tx(house.db.world().id()).await.unwrap();
    let forged = execute!(tx, |conn| sqlx::query(INSERT).bind(theirs).bind(id).execute(conn)).unwrap_err();
    assert!(forged.to_string().contains("row-level security"), "{forged}");
    drop(tx);
    assert!(all_keys(&house.db).await.is_empty());
}

#[tokio::test]
async fn a_row_cannot_be_given_to_another_tenant() {
    let house = TestDb::postgres().await;
    let ours = house.db.world().id();
    add_durably(&house.db, ours, "ours").await.unwrap();
    let mut tx = house.db.tx(ours).await.unwrap();
    let stolen =
        execute!(tx, |conn| sqlx::query("UPDATE jobs SET tenant_id = $1").bind(Uuid::nil()).execute(conn))
            .unwrap_err();
    assert!(stolen.to_string().contains("row-level security"), "{stolen}");
}

#[tokio::test]
async fn a_connection_that_names_no_tenant_sees_nothing() {
    let house = TestDb::postgres().await;
    add_durably(&house.db, house.db.world().id(), "a").await.unwrap();
    let mut conn = connect(&house.config).await;
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut conn).await.unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn even_the_owner_is_walled() {
    let house = TestDb::postgres().await;
    add_durably(&house.db, house.db.world().id(), "a").await.unwrap();
    let mut conn = connect(&house.owner).await;
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut conn).await.unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn every_table_with_tenants_is_walled() {
    let house = TestDb::postgres().await;
    let mut conn = connect(&house.owner).await;
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
          WHERE a.attname = 'tenant_id' AND c.relkind = 'r'
            AND NOT (c.relrowsecurity AND c.relforcerowsecurity
                     AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert!(open.is_empty(), "no wall around {open:?}: add `-- tenant-table: NAME` to the migration");
    let walled: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_policy").fetch_one(&mut conn).await.unwrap();
    assert!(walled >= 1);
}

#[tokio::test]
async fn a_table_without_its_wall_stops_the_start() {
    let house = TestDb::postgres().await;
    sqlx::raw_sql("CREATE TABLE naked (tenant_id UUID NOT NULL)")
        .execute(&mut connect(&house.owner).await)
        .await
        .unwrap();
    let refused = Db::open(&house.config, house.time.world()).await.unwrap_err();
    assert_eq!(refused.code(), "unsafe_database_table");
    assert!(refused.public().contains("`naked`"));
}

#[tokio::test]
async fn the_owner_of_the_tables_is_refused_as_a_server() {
    let house = TestDb::postgres().await;
    let refused = Db::open(&house.owner, house.time.world()).await.unwrap_err();
    assert_eq!(refused.code(), "unsafe_database_role");
    assert!(refused.public().contains("owns the tables"));
    assert!(refused.advice().unwrap().contains("CREATE ROLE"));
}

#[tokio::test]
async fn a_superuser_is_refused_as_a_server() {
    let house = TestDb::postgres().await;
    let refused = Db::open(&house.superuser().unwrap(), house.time.world()).await.unwrap_err();
    assert!(refused.public().contains("superuser"));
}

#[tokio::test]
async fn a_role_that_bypasses_the_wall_is_refused_as_a_server() {
    let house = TestDb::postgres().await;
    let superuser = house.superuser().unwrap();
    let role = format!("writ_test_bypass_{}", std::process::id());
    let mut conn = connect(&superuser).await;
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD 'writ' BYPASSRLS IN ROLE writ_app");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut conn).await.unwrap();
    let refused = Db::open(&as_role(&house.config, &role), house.time.world()).await.unwrap_err();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP ROLE {role}"))).execute(&mut conn).await.unwrap();
    assert!(refused.public().contains("bypass"));
}

#[tokio::test]
async fn migrating_twice_keeps_one_wall() {
    let house = TestDb::postgres().await;
    assert!(migrate(&house.owner, &house.time.world()).await.unwrap().is_empty());
    let mut conn = connect(&house.owner).await;
    let walls: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_policy WHERE polrelid = 'jobs'::regclass")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(walls, 1);
}

pub(crate) async fn connect(config: &Config) -> sqlx::PgConnection {
    use sqlx::Connection as _;
    let Config::Postgres { url, .. } = config else { panic!("not PostgreSQL") };
    sqlx::PgConnection::connect(url).await.unwrap()
}

fn as_role(config: &Config, role: &str) -> Config {
    let Config::Postgres { url, max_connections, app_role } = config.clone() else {
        panic!("not PostgreSQL")
    };
    Config::Postgres { url: url.replace("writ_test_server", role), max_connections, app_role }
}

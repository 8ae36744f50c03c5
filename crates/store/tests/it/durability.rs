//! The settings that make an acknowledged change last.

use std::{fs, os::unix::fs::PermissionsExt};

use writ_store::{Db, Tx, on, testing::TestDb};

use crate::{add_durably, file};

#[tokio::test]
async fn sqlite_waits_for_the_disk_and_keeps_references() {
    let house = TestDb::sqlite().await;
    let mut tx = house.db.tx(house.db.world().id()).await.unwrap();
    assert_eq!(number(&mut tx, "PRAGMA synchronous").await, 2, "FULL");
    assert_eq!(number(&mut tx, "PRAGMA foreign_keys").await, 1);
    let mode = on!(tx, |conn| sqlx::query_scalar::<_, String>("PRAGMA journal_mode").fetch_one(conn));
    assert_eq!(mode.unwrap(), "wal");
}

#[tokio::test]
async fn sqlite_files_are_private() {
    let house = TestDb::sqlite().await;
    add_durably(&house.db, house.db.world().id(), "a").await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", file(&house.config).display());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{path}");
    }
}

#[tokio::test]
async fn postgres_waits_for_the_disk_even_where_the_role_is_told_not_to() {
    let house = TestDb::postgres().await;
    let mut owner = crate::walls::connect(&house.owner).await;
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut owner).await.unwrap();
    let relax = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    sqlx::raw_sql(sqlx::AssertSqlSafe(relax)).execute(&mut owner).await.unwrap();
    let db = Db::open(&house.config, house.time.world()).await.unwrap();
    let mut tx = db.tx(db.world().id()).await.unwrap();
    let setting = "SELECT current_setting('synchronous_commit')";
    let setting = on!(tx, |conn| sqlx::query_scalar::<_, String>(setting).fetch_one(conn));
    assert_eq!(setting.unwrap(), "on");
}

async fn number(tx: &mut Tx, sql: &'static str) -> i64 {
    on!(tx, |conn| sqlx::query_scalar::<_, i64>(sql).fetch_one(conn)).unwrap()
}

/// A transaction can be kept in a struct and cross threads: this fails to compile when it cannot.
#[test]
fn a_transaction_may_move_between_tasks() {
    fn requires_send<T: Send + Sync + 'static>() {}
    requires_send::<Tx>();
    requires_send::<writ_store::SystemTx>();
    requires_send::<Db>();
}

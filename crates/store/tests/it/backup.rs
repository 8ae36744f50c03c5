//! Backups are complete, private and refuse to destroy anything.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use writ_store::{Config, Db, backup, on_both, restore, testing::TestDb};

use crate::{add, add_durably, all_keys, file};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

on_both! {
    async fn a_backup_taken_while_serving_is_restored(house: &TestDb) {
        let files = Files::new();
        let tenant = house.db.world().id();
        add_durably(&house.db, tenant, "before").await.unwrap();
        let mut under_way = house.db.tx(tenant).await.unwrap();
        add(&mut under_way, "under way").await.unwrap();
        house.db.backup(&files.path("backup")).await.unwrap();
        under_way.commit().await.unwrap();

        let empty = house.empty_sibling();
        restore(&empty.owner, &files.path("backup")).await.unwrap();
        let restored = Db::open(&empty.config, house.time.world()).await.unwrap();
        assert_eq!(all_keys(&restored).await, ["before"]);
        let mut tx = restored.tx(tenant).await.unwrap();
        assert!(add(&mut tx, "after").await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn a_backup_is_private_and_leaves_nothing_else(house: &TestDb) {
        let files = Files::new();
        house.db.backup(&files.path("backup")).await.unwrap();
        assert_eq!(fs::metadata(files.path("backup")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(files.0.path()).unwrap().count(), 1);
    }

    async fn a_backup_replaces_no_file(house: &TestDb) {
        let files = Files::new();
        fs::write(files.path("backup"), "precious").unwrap();
        assert_eq!(house.db.backup(&files.path("backup")).await.unwrap_err().code(), "backup_exists");
        assert_eq!(fs::read_to_string(files.path("backup")).unwrap(), "precious");
    }

    async fn a_restore_replaces_no_database(house: &TestDb) {
        let files = Files::new();
        add_durably(&house.db, house.db.world().id(), "precious").await.unwrap();
        house.db.backup(&files.path("backup")).await.unwrap();
        house.db.close().await.unwrap();
        assert_eq!(restore(&house.owner, &files.path("backup")).await.unwrap_err().code(), "database_exists");
        let reopened = Db::open(&house.config, house.time.world()).await.unwrap();
        assert_eq!(all_keys(&reopened).await, ["precious"]);
    }

    async fn a_file_that_is_no_backup_is_refused(house: &TestDb) {
        let files = Files::new();
        fs::write(files.path("backup"), "hello").unwrap();
        let empty = house.empty_sibling();
        restore(&empty.owner, &files.path("backup")).await.unwrap_err();
        assert_eq!(Db::open(&empty.config, house.time.world()).await.unwrap_err().code(), "migrations_pending");
    }
}

#[tokio::test]
async fn a_damaged_backup_is_refused() {
    let house = TestDb::sqlite().await;
    let files = Files::new();
    add_durably(&house.db, house.db.world().id(), "a").await.unwrap();
    house.db.backup(&files.path("backup")).await.unwrap();
    let mut bytes = fs::read(files.path("backup")).unwrap();
    let end = bytes.len();
    bytes[4096..end].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(files.path("backup"), bytes).unwrap();
    let target = Config::Sqlite { path: files.path("restored.db") };
    assert_eq!(restore(&target, &files.path("backup")).await.unwrap_err().code(), "malformed_backup");
    assert!(!files.path("restored.db").exists());
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
    let files = Files::new();
    let options = SqliteConnectOptions::new().filename(files.path("other.db")).create_if_missing(true);
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (x)").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let target = Config::Sqlite { path: files.path("restored.db") };
    assert_eq!(restore(&target, &files.path("other.db")).await.unwrap_err().code(), "malformed_backup");
}

#[tokio::test]
async fn a_restore_under_a_running_server_is_refused() {
    let house = TestDb::sqlite().await;
    let files = Files::new();
    house.db.backup(&files.path("backup")).await.unwrap();
    assert_eq!(restore(&house.config, &files.path("backup")).await.unwrap_err().code(), "database_in_use");
}

#[tokio::test]
async fn a_stale_write_ahead_log_stops_a_restore() {
    let house = TestDb::sqlite().await;
    let files = Files::new();
    backup(&house.config, &files.path("backup")).await.unwrap();
    fs::write(files.path("writ.db-wal"), "old").unwrap();
    let target = Config::Sqlite { path: files.path("writ.db") };
    assert_eq!(restore(&target, &files.path("backup")).await.unwrap_err().code(), "database_exists");
    assert!(!file(&target).exists());
}

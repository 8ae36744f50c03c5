//! Migrations are applied once, in order, and never change.

use sqlx::Connection as _;
use writ_store::{
    Config, Db, execute, migrate, on, on_both,
    testing::{TestDb, Time},
};

on_both! {
    async fn migrating_again_applies_nothing(house: &TestDb) {
        house.db.close().await.unwrap();
        assert!(migrate(&house.owner, &house.time.world()).await.unwrap().is_empty());
    }

    async fn every_script_is_kept(house: &TestDb) {
        let mut tx = house.db.system_read().await.unwrap();
        let names = on!(tx, |conn| sqlx::query_scalar::<_, String>("SELECT name FROM writ_migrations ORDER BY name")
            .fetch_all(conn))
        .unwrap();
        assert_eq!(names.first().unwrap(), "0001_store");
        assert!(names.is_sorted());
    }
}

#[tokio::test]
async fn an_empty_file_gets_every_migration() {
    let files = tempfile::tempdir().unwrap();
    let config = Config::Sqlite { path: files.path().join("writ.db") };
    let names = migrate(&config, &Time::default().world()).await.unwrap();
    assert_eq!(names.first(), Some(&"0001_store"));
}

#[tokio::test]
async fn a_file_without_tables_is_not_opened() {
    let files = tempfile::tempdir().unwrap();
    let config = Config::Sqlite { path: files.path().join("writ.db") };
    std::fs::write(files.path().join("writ.db"), []).unwrap();
    assert_eq!(Db::open(&config, Time::default().world()).await.unwrap_err().code(), "migrations_pending");
}

#[tokio::test]
async fn a_missing_file_is_not_made_by_opening_it() {
    let files = tempfile::tempdir().unwrap();
    let config = Config::Sqlite { path: files.path().join("writ.db") };
    assert_eq!(Db::open(&config, Time::default().world()).await.unwrap_err().code(), "migrations_pending");
    assert!(!files.path().join("writ.db").exists());
}

#[tokio::test]
async fn a_changed_script_is_refused_on_sqlite() {
    let house = TestDb::sqlite().await;
    let mut tx = house.db.system_tx().await.unwrap();
    execute!(tx, |conn| sqlx::query("UPDATE writ_migrations SET script = 'other'").execute(conn)).unwrap();
    tx.commit().await.unwrap();
    house.db.close().await.unwrap();
    let world = house.time.world();
    assert_eq!(migrate(&house.config, &world).await.unwrap_err().code(), "migration_changed");
    assert_eq!(Db::open(&house.config, world).await.unwrap_err().code(), "migration_changed");
}

#[tokio::test]
async fn a_changed_script_is_refused_on_postgres() {
    let house = TestDb::postgres().await;
    let mut owner = crate::walls::connect(&house.owner).await;
    sqlx::query("UPDATE writ_migrations SET script = 'other'").execute(&mut owner).await.unwrap();
    owner.close().await.unwrap();
    let world = house.time.world();
    assert_eq!(migrate(&house.owner, &world).await.unwrap_err().code(), "migration_changed");
    assert_eq!(Db::open(&house.config, world).await.unwrap_err().code(), "migration_changed");
}

#[tokio::test]
async fn the_application_cannot_rewrite_the_history_of_migrations() {
    let house = TestDb::postgres().await;
    let mut tx = house.db.system_tx().await.unwrap();
    execute!(tx, |conn| sqlx::query("DELETE FROM writ_migrations").execute(conn)).unwrap_err();
}

#[tokio::test]
async fn a_database_ahead_of_the_binary_is_opened() {
    let house = TestDb::postgres().await;
    let mut owner = crate::walls::connect(&house.owner).await;
    sqlx::query("INSERT INTO writ_migrations VALUES ('9999_later', '', 0)")
        .execute(&mut owner)
        .await
        .unwrap();
    Db::open(&house.config, house.time.world()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_together_migrate_once() {
    let house = TestDb::postgres().await;
    let mut owner = crate::walls::connect(&house.owner).await;
    sqlx::raw_sql("DROP TABLE jobs, leases; DELETE FROM writ_migrations WHERE name = '0001_store'")
        .execute(&mut owner)
        .await
        .unwrap();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let (owner, world) = (house.owner.clone(), house.time.world());
            tokio::spawn(async move { migrate(&owner, &world).await })
        })
        .collect();
    let mut applied = Vec::new();
    for start in starts {
        applied.extend(start.await.unwrap().unwrap());
    }
    assert_eq!(applied, ["0001_store"]);
}

#[test]
fn a_configuration_never_shows_its_password() {
    let config: Config = "postgres://writ:hunter2@db.example/writ".parse().unwrap();
    assert_eq!(format!("{config:?}"), "postgres://writ@db.example/writ");
}

#[test]
fn malformed_configurations_are_refused_without_repeating_them() {
    for text in
        ["", "sqlite://", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h:port/d", "/var/lib/writ.db"]
    {
        let refused = text.parse::<Config>().unwrap_err();
        assert_eq!(refused.code(), "malformed_database_url", "{text}");
        assert!(!format!("{refused:?}").contains("hunter2"));
    }
}

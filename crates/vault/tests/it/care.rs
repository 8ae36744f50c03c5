//! Imports, insights, usage, and what is in the database.

use std::time::Duration;

use http::Method;
use serde_json::json;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use writ_store::{Config, on_both, testing::TestDb};
use writ_vault::{Place, Wanted};

use crate::stage::{Stage, text};

/// All that is in the database: every file of SQLite's, every row of every table of PostgreSQL's.
async fn everything(db: &TestDb) -> Vec<u8> {
    let superuser = match (&db.config, db.superuser()) {
        (Config::Sqlite { path }, _) => {
            let files = path.parent().unwrap().read_dir().unwrap();
            return files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        }
        (Config::Postgres { url, .. }, Some(Config::Postgres { url: superuser, .. })) => {
            let name = url.parse::<PgConnectOptions>().unwrap().get_database().unwrap().to_owned();
            superuser.parse::<PgConnectOptions>().unwrap().database(&name)
        }
        _ => panic!("PostgreSQL without a superuser"),
    };
    let mut conn = PgConnection::connect_with(&superuser).await.unwrap();
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    let mut bytes = Vec::new();
    for table in sqlx::query_scalar::<_, String>(tables).fetch_all(&mut conn).await.unwrap() {
        let all = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        for row in sqlx::query_scalar::<_, String>(all).fetch_all(&mut conn).await.unwrap() {
            bytes.extend(row.into_bytes());
        }
    }
    bytes
}

on_both! {
    async fn an_import_repeated_changes_nothing_more(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.store("b", "old").await;
        let wanted = json!({ "items": [
            { "name": "a", "value": "one" }, { "name": "b", "value": "two" }, { "name": "../c", "value": "x" },
        ] });
        let first = stage.post(&stage.dev, "/api/v1/secrets/import", &wanted).await.json();
        assert_eq!((&first["created"], &first["updated"], &first["failed"]), (&json!(1), &json!(1), &json!(1)));
        assert_eq!((&first["results"][2]["index"], &first["results"][2]["error"]), (&json!(2), &json!("malformed_path")));
        let again = stage.post(&stage.dev, "/api/v1/secrets/import", &wanted).await.json();
        assert_eq!((&again["unchanged"], &again["updated"]), (&json!(2), &json!(0)));
    }

    async fn insights_tell_who_read_a_secret_and_when(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "hunter2").await;
        let (read, insights) = (format!("/api/v1/secrets/{id}"), format!("/api/v1/secrets/{id}/insights"));
        for _ in 0..3 {
            stage.get(&stage.dev, &read).await;
        }
        let found = stage.get(&stage.keeper, &insights).await.json();
        assert_eq!((&found["reads"], &found["stale"]), (&json!(3), &json!(false)));
        assert_eq!(found["readers"][0]["principal"], json!(stage.dev.caller.principal));
        assert_eq!(found["strength"], "weak");
    }

    async fn what_nobody_reads_is_stale_after_a_month_and_due_after_three(db: &TestDb) {
        let stage = Stage::over(db).await;
        let place = Place::Id(stage.store("a", "hunter2").await.parse().unwrap());
        stage.vault.read(&stage.dev.caller, &place, None).await.unwrap();
        // Sessions end long before, so the verbs are called without one.
        let insights = async || stage.vault.insights(&stage.keeper.caller, &place).await.unwrap().0;
        stage.house.advance(Duration::from_hours(30 * 24) - Duration::from_secs(1));
        assert!(!insights().await.stale);
        stage.house.advance(Duration::from_secs(1));
        let found = insights().await;
        assert!(found.stale && !found.due);
        let unread_since = Some(stage.house.gate.world().now().minus(Duration::from_hours(30 * 24 - 1)));
        let wanted = Wanted { unread_since, ..Wanted::default() };
        let (listed, _) = stage.vault.list_numbered(&stage.dev.caller, &wanted, 1, 10).await.unwrap();
        assert_eq!(listed.total, 1);
        stage.house.advance(Duration::from_hours(60 * 24));
        assert!(insights().await.due);
    }

    async fn who_may_not_read_a_value_is_not_told_how_hard_it_is_to_guess(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "hunter2").await;
        let viewer = stage.house.person(&stage.admin, "viewer", &["viewer"]).await;
        let found = stage.get(&viewer, &format!("/api/v1/secrets/{id}/insights")).await.json();
        assert_eq!(found["strength"], "unknown");
    }

    async fn usage_counts_bytes_of_values(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "12345").await;
        stage.write(&id, "123").await;
        let usage = stage.get(&stage.dev, "/api/v1/usage/storage").await.json();
        assert_eq!((&usage["totalBytes"], &usage["categories"][0]["items"]), (&json!(8), &json!(2)));
    }

    async fn no_value_token_or_password_is_in_the_database_or_the_log_in_the_clear(db: &TestDb) {
        let stage = Stage::over(db).await;
        let planted = ["PLANTED-value", "PLANTED-note", "PLANTED-totp", "PLANTED-password", "PLANTED-wrapped"];
        let wanted = json!({ "name": "a", "value": planted[0], "environment": "dev", "notes": planted[1],
            "totpSecret": planted[2] });
        let id = text(&stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await.json()["id"]);
        stage.get(&stage.keeper, &format!("/api/v1/secrets/{id}")).await;
        let wanted = json!({ "secretId": id, "password": planted[3] });
        let token = text(&stage.post(&stage.keeper, "/api/v1/vault/share", &wanted).await.json()["token"]);
        stage.app.anonymous(Method::POST, &format!("/api/v1/share/{token}"), &json!({ "password": planted[3] })).await;
        let wrapped = json!({ "value": planted[4], "ttlSeconds": 60 });
        let wrapping = text(&stage.post(&stage.dev, "/api/v1/vault/wrap", &wrapped).await.json()["token"]);
        let mut bytes = everything(db).await;
        for record in stage.house.records(stage.admin.tenant()).await {
            bytes.extend(record.text.as_bytes());
            bytes.extend(record.payload.to_string().as_bytes());
        }
        let has = |text: &str| {
            let spellings = [text.to_owned(), writ_crypto::hash::hex(text.as_bytes())];
            spellings.iter().any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
        };
        assert!(has("unspecified by client"), "the search looks at secrets");
        for secret in planted.iter().copied().chain([token.as_str(), wrapping.as_str()]) {
            assert!(!has(secret), "{secret}");
        }
    }
}

//! What is secret is nowhere: not in any file, not in the database, not in the log.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, OnceLock},
};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};
use tracing_subscriber::fmt::MakeWriter;
use writ_server::config::Log;
use writ_store::{on_both, testing::TestDb};

use crate::{
    ground::{Ground, Server, ask},
    operations::{self, Things},
};

/// Everything that this process logs.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<u8>>>);

impl Write for Book {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Book {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The log at its most talkative.
fn book() -> Book {
    static BOOK: OnceLock<Book> = OnceLock::new();
    BOOK.get_or_init(|| {
        let book = Book::default();
        writ_server::logging::start_to(&Log { filter: "trace".to_owned(), json: true }, book.clone())
            .unwrap();
        book
    })
    .clone()
}

/// Works for a while, and returns every secret that was said.
async fn be_busy(server: &Server) -> Vec<String> {
    let passphrase = "a passphrase nobody may find";
    let protection = json!({ "kind": "passphrase", "passphrase": passphrase });
    let begun = server.say("/api/v1/sys/init", &json!({ "protection": protection, "admin": "root" })).await;
    let mut secrets = vec![passphrase.to_owned(), begun.word("enrolmentToken")];
    let root = server.say("/api/v1/sessions", &json!({ "token": secrets[1] })).await.word("token");
    let created = server.post(&root, "/api/v1/tenants", &json!({ "name": "busy", "admin": "admin" })).await;
    let enrolment = created.word("enrolmentToken");
    let admin = server.say("/api/v1/sessions", &json!({ "token": enrolment })).await.word("token");
    let boss = server.person(&admin, "boss", &["admin", "developer", "operator", "approver"]).await;
    let things = Things::make(server, &boss, "busy").await;
    let key =
        server.post(&boss, "/api/v1/api-keys", &operations::body("create_key", &things)).await.word("secret");
    assert_eq!(
        ask(server.request(Method::GET, "/api/v1/deployments").header("x-api-key", &key)).await.status,
        200
    );
    // Secrets in wrong places: in a path, a query, a body, and as a member that nobody knows.
    server.get(&boss, &format!("/api/v1/people/{key}")).await.must_be_problem(400, "a path");
    server.get(&boss, &format!("/api/v1/people?token={key}")).await.must_be_problem(400, "a query");
    server.post(&boss, "/api/v1/people", &json!({ "name": key })).await.must_be_problem(400, "a value");
    server
        .post(&boss, "/api/v1/people", &json!({ "name": "x", "password": key }))
        .await
        .must_be_problem(400, "a member");
    server.say("/api/v1/sys/unseal", &json!({ "key": passphrase })).await;
    let variables = json!({ "variables": { "word": "a value that may be read again" }, "target": "busy",
        "connection": things.connection, "configuration": things.configuration });
    assert_eq!(server.post(&boss, "/api/v1/deployments", &variables).await.status, 201);
    let shares = json!({ "protection": { "kind": "shamir", "threshold": 2, "shares": 2 } });
    let rekeyed = server.post(&root, "/api/v1/sys/rekey", &shares).await.json();
    secrets.extend(rekeyed["shares"].as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned));
    secrets.extend([
        root,
        enrolment,
        admin,
        boss,
        key,
        things.enrolment,
        "a value that may be read again".to_owned(),
    ]);
    secrets
}

fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

/// Every row of every table, as text and with bytes in hexadecimal.
async fn rows(house: &TestDb, ground: &Ground) -> Vec<(String, Vec<u8>)> {
    let (Some(writ_store::Config::Postgres { url, .. }), writ_store::Config::Postgres { url: ours, .. }) =
        (house.superuser(), &ground.place.config)
    else {
        return Vec::new();
    };
    let name = ours.parse::<PgConnectOptions>().unwrap().get_database().unwrap().to_owned();
    let options = url.parse::<PgConnectOptions>().unwrap().database(&name);
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    let mut found = Vec::new();
    for table in sqlx::query(tables).fetch_all(&mut conn).await.unwrap() {
        let table: String = table.get(0);
        let all = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        for row in sqlx::query(all).fetch_all(&mut conn).await.unwrap() {
            found.push((table.clone(), row.get::<String, _>(0).into_bytes()));
        }
    }
    assert!(found.len() > 50, "the whole database is looked at");
    found
}

on_both! {
    async fn no_secret_is_written_anywhere(house: &TestDb) {
        let book = book();
        let ground = Ground::beside(house);
        let server = ground.serve().await;
        let secrets = be_busy(&server).await;
        let mut places = rows(house, &ground).await;
        // While it runs, so that what waits in a journal is seen too.
        files(ground.files.path(), &mut places);
        if let writ_store::Config::Sqlite { path } = &ground.place.config {
            files(path.parent().unwrap(), &mut places);
        }
        server.stop().await;
        files(ground.files.path(), &mut places);
        let log = book.0.lock().unwrap().clone();
        assert!(String::from_utf8_lossy(&log).contains("\"route\":\"/api/v1/people/{id}\""), "the log is listened to");
        places.push(("the log".to_owned(), log));
        for secret in &secrets {
            // Also without what any token begins and ends with, and as PostgreSQL writes bytes.
            let core = secret.rsplitn(2, '_').last().and_then(|it| it.rsplit('_').next()).unwrap_or(secret);
            let hex = writ_crypto::hash::hex(secret.as_bytes());
            for (place, bytes) in &places {
                for form in [secret.as_str(), core, &hex] {
                    let found = memchr::memmem::find(bytes, form.as_bytes()).is_some();
                    assert!(!found, "`{form}` is in {place}");
                }
            }
        }
    }
}

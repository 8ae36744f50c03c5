//! Secrets that a process keeps in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, routing::get};
use serde_json::{Value, json};
use writ_client::Secrets;
use writ_kernel::Error;
use writ_web::{Json, Outcome, Query};

use crate::house::House;

/// What the server has: the version and the value of each path; nothing while it is down.
type Shelf = Arc<Mutex<Option<BTreeMap<String, (u32, &'static str)>>>>;

#[derive(serde::Deserialize)]
struct Asked {
    environment: Option<String>,
    path: String,
}

async fn by_path(State(shelf): State<Shelf>, Query(asked): Query<Asked>) -> Outcome<Json<Value>> {
    assert_eq!(asked.environment.as_deref(), Some("prod"));
    let shelf = shelf.lock().unwrap();
    let shelf = shelf.as_ref().ok_or_else(|| Error::conflict("down", "the server is down"))?;
    let (version, value) = shelf.get(&asked.path).ok_or_else(|| Error::not_found("secret"))?;
    Ok(Json(json!({ "id": "x", "version": version, "value": value })))
}

async fn over(shelf: &Shelf) -> Secrets {
    let routes = Router::new().route("/api/v1/secrets/by-path", get(by_path)).with_state(shelf.clone());
    Secrets::new(Arc::new(House::open(routes).await.client()), Some("prod".to_owned()))
}

fn shelf(holding: &[(&str, u32, &'static str)]) -> Shelf {
    let all = holding.iter().map(|(path, version, value)| ((*path).to_owned(), (*version, *value)));
    Arc::new(Mutex::new(Some(all.collect())))
}

fn put(shelf: &Shelf, path: &str, version: u32, value: &'static str) {
    shelf.lock().unwrap().get_or_insert_default().insert(path.to_owned(), (version, value));
}

#[tokio::test]
async fn what_was_resolved_is_there_without_asking_again() {
    let shelf = shelf(&[("db/pass word", 3, "s3cret")]);
    let secrets = over(&shelf).await;
    assert!(!secrets.is_ready(&["db/pass word"]));
    secrets.resolve(&["db/pass word"]).await.unwrap();
    *shelf.lock().unwrap() = None;
    let value = secrets.get("db/pass word").unwrap();
    assert_eq!((value.version(), value.expose()), (3, "s3cret"));
    assert!(secrets.is_ready(&["db/pass word"]));
}

#[tokio::test]
async fn a_process_whose_secret_is_missing_is_not_ready() {
    let secrets = over(&shelf(&[("a", 1, "x")])).await;
    let error = secrets.resolve(&["a", "b"]).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
    assert!(secrets.is_ready(&["a"]) && !secrets.is_ready(&["a", "b"]));
}

#[tokio::test]
async fn a_new_version_is_taken_and_told() {
    let shelf = shelf(&[("a", 1, "old")]);
    let secrets = over(&shelf).await;
    secrets.resolve(&["a"]).await.unwrap();
    let mut changes = secrets.changes();
    assert_eq!(secrets.renew().await.changed, 0);
    put(&shelf, "a", 2, "new");
    assert_eq!(secrets.renew().await.changed, 1);
    changes.changed().await.unwrap();
    assert_eq!(secrets.get("a").unwrap().expose(), "new");
}

#[tokio::test]
async fn while_the_server_is_down_the_known_value_stays() {
    let shelf = shelf(&[("a", 1, "kept")]);
    let secrets = over(&shelf).await;
    secrets.resolve(&["a"]).await.unwrap();
    *shelf.lock().unwrap() = None;
    assert_eq!(secrets.renew().await.failed, 1);
    assert_eq!(secrets.get("a").unwrap().expose(), "kept");
}

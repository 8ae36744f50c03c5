//! Consumers that move to new versions.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};
use writ_testkit::Someone;

use crate::stage::{Stage, text};

/// Binds somebody without any role to a secret, and returns the path to fetch it at.
async fn bind(stage: &Stage, consumer: &Someone, secret: &str, more: Value) -> String {
    let mut wanted = json!({ "name": "database", "secret": secret, "consumer": consumer.caller.principal });
    for (name, value) in more.as_object().unwrap() {
        wanted[name] = value.clone();
    }
    let bound = stage.post(&stage.keeper, "/api/v1/bindings", &wanted).await;
    assert_eq!(bound.status, 201, "{bound:?}");
    format!("/api/v1/bindings/{}/value", text(&bound.json()["id"]))
}

on_both! {
    async fn a_consumer_fetches_what_it_is_bound_to_and_nothing_else(db: &TestDb) {
        let stage = Stage::over(db).await;
        let app = stage.house.person(&stage.admin, "app", &[]).await;
        let (id, other) = (stage.store("a", "one").await, stage.store("b", "two").await);
        let path = bind(&stage, &app, &id, json!({})).await;
        let fetched = stage.get(&app, &path).await.json();
        assert_eq!((&fetched["value"], &fetched["version"]), (&json!("one"), &json!(1)));
        for secret in [&id, &other] {
            assert_eq!(stage.get(&app, &format!("/api/v1/secrets/{secret}")).await.status, 404);
        }
        let stranger = stage.house.person(&stage.admin, "stranger", &[]).await;
        assert_eq!(stage.get(&stranger, &path).await.status, 404);
    }

    async fn the_version_before_stays_readable_until_the_overlap_ends(db: &TestDb) {
        let stage = Stage::over(db).await;
        let app = stage.house.person(&stage.admin, "app", &[]).await;
        let id = stage.store("a", "one").await;
        let path = bind(&stage, &app, &id, json!({ "overlapSeconds": 60 })).await;
        let before = format!("{path}?previous=true");
        assert_eq!(stage.get(&app, &before).await.json()["code"], "overlap_over");
        stage.write(&id, "two").await;
        let fetched = stage.get(&app, &path).await.json();
        assert_eq!((&fetched["value"], &fetched["currentVersion"]), (&json!("two"), &json!(2)));
        assert!(fetched["overlapEndsAt"].is_string());
        assert_eq!(stage.get(&app, &before).await.json()["value"], "one");
        stage.house.advance(Duration::from_mins(1));
        assert_eq!(stage.get(&app, &before).await.json()["code"], "overlap_over");
        assert_eq!(stage.get(&app, &path).await.json()["overlapEndsAt"], Value::Null);
    }

    async fn a_binding_may_stay_with_one_version(db: &TestDb) {
        let stage = Stage::over(db).await;
        let app = stage.house.person(&stage.admin, "app", &[]).await;
        let id = stage.store("a", "one").await;
        let path = bind(&stage, &app, &id, json!({ "version": 1 })).await;
        stage.write(&id, "two").await;
        let fetched = stage.get(&app, &path).await.json();
        assert_eq!((&fetched["value"], &fetched["currentVersion"]), (&json!("one"), &json!(2)));
    }

    async fn a_released_consumer_fetches_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let app = stage.house.person(&stage.admin, "app", &[]).await;
        let id = stage.store("a", "one").await;
        let path = bind(&stage, &app, &id, json!({})).await;
        let binding = path.strip_suffix("/value").unwrap();
        assert_eq!(stage.bare(&stage.keeper, Method::DELETE, binding).await.status, 204);
        assert_eq!(stage.get(&app, &path).await.status, 404);
        let listed = stage.get(&stage.keeper, "/api/v1/bindings?environment=dev").await.json();
        assert_eq!(listed["items"], json!([]));
    }

    async fn who_may_not_read_a_secret_may_not_bind_others_to_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store_in("prod", "a", "one").await;
        let wanted = json!({ "name": "x", "secret": id, "consumer": stage.dev.caller.principal });
        assert_eq!(stage.post(&stage.dev, "/api/v1/bindings", &wanted).await.status, 404);
    }
}

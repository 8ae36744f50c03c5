//! Values that are given away.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};
use writ_testkit::Answer;

use crate::stage::{Stage, text};

async fn share(stage: &Stage, secret: &str, more: &[(&str, Value)]) -> (String, String) {
    let mut wanted = json!({ "secretId": secret });
    for (name, value) in more {
        wanted[*name] = value.clone();
    }
    let shared = stage.post(&stage.keeper, "/api/v1/vault/share", &wanted).await;
    assert_eq!(shared.status, 201, "{shared:?}");
    (text(&shared.json()["id"]), text(&shared.json()["token"]))
}

async fn open(stage: &Stage, token: &str, body: Value) -> Answer {
    stage.app.anonymous(Method::POST, &format!("/api/v1/share/{token}"), &body).await
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), text(&answer.json()["code"]))
}

on_both! {
    async fn a_link_gives_the_current_value_to_whoever_holds_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (_, token) = share(&stage, &id, &[]).await;
        stage.write(&id, "two").await;
        let opened = open(&stage, &token, json!({})).await;
        assert_eq!((opened.status.as_u16(), &opened.json()["value"]), (200, &json!("two")));
        assert_eq!(opened.json()["accessCount"], 1);
        let records = stage.house.records(stage.admin.tenant()).await;
        let record = records.iter().rfind(|record| record.said() == "vault.secrets.receive allow").unwrap();
        assert_eq!(record.payload["actor"]["kind"], "bearer");
        assert_eq!(record.payload["detail"]["version"], 2);
    }

    async fn a_link_opens_as_often_as_it_may_however_many_try_at_once(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (_, token) = share(&stage, &id, &[("maxAccessCount", json!(2))]).await;
        let tries = (0..6).map(|_| {
            let (app, path) = (stage.app.clone(), format!("/api/v1/share/{token}"));
            tokio::spawn(async move { app.anonymous(Method::POST, &path, &json!({})).await.status.as_u16() })
        });
        let mut statuses = Vec::new();
        for attempt in tries.collect::<Vec<_>>() {
            statuses.push(attempt.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 400, 400, 400, 400]);
        assert_eq!(refusal(&open(&stage, &token, json!({})).await), (400, "link_exhausted".to_owned()));
    }

    async fn a_link_ends(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (_, token) = share(&stage, &id, &[("expiresInHours", json!(1))]).await;
        stage.house.advance(Duration::from_hours(1));
        assert_eq!(refusal(&open(&stage, &token, json!({})).await), (404, "link_not_found".to_owned()));
        assert_eq!(stage.count("vault.secrets.receive refuse").await, 1);
    }

    async fn a_link_that_was_taken_back_is_retired(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (link, token) = share(&stage, &id, &[]).await;
        let path = format!("/api/v1/vault/share/{link}");
        assert_eq!(stage.bare(&stage.keeper, Method::DELETE, &path).await.json()["revoked"], true);
        assert_eq!(stage.bare(&stage.keeper, Method::DELETE, &path).await.json()["revoked"], false);
        assert_eq!(refusal(&open(&stage, &token, json!({})).await), (410, "link_retired".to_owned()));
        let listed = stage.get(&stage.keeper, &format!("/api/v1/vault/share/by-secret/{id}")).await.json();
        assert_eq!((&listed["links"][0]["status"], &listed["totalCount"]), (&json!("Revoked"), &json!(1)));
    }

    async fn a_link_gives_nothing_once_its_secret_is_out_of_use_or_destroyed(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (_, token) = share(&stage, &id, &[]).await;
        let path = format!("/api/v1/secrets/{id}");
        stage.bare(&stage.keeper, Method::POST, &format!("{path}/deactivate")).await;
        assert_eq!(refusal(&open(&stage, &token, json!({})).await), (410, "link_retired".to_owned()));
        stage.bare(&stage.keeper, Method::DELETE, &path).await;
        assert_eq!(refusal(&open(&stage, &token, json!({})).await), (410, "link_retired".to_owned()));
    }

    async fn a_password_is_demanded_and_guessing_it_is_slowed_down(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (_, token) = share(&stage, &id, &[("password", json!("open sesame"))]).await;
        assert_eq!(refusal(&open(&stage, &token, json!({})).await).1, "password_required");
        for _ in 0..5 {
            let wrong = open(&stage, &token, json!({ "password": "open barley" })).await;
            assert_eq!(refusal(&wrong), (400, "invalid_password".to_owned()));
        }
        let right = json!({ "password": "open sesame" });
        let slowed = open(&stage, &token, right.clone()).await;
        assert_eq!(refusal(&slowed), (429, "too_many_passwords".to_owned()));
        assert_eq!(slowed.header("retry-after"), "900");
        stage.house.advance(Duration::from_mins(15));
        assert_eq!(open(&stage, &token, right).await.json()["value"], "one");
    }

    async fn of_many_passwords_tried_at_once_only_so_many_are_answered(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let (_, token) = share(&stage, &id, &[("password", json!("open sesame"))]).await;
        let tries = (0..8).map(|_| {
            let (app, path) = (stage.app.clone(), format!("/api/v1/share/{token}"));
            let wrong = json!({ "password": "open barley" });
            tokio::spawn(async move { app.anonymous(Method::POST, &path, &wrong).await.status.as_u16() })
        });
        let mut statuses = Vec::new();
        for attempt in tries.collect::<Vec<_>>() {
            statuses.push(attempt.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [400, 400, 400, 400, 400, 429, 429, 429]);
    }

    async fn who_may_not_read_a_secret_may_not_share_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "one").await;
        let viewer = stage.house.person(&stage.admin, "viewer", &["viewer"]).await;
        let answer = stage.post(&viewer, "/api/v1/vault/share", &json!({ "secretId": id })).await;
        assert_eq!(answer.status, 403);
        let prod = stage.store_in("prod", "a", "one").await;
        let answer = stage.post(&stage.dev, "/api/v1/vault/share", &json!({ "secretId": prod })).await;
        assert_eq!(answer.status, 404);
    }

    async fn a_restricted_secret_is_never_shared_by_link(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "a", "value": "x", "environment": "dev", "classification": "restricted" });
        let id = text(&stage.post(&stage.keeper, "/api/v1/secrets", &wanted).await.json()["id"]);
        let answer = stage.post(&stage.keeper, "/api/v1/vault/share", &json!({ "secretId": id })).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("restricted-secrets-are-not-shared-by-link"));
    }

    async fn nobody_opens_what_is_no_link(db: &TestDb) {
        let stage = Stage::over(db).await;
        let secret = stage.store("a", "one").await;
        let (link, _) = share(&stage, &secret, &[]).await;
        for token in ["x", &link, &stage.keeper.token] {
            assert_eq!(refusal(&open(&stage, token, json!({})).await), (404, "link_not_found".to_owned()));
        }
    }

    async fn a_wrapped_value_is_given_out_once_and_showing_its_token_again_is_on_record(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "value": "hunter2", "ttlSeconds": 60 });
        let wrapped = stage.post(&stage.dev, "/api/v1/vault/wrap", &wanted).await;
        assert_eq!(wrapped.status, 201, "{wrapped:?}");
        let shown = json!({ "token": wrapped.json()["token"] });
        let post = async |path: &str| stage.app.anonymous(Method::POST, path, &shown).await;
        let looked = post("/api/v1/vault/wrap/lookup").await.json();
        assert_eq!((&looked["creationPath"], &looked["token"]), (&json!("vault/wrap"), &Value::Null));
        assert_eq!(post("/api/v1/vault/unwrap").await.json()["value"], "hunter2");
        assert_eq!(refusal(&post("/api/v1/vault/unwrap").await), (410, "link_retired".to_owned()));
        assert_eq!(stage.count("vault.secrets.receive refuse").await, 1);
    }

    async fn a_rewrapped_value_is_behind_the_new_token_only(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "value": "hunter2", "ttlSeconds": 60 });
        let first = stage.post(&stage.dev, "/api/v1/vault/wrap", &wanted).await.json();
        let post = async |path: &str, token: &Value| {
            stage.app.anonymous(Method::POST, path, &json!({ "token": token })).await
        };
        let second = post("/api/v1/vault/rewrap", &first["token"]).await.json();
        assert_eq!(post("/api/v1/vault/unwrap", &first["token"]).await.status, 410);
        assert_eq!(post("/api/v1/vault/unwrap", &second["token"]).await.json()["value"], "hunter2");
    }
}

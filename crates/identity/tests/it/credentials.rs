//! API keys.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, key, text};

on_both! {
    async fn a_key_does_what_its_scopes_say_and_nothing_more(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (_, narrow) = stage.key(&stage.admin, &["identity.people.read"]).await;
        let get = |path: &'static str| stage.app.ask(Some(&narrow), http::Method::GET, path, axum::body::Body::empty());
        assert_eq!(get("/api/v1/people").await.status, StatusCode::OK);
        let refused = get("/api/v1/role-bindings").await;
        assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::FORBIDDEN, &json!("insufficient_scope")));
        assert_eq!(stage.refusal("identity.roles.read").await.as_deref(), Some("insufficient_scope"));
    }

    async fn a_key_cannot_make_a_wider_one(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (_, narrow) = stage.key(&stage.admin, &["identity.keys.create", "identity.people.read"]).await;
        let ask = |scopes: &[&str]| {
            let body = axum::body::Body::from(key(scopes, "2026-12-01T00:00:00Z").to_string());
            stage.app.ask(Some(&narrow), http::Method::POST, "/api/v1/api-keys", body)
        };
        assert_eq!(ask(&["identity.people.read"]).await.status, StatusCode::CREATED);
        for wider in [&["*"][..], &["identity.people.*"], &["identity.people.read", "policy.sets.write"]] {
            let answer = ask(wider).await;
            assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::FORBIDDEN, &json!("wider_scope")), "{wider:?}");
        }
        assert_eq!(stage.refusal("identity.keys.create").await.as_deref(), Some("wider_scope"));
    }

    async fn a_key_ends_in_the_future_and_within_a_year(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (end, status) in [
            ("2026-11-22T12:00:00Z", 400), ("2020-01-01T00:00:00Z", 400), ("2027-11-24T12:00:00Z", 400), ("9999-12-31T00:00:00Z", 400),
            ("tomorrow", 400), ("2026-11-22T12:00:01Z", 201), ("2027-11-23T12:00:00Z", 201),
        ] {
            let answer = stage.post(&stage.admin, "/api/v1/api-keys", &key(&["*"], end)).await;
            assert_eq!(answer.status.as_u16(), status, "{end}: {answer:?}");
        }
    }

    async fn a_key_that_is_over_or_revoked_opens_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (id, secret) = stage.key(&stage.admin, &["*"]).await;
        let short = stage.post(&stage.admin, "/api/v1/api-keys", &key(&["*"], "2026-11-22T13:00:00Z")).await.json();
        stage.house.advance(Duration::from_hours(1));
        assert_eq!(stage.who(&text(&short["secret"])).await.json()["code"], "credential_expired");
        assert_eq!(stage.who(&secret).await.status, StatusCode::OK);
        assert_eq!(stage.delete(&stage.admin, &format!("/api/v1/api-keys/{id}")).await.status, StatusCode::NO_CONTENT);
        stage.house.advance(Duration::from_secs(1));
        assert_eq!(stage.who(&secret).await.json()["code"], "credential_revoked");
        assert_eq!(stage.refusal("identity.credentials.use").await.as_deref(), Some("credential_revoked"));
    }

    async fn a_session_begun_with_a_key_can_do_no_more_and_for_no_longer(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = key(&["identity.sessions.create", "identity.people.read"], "2026-11-22T13:00:00Z");
        let secret = text(&stage.post(&stage.admin, "/api/v1/api-keys", &wanted).await.json()["secret"]);
        let session = text(&stage.log_in(&secret).await.json()["token"]);
        let roles = stage.app.ask(Some(&session), http::Method::GET, "/api/v1/role-bindings", axum::body::Body::empty()).await;
        assert_eq!(roles.status, StatusCode::FORBIDDEN);
        assert_eq!(stage.who(&session).await.status, StatusCode::OK);
        stage.house.advance(Duration::from_hours(1));
        assert_eq!(stage.who(&session).await.status, StatusCode::UNAUTHORIZED);
    }

    async fn a_key_is_listed_without_its_text(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (id, secret) = stage.key(&stage.admin, &["*"]).await;
        let listed = stage.app.get(&stage.admin, "/api/v1/api-keys").await;
        assert_eq!(listed.json()["items"][0]["id"], id);
        assert!(!listed.text().contains(&secret));
    }

    async fn people_manage_their_own_keys_and_no_others(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (ann, bob) = (stage.house.person(&stage.admin, "ann", &[]).await, stage.house.person(&stage.admin, "bob", &[]).await);
        let (id, _) = stage.key(&ann, &["*"]).await;
        assert_eq!(stage.delete(&bob, &format!("/api/v1/api-keys/{id}")).await.status, StatusCode::FORBIDDEN);
        assert_eq!(stage.app.get(&bob, "/api/v1/api-keys").await.status, StatusCode::FORBIDDEN);
        let own = stage.app.get(&ann, &format!("/api/v1/api-keys?principal={}", ann.id())).await;
        assert_eq!(own.json()["items"].as_array().unwrap().len(), 1);
        let others = stage.app.get(&bob, &format!("/api/v1/api-keys?principal={}", ann.id())).await;
        assert_eq!(others.status, StatusCode::FORBIDDEN);
    }

    async fn a_service_lives_by_keys_that_administrators_make(db: &TestDb) {
        let stage = Stage::over(db).await;
        let wanted = json!({ "name": "ci", "owner": stage.admin.id(), "purpose": "builds" });
        let service = text(&stage.post(&stage.admin, "/api/v1/services", &wanted).await.json()["id"]);
        let mut wanted = key(&["*"], "2026-12-01T00:00:00Z");
        wanted["service"] = json!(service);
        let secret = text(&stage.post(&stage.admin, "/api/v1/api-keys", &wanted).await.json()["secret"]);
        assert_eq!(stage.who(&secret).await.json()["name"], "ci");
        assert_eq!(stage.log_in(&secret).await.json()["code"], "not_for_login");
        let own = axum::body::Body::from(key(&["*"], "2026-12-01T00:00:00Z").to_string());
        assert_eq!(stage.app.ask(Some(&secret), http::Method::POST, "/api/v1/api-keys", own).await.status, StatusCode::FORBIDDEN);
        stage.post(&stage.admin, &format!("/api/v1/services/{service}/retire"), &json!({})).await;
        assert_eq!(stage.who(&secret).await.status, StatusCode::UNAUTHORIZED);
    }

    async fn malformed_requests_change_nothing(db: &TestDb) {
        let stage = Stage::over(db).await;
        let good = key(&["*"], "2026-12-01T00:00:00Z");
        for (member, value) in [
            ("label", json!("")), ("label", json!("a\nb")), ("label", json!(7)), ("scopes", json!([])), ("scopes", json!("*")),
            ("scopes", json!(["secrets.everything"])), ("colour", json!("red")), ("service", json!("not-a-uuid")),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            assert_eq!(stage.post(&stage.admin, "/api/v1/api-keys", &bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
        }
        let huge = json!({ "name": "x".repeat(17 * 1024 * 1024) });
        assert_eq!(stage.post(&stage.admin, "/api/v1/people", &huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(stage.app.get(&stage.admin, "/api/v1/api-keys").await.json()["items"].as_array().unwrap().is_empty());
    }
}

//! Ways in.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use writ_store::{Config, on_both, testing::TestDb};

use crate::stage::{Stage, text};

on_both! {
    async fn an_enrolment_token_begins_one_session(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (id, token) = stage.enrolment("ann").await;
        let answer = stage.log_in(&token).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let session = answer.json();
        assert_eq!((&session["person"]["id"], &session["tenant"]["name"]), (&json!(id), &json!("acme")));
        assert_eq!(stage.who(&text(&session["token"])).await.json()["name"], "ann");
        let again = stage.log_in(&token).await;
        assert_eq!((again.status, &again.json()["code"]), (StatusCode::UNAUTHORIZED, &json!("credential_revoked")));
        assert_eq!(stage.refusal("identity.credentials.use").await.as_deref(), Some("credential_revoked"));
    }

    async fn many_who_show_the_same_enrolment_token_get_one_session(db: &TestDb) {
        let stage = std::sync::Arc::new(Stage::over(db).await);
        let (_, token) = stage.enrolment("ann").await;
        let attempts: Vec<_> = (0..6).map(|_| {
            let (stage, token) = (stage.clone(), token.clone());
            tokio::spawn(async move { stage.log_in(&token).await.status })
        }).collect();
        let mut let_in = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                StatusCode::CREATED => let_in += 1,
                status => assert_eq!(status, StatusCode::UNAUTHORIZED),
            }
        }
        assert_eq!(let_in, 1);
    }

    async fn an_enrolment_token_waits_a_day(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (_, token) = stage.enrolment("ann").await;
        stage.house.advance(Duration::from_hours(24));
        let answer = stage.log_in(&token).await;
        assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::UNAUTHORIZED, &json!("credential_expired")));
    }

    async fn an_enrolment_token_opens_nothing_but_a_session(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (_, token) = stage.enrolment("ann").await;
        let answer = stage.who(&token).await;
        assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::UNAUTHORIZED, &json!("enrolment_token")));
    }

    async fn a_session_does_not_begin_another(db: &TestDb) {
        let stage = Stage::over(db).await;
        let answer = stage.log_in(&stage.admin.token).await;
        assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::UNAUTHORIZED, &json!("not_for_login")));
    }

    async fn what_is_no_credential_is_refused_the_same_way(db: &TestDb) {
        let stage = Stage::over(db).await;
        let altered = format!("{}x", &stage.admin.token[..stage.admin.token.len() - 1]);
        let unknown = writ_crypto::Token::generate(stage.house.gate.world(), "session").0;
        let other_kind = stage.admin.token.replace("writ_session_", "writ_key_");
        let long = "x".repeat(7_000);
        for token in ["hello", "writ_session_", altered.as_str(), unknown.expose(), &other_kind, &long] {
            let answer = stage.who(token).await;
            assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::UNAUTHORIZED, &json!("invalid_credential")), "{token}");
            assert_eq!(stage.log_in(token).await.status, StatusCode::UNAUTHORIZED, "{token}");
        }
    }

    async fn a_session_ends_by_itself_and_when_told(db: &TestDb) {
        let stage = Stage::over(db).await;
        let ann = stage.house.person(&stage.admin, "ann", &[]).await;
        assert_eq!(stage.delete(&ann, "/api/v1/sessions/current").await.status, StatusCode::NO_CONTENT);
        assert_eq!(stage.who(&ann.token).await.json()["code"], "credential_revoked");
        assert_eq!(stage.who(&stage.admin.token).await.status, StatusCode::OK);
        stage.house.advance(Duration::from_hours(12));
        assert_eq!(stage.who(&stage.admin.token).await.json()["code"], "credential_expired");
    }

    async fn whoever_is_disabled_loses_everything_at_once(db: &TestDb) {
        let stage = Stage::over(db).await;
        let ann = stage.house.person(&stage.admin, "ann", &["viewer"]).await;
        let (_, key) = stage.key(&ann, &["*"]).await;
        assert_eq!(stage.who(&key).await.status, StatusCode::OK);
        let path = format!("/api/v1/people/{}/disable", ann.id());
        assert_eq!(stage.post(&stage.admin, &path, &json!({})).await.status, StatusCode::NO_CONTENT);
        for token in [&ann.token, &key] {
            assert_eq!(stage.who(token).await.status, StatusCode::UNAUTHORIZED);
            assert_eq!(stage.log_in(token).await.status, StatusCode::UNAUTHORIZED);
        }
        let bindings = stage.app.get(&stage.admin, "/api/v1/role-bindings").await.json();
        assert!(bindings["items"].as_array().unwrap().iter().all(|binding| binding["principal"] != ann.id().to_string()));
    }

    async fn nobody_disables_themself(db: &TestDb) {
        let stage = Stage::over(db).await;
        let path = format!("/api/v1/people/{}/disable", stage.admin.id());
        assert_eq!(stage.post(&stage.admin, &path, &json!({})).await.status, StatusCode::CONFLICT);
        assert_eq!(stage.who(&stage.admin.token).await.status, StatusCode::OK);
    }

    async fn no_token_is_in_the_database(db: &TestDb) {
        let stage = Stage::over(db).await;
        let (_, enrolment) = stage.enrolment("ann").await;
        let (_, key) = stage.key(&stage.admin, &["*"]).await;
        let Config::Sqlite { path } = &db.config else { return };
        for file in path.parent().unwrap().read_dir().unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            for token in [&enrolment, &key, &stage.admin.token] {
                let secret = token.rsplit('_').nth(1).unwrap().as_bytes();
                assert!(!bytes.windows(secret.len()).any(|window| window == secret));
            }
        }
    }

    async fn without_a_token_there_is_no_answer(db: &TestDb) {
        let stage = Stage::over(db).await;
        for path in ["/api/v1/whoami", "/api/v1/people", "/api/v1/policies", "/api/v1/tenants", "/api/v1/api-keys"] {
            assert_eq!(stage.app.ask(None, Method::GET, path, axum::body::Body::empty()).await.status, StatusCode::UNAUTHORIZED);
        }
    }
}

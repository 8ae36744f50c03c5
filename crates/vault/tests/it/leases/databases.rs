//! Roles of a database.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};
use writ_targets::testing::Target;
use writ_vault::leases::{Terms, census};

use super::stage::{Stage, run, works};

const HOUR: Duration = Duration::from_hours(1);

on_both! {
    async fn a_credential_works_until_it_is_given_back(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, login) = stage.borrow(&stage.ann, &engine, &target).await;
        assert!(works(&login).await);
        let path = format!("/api/v1/leases/{lease}/revoke");
        let ended = stage.ask(&stage.ann, Method::POST, &path, &Value::Null, 200).await;
        assert_eq!(ended["state"], "ended");
        assert!(!works(&login).await);
        assert_eq!(stage.said().await, [
            "vault.leases.create done", "vault.leases.create intent", "vault.leases.revoke done", "vault.leases.revoke intent",
        ]);
    }

    async fn a_credential_ends_when_its_time_is_over(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, login) = stage.borrow(&stage.ann, &engine, &target).await;
        stage.later(Duration::from_secs(3_599)).await;
        assert_eq!(stage.lease(&lease).await["state"], "active");
        stage.later(Duration::from_secs(1)).await;
        let lease = stage.lease(&lease).await;
        assert_eq!((&lease["state"], &lease["reason"]), (&json!("ended"), &json!("expired")));
        assert!(!works(&login).await);
    }

    async fn the_password_is_nowhere_but_in_the_answer(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, login) = stage.borrow(&stage.ann, &engine, &target).await;
        let mut seen = stage.lease(&lease).await.to_string();
        seen.push_str(&stage.ask(&stage.sam, Method::GET, "/api/v1/engines", &Value::Null, 200).await.to_string());
        for record in stage.house.records(stage.admin.tenant()).await {
            seen.push_str(&record.text);
            seen.push_str(&record.payload.to_string());
        }
        for secret in [login.password.expose(), writ_targets::testing::PASSWORD] {
            assert!(!seen.contains(secret));
        }
        assert!(seen.contains(&login.username), "the name is how people find it at the target");
    }

    async fn a_lease_is_renewed_up_to_its_bound_and_never_shortened(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, login) = stage.borrow(&stage.ann, &engine, &target).await;
        let path = format!("/api/v1/leases/{lease}/renew");
        let before = stage.lease(&lease).await["expiresAt"].clone();
        let same = stage.ask(&stage.ann, Method::POST, &path, &json!({ "ttlSeconds": 1 }), 200).await;
        assert_eq!(same["expiresAt"], before);
        let longer = stage.ask(&stage.ann, Method::POST, &path, &json!({ "ttlSeconds": 99_999 }), 200).await;
        assert_eq!(longer["expiresAt"], longer["maxExpiresAt"]);
        assert!(works(&login).await);
        stage.later(HOUR + HOUR / 2).await;
        assert_eq!(stage.lease(&lease).await["state"], "active");
        stage.later(HOUR / 2).await;
        assert_eq!(stage.lease(&lease).await["state"], "ended");
        let over = stage.ask(&stage.ann, Method::POST, &path, &json!({}), 409).await;
        assert_eq!(over["code"], "lease_over");
    }

    async fn a_target_that_is_gone_keeps_a_lease_from_ending_and_the_worker_keeps_trying(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, login) = stage.borrow(&stage.ann, &engine, &target).await;
        target.stop();
        stage.later(HOUR).await;
        let waiting = stage.lease(&lease).await;
        assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("revoking"), &json!(1)));
        assert_eq!(waiting["failure"], "the database cannot be reached");
        let counted = census(stage.house.gate.db()).await.unwrap();
        assert_eq!((counted.active, counted.revoking, counted.overdue), (0, 1, 1));

        stage.round().await;
        assert_eq!(stage.lease(&lease).await["attempts"], 1, "it is not tried again before its time");
        stage.later(Duration::from_secs(2)).await;
        assert_eq!(stage.lease(&lease).await["attempts"], 2);

        target.resume().await;
        stage.later(Duration::from_secs(4)).await;
        let ended = stage.lease(&lease).await;
        assert_eq!((&ended["state"], &ended["failure"]), (&json!("ended"), &Value::Null));
        assert!(!works(&login).await);
        let said = stage.said().await;
        let of_ending = said.iter().filter(|said| said.contains("revoke")).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(of_ending, [
            "vault.leases.revoke done", "vault.leases.revoke fail", "vault.leases.revoke fail",
            "vault.leases.revoke intent",
        ]);
    }

    async fn a_lease_that_cannot_be_ended_is_given_up_on_record_only(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, _) = stage.borrow(&stage.ann, &engine, &target).await;
        let path = format!("/api/v1/leases/{lease}/abandon");
        assert_eq!(stage.ask(&stage.sam, Method::POST, &path, &Value::Null, 409).await["code"], "not_tried");
        target.stop();
        stage.later(HOUR).await;
        let given_up = stage.ask(&stage.sam, Method::POST, &path, &Value::Null, 200).await;
        assert_eq!(given_up["state"], "abandoned");
        stage.later(HOUR).await;
        assert_eq!(stage.lease(&lease).await["state"], "abandoned");
        assert!(!stage.said().await.contains(&"vault.leases.revoke done".to_owned()));
    }

    async fn what_a_target_did_not_make_is_told_and_swept(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        target.stop();
        let wanted = json!({ "engine": engine, "role": "reader" });
        let failed = stage.ask(&stage.ann, Method::POST, "/api/v1/leases", &wanted, 503).await;
        assert_eq!(failed["code"], "engine_failed");
        let leases = stage.ask(&stage.sam, Method::GET, "/api/v1/leases?state=revoking", &Value::Null, 200).await;
        assert_eq!(leases["items"][0]["reason"], "not_made");
        target.resume().await;
        stage.round().await;
        let id = leases["items"][0]["id"].as_str().unwrap();
        assert_eq!(stage.lease(id).await["state"], "revoking", "it may be being made still");
        stage.later(Duration::from_mins(3)).await;
        assert_eq!(stage.lease(id).await["state"], "ended");
        assert_eq!(stage.said().await[..2], ["vault.leases.create fail", "vault.leases.create intent"]);
    }

    async fn a_crash_after_the_role_was_made_leaves_no_role(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        // A lock on the catalogue holds the statement back until whoever asked is gone.
        let locked = target.superuser();
        let sleeper = tokio::spawn(async move {
            run(&locked, "LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2)").await
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let leases = stage.leases.clone();
        let (caller, engine_id) = (stage.ann.caller.clone(), engine.parse().unwrap());
        let wanted = writ_wire::leases::Borrow { engine: engine_id, role: "reader".into(), ttl_seconds: None };
        let asked = tokio::time::timeout(Duration::from_millis(700), leases.lend(&caller, wanted)).await;
        assert!(asked.is_err(), "the request was cut off while the role was being made");
        drop(sleeper.await);

        let pending = stage.ask(&stage.sam, Method::GET, "/api/v1/leases", &Value::Null, 200).await;
        assert_eq!(pending["items"][0]["state"], "pending");
        stage.later(Duration::from_mins(3)).await;
        let lease = stage.lease(pending["items"][0]["id"].as_str().unwrap()).await;
        assert_eq!((&lease["state"], &lease["reason"]), (&json!("ended"), &json!("orphaned")));
        let handle = lease["handle"].as_str().unwrap();
        let there = format!("DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{handle}'); END $$");
        run(&target.superuser(), &there).await.unwrap();
        assert_eq!(stage.said().await, [
            "vault.leases.create fail", "vault.leases.create intent", "vault.leases.revoke done", "vault.leases.revoke intent",
        ]);
    }

    async fn another_worker_goes_on_where_one_stopped(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, login) = stage.borrow(&stage.ann, &engine, &target).await;
        target.stop();
        stage.later(HOUR).await;
        target.resume().await;
        let mut other = writ_vault::leases::Keeper::new(stage.leases.clone());
        stage.house.advance(Duration::from_mins(1));
        other.round().await.unwrap();
        assert_eq!(stage.lease(&lease).await["state"], "ended");
        assert!(!works(&login).await);
    }

    async fn a_disabled_holder_loses_what_it_borrowed(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, login) = stage.borrow(&stage.ann, &engine, &target).await;
        let (others, _) = stage.borrow(&stage.sam, &engine, &target).await;
        stage.round().await;
        let path = format!("/api/v1/people/{}/disable", stage.ann.id());
        stage.ask(&stage.admin, Method::POST, &path, &Value::Null, 204).await;
        stage.later(Terms::default().roll_call).await;
        let lease = stage.lease(&lease).await;
        assert_eq!((&lease["state"], &lease["reason"]), (&json!("ended"), &json!("holder_disabled")));
        assert!(!works(&login).await);
        assert_eq!(stage.lease(&others).await["state"], "active");
    }

    async fn leases_end_by_the_beginning_of_their_roles_names(db: &TestDb) {
        let (mut stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let role = json!({ "spec": { "kind": "postgres",
            "creation": "CREATE ROLE {{name}} LOGIN PASSWORD {{password}} VALID UNTIL {{expiration}}" } });
        let path = format!("/api/v1/engines/{engine}/roles/writer");
        stage.ask(&stage.sam, Method::PUT, &path, &role, 200).await;
        let (reader, _) = stage.borrow(&stage.ann, &engine, &target).await;
        let wanted = json!({ "engine": engine, "role": "writer" });
        let writer = stage.ask(&stage.ann, Method::POST, "/api/v1/leases", &wanted, 201).await;
        let many = json!({ "engine": engine, "rolePrefix": "wri" });
        let told = stage.ask(&stage.ann, Method::POST, "/api/v1/leases/revoke", &many, 200).await;
        assert_eq!(told["leases"], 1);
        stage.round().await;
        assert_eq!(stage.lease(&reader).await["state"], "active");
        assert_eq!(stage.lease(writer["lease"]["id"].as_str().unwrap()).await["state"], "ended");
        let tricky = json!({ "engine": engine, "rolePrefix": "%" });
        stage.ask(&stage.ann, Method::POST, "/api/v1/leases/revoke", &tricky, 400).await;
    }

    async fn an_engine_is_of_one_environment_and_one_tenant(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, _) = stage.borrow(&stage.ann, &engine, &target).await;
        let stranger = stage.stranger().await;
        let wanted = json!({ "engine": engine, "role": "reader" });
        stage.ask(&stranger, Method::POST, "/api/v1/leases", &wanted, 404).await;
        stage.ask(&stranger, Method::GET, &format!("/api/v1/leases/{lease}"), &Value::Null, 404).await;
        stage.ask(&stranger, Method::POST, &format!("/api/v1/leases/{lease}/revoke"), &Value::Null, 404).await;

        let config = json!({ "kind": "postgres", "host": "127.0.0.1", "port": target.port(),
            "database": "postgres", "username": "postgres" });
        let in_production = json!({ "name": "orders", "environment": stage.prod, "config": config,
            "credential": writ_targets::testing::PASSWORD });
        let engine = stage.ask(&stage.sam, Method::POST, "/api/v1/engines", &in_production, 201).await;
        let role = json!({ "spec": { "kind": "postgres",
            "creation": "CREATE ROLE {{name}} LOGIN PASSWORD {{password}} VALID UNTIL {{expiration}}" } });
        let path = format!("/api/v1/engines/{}/roles/reader", engine["id"].as_str().unwrap());
        stage.ask(&stage.sam, Method::PUT, &path, &role, 200).await;
        let wanted = json!({ "engine": engine["id"], "role": "reader" });
        stage.ask(&stage.ann, Method::POST, "/api/v1/leases", &wanted, 403).await;
        stage.ask(&stage.ann, Method::POST, "/api/v1/engines", &in_production, 403).await;
    }

    async fn nobody_borrows_without_bound(db: &TestDb) {
        let terms = Terms { of_holder: 1, ..Terms::default() };
        let (stage, target) = (Stage::with(db, terms).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, _) = stage.borrow(&stage.ann, &engine, &target).await;
        let wanted = json!({ "engine": engine, "role": "reader" });
        let full = stage.ask(&stage.ann, Method::POST, "/api/v1/leases", &wanted, 429).await;
        assert_eq!(full["code"], "too_many_leases");
        stage.ask(&stage.ann, Method::POST, &format!("/api/v1/leases/{lease}/revoke"), &Value::Null, 200).await;
        stage.borrow(&stage.ann, &engine, &target).await;
    }

    async fn an_engine_goes_only_when_nothing_is_lent(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, _) = stage.borrow(&stage.ann, &engine, &target).await;
        let path = format!("/api/v1/engines/{engine}");
        stage.ask(&stage.sam, Method::DELETE, &path, &Value::Null, 409).await;
        stage.ask(&stage.ann, Method::POST, &format!("/api/v1/leases/{lease}/revoke"), &Value::Null, 200).await;
        stage.ask(&stage.sam, Method::DELETE, &path, &Value::Null, 204).await;
        stage.ask(&stage.sam, Method::GET, &path, &Value::Null, 404).await;
    }

    async fn an_engine_points_nowhere_else_while_something_is_lent(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let (lease, _) = stage.borrow(&stage.ann, &engine, &target).await;
        let path = format!("/api/v1/engines/{engine}");
        let elsewhere = json!({ "kind": "postgres", "host": "192.0.2.1", "database": "postgres", "username": "postgres" });
        let moved = json!({ "config": elsewhere, "credential": writ_targets::testing::PASSWORD });
        let refused = stage.ask(&stage.sam, Method::PATCH, &path, &moved, 409).await;
        assert_eq!(refused["code"], "engine_in_use");
        stage.ask(&stage.ann, Method::POST, &format!("/api/v1/leases/{lease}/revoke"), &Value::Null, 200).await;
        stage.ask(&stage.sam, Method::PATCH, &path, &moved, 200).await;
    }

    async fn an_engines_credential_does_not_follow_it_to_another_address(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let path = format!("/api/v1/engines/{engine}");
        let elsewhere = json!({ "kind": "postgres", "host": "192.0.2.1", "database": "postgres", "username": "postgres" });
        let refused = stage.ask(&stage.sam, Method::PATCH, &path, &json!({ "config": elsewhere }), 400).await;
        assert_eq!(refused["code"], "credential_needed");
        let changed = stage.ask(&stage.sam, Method::PATCH, &path, &json!({ "defaultTtlSeconds": 60 }), 200).await;
        assert_eq!(changed["defaultTtlSeconds"], 60);
        stage.borrow(&stage.ann, &engine, &target).await;
    }

    async fn roles_that_make_no_sense_are_refused(db: &TestDb) {
        let (stage, target) = (Stage::over(db).await, Target::start().await);
        let engine = stage.engine(&target).await;
        let path = format!("/api/v1/engines/{engine}/roles/odd");
        for spec in [
            json!({ "kind": "postgres", "creation": "CREATE ROLE {{name}}" }),
            json!({ "kind": "postgres", "creation": "CREATE ROLE {{name}} PASSWORD {{password}}" }),
            json!({ "kind": "postgres", "creation": "CREATE ROLE 'x{{name}}' PASSWORD {{password}}" }),
            json!({ "kind": "postgres", "creation": "CREATE ROLE {{name}} PASSWORD {{password}} VALID UNTIL {{expiration}}",
                "revocation": "DROP ROLE x" }),
            json!({ "kind": "tokens", "scopes": ["*"] }),
        ] {
            stage.ask(&stage.sam, Method::PUT, &path, &json!({ "spec": spec }), 400).await;
        }
        let spec = json!({ "kind": "postgres", "creation": "CREATE ROLE {{name}} PASSWORD {{password}} VALID UNTIL {{expiration}}" });
        let long = json!({ "spec": spec, "maxTtlSeconds": 86_401 });
        stage.ask(&stage.sam, Method::PUT, &path, &long, 400).await;
    }
}

//! Rows are encrypted field by field, found again, and indexed anew.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, text};

/// SHA3-256 of `paris`, by Python's hashlib.
const PARIS: &str = "ce64b08fb941ea6b1125f5b4800667bcd23c489ec6d8ba1527a8e5d2ff97db7f";

async fn customers(stage: &Stage, algorithm: &str) -> Value {
    stage.key("rows", algorithm).await;
    let wanted = json!({ "table": "public.customers", "key": "rows", "columns": [
        { "name": "email", "search": "keyed" }, { "name": "city", "search": "plain" }, { "name": "note" },
    ] });
    stage.done(&stage.ann, "/api/v1/fields", &wanted).await
}

async fn call(stage: &Stage, what: &str, body: &Value) -> Value {
    stage.done(&stage.ann, &format!("/api/v1/fields/public.customers/{what}"), body).await
}

fn row(id: &str) -> Value {
    json!({ "id": id, "fields": { "email": " Ann@Example.com", "city": "Paris", "note": null } })
}

fn kept(id: &str, sealed: &Value) -> Value {
    json!({ "id": id, "rowKey": sealed.get("rowKey"), "fields": sealed["fields"] })
}

on_both! {
    async fn a_row_is_encrypted_and_decrypted_in_one_call_each(db: &TestDb) {
        let stage = Stage::over(db).await;
        for (algorithm, stand_alone) in [("ML-KEM-768", false), ("ML-KEM-768", true), ("AES-256-GCM", false)] {
            let set = customers(&stage, algorithm).await;
            let made = call(&stage, "encrypt", &json!({ "rows": [row("1")], "standAlone": stand_alone })).await;
            let sealed = &made["results"][0];
            assert!(text(&sealed["fields"]["email"]).starts_with("writ-field:v1:"), "{sealed}");
            assert_eq!((sealed.get("rowKey").is_none(), &sealed["fields"]["note"]), (stand_alone, &Value::Null));
            let opened = call(&stage, "decrypt", &json!({ "rows": [kept("1", sealed)] })).await;
            assert_eq!(opened["results"][0]["fields"], row("1")["fields"]);
            assert_eq!(stage.last().await.payload["detail"]["fieldSet"], "public.customers");
            let path = format!("/api/v1/fields/{}", text(&set["id"]));
            assert_eq!(stage.app.send(&stage.ann, Method::DELETE, &path, &json!({})).await.status, 204);
            let key = stage.app.get(&stage.ann, "/api/v1/keys").await.json()["keys"][0]["id"].clone();
            let gone = format!("/api/v1/keys/{}?scheduleDays=0", text(&key));
            assert_eq!(stage.app.send(&stage.keeper, Method::DELETE, &gone, &json!({})).await.status, 204);
        }
    }

    async fn a_field_opens_in_its_row_and_column_only(db: &TestDb) {
        let stage = Stage::over(db).await;
        customers(&stage, "ML-KEM-768").await;
        let made = call(&stage, "encrypt", &json!({ "rows": [row("1"), row("2")] })).await;
        let (one, two) = (&made["results"][0], &made["results"][1]);
        let mut swapped = kept("1", one);
        swapped["fields"]["city"] = one["fields"]["email"].clone();
        let mut foreign = kept("1", one);
        foreign["rowKey"] = two["rowKey"].clone();
        let unknown = json!({ "id": "1", "rowKey": one["rowKey"], "fields": { "salary": one["fields"]["email"] } });
        let rows = json!({ "rows": [kept("2", one), swapped, foreign, unknown, kept("1", one)] });
        let opened = call(&stage, "decrypt", &rows).await;
        let codes: Vec<_> = opened["results"].as_array().unwrap().iter().map(|it| it["error"].clone()).collect();
        assert_eq!(codes, ["decryption_failed", "decryption_failed", "decryption_failed", "unknown_column", ""].map(|code| {
            if code.is_empty() { Value::Null } else { json!(code) }
        }));
    }

    async fn rows_are_found_by_what_is_equal_when_trimmed_and_in_lower_case(db: &TestDb) {
        let stage = Stage::over(db).await;
        customers(&stage, "AES-256-GCM").await;
        let made = call(&stage, "encrypt", &json!({ "rows": [row("1")] })).await;
        let indexes = &made["results"][0]["indexes"];
        let find = async |column: &str, value: &str| {
            call(&stage, "search-token", &json!({ "column": column, "value": value })).await["tokens"].clone()
        };
        assert_eq!(find("email", "ANN@example.com ").await, json!([indexes["email"]]));
        assert_ne!(find("email", "bob@example.com").await, json!([indexes["email"]]));
        assert_eq!(find("city", "PARIS").await, json!([PARIS]));
        assert_eq!(indexes["city"], PARIS);
        let refused = stage.refused(&stage.ann, "/api/v1/fields/public.customers/search-token", &json!({ "column": "note", "value": "x" })).await;
        assert_eq!(refused, (400, "column_not_searchable".to_owned()));
    }

    async fn after_a_rotation_old_rows_are_found_until_they_are_indexed_anew(db: &TestDb) {
        let stage = Stage::over(db).await;
        customers(&stage, "ML-KEM-768").await;
        let before = call(&stage, "encrypt", &json!({ "rows": [row("1")] })).await;
        let key = stage.app.get(&stage.ann, "/api/v1/keys").await.json()["keys"][0].clone();
        stage.rotate(&key).await;
        assert_eq!(call(&stage, "rotate-index", &json!({})).await["indexVersion"], 2);
        let search = json!({ "column": "email", "value": "ann@example.com" });
        let tokens = call(&stage, "search-token", &search).await["tokens"].clone();
        assert_eq!(tokens[1], before["results"][0]["indexes"]["email"]);
        let after = call(&stage, "rewrap", &json!({ "rows": [kept("1", &before["results"][0])] })).await;
        assert_eq!((&after["keyVersion"], &after["indexVersion"]), (&json!(2), &json!(2)));
        assert_eq!(after["results"][0]["indexes"]["email"], tokens[0]);
        assert!(text(&after["results"][0]["rowKey"]).starts_with("writ-row:v2:"));
        call(&stage, "retire-indexes", &json!({})).await;
        assert_eq!(call(&stage, "search-token", &search).await["tokens"], json!([tokens[0]]));
        let opened = call(&stage, "decrypt", &json!({ "rows": [kept("1", &after["results"][0])] })).await;
        assert_eq!(opened["results"][0]["fields"], row("1")["fields"]);
    }

    async fn coverage_says_what_was_reported_and_what_nobody_knows(db: &TestDb) {
        let stage = Stage::over(db).await;
        customers(&stage, "ML-KEM-768").await;
        let path = "/api/v1/fields/public.customers/progress";
        let report = async |column: &str, encrypted: u32| {
            let body = json!({ "column": column, "total": 200, "encrypted": encrypted, "resumeAt": "id 50" });
            stage.app.send(&stage.ann, Method::PUT, path, &body).await.status
        };
        assert_eq!((report("email", 10).await, report("email", 50).await, report("city", 201).await, report("age", 1).await),
            (204.try_into().unwrap(), 204.try_into().unwrap(), 400.try_into().unwrap(), 400.try_into().unwrap()));
        let coverage = stage.app.get(&stage.ann, "/api/v1/fields/coverage").await.json();
        assert_eq!((&coverage["total"], &coverage["encrypted"], &coverage["unknownColumns"]), (&json!(200), &json!(50), &json!(2)));
        let email = &coverage["tables"][0]["columns"][0];
        assert_eq!((&email["column"], &email["percent"], &email["resumeAt"]), (&json!("email"), &json!(25.0), &json!("id 50")));
    }

    async fn a_table_of_another_environment_is_not_known(db: &TestDb) {
        let stage = Stage::over(db).await;
        stage.done(&stage.keeper, "/api/v1/keys?environment=prod", &json!({ "name": "rows" })).await;
        let wanted = json!({ "table": "orders", "key": "rows", "environment": "prod", "columns": [{ "name": "a" }] });
        let set = stage.done(&stage.keeper, "/api/v1/fields", &wanted).await;
        let body = json!({ "rows": [{ "fields": { "a": "b" } }] });
        for path in [format!("/api/v1/fields/{}/encrypt", text(&set["id"])), "/api/v1/fields/orders/encrypt?environment=prod".to_owned()] {
            assert_eq!(stage.refused(&stage.ann, &path, &body).await, (404, "not_found".to_owned()));
        }
    }

    async fn a_thousand_rows_are_one_call(db: &TestDb) {
        let stage = Stage::over(db).await;
        customers(&stage, "ML-KEM-768").await;
        let rows: Vec<_> = (0..1_000).map(|id| row(&id.to_string())).collect();
        let begin = Instant::now();
        let made = call(&stage, "encrypt", &json!({ "rows": rows })).await;
        assert_eq!(made["results"].as_array().unwrap().len(), 1_000);
        assert!(begin.elapsed() < Duration::from_secs(20));
        let many = json!({ "rows": vec![row("1"); 1_001] });
        let refused = stage.refused(&stage.ann, "/api/v1/fields/public.customers/encrypt", &many).await;
        assert_eq!(refused, (413, "too_many_items".to_owned()));
    }
}

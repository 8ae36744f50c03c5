//! What there is.

use http::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, text};

fn names(page: &Value) -> Vec<String> {
    page["secrets"].as_array().unwrap().iter().map(|secret| text(&secret["name"])).collect()
}

on_both! {
    async fn secrets_are_listed_in_pages_by_the_bytes_of_their_paths(db: &TestDb) {
        let stage = Stage::over(db).await;
        for name in ["b", "B", "a/x", "a", "a-b", "ä"] {
            stage.store(name, "x").await;
        }
        let first = stage.get(&stage.dev, "/api/v1/secrets?limit=4").await.json();
        assert_eq!(names(&first), ["B", "a", "a-b", "a/x"]);
        let rest = format!("/api/v1/secrets?limit=4&after={}", text(&first["next"]).replace('/', "%2F"));
        let rest = stage.get(&stage.dev, &rest).await.json();
        assert_eq!(names(&rest), ["b", "ä"]);
        assert_eq!(rest["has_more"], false);
    }

    async fn numbered_pages_tell_how_many_there_are(db: &TestDb) {
        let stage = Stage::over(db).await;
        for name in ["a", "b", "c"] {
            stage.store(name, "x").await;
        }
        let page = stage.get(&stage.dev, "/api/v1/secrets?page=2&pageSize=2").await.json();
        assert_eq!(names(&page), ["c"]);
        assert_eq!((&page["total"], &page["has_more"]), (&json!(3), &json!(false)));
    }

    async fn a_folder_shows_what_is_directly_in_it(db: &TestDb) {
        let stage = Stage::over(db).await;
        for name in ["a", "a/b/c", "a/b/d", "a/e", "b/f"] {
            stage.store(name, "x").await;
        }
        let list = async |query: &str| {
            stage.get(&stage.dev, &format!("/api/v1/secrets/folders{query}")).await.json()
        };
        assert_eq!(list("").await["items"], json!(["a", "a/", "b/"]));
        assert_eq!(list("?path=a/").await["items"], json!(["b/", "e"]));
        let first = list("?limit=1").await;
        assert_eq!((&first["items"], &first["next"]), (&json!(["a"]), &json!("a")));
        assert_eq!(list("?limit=1&after=a").await["items"], json!(["a/"]));
        assert_eq!(list("?limit=1&after=a/").await["items"], json!(["b/"]));
        assert_eq!(list("?path=nowhere").await["items"], json!([]));
    }

    async fn a_list_is_narrowed_by_folder_sort_label_and_text(db: &TestDb) {
        let stage = Stage::over(db).await;
        let store = async |wanted: Value| {
            let stored = stage.post(&stage.dev, "/api/v1/secrets", &wanted).await;
            assert_eq!(stored.status, 201, "{stored:?}");
        };
        store(json!({ "name": "app/one", "value": "x", "contentType": "password", "labels": ["red"] })).await;
        store(json!({ "name": "app/two", "value": "x", "content_type": "api-key" })).await;
        store(json!({ "name": "apple", "value": "x", "description": "For the Orchard" })).await;
        for (query, expected) in [
            ("prefix=app", &["app/one", "app/two"][..]),
            ("contentType=api-key", &["app/two"]),
            ("label=red", &["app/one"]),
            ("search=ORCHARD", &["apple"]),
        ] {
            let page = stage.get(&stage.dev, &format!("/api/v1/secrets?{query}")).await.json();
            assert_eq!(names(&page), expected, "{query}");
        }
    }

    async fn what_is_out_of_use_is_listed_when_asked_for(db: &TestDb) {
        let stage = Stage::over(db).await;
        let id = stage.store("a", "x").await;
        stage.bare(&stage.keeper, Method::POST, &format!("/api/v1/secrets/{id}/deactivate")).await;
        assert!(names(&stage.get(&stage.dev, "/api/v1/secrets").await.json()).is_empty());
        let all = stage.get(&stage.dev, "/api/v1/secrets?includeInactive=true").await.json();
        assert_eq!(all["secrets"][0]["isActive"], false);
    }

    async fn who_has_roles_in_several_environments_says_which_one(db: &TestDb) {
        let stage = Stage::over(db).await;
        let listed = stage.get(&stage.keeper, "/api/v1/secrets").await;
        assert_eq!((listed.status.as_u16(), &listed.json()["code"]), (400, &json!("environment_required")));
        assert_eq!(stage.get(&stage.keeper, "/api/v1/secrets?environment=prod").await.status, 200);
    }
}

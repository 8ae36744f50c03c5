//! The OpenAPI document.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use writ_web::{
    Json,
    openapi::{OpenApiRouter, assemble, routes, to_json},
};

#[derive(Serialize, ToSchema)]
struct Cat {
    name: String,
}

/// Looks at the cat.
#[utoipa::path(get, path = "/cat", responses((status = 200, body = Cat)))]
async fn cat() -> Json<Cat> {
    Json(Cat { name: "Tom".into() })
}

/// Anybody may look at the door.
#[utoipa::path(get, path = "/door", security(()), responses((status = 200)))]
async fn door() {}

fn document() -> Value {
    let cats = OpenApiRouter::<()>::new().routes(routes!(cat));
    let doors = OpenApiRouter::new().routes(routes!(door));
    let (_, document) = assemble("Writ", "1.2.3", [cats, doors]);
    serde_json::from_str(&to_json(&document).unwrap()).unwrap()
}

#[test]
fn the_rooms_share_one_document() {
    let document = document();
    assert_eq!(document["info"], json!({"title": "Writ", "version": "1.2.3"}));
    assert_eq!(document["paths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/cat", "/door"]);
    assert!(document["components"]["schemas"]["Cat"].is_object());
}

#[test]
fn every_operation_may_answer_with_a_problem() {
    let document = document();
    for path in ["/cat", "/door"] {
        for range in ["4XX", "5XX"] {
            let response = &document["paths"][path]["get"]["responses"][range];
            assert_eq!(response["$ref"], "#/components/responses/Problem", "{path} {range}");
        }
    }
    let content = &document["components"]["responses"]["Problem"]["content"]["application/problem+json"];
    assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem");
    let members = document["components"]["schemas"]["Problem"]["properties"].as_object().unwrap();
    assert!(members.contains_key("traceId") && members.contains_key("retryAfter"));
}

#[test]
fn an_operation_needs_a_credential_unless_it_says_otherwise() {
    let document = document();
    assert_eq!(document["security"], json!([{"apiKey": []}, {"bearer": []}]));
    assert!(document["paths"]["/cat"]["get"].get("security").is_none());
    assert_eq!(document["paths"]["/door"]["get"]["security"], json!([{}]));
}

#[test]
fn the_same_interface_is_the_same_text() {
    let text = || {
        let (_, document) = assemble("Writ", "1", [OpenApiRouter::<()>::new().routes(routes!(cat))]);
        to_json(&document).unwrap()
    };
    assert_eq!(text(), text());
    let top: Vec<_> = text().lines().filter(|line| line.starts_with("  \"")).map(str::to_owned).collect();
    assert!(top.is_sorted(), "{top:?}");
}

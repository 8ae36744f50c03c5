//! What the guides show, works.

use http::Method;
use serde_json::{Value, json};
use writ_identity::{Identity, routes};
use writ_store::{on_both, testing::TestDb};
use writ_testkit::House;
use writ_wire::connections::CreateConnection;

const POLICIES: &str = include_str!("../../../../docs/policies.md");
const AWS: &str = include_str!("../../../../docs/aws.md");

/// The fenced blocks of a document in `language`.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    document.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

on_both! {
    async fn the_examples_of_policies_pass_the_tests_beside_them(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let app = house.app([routes(Identity::new(house.gate.clone()))]);
        let policies = blocks(POLICIES, "cedar").join("\n");
        let [cases] = blocks(POLICIES, "json")[..] else { panic!("one file of cases") };
        let mut wanted: Value = serde_json::from_str(cases).unwrap();
        wanted["policies"] = json!(policies);
        let report = app.send(&admin, Method::POST, "/api/v1/policies/test", &wanted).await;
        assert_eq!(report.status, 200, "{report:?}");
        assert_eq!(report.json()["passed"], true, "{report:?}");
        let put = app.send(&admin, Method::PUT, "/api/v1/policies", &json!({ "policies": policies })).await;
        assert_eq!(put.status, 200, "{put:?}");
    }
}

#[test]
fn the_example_of_a_connection_is_one() {
    let example = blocks(AWS, "json").into_iter().find(|block| block.contains("\"target\"")).unwrap();
    let example = example.replace("<id of prod>", &uuid::Uuid::nil().to_string());
    let connection: CreateConnection = serde_json::from_str(&example).unwrap();
    assert_eq!(connection.name, "acme-prod");
}

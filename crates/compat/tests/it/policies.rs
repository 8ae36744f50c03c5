use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::Stage;

on_both! {
    async fn a_policy_is_written_read_listed_and_deleted(db: &TestDb) {
        let stage = Stage::open(db).await;
        let text = "path \"a\" { capabilities = [\"read\"] }";
        stage.policy("Reader", text).await;
        let read = stage.get("sys/policies/acl/reader", &stage.root).await;
        assert_eq!((read.at("/data/name"), read.at("/data/policy")), (json!("reader"), json!(text)));
        let old = stage.get("sys/policy/reader", &stage.root).await;
        assert_eq!((old.at("/rules"), old.at("/data/rules")), (json!(text), json!(text)));
        let all = json!(["default", "reader", "root"]);
        assert_eq!(stage.list("sys/policies/acl", &stage.root).await.at("/data/keys"), all);
        assert_eq!(stage.get("sys/policy", &stage.root).await.at("/policies"), all);
        assert_eq!(stage.delete("sys/policies/acl/reader", &stage.root).await.status, 204);
        assert_eq!(stage.get("sys/policies/acl/reader", &stage.root).await.status, 404);
        assert_eq!(stage.delete("sys/policies/acl/default", &stage.root).await.status, 400);
        assert_eq!(stage.put("sys/policies/acl/root", &stage.root, json!({ "policy": text })).await.status, 400);
        assert_eq!(stage.put("sys/policies/acl/x", &stage.root, json!({ "policy": "path {" })).await.status, 400);
    }

    async fn a_token_does_what_its_policies_say_and_nothing_else(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("lister", "path \"sys/mounts\" { capabilities = [\"read\"] }").await;
        let lister = stage.token(&["lister"]).await;
        assert_eq!(stage.get("sys/mounts", &lister).await.status, 200);
        let denied = stage.get("sys/auth", &lister).await;
        assert_eq!(denied.errors(), ["1 error occurred:\n\t* permission denied\n\n"]);
        assert!(denied.headers.contains_key("writ-receipt"), "the refusal is on record");
        // A change of the policy holds at once.
        stage.policy("lister", "path \"sys/auth\" { capabilities = [\"read\"] }").await;
        assert_eq!(stage.get("sys/mounts", &lister).await.status, 403);
        assert_eq!(stage.get("sys/auth", &lister).await.status, 200);
    }

    async fn capabilities_are_told_sorted_and_twice(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("p", "path \"a/*\" { capabilities = [\"update\", \"create\"] }\npath \"a/x\" { capabilities = [\"deny\"] }").await;
        let token = stage.token(&["p"]).await;
        let one = stage.put("sys/capabilities-self", &token, json!({ "path": "a/b" })).await;
        assert_eq!((one.at("/capabilities"), one.at("/data/capabilities")),
            (json!(["create", "update"]), json!(["create", "update"])));
        let many = stage.put("sys/capabilities-self", &token, json!({ "paths": ["a/x", "b"] })).await;
        assert_eq!((many.at("/data/a~1x"), many.at("/b"), many.at("/capabilities")),
            (json!(["deny"]), json!(["deny"]), json!(null)));
        let root = stage.put("sys/capabilities-self", &stage.root, json!({ "path": "any" })).await;
        assert_eq!(root.at("/capabilities"), json!(["root"]));
        let theirs = stage.put("sys/capabilities", &stage.root, json!({ "path": "a/b", "token": token })).await;
        assert_eq!(theirs.at("/data/a~1b"), json!(["create", "update"]));
    }

    async fn a_path_for_sudo_needs_sudo(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("some", "path \"auth/token/accessors\" { capabilities = [\"list\"] }").await;
        stage.policy("more", "path \"auth/token/accessors\" { capabilities = [\"list\", \"sudo\"] }").await;
        let (some, more) = (stage.token(&["some"]).await, stage.token(&["more"]).await);
        assert_eq!(stage.list("auth/token/accessors", &some).await.status, 403);
        assert_eq!(stage.list("auth/token/accessors", &more).await.status, 200);
    }
}

use std::time::Duration;

use http::Method;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::Stage;

async fn lives(stage: &Stage, token: &str) -> bool {
    stage.get("auth/token/lookup-self", token).await.status == 200
}

on_both! {
    async fn a_child_ends_with_its_parent_and_an_orphan_does_not(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("maker", "path \"auth/token/*\" { capabilities = [\"create\", \"update\", \"sudo\"] }").await;
        let parent = stage.token(&["maker"]).await;
        let make = async |path: &str, by: &str| {
            let made = stage.put(path, by, json!({ "policies": ["default"] })).await;
            made.at("/auth/client_token").as_str().unwrap().to_owned()
        };
        let child = make("auth/token/create", &parent).await;
        let orphan = make("auth/token/create-orphan", &parent).await;
        assert!(lives(&stage, &child).await && lives(&stage, &orphan).await);
        assert_eq!(stage.put("auth/token/revoke", &stage.root, json!({ "token": parent })).await.status, 204);
        assert!(!lives(&stage, &parent).await && !lives(&stage, &child).await && lives(&stage, &orphan).await);
    }

    async fn a_child_has_no_policy_that_its_parent_lacks(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("maker", "path \"auth/token/create\" { capabilities = [\"update\"] }").await;
        let parent = stage.token(&["maker"]).await;
        let wider = stage.put("auth/token/create", &parent, json!({ "policies": ["other"] })).await;
        assert_eq!((wider.status.as_u16(), wider.errors()), (400, vec!["child policies must be subset of parent".to_owned()]));
        let root = stage.put("auth/token/create", &parent, json!({ "policies": ["root"] })).await;
        assert_eq!(root.status, 400);
        for wanted in [json!({ "no_parent": true }), json!({ "period": "1h" }), json!({ "id": "chosen" })] {
            assert_eq!(stage.put("auth/token/create", &parent, wanted.clone()).await.status, 400, "{wanted}");
        }
        let same = stage.put("auth/token/create", &parent, json!({})).await;
        assert_eq!(same.at("/auth/policies"), json!(["default", "maker"]));
    }

    async fn a_token_ends_when_its_time_is_over_and_lives_longer_when_renewed(db: &TestDb) {
        let stage = Stage::open(db).await;
        let token = stage.token_with(json!({ "policies": ["default"], "ttl": "1h", "explicit_max_ttl": "90m" })).await;
        db.time.advance(Duration::from_mins(50));
        let renewed = stage.put("auth/token/renew-self", &token, json!({})).await;
        // 40 minutes are left of the ninety.
        assert_eq!(renewed.at("/auth/lease_duration"), json!(2400));
        db.time.advance(Duration::from_mins(39));
        assert!(lives(&stage, &token).await);
        db.time.advance(Duration::from_mins(2));
        let over = stage.get("auth/token/lookup-self", &token).await;
        assert_eq!((over.status.as_u16(), over.errors()), (403, vec!["permission denied".to_owned()]));
        assert!(over.headers.contains_key("writ-receipt"), "that it still arrives is on record");
    }

    async fn a_login_ends_with_its_entity(db: &TestDb) {
        let stage = Stage::open(db).await;
        assert_eq!(stage.put("sys/auth/userpass", &stage.root, json!({ "type": "userpass" })).await.status, 204);
        let account = json!({ "password": "correct horse battery staple", "token_policies": ["default"] });
        assert!(stage.put("auth/userpass/users/ada", &stage.root, account).await.status.is_success());
        let login = json!({ "password": "correct horse battery staple" });
        let given = stage.put("auth/userpass/login/ada", "", login).await;
        let token = given.at("/auth/client_token").as_str().unwrap().to_owned();
        assert!(lives(&stage, &token).await);
        let entity = given.at("/auth/entity_id").as_str().unwrap().to_owned();
        let at = format!("identity/entity/id/{entity}");
        let disable = stage.put(&at, &stage.root, json!({ "disabled": true })).await;
        assert!(disable.status.is_success(), "{:?}", disable.errors());
        let refused = stage.get("auth/token/lookup-self", &token).await;
        assert_eq!(refused.status, 403);
        assert!(refused.headers.contains_key("writ-receipt"), "it is on record");
        assert!(stage.put(&at, &stage.root, json!({ "disabled": false })).await.status.is_success());
        assert!(lives(&stage, &token).await);
        assert!(stage.delete(&at, &stage.root).await.status.is_success());
        assert!(!lives(&stage, &token).await);
    }

    async fn a_periodic_token_of_root_lives_for_its_period(db: &TestDb) {
        let stage = Stage::open(db).await;
        let made = stage.put("auth/token/create", &stage.root, json!({ "period": "30m" })).await;
        assert_eq!(made.at("/auth/lease_duration"), json!(1800));
        let token = made.at("/auth/client_token").as_str().unwrap().to_owned();
        db.time.advance(Duration::from_mins(20));
        assert_eq!(stage.put("auth/token/renew-self", &token, json!({})).await.at("/auth/lease_duration"), json!(1800));
    }

    async fn a_token_can_be_used_as_often_as_it_says(db: &TestDb) {
        let stage = Stage::open(db).await;
        let token = stage.token_with(json!({ "policies": ["default"], "num_uses": 2 })).await;
        assert!(lives(&stage, &token).await && lives(&stage, &token).await && !lives(&stage, &token).await);
    }

    async fn a_token_is_looked_up_by_its_text_and_by_its_accessor(db: &TestDb) {
        let stage = Stage::open(db).await;
        let wanted = json!({ "policies": ["default"], "ttl": 60, "meta": { "a": "b" }, "display_name": "x y" });
        let made = stage.put("auth/token/create", &stage.root, wanted).await;
        let found = stage.put("auth/token/lookup", &stage.root, json!({ "token": made.at("/auth/client_token") })).await;
        assert_eq!((found.at("/data/meta/a"), found.at("/data/display_name"), found.at("/data/creation_ttl")),
            (json!("b"), json!("token-x-y"), json!(60)));
        let accessor = made.at("/auth/accessor");
        let found = stage.put("auth/token/lookup-accessor", &stage.root, json!({ "accessor": accessor })).await;
        assert_eq!((found.at("/data/accessor"), found.at("/data/id")), (accessor, json!("")));
        let unknown = stage.put("auth/token/lookup", &stage.root, json!({ "token": "nope" })).await;
        assert_eq!((unknown.status.as_u16(), unknown.errors()), (403, vec!["bad token".to_owned()]));
    }

    async fn a_batch_token_is_used_and_nothing_more(db: &TestDb) {
        let stage = Stage::open(db).await;
        let token = stage.token_with(json!({ "policies": ["default"], "type": "batch", "ttl": "1h" })).await;
        assert!(lives(&stage, &token).await);
        assert_eq!(stage.put("auth/token/renew-self", &token, json!({})).await.status, 400);
        assert_eq!(stage.put("cubbyhole/x", &token, json!({ "a": 1 })).await.status, 400);
    }

    async fn roles_say_what_tokens_made_under_them_are(db: &TestDb) {
        let stage = Stage::open(db).await;
        let role = json!({ "allowed_policies": "a,b", "period": "1h", "orphan": "true", "path_suffix": "ci" });
        assert_eq!(stage.put("auth/token/roles/r", &stage.root, role).await.status, 204);
        assert_eq!(stage.list("auth/token/roles", &stage.root).await.at("/data/keys"), json!(["r"]));
        let made = stage.put("auth/token/create/r", &stage.root, json!({ "policies": ["a"] })).await;
        assert_eq!((made.at("/auth/lease_duration"), made.at("/auth/orphan")), (json!(3600), json!(true)));
        assert_eq!(stage.put("auth/token/create/r", &stage.root, json!({ "policies": ["c"] })).await.status, 400);
        assert_eq!(stage.put("auth/token/create/none", &stage.root, json!({})).await.errors(), ["unknown role none"]);
        assert_eq!(stage.delete("auth/token/roles/r", &stage.root).await.status, 204);
        assert_eq!(stage.get("auth/token/roles/r", &stage.root).await.status, 404);
    }

    async fn a_cubbyhole_is_its_tokens_alone_and_keeps_every_byte(db: &TestDb) {
        let stage = Stage::open(db).await;
        let (one, other) = (stage.token(&["default"]).await, stage.token(&["default"]).await);
        let body = r#"{"n":12345678901234567890123,"x":1.50}"#.to_owned();
        assert_eq!(stage.call_with(Method::POST, "cubbyhole/a/b", &one, &[], body).await.status, 204);
        let read = stage.get("cubbyhole/a/b", &one).await;
        assert!(read.text.contains(r#""data":{"n":12345678901234567890123,"x":1.50}"#), "{}", read.text);
        assert_eq!(stage.get("cubbyhole/a/b", &other).await.status, 404);
        assert_eq!(stage.get("cubbyhole/a/b", &stage.root).await.status, 404);
        assert_eq!(stage.list("cubbyhole/", &one).await.at("/data/keys"), json!(["a/"]));
        assert_eq!(stage.delete("cubbyhole/a/b", &one).await.status, 204);
        let empty = stage.list("cubbyhole/", &one).await;
        assert_eq!((empty.status.as_u16(), empty.errors()), (404, Vec::new()));
    }

    async fn leases_of_tokens_are_looked_up_and_revoked_by_prefix(db: &TestDb) {
        let stage = Stage::open(db).await;
        let token = stage.token_with(json!({ "policies": ["default"], "ttl": "1h" })).await;
        let keys = stage.list("sys/leases/lookup/auth/token/create", &stage.root).await.at("/data/keys");
        let lease = format!("auth/token/create/{}", keys[0].as_str().unwrap());
        let found = stage.put("sys/leases/lookup", &stage.root, json!({ "lease_id": lease })).await;
        assert_eq!(found.at("/data/ttl"), json!(3600));
        let unknown = stage.put("sys/leases/lookup", &stage.root, json!({ "lease_id": "x" })).await;
        assert_eq!(unknown.errors(), ["invalid lease"]);
        assert_eq!(stage.put("sys/leases/revoke-prefix/auth/token/create", &stage.root, json!({})).await.status, 204);
        assert!(!lives(&stage, &token).await && lives(&stage, &stage.root).await);
    }
}

//! What nobody gets past.

use std::time::Duration;

use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::Stage;

/// `auth/userpass/` with `ann`, who has these policies.
async fn with_ann(stage: &Stage, policies: &str) {
    let root = stage.root.clone();
    stage.put("sys/auth/userpass", &root, json!({ "type": "userpass" })).await;
    let ann = json!({ "password": "right", "token_policies": policies, "token_ttl": "1h" });
    assert_eq!(stage.put("auth/userpass/users/ann", &root, ann).await.status, 204);
}

async fn ann(stage: &Stage) -> serde_json::Value {
    let answer = stage.put("auth/userpass/login/ann", "", json!({ "password": "right" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.at("/auth")
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

on_both! {
    async fn an_identity_never_gives_the_policy_root(db: &TestDb) {
        let stage = Stage::open(db).await;
        with_ann(&stage, "default").await;
        let entity = text(&ann(&stage).await["entity_id"]);
        for policy in ["root", "ROOT", " Root "] {
            let wanted = json!({ "policies": [policy] });
            let entity = stage.put(&format!("identity/entity/id/{entity}"), &stage.root, wanted.clone()).await;
            assert_eq!(entity.status, 400, "{policy}");
            assert_eq!(stage.put("identity/entity", &stage.root, wanted.clone()).await.status, 400, "{policy}");
            assert_eq!(stage.put("identity/group", &stage.root, wanted).await.status, 400, "{policy}");
        }
        let held = ann(&stage).await;
        assert_eq!(held["policies"], json!(["default"]));
        assert_eq!(stage.get("sys/mounts", &text(&held["client_token"])).await.status, 403);
    }

    async fn a_rule_cannot_be_passed_by_another_way_to_write_the_path(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("admin", "path \"a\" { capabilities = [\"read\"] }").await;
        stage.policy("writer", "path \"sys/policies/acl/*\" { capabilities = [\"read\", \"update\", \"create\"] }\n\
            path \"sys/policies/acl/admin\" { capabilities = [\"deny\"] }").await;
        let writer = stage.token(&["writer"]).await;
        let all = json!({ "policy": "path \"*\" { capabilities = [\"sudo\"] }" });
        assert_eq!(stage.put("sys/policies/acl/other", &writer, all.clone()).await.status, 204);
        for path in ["admin", "admin/", "ADMIN", "Admin/"] {
            let answer = stage.put(&format!("sys/policies/acl/{path}"), &writer, all.clone()).await;
            assert_eq!(answer.status, 403, "{path}");
            assert_eq!(stage.get(&format!("sys/policies/acl/{path}"), &writer).await.status, 403, "{path}");
        }
    }

    async fn the_path_of_one_field_changes_that_field_alone(db: &TestDb) {
        let stage = Stage::open(db).await;
        let root = stage.root.clone();
        stage.put("sys/auth/approle", &root, json!({ "type": "approle" })).await;
        stage.put("auth/approle/role/r", &root, json!({ "token_policies": "a", "token_ttl": 60 })).await;
        let sent = json!({ "token_ttl": 120, "policies": "b", "token_policies": "b", "role_id": "mine" });
        assert_eq!(stage.put("auth/approle/role/r/token-ttl", &root, sent.clone()).await.status, 204);
        let role = stage.get("auth/approle/role/r", &root).await;
        assert_eq!((role.at("/data/token_ttl"), role.at("/data/token_policies")), (json!(120), json!(["a"])));
        assert_ne!(stage.get("auth/approle/role/r/role-id", &root).await.at("/data/role_id"), json!("mine"));
        assert_eq!(stage.put("auth/approle/role/r/anything", &root, sent).await.status, 404);
        with_ann(&stage, "a").await;
        let sent = json!({ "policies": "b", "password": "other" });
        assert_eq!(stage.put("auth/userpass/users/ann/policies", &root, sent).await.status, 204);
        assert_eq!(ann(&stage).await["token_policies"], json!(["b", "default"]));
        let sent = json!({ "password": "right", "policies": "c" });
        assert_eq!(stage.put("auth/userpass/users/ann/password", &root, sent).await.status, 204);
        assert_eq!(ann(&stage).await["token_policies"], json!(["b", "default"]));
    }

    async fn a_secret_id_gives_no_more_than_its_role(db: &TestDb) {
        let stage = Stage::open(db).await;
        let root = stage.root.clone();
        stage.put("sys/auth/approle", &root, json!({ "type": "approle" })).await;
        let role = json!({ "secret_id_num_uses": 2, "secret_id_ttl": 600, "token_bound_cidrs": "192.0.2.0/24" });
        stage.put("auth/approle/role/r", &root, role).await;
        for wider in [json!({ "num_uses": 0 }), json!({ "num_uses": 3 }), json!({ "num_uses": -1 }), json!({ "ttl": 601 }),
            json!({ "ttl": -1 }), json!({ "token_bound_cidrs": "192.0.0.0/16" })] {
            let refused = stage.put("auth/approle/role/r/secret-id", &root, wider.clone()).await;
            assert_eq!(refused.status, 400, "{wider}");
        }
        let narrower = json!({ "num_uses": 1, "ttl": 60, "token_bound_cidrs": "192.0.2.7/32" });
        let made = stage.put("auth/approle/role/r/secret-id", &root, narrower).await;
        let role_id = stage.get("auth/approle/role/r/role-id", &root).await.at("/data/role_id");
        let login = json!({ "role_id": role_id, "secret_id": made.at("/data/secret_id") });
        let token = text(&stage.put("auth/approle/login", "", login).await.at("/auth/client_token"));
        let looked = stage.get("auth/token/lookup-self", &token).await;
        assert_eq!(looked.at("/data/bound_cidrs"), json!(["192.0.2.7/32"]));
    }

    async fn a_child_of_root_ends_with_what_its_maker_had_left(db: &TestDb) {
        let stage = Stage::open(db).await;
        db.time.advance(Duration::from_hours(20));
        let child = stage.token_with(json!({ "policies": ["root"], "ttl": "1h" })).await;
        let orphan = json!({ "policies": ["root"], "no_parent": true, "ttl": "1h" });
        let orphan = stage.token_with(orphan).await;
        for token in [&child, &orphan] {
            let renewed = stage.put("auth/token/renew-self", token, json!({ "increment": "48h" })).await;
            assert_eq!(renewed.at("/auth/lease_duration"), json!(4 * 3600));
        }
        for wanted in [json!({ "explicit_max_ttl": -1 }), json!({ "num_uses": -1 })] {
            assert_eq!(stage.put("auth/token/create", &stage.root, wanted.clone()).await.status, 400, "{wanted}");
        }
        for wanted in [json!({ "token_explicit_max_ttl": -1 }), json!({ "token_num_uses": -1 })] {
            assert_eq!(stage.put("auth/token/roles/r", &stage.root, wanted.clone()).await.status, 400, "{wanted}");
        }
    }

    async fn an_orphan_of_a_login_lives_and_is_bound_to_the_same_networks(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("maker", "path \"auth/token/*\" { capabilities = [\"create\", \"update\", \"sudo\"] }").await;
        with_ann(&stage, "maker").await;
        let bound = json!({ "token_bound_cidrs": "192.0.2.0/24" });
        assert_eq!(stage.put("auth/userpass/users/ann", &stage.root, bound).await.status, 204);
        let token = text(&ann(&stage).await["client_token"]);
        for path in ["auth/token/create", "auth/token/create-orphan"] {
            let made = stage.put(path, &token, json!({ "policies": ["default"] })).await;
            let looked = stage.get("auth/token/lookup-self", &text(&made.at("/auth/client_token"))).await;
            assert_eq!(looked.at("/data/bound_cidrs"), json!(["192.0.2.0/24"]), "{path}");
        }
    }

    async fn what_an_account_gave_is_not_renewed_once_the_account_is_gone(db: &TestDb) {
        let stage = Stage::open(db).await;
        with_ann(&stage, "default").await;
        let token = text(&ann(&stage).await["client_token"]);
        assert_eq!(stage.put("auth/token/renew-self", &token, json!({})).await.status, 200);
        assert_eq!(stage.delete("auth/userpass/users/ann", &stage.root).await.status, 204);
        assert_eq!(stage.put("auth/token/renew-self", &token, json!({})).await.status, 400);
    }

    async fn a_child_stays_dead_when_its_parent_is_forgotten(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("maker", "path \"auth/token/*\" { capabilities = [\"create\", \"update\", \"sudo\"] }").await;
        with_ann(&stage, "maker").await;
        let parent = text(&ann(&stage).await["client_token"]);
        let child = json!({ "policies": ["maker"], "period": "768h" });
        let made = stage.put("auth/token/create", &parent, child).await;
        let child = text(&made.at("/auth/client_token"));
        db.time.advance(Duration::from_hours(2));
        let role = json!({ "policies": ["maker"], "period": "1000h", "no_parent": true });
        let keeper = stage.token_with(role).await;
        db.time.advance(Duration::from_hours(31 * 24));
        assert_eq!(stage.put("auth/token/tidy", &keeper, json!({})).await.status, 202);
        assert_eq!(stage.get("auth/token/lookup-self", &child).await.status, 403);
    }

    async fn a_prefix_of_leases_ends_at_a_slash_and_listing_them_needs_sudo(db: &TestDb) {
        let stage = Stage::open(db).await;
        let token = stage.token(&["default"]).await;
        assert_eq!(stage.put("sys/leases/revoke-prefix/auth/token/cre", &stage.root, json!({})).await.status, 204);
        assert_eq!(stage.get("auth/token/lookup-self", &token).await.status, 200);
        stage.policy("lister", "path \"sys/leases/lookup/*\" { capabilities = [\"list\"] }").await;
        let lister = stage.token(&["lister"]).await;
        assert_eq!(stage.list("sys/leases/lookup", &lister).await.status, 403);
    }

    async fn a_wrapped_token_that_cannot_be_wrapped_again_still_waits(db: &TestDb) {
        let stage = Stage::open(db).await;
        let headers = [("X-Vault-Wrap-TTL", "1m")];
        let made = stage.call_with(http::Method::POST, "auth/token/create", &stage.root, &headers, "{}".to_owned()).await;
        let wrap = json!({ "token": made.at("/wrap_info/token") });
        assert_eq!(stage.put("sys/wrapping/rewrap", &stage.root, wrap.clone()).await.status, 400);
        assert!(stage.put("sys/wrapping/unwrap", &stage.root, wrap).await.at("/auth/client_token").is_string());
    }

    async fn secrets_are_neither_come_to_by_a_mount_nor_left_behind_by_it(db: &TestDb) {
        let stage = Stage::open(db).await;
        let root = stage.root.clone();
        let kv = json!({ "type": "kv-v2" });
        assert_eq!(stage.put("sys/mounts/team", &root, kv.clone()).await.status, 204);
        assert_eq!(stage.put("team/data/a", &root, json!({ "data": { "x": 1 } })).await.status, 200);
        assert_eq!(stage.delete("sys/mounts/team", &root).await.status, 204);
        assert_eq!(stage.put("sys/mounts/team", &root, kv).await.status, 204);
        assert_eq!(stage.get("team/data/a", &root).await.status, 404);
    }

    async fn nobody_in_a_private_network_is_asked_and_nothing_is_told_of_it(db: &TestDb) {
        let stage = Stage::open(db).await;
        let root = stage.root.clone();
        stage.put("sys/auth/kubernetes", &root, json!({ "type": "kubernetes" })).await;
        let config = |host: &str| json!({ "kubernetes_host": host });
        for host in ["https://10.0.0.1/?x", "https://10.0.0.1/#x", "http://10.0.0.1"] {
            assert_eq!(stage.put("auth/kubernetes/config", &root, config(host)).await.status, 400, "{host}");
        }
        let role = json!({ "bound_service_account_names": "a", "bound_service_account_namespaces": "b" });
        stage.put("auth/kubernetes/role/r", &root, role).await;
        for host in ["http://127.0.0.1:1", "https://169.254.169.254", "https://localhost:1"] {
            assert_eq!(stage.put("auth/kubernetes/config", &root, config(host)).await.status, 204, "{host}");
            let answer = stage.put("auth/kubernetes/login", "", json!({ "role": "r", "jwt": "x" })).await;
            assert_eq!(answer.errors(), ["who vouches for them cannot be asked"], "{host}");
        }
    }
}

use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::Stage;

on_both! {
    async fn every_environment_has_its_built_in_mounts(db: &TestDb) {
        let stage = Stage::open(db).await;
        let mounts = stage.get("sys/mounts", &stage.root).await;
        for path in ["cubbyhole~1", "identity~1", "sys~1"] {
            assert!(mounts.at(&format!("/data/{path}/accessor")).is_string(), "{path}");
            assert_eq!(mounts.at(&format!("/data/{path}")), mounts.at(&format!("/{path}")));
        }
        assert!(stage.get("sys/auth", &stage.root).await.at("/token~1/accessor").is_string());
        assert_eq!(stage.delete("sys/mounts/sys", &stage.root).await.status, 400);
        assert_eq!(stage.delete("sys/auth/token", &stage.root).await.status, 400);
    }

    async fn an_engine_is_mounted_tuned_and_removed(db: &TestDb) {
        let stage = Stage::open(db).await;
        let wanted = json!({ "type": "kv-v2", "description": "d", "config": { "max_lease_ttl": "24h" } });
        assert_eq!(stage.put("sys/mounts/team/kv", &stage.root, wanted.clone()).await.status, 204);
        let found = stage.get("sys/mounts/team/kv", &stage.root).await;
        assert_eq!((found.at("/data/type"), found.at("/data/options/version")), (json!("kv"), json!("2")));
        let taken = stage.put("sys/mounts/team/kv", &stage.root, wanted.clone()).await;
        assert_eq!(taken.errors(), ["path is already in use at team/kv/"]);
        for path in ["team", "team/kv/x", "sys/x", "auth/x", "cubbyhole"] {
            assert_eq!(stage.put(&format!("sys/mounts/{path}"), &stage.root, wanted.clone()).await.status, 400, "{path}");
        }
        let tuned = json!({ "default_lease_ttl": "1h", "description": "e" });
        assert_eq!(stage.put("sys/mounts/team/kv/tune", &stage.root, tuned).await.status, 204);
        let now = stage.get("sys/mounts/team/kv/tune", &stage.root).await;
        assert_eq!((now.at("/default_lease_ttl"), now.at("/data/max_lease_ttl"), now.at("/data/description")),
            (json!(3600), json!(86_400), json!("e")));
        let unknown = stage.put("sys/mounts/x", &stage.root, json!({ "type": "nope" })).await;
        assert_eq!(unknown.errors(), ["plugin not found in the catalog: nope"]);
        assert_eq!(stage.delete("sys/mounts/team/kv", &stage.root).await.status, 204);
        assert_eq!(stage.get("sys/mounts/team/kv", &stage.root).await.errors(), ["No secret engine mount at team/kv/"]);
    }

    async fn a_command_line_finds_the_version_of_a_mount_when_it_may_do_anything_there(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.put("sys/mounts/kv", &stage.root, json!({ "type": "kv", "options": { "version": 2 } })).await;
        stage.policy("reader", "path \"kv/data/app/*\" { capabilities = [\"read\"] }").await;
        let (reader, stranger) = (stage.token(&["reader"]).await, stage.token(&["default"]).await);
        let found = stage.get("sys/internal/ui/mounts/kv/app/x", &reader).await;
        assert_eq!((found.at("/data/path"), found.at("/data/options/version")), (json!("kv/"), json!("2")));
        let refused = stage.get("sys/internal/ui/mounts/kv/app/x", &stranger).await;
        assert_eq!(refused.status, 403);
        assert!(refused.errors()[0].starts_with("preflight capability check returned 403"));
        assert_eq!(stage.get("sys/internal/ui/mounts/kv/app/x", "").await.status, 403);
        let nobody = stage.get("sys/internal/ui/mounts", "").await;
        assert_eq!(nobody.at("/data"), json!({ "auth": {}, "secret": {} }));
    }

    async fn secrets_are_written_and_read_with_every_byte(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.put("sys/mounts/kv", &stage.root, json!({ "type": "kv-v2" })).await;
        let body = r#"{"data":{"n":12345678901234567890,"x":1.50}}"#.to_owned();
        let wrote = stage.call_with(http::Method::POST, "kv/data/app", &stage.root, &[], body).await;
        assert_eq!((wrote.status.as_u16(), wrote.at("/data/version")), (200, json!(1)), "{wrote:?}");
        let read = stage.get("kv/data/app", &stage.root).await;
        assert!(read.text.contains(r#""data":{"n":12345678901234567890,"x":1.50}"#), "{}", read.text);
    }
}

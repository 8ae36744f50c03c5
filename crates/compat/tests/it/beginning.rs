use http::Method;
use serde_json::json;
use writ_store::{on_both, testing::TestDb};

use crate::stage::Stage;

on_both! {
    async fn a_new_server_is_initialised_once_and_unsealed_with_its_shares(db: &TestDb) {
        let stage = Stage::bare(db);
        assert_eq!(stage.get("sys/init", "").await.at("/initialized"), json!(false));
        assert_eq!(stage.get("sys/health", "").await.status, 501);
        assert_eq!(stage.get("sys/health?uninitcode=299", "").await.status, 299);

        let begun = stage.put("sys/init", "", json!({ "secret_shares": "3", "secret_threshold": 2 })).await;
        assert_eq!(begun.at("/keys").as_array().unwrap().len(), 3);
        let again = stage.put("sys/init", "", json!({ "secret_shares": 3, "secret_threshold": 2 })).await;
        assert_eq!((again.status.as_u16(), again.errors()), (400, vec!["Vault is already initialized".to_owned()]));

        assert_eq!(stage.get("sys/health", "").await.status, 503);
        assert_eq!(stage.get("sys/health?sealedcode=299", "").await.status, 299);
        let refused = stage.get("sys/mounts", begun.at("/root_token").as_str().unwrap()).await;
        assert_eq!((refused.status.as_u16(), refused.errors()), (503, vec!["Vault is sealed".to_owned()]));

        let first = stage.put("sys/unseal", "", json!({ "key": begun.at("/keys/0") })).await;
        assert_eq!((first.at("/sealed"), first.at("/progress"), first.at("/t"), first.at("/n")),
            (json!(true), json!(1), json!(2), json!(3)));
        let second = stage.put("sys/unseal", "", json!({ "key": begun.at("/keys_base64/2") })).await;
        assert_eq!(second.at("/sealed"), json!(false));
        assert!(second.at("/cluster_id").is_string());
        assert_eq!(stage.get("sys/health", "").await.status, 200);
        assert_eq!(stage.get("sys/leader", "").await.json(), json!({ "ha_enabled": false }));
    }

    async fn one_share_alone_can_be_asked_for(db: &TestDb) {
        let stage = Stage::bare(db);
        let begun = stage.put("sys/init", "", json!({ "secret_shares": 1, "secret_threshold": 1 })).await;
        let wrong = stage.put("sys/unseal", "", json!({ "key": "00ff" })).await;
        assert_eq!(wrong.status, 400);
        let open = stage.put("sys/unseal", "", json!({ "key": begun.at("/keys/0") })).await;
        assert_eq!((open.at("/sealed"), open.at("/t"), open.at("/n")), (json!(false), json!(1), json!(1)));
    }

    async fn the_root_token_ends_within_a_day(db: &TestDb) {
        let stage = Stage::open(db).await;
        let own = stage.get("auth/token/lookup-self", &stage.root).await;
        assert_eq!(own.at("/data/policies"), json!(["root"]));
        assert_eq!(own.at("/data/ttl"), json!(86_400));
        assert!(own.at("/data/expire_time").is_string());
        db.time.advance(std::time::Duration::from_hours(25));
        assert_eq!(stage.get("auth/token/lookup-self", &stage.root).await.status, 403);
    }

    async fn the_first_administrator_holding_the_root_token_seals(db: &TestDb) {
        let stage = Stage::open(db).await;
        let weak = stage.token(&["default"]).await;
        assert_eq!(stage.put("sys/seal", &weak, json!({})).await.status, 403);
        assert_eq!(stage.put("sys/seal", &stage.root, json!({})).await.status, 204);
        assert_eq!(stage.get("sys/seal-status", "").await.at("/sealed"), json!(true));
        assert_eq!(stage.get("auth/token/lookup-self", &stage.root).await.status, 503);
    }

    async fn what_nobody_may_ask_for_any_more_is_a_wrong_operation(db: &TestDb) {
        let stage = Stage::open(db).await;
        for path in ["sys/rekey/init", "sys/generate-root/attempt"] {
            let refused = stage.get(path, "").await;
            assert_eq!((refused.status.as_u16(), refused.errors()), (405, vec!["unsupported operation".to_owned()]));
        }
        assert_eq!(stage.call(Method::HEAD, "sys/health", "", None).await.status, 200);
    }
}

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::stage::Stage;

async fn wrapped(stage: &Stage, path: &str, method: Method) -> String {
    let headers = [("X-Vault-Wrap-TTL", "1m0s")];
    let answer = stage.call_with(method, path, &stage.root, &headers, r#"{"a":1.50}"#.to_owned()).await;
    assert_eq!((answer.at("/data"), answer.at("/request_id")), (Value::Null, json!("")), "{answer:?}");
    assert_eq!(
        (answer.at("/wrap_info/ttl"), answer.at("/wrap_info/creation_path")),
        (json!(60), json!(path))
    );
    answer.at("/wrap_info/token").as_str().unwrap().to_owned()
}

on_both! {
    async fn a_wrapped_answer_is_taken_once(db: &TestDb) {
        let stage = Stage::open(db).await;
        let token = wrapped(&stage, "sys/wrapping/wrap", Method::POST).await;
        let look = stage.put("sys/wrapping/lookup", "", json!({ "token": token })).await;
        assert_eq!((look.at("/data/creation_ttl"), look.at("/data/creation_path")), (json!(60), json!("sys/wrapping/wrap")));
        let taken = stage.put("sys/wrapping/unwrap", &token, json!({})).await;
        assert!(taken.text.contains(r#""data":{"a":1.50}"#), "{}", taken.text);
        for (shown, body) in [(token.as_str(), json!({})), (stage.root.as_str(), json!({ "token": token }))] {
            let again = stage.put("sys/wrapping/unwrap", shown, body).await;
            assert_eq!((again.status.as_u16(), again.errors()),
                (400, vec!["wrapping token is not valid or does not exist".to_owned()]));
        }
    }

    async fn any_answer_can_be_wrapped_and_wrapped_again(db: &TestDb) {
        let stage = Stage::open(db).await;
        let first = wrapped(&stage, "auth/token/lookup-self", Method::GET).await;
        let second = stage.put("sys/wrapping/rewrap", &stage.root, json!({ "token": first })).await;
        let second = second.at("/wrap_info/token").as_str().unwrap().to_owned();
        assert_eq!(stage.put("sys/wrapping/unwrap", &first, json!({})).await.status, 400);
        let taken = stage.put("sys/wrapping/unwrap", &stage.root, json!({ "token": second })).await;
        assert_eq!(taken.at("/data/policies"), json!(["root"]));
    }

    async fn what_waited_too_long_is_gone(db: &TestDb) {
        let stage = Stage::open(db).await;
        let token = wrapped(&stage, "sys/wrapping/wrap", Method::POST).await;
        db.time.advance(Duration::from_secs(61));
        assert_eq!(stage.put("sys/wrapping/unwrap", &token, json!({})).await.status, 400);
    }

    async fn a_wrapping_token_opens_nothing_else(db: &TestDb) {
        let stage = Stage::open(db).await;
        let token = wrapped(&stage, "sys/wrapping/wrap", Method::POST).await;
        for path in ["sys/mounts", "auth/token/lookup-self", "cubbyhole/response"] {
            assert_eq!(stage.get(path, &token).await.status, 403, "{path}");
        }
        assert_eq!(stage.put("sys/wrapping/wrap", &stage.root, json!({})).await.status, 400);
    }
}

use http::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::stage::Stage;

on_both! {
    async fn an_answer_has_all_eight_keys(db: &TestDb) {
        let stage = Stage::open(db).await;
        let answer = stage.get("auth/token/lookup-self", &stage.root).await;
        let document = answer.json();
        let mut keys: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, [
            "auth", "data", "lease_duration", "lease_id", "renewable", "request_id", "warnings", "wrap_info",
        ]);
        assert_eq!((answer.at("/auth"), answer.at("/lease_id")), (Value::Null, json!("")));
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.headers.contains_key("strict-transport-security"));
    }

    async fn nobody_is_told_apart_from_somebody_unknown(db: &TestDb) {
        let stage = Stage::open(db).await;
        for token in ["", "s.unknown", "writ_token_nonsense", "writ_session_aaaa_bbbb"] {
            let refused = stage.get("sys/mounts", token).await;
            assert_eq!((refused.status.as_u16(), refused.errors()), (403, vec!["permission denied".to_owned()]), "{token}");
        }
    }

    async fn a_path_that_leads_nowhere_says_so_to_whom_may_know(db: &TestDb) {
        let stage = Stage::open(db).await;
        let nowhere = stage.get("nothing/here", &stage.root).await;
        assert_eq!(nowhere.errors(), ["no handler for route \"nothing/here\". route entry not found."]);
        assert_eq!(nowhere.status, 404);
        let weak = stage.token(&["default"]).await;
        let denied = stage.get("nothing/here", &weak).await;
        assert_eq!((denied.status.as_u16(), denied.errors()),
            (403, vec!["1 error occurred:\n\t* permission denied\n\n".to_owned()]));
        let unknown = stage.get("sys/nothing", &stage.root).await;
        assert_eq!((unknown.status.as_u16(), unknown.errors()),
            (404, vec!["1 error occurred:\n\t* unsupported path\n\n".to_owned()]));
        assert_eq!(stage.get("sys/policies/acl", &stage.root).await.status, 405);
    }

    async fn a_path_in_another_form_never_reaches_the_rules(db: &TestDb) {
        let stage = Stage::open(db).await;
        stage.policy("boxed", "path \"cubbyhole/a/*\" { capabilities = [\"read\"] }").await;
        let boxed = stage.token_with(json!({ "policies": ["boxed"], "no_default_policy": true })).await;
        for path in ["cubbyhole/a/../../sys/mounts", "cubbyhole//a/x", "cubbyhole/a/./x"] {
            let answer = stage.get(path, &boxed).await;
            assert_eq!(answer.status, 307, "{path}");
        }
        let clean = stage.get("cubbyhole/a/../../sys/mounts", &boxed).await;
        assert_eq!(clean.headers["location"], "/v1/sys/mounts");
        for path in ["cubbyhole/a/%2e%2e/%2e%2e/sys/mounts", "cubbyhole/a/%2f/x", "cubbyhole/a/%00"] {
            assert_eq!(stage.get(path, &boxed).await.status, 400, "{path}");
        }
        // An encoded slash is a slash, to the rules as well as to the engine.
        assert_eq!(stage.get("sys%2fmounts", &boxed).await.status, 403);
        // What only looks like a slash or dots is a letter like any other.
        assert_eq!(stage.get("cubbyhole%e2%88%95a/x", &boxed).await.status, 403);
    }

    async fn another_namespace_is_no_namespace(db: &TestDb) {
        let stage = Stage::open(db).await;
        for namespace in ["nope", "platform/nope", "nope/root", "a/b/c"] {
            let headers = [("X-Vault-Namespace", namespace)];
            let answer = stage.call_with(Method::GET, "sys/mounts", &stage.root, &headers, String::new()).await;
            assert_eq!((answer.status.as_u16(), answer.errors()), (404, vec!["namespace not found".to_owned()]));
        }
        for namespace in ["root", "platform/root", "root/", "/"] {
            let headers = [("X-Vault-Namespace", namespace)];
            let answer = stage.call_with(Method::GET, "sys/mounts", &stage.root, &headers, String::new()).await;
            assert_eq!(answer.status, 200, "{namespace}");
        }
        assert_eq!(stage.get("root/sys/mounts", &stage.root).await.status, 200);
        assert_eq!(stage.get("platform/root/auth/token/lookup-self", &stage.root).await.status, 200);
    }

    async fn bodies_are_read_whatever_their_kind(db: &TestDb) {
        let stage = Stage::open(db).await;
        for body in ["", "null", "{}", "  "] {
            let answer = stage.call_with(Method::POST, "auth/token/create", &stage.root, &[], body.to_owned()).await;
            assert_eq!(answer.status, 200, "{body:?}");
        }
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let body = "ttl=1h&policies=default".to_owned();
        let answer = stage.call_with(Method::POST, "auth/token/create", &stage.root, &form, body).await;
        assert_eq!(answer.at("/auth/lease_duration"), json!(3600));
        for body in ["[]", "{", "1"] {
            let answer = stage.call_with(Method::POST, "auth/token/create", &stage.root, &[], body.to_owned()).await;
            assert_eq!(answer.status, 400, "{body}");
        }
        let answer = stage.call_with(Method::PATCH, "cubbyhole/x", &stage.root, &[], "{}".to_owned()).await;
        assert_eq!(answer.status, 415);
    }
}

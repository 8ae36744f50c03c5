//! Before `init`, sealed, unsealed.

use reqwest::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::{
    ground::{Ground, Server, ask},
    operations,
};

const STATUS: &str = "/api/v1/sys/seal-status";

fn init(protection: &Value) -> Value {
    json!({ "protection": protection, "admin": "root" })
}

async fn status(server: &Server) -> Value {
    let answer = ask(server.request(Method::GET, STATUS)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Everything but the doors of a closed server says that it is sealed, to everybody.
async fn refuses_everything_else(server: &Server) {
    for operation in operations::all().await {
        if ["healthz", "readyz", "health", "version", "seal_status", "init", "unseal"]
            .contains(&operation.id.as_str())
        {
            continue;
        }
        let path = operation.path("00000000-0000-0000-0000-000000000000");
        let answer = ask(server.request(operation.method.clone(), &path).bearer_auth("x")).await;
        answer.must_be_problem(503, &operation.id);
        assert_eq!(answer.code(), "sealed", "{}", operation.id);
        assert_ne!(answer.header("retry-after"), "", "{}", operation.id);
    }
    let health = ask(server.request(Method::GET, "/healthz")).await;
    assert_eq!((health.status.as_u16(), health.word("status").as_str()), (200, "sealed"));
    let ready = ask(server.request(Method::GET, "/readyz")).await;
    ready.must_be_problem(503, "readyz");
}

on_both! {
    async fn a_new_server_answers_only_at_its_doors(house: &TestDb) {
        let ground = Ground::beside(house);
        let server = ground.serve().await;
        let now = status(&server).await;
        assert_eq!((&now["initialized"], &now["sealed"]), (&json!(false), &json!(true)));
        refuses_everything_else(&server).await;
        let early = server.say("/api/v1/sys/unseal", &json!({ "key": "x" })).await;
        early.must_be_problem(409, "unseal before init");
        assert_eq!(early.code(), "not_initialized");
        server.found().await;
        let again = server.say("/api/v1/sys/init", &init(&json!({ "kind": "dev-file" }))).await;
        again.must_be_problem(409, "init again");
        assert_eq!(again.code(), "already_initialized");
        server.stop().await;
    }

    async fn a_key_file_opens_the_next_server(house: &TestDb) {
        let ground = Ground::beside(house);
        let server = ground.serve().await;
        let root = server.found().await;
        server.stop().await;
        let server = ground.serve().await;
        assert_eq!(status(&server).await["sealed"], false);
        assert_eq!(server.get(&root, "/api/v1/whoami").await.word("name"), "root");
        server.stop().await;
    }

    async fn shares_open_in_any_order_and_wrong_ones_do_not(house: &TestDb) {
        let ground = Ground::beside(house);
        let server = ground.serve().await;
        let wanted = init(&json!({ "kind": "shamir", "threshold": 2, "shares": 3 }));
        let answer = server.say("/api/v1/sys/init", &wanted).await;
        let shares: Vec<String> = serde_json::from_value(answer.json()["shares"].clone()).unwrap();
        let enrolment = json!({ "token": answer.word("enrolmentToken") });
        let root = server.say("/api/v1/sessions", &enrolment).await.word("token");

        let closed = server.post(&root, "/api/v1/sys/seal", &json!({})).await;
        assert_eq!((closed.status.as_u16(), &closed.json()["sealed"]), (200, &json!(true)));
        assert_ne!(closed.header("writ-receipt"), "");
        refuses_everything_else(&server).await;

        let unseal = |share: &str| json!({ "key": share });
        let first = server.say("/api/v1/sys/unseal", &unseal(&shares[2])).await;
        assert_eq!((&first.json()["sealed"], &first.json()["progress"]), (&json!(true), &json!(1)));
        let second = server.say("/api/v1/sys/unseal", &unseal(&shares[0])).await;
        assert_eq!(second.json()["sealed"], false, "{}", second.text());
        assert_eq!(server.get(&root, "/api/v1/whoami").await.status, 200);

        server.stop().await;
        let server = ground.serve().await;
        let other = Ground::beside(house);
        let stranger = other.serve().await;
        let answer = stranger.say("/api/v1/sys/init", &wanted).await;
        let foreign: Vec<String> = serde_json::from_value(answer.json()["shares"].clone()).unwrap();
        server.say("/api/v1/sys/unseal", &unseal(&foreign[0])).await;
        let wrong = server.say("/api/v1/sys/unseal", &unseal(&shares[1])).await;
        wrong.must_be_problem(401, "a share of another server");
        let now = status(&server).await;
        assert_eq!((&now["sealed"], &now["progress"]), (&json!(true), &json!(0)));
        server.say("/api/v1/sys/unseal", &unseal("nonsense")).await.must_be_problem(400, "no share");
        server.say("/api/v1/sys/unseal", &unseal(&shares[1])).await;
        let open = server.say("/api/v1/sys/unseal", &unseal(&shares[2])).await;
        assert_eq!(open.json()["sealed"], false, "{}", open.text());
        server.stop().await;
        stranger.stop().await;
    }

    async fn a_passphrase_opens_and_another_does_not(house: &TestDb) {
        let ground = Ground::beside(house);
        let server = ground.serve().await;
        let protection = json!({ "kind": "passphrase", "passphrase": "correct horse battery" });
        let answer = server.say("/api/v1/sys/init", &init(&protection)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        server.stop().await;
        let server = ground.serve().await;
        assert_eq!(status(&server).await["sealed"], true);
        let wrong = server.say("/api/v1/sys/unseal", &json!({ "key": "incorrect horse" })).await;
        wrong.must_be_problem(401, "another passphrase");
        let open = server.say("/api/v1/sys/unseal", &json!({ "key": "correct horse battery" })).await;
        assert_eq!(open.json()["sealed"], false, "{}", open.text());
        server.stop().await;
    }

    async fn keys_change_under_load_and_nobody_notices(house: &TestDb) {
        let ground = Ground::beside(house);
        let server = ground.serve().await;
        let root = server.found().await;
        let load = async {
            for number in 0..40 {
                let wanted = json!({ "name": format!("tenant-{number}"), "admin": "admin" });
                let made = server.post(&root, "/api/v1/tenants", &wanted).await;
                assert_eq!(made.status, 201, "{number}: {}", made.text());
                let seen = server.get(&root, "/api/v1/people").await;
                assert_eq!(seen.status, 200, "{number}: {}", seen.text());
            }
        };
        let change = async {
            let protection = json!({ "protection": { "kind": "shamir", "threshold": 2, "shares": 2 } });
            let rekeyed = server.post(&root, "/api/v1/sys/rekey", &protection).await;
            assert_eq!(rekeyed.status, 200, "{}", rekeyed.text());
            let shares: Vec<String> = serde_json::from_value(rekeyed.json()["shares"].clone()).unwrap();
            for _ in 0..3 {
                let more = server.post(&root, "/api/v1/sys/rotate", &json!({ "key": shares[1] })).await;
                assert_eq!((more.status.as_u16(), &more.json()["progress"]), (200, &json!(1)), "one share of two");
                let rotated = server.post(&root, "/api/v1/sys/rotate", &json!({ "key": shares[0] })).await;
                assert_eq!((rotated.status.as_u16(), &rotated.json()["progress"]), (200, &json!(0)));
            }
            shares
        };
        let ((), shares) = tokio::join!(load, change);

        // What was changed holds for the next server: the old key file opens nothing, and every tenant can be read.
        server.stop().await;
        let server = ground.serve().await;
        assert_eq!(status(&server).await["sealed"], true);
        for share in shares {
            server.say("/api/v1/sys/unseal", &json!({ "key": share })).await;
        }
        let late = server.tenant(&root, "late").await;
        assert_eq!(server.get(&late, "/api/v1/people").await.status, 200);
        assert_eq!(server.get(&root, "/api/v1/tenants").await.status, 200);
        server.stop().await;
    }
}

//! What holds for every operation of the OpenAPI document, whoever adds one. The exceptions stand here, each with its
//! reason.

use reqwest::Method;
use serde_json::{Value, json};
use writ_store::{on_both, testing::TestDb};

use crate::{
    ground::{Answer, Ground, Server, ask},
    operations::{self, NOTHING, Operation, Things},
};

/// Everything but audit: an auditor changes nothing, whatever other roles they hold.
const ROLES: &[&str] = &["admin", "developer", "operator", "approver", "viewer"];

/// What somebody without a role may do all the same.
const FREE: &[(&str, &str)] = &[
    ("who_am_i", "one may know what one's own credential is"),
    ("create_key", "people create keys for themselves, which reach no further than they do"),
    ("list_keys", "one may see one's own"),
    ("list_sessions", "one may see one's own"),
    ("log_out", "one may end one's own session"),
    ("rate_limit", "one may know how much one has left"),
];

/// Answers to an authenticated caller that carry no receipt.
const UNRECORDED: &[(&str, &str)] = &[
    ("who_am_i", "it repeats to callers what their own credential says, and discloses nothing of the tenant"),
    ("rate_limit", "it tells callers how much they have left, and nothing else"),
];

/// Operations that end what the sweep stands on, swept in tests of their own.
const FATAL: &[(&str, &str)] = &[
    ("close", "afterwards there is nothing to sweep: see `sealing`"),
    ("rekey", "it would write over the key file in the middle of a sweep: see `sealing`"),
    ("rotate", "likewise"),
    ("log_out", "it ends the session that the sweep is made in; done last"),
];

/// Operations whose path holds a name and no id: what is no name of anything is not found.
const NAMED: &[(&str, &str)] = &[("read_checkpoint", "logs have names")];

/// Operations that a role of their own permits.
const AUDITS: &[(&str, &str)] = &[("export_log", "an auditor exports")];

struct Swept {
    server: Server,
    root: String,
    boss: String,
    things: Things,
    _ground: Ground,
}

async fn house(house: &TestDb) -> Swept {
    let ground = Ground::beside(house);
    let server = ground.serve().await;
    let root = server.found().await;
    let admin = server.tenant(&root, "first").await;
    let boss = server.person(&admin, "boss", ROLES).await;
    let things = Things::make(&server, &boss, "thing").await;
    Swept { server, root, boss, things, _ground: ground }
}

fn excepted(list: &[(&str, &str)], operation: &Operation) -> bool {
    list.iter().any(|(id, _)| *id == operation.id)
}

async fn closed() -> impl Iterator<Item = &'static Operation> {
    operations::all().await.iter().filter(|operation| !operation.open)
}

on_both! {
    async fn who_shows_nothing_or_nonsense_is_nobody(house: &TestDb) {
        let swept = self::house(house).await;
        let Swept { server, boss, things, .. } = &swept;
        for operation in closed().await {
            let request = || operation.request(server, things);
            let about = &operation.id;
            for answer in [
                ask(request()).await,
                ask(request().bearer_auth("nonsense")).await,
                ask(request().bearer_auth(format!("{boss}x"))).await,
                ask(request().bearer_auth("writ_session_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_AAAAAA")).await,
                ask(request().header("authorization", format!("Basic {boss}"))).await,
                ask(request().bearer_auth(boss).header("x-api-key", boss)).await,
                ask(request().header("authorization", "Bearer ")).await,
                ask(request().header("authorization", [0xff_u8, 0xfe].as_slice())).await,
            ] {
                answer.must_be_problem(401, about);
                assert_ne!(answer.header("www-authenticate"), "", "{about}");
            }
        }
    }

    async fn what_is_no_json_is_refused_by_its_kind(house: &TestDb) {
        let swept = self::house(house).await;
        let Swept { server, root, boss, things, .. } = &swept;
        for operation in operations::all().await.iter().filter(|it| it.is_json() && !it.is_of_runs()) {
            let token = if operation.path("").contains("/sys/") { root } else { boss };
            let request = || server.request(operation.method.clone(), &operation.path(NOTHING)).bearer_auth(token);
            let about = &operation.id;
            let json = |body: &str| request().header("content-type", "application/json").body(body.to_owned());
            ask(request().header("content-type", "text/plain").body("{}")).await.must_be_problem(415, about);
            ask(request().body("{}")).await.must_be_problem(415, about);
            let compressed = json("{}").header("content-encoding", "gzip");
            ask(compressed).await.must_be_problem(415, about);
            if !operation.bare {
                ask(json("")).await.must_be_problem(400, about);
            }
            for broken in ["{", "[]", "7", "{} {}", "\u{0}", &"[".repeat(10_000)] {
                ask(json(broken)).await.must_be_problem(400, &format!("{about} with `{broken:.10}`"));
            }
            let mut more = operations::body(about, things);
            more["nobodyKnows"] = Value::from("this");
            let answer = ask(json(&more.to_string())).await;
            answer.must_be_problem(400, about);
            // Where a body is made of parts, it is known that a field is unknown, and not where it stands.
            assert_eq!(answer.code(), "unknown_field", "{about}");
            if !operation.is_loose() {
                assert_eq!(answer.json()["field"], "/nobodyKnows", "{about}");
            }
        }
    }

    async fn a_body_beyond_its_bound_is_too_large(house: &TestDb) {
        let swept = self::house(house).await;
        let Swept { server, root, boss, .. } = &swept;
        for operation in operations::all().await.iter().filter(|it| it.body.is_some() && !it.is_of_runs()) {
            let token = if operation.path("").contains("/sys/") { root } else { boss };
            let bound = match operation {
                // Of the vault and the keys, those that take values or many items have a bound of their own.
                it if it.is_loose() => 16 * 1024 * 1024,
                it if it.is_json() => 1024 * 1024,
                _ => 8 * 1024 * 1024,
            };
            let content = operation.body.clone().unwrap();
            let body = format!("{{\"x\":\"{}\"}}", "x".repeat(bound));
            let request = server.request(operation.method.clone(), &operation.path(NOTHING)).bearer_auth(token);
            let answer = ask(request.header("content-type", content).body(body)).await;
            answer.must_be_problem(413, &operation.id);
        }
    }

    async fn what_is_no_id_is_refused(house: &TestDb) {
        let swept = self::house(house).await;
        let Swept { server, boss, things, .. } = &swept;
        for operation in closed().await.filter(|it| it.has_id() && !excepted(NAMED, it)) {
            for id in ["x", "..%2f..%2fetc%2fpasswd", "%ff", "%00", "0", "01890a5d-ac96-774b-bcce-b302099a805"] {
                let mut request = server.request(operation.method.clone(), &operation.path(id)).bearer_auth(boss);
                if operation.is_json() {
                    request = request.json(&operations::body(&operation.id, things));
                }
                let answer = ask(request).await;
                // Of keys and of sets of fields, a path may hold a name: what is no name of anything is not found.
                let expected = if operation.is_loose() && answer.status == 404 { 404 } else { 400 };
                answer.must_be_problem(expected, &format!("{} with `{id}`", operation.id));
            }
        }
    }

    async fn a_stranger_may_do_nothing_and_that_is_on_record(house: &TestDb) {
        let swept = self::house(house).await;
        let Swept { server, root, boss, things, .. } = &swept;
        let stranger = server.person(boss, "stranger", &[]).await;
        for operation in closed().await.filter(|it| !it.is_of_runs() && !excepted(FREE, it)) {
            let answer = operation.ask(server, things, &stranger).await;
            if operation.is_loose() && answer.status == 400 {
                // It did not come to asking who that is.
                continue;
            }
            must_be_refused(&answer, &[403, 404], operation);
        }
        // Whoever runs the server has no business inside a tenant, and a tenant's people none with the server.
        for operation in closed().await.filter(|it| it.path("").contains("/sys/") || it.path("").ends_with("/tenants")) {
            must_be_refused(&operation.ask(server, things, boss).await, &[403], operation);
        }
        assert_eq!(server.get(root, "/api/v1/tenants").await.status, 200);
    }

    async fn what_belongs_to_another_tenant_does_not_exist(house: &TestDb) {
        let swept = self::house(house).await;
        let Swept { server, root, things, .. } = &swept;
        let admin = server.tenant(root, "second").await;
        let other = server.person(&admin, "other-boss", ROLES).await;
        let own = Things::make(server, &other, "own").await;
        for operation in closed().await.filter(|it| !it.is_of_runs() && !excepted(FATAL, it)) {
            // Everything it names is the first tenant's, in the path as in the body.
            let answer = operation.ask(server, things, &other).await;
            assert!(!answer.status.is_server_error(), "{}: {}", operation.id, answer.text());
            for id in things.ids() {
                assert!(!answer.text().contains(id), "{} tells of another tenant: {}", operation.id, answer.text());
            }
            if operation.has_id() && !(operation.is_loose() && answer.status == 400) {
                must_be_refused(&answer, &[404], operation);
            }
        }
        for (path, body) in [
            ("/api/v1/role-bindings", json!({ "principal": things.person, "role": "viewer" })),
            ("/api/v1/role-bindings", json!({ "principal": own.person, "role": "viewer", "environment": things.environment })),
            ("/api/v1/services", json!({ "name": "x", "owner": things.person, "purpose": "x" })),
            ("/api/v1/deployments", json!({ "target": "x", "connection": things.connection, "configuration": own.configuration })),
            ("/api/v1/deployments", json!({ "target": "x", "connection": own.connection, "configuration": things.configuration })),
        ] {
            let about = format!("{path} {body}");
            let answer = server.post(&other, path, &body).await;
            assert!([400, 404].contains(&answer.status.as_u16()), "{about}: {}", answer.text());
            assert_ne!(answer.header("writ-receipt"), "", "{about}");
            // The same as for what exists nowhere, so nothing is learned.
            let nowhere = things.ids().iter().fold(body.to_string(), |body, id| body.replace(id, NOTHING));
            let nothing = server.post(&other, path, &serde_json::from_str(&nowhere).unwrap()).await;
            assert_eq!((answer.status, answer.code()), (nothing.status, nothing.code()), "{about}");
        }
    }

    async fn what_succeeds_leaves_a_receipt(house: &TestDb) {
        let swept = self::house(house).await;
        let Swept { server, root, boss, things, .. } = &swept;
        let auditor = server.person(boss, "auditor", &["auditor"]).await;
        let (last, first): (Vec<_>, Vec<_>) = closed()
            .await
            .filter(|it| !it.is_of_runs() && (it.id == "log_out" || !excepted(FATAL, it)))
            .partition(|it| it.method == Method::DELETE || ENDS.contains(&it.id.as_str()));
        let (log_out, mut last): (Vec<_>, Vec<_>) = last.into_iter().partition(|it| it.id == "log_out");
        // Whoever is disabled or erased holds nothing any more that could be taken away.
        last.sort_by_key(|it| it.method != Method::DELETE);
        for operation in first.into_iter().chain(last).chain(log_out) {
            let token = match operation {
                it if it.path("").ends_with("/tenants") => root,
                it if excepted(AUDITS, it) => &auditor,
                _ => boss,
            };
            let answer = operation.ask(server, things, token).await;
            if let Some((_, expected, _)) = CANNOT.iter().find(|(id, ..)| *id == operation.id) {
                must_be_refused(&answer, &[*expected], operation);
                continue;
            }
            if operation.is_loose() && answer.status.is_client_error() {
                continue;
            }
            assert!(answer.status.is_success(), "{}: {} {}", operation.id, answer.status, answer.text());
            let recorded = answer.headers.contains_key("writ-receipt");
            assert_eq!(recorded, !excepted(UNRECORDED, operation), "{}", operation.id);
        }
    }
}

on_both! {
    async fn tiles_are_for_those_whose_log_it_is(house: &TestDb) {
        let swept = self::house(house).await;
        let Swept { server, root, boss, things, .. } = &swept;
        let path = format!("/log/{}/tile/0/000.p/1", things.log);
        ask(server.request(Method::GET, &path)).await.must_be_problem(401, &path);
        ask(server.request(Method::GET, &path).bearer_auth("nonsense")).await.must_be_problem(401, &path);
        assert_eq!(server.get(boss, &path).await.status, 200);
        for somebody in [&server.tenant(root, "second").await, &server.person(boss, "stranger", &[]).await] {
            let answer = server.get(somebody, &path).await;
            let status = answer.status.as_u16();
            assert!([403, 404].contains(&status), "{status}");
            answer.must_be_problem(status, &path);
        }
        for odd in ["0/000.p/0", "0/000.p/257", "0/1", "0/../../x", "-1/000", "99/000", "x"] {
            let path = format!("/log/{}/tile/{odd}", things.log);
            server.get(boss, &path).await.must_be_problem(404, &path);
        }
    }
}

/// Operations after which others would find nothing to work on.
const ENDS: &[&str] = &["disable_person", "retire_service", "cancel_deployment", "erase_subject"];

/// Operations that cannot succeed here, and what they answer instead.
const CANNOT: &[(&str, u16, &str)] = &[
    ("show_approval", 404, "only a run that planned makes a request for approval"),
    ("decide_approval", 404, "likewise"),
    ("roll_back_to", 409, "only what was applied can be rolled back to"),
];

fn must_be_refused(answer: &Answer, expected: &[u16], operation: &Operation) {
    let status = answer.status.as_u16();
    assert!(expected.contains(&status), "{}: {status} {}", operation.id, answer.text());
    answer.must_be_problem(status, &operation.id);
    assert_ne!(
        answer.header("writ-receipt"),
        "",
        "{}: a refusal of somebody known is on record",
        operation.id
    );
}

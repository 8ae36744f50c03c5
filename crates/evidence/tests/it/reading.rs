//! Who may read what, and that it is on record.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use writ_store::{on_both, testing::TestDb};
use writ_testkit::Someone;

use crate::Office;

async fn list(office: &Office, query: &str) -> Vec<Value> {
    let answer = office.app.get(&office.auditor, &format!("/api/v1/evidence{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().unwrap().clone()
}

async fn show(office: &Office, who: &Someone, id: &str) -> Value {
    office.app.get(who, &format!("/api/v1/evidence/{id}")).await.json()
}

on_both! {
    async fn a_record_says_who_did_what_and_why_it_was_allowed(db: &TestDb) {
        let office = Office::open(db).await;
        let receipt = office.act(&office.bob).await;
        let record = show(&office, &office.auditor, &receipt.leaf.to_string()).await;
        assert_eq!(record["action"], "tenancy.environments.read");
        assert_eq!(record["outcome"], "allow");
        assert_eq!(record["erased"], false);
        assert_eq!(record["payload"]["actor"]["id"], json!(office.bob.id()));
        assert_eq!(record["payload"]["decision"]["policies"], json!(["viewer-reads"]));
        assert!(!record["leaf"].as_str().unwrap().contains(&office.bob.id().to_string()));
        let leaf = record["leaf"].as_str().unwrap().as_bytes();
        let id: Uuid = record["id"].as_str().unwrap().parse().unwrap();
        assert!(writ_evidence::offline::is_committed(leaf, id, &record["payload"]));
    }

    async fn reading_is_on_record(db: &TestDb) {
        let office = Office::open(db).await;
        let receipt = office.act(&office.bob).await;
        let id = receipt.leaf.to_string();
        let answer = office.app.get(&office.auditor, &format!("/api/v1/evidence/{id}")).await;
        let read = answer.header("writ-receipt").split(['=', ',']).nth(1).unwrap().to_owned();
        let read = show(&office, &office.auditor, &read).await;
        assert_eq!(read["action"], "evidence.log.read");
        assert_eq!(read["payload"]["actor"]["id"], json!(office.auditor.id()));
        assert_eq!(read["payload"]["object"]["id"], id.as_str());
    }

    async fn records_are_found_by_action_outcome_resource_and_trace(db: &TestDb) {
        let office = Office::open(db).await;
        let receipt = office.act(&office.bob).await;
        let id = receipt.leaf.to_string();
        let ids = |items: Vec<Value>| items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(list(&office, "?action=tenancy.environments.read").await), std::slice::from_ref(&id));
        let trace = office.bob.caller.trace;
        assert_eq!(ids(list(&office, &format!("?trace={trace}&outcome=allow")).await), std::slice::from_ref(&id));
        assert!(list(&office, &format!("?trace={trace}&outcome=refuse")).await.is_empty());
        assert!(list(&office, &format!("?trace={trace}&resource={}", Uuid::nil())).await.is_empty());
        let shown = office.app.get(&office.auditor, &format!("/api/v1/evidence/{id}")).await;
        let about = ids(list(&office, &format!("?resource={id}")).await);
        assert_eq!(about.len(), 1);
        assert!(shown.header("writ-receipt").contains(&about[0]));
        let refused = office.app.get(&office.bob, "/api/v1/evidence").await;
        assert_eq!(refused.status, 403);
        let refusals = ids(list(&office, "?outcome=refuse").await);
        assert_eq!(refusals.len(), 1);
        assert!(refused.header("writ-receipt").contains(&refusals[0]), "{refused:?}");
    }

    async fn pages_follow_each_other_without_gap_or_overlap(db: &TestDb) {
        let office = Office::open(db).await;
        for _ in 0..7 {
            office.act(&office.bob).await;
        }
        let query = "?action=tenancy.environments.read";
        let whole = list(&office, query).await;
        let (mut pieces, mut after) = (Vec::new(), String::new());
        loop {
            let page = office.app.get(&office.auditor, &format!("/api/v1/evidence{query}&limit=3{after}")).await.json();
            pieces.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(whole.len(), 7);
        assert_eq!(pieces, whole);
        assert!(whole.is_sorted_by(|a, b| a["id"].as_str() > b["id"].as_str()), "newest first");
    }

    async fn a_nonsensical_filter_is_refused_by_name(db: &TestDb) {
        let office = Office::open(db).await;
        for (query, field) in
            [("action=fly", "action"), ("outcome=maybe", "outcome"), ("trace=1", "trace"), ("after=1", "after"), ("limit=0", "limit")]
        {
            let answer = office.app.get(&office.auditor, &format!("/api/v1/evidence?{query}")).await;
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            assert!(answer.text().contains(field), "{answer:?}");
        }
    }

    async fn another_tenant_sees_nothing_of_it(db: &TestDb) {
        let office = Office::open(db).await;
        let id = office.act(&office.bob).await.leaf;
        office.sequence().await;
        let log = office.log().await;
        let stranger = office.house.tenant("rival").await;
        let stranger = office.house.person(&stranger, "eve", &["auditor"]).await;
        for path in [
            format!("/api/v1/evidence/{id}"),
            format!("/api/v1/evidence/{id}/proof"),
            format!("{}checkpoint", log.path),
            format!("{}tile/0/000.p/1", log.path),
            format!("{}tile/entries/000.p/1", log.path),
            "/log/000000000000000000000000/checkpoint".to_owned(),
        ] {
            assert_eq!(office.app.get(&stranger, &path).await.status, 404, "{path}");
        }
        let trace = office.bob.caller.trace;
        let found = office.app.get(&stranger, &format!("/api/v1/evidence?trace={trace}")).await;
        assert!(found.json()["items"].as_array().unwrap().is_empty());
        let erased = office.app.send(&office.house.root, Method::POST, "/api/v1/evidence/erasures", &json!({ "subject": office.bob.id() })).await;
        assert_eq!(erased.status, 404, "{erased:?}");
    }

    async fn nobody_reads_evidence_without_the_role_and_only_auditors_export(db: &TestDb) {
        let office = Office::open(db).await;
        let id = office.act(&office.bob).await.leaf;
        office.sequence().await;
        let log = office.log().await;
        let reading =
            ["/api/v1/evidence".to_owned(), format!("/api/v1/evidence/{id}"), format!("/api/v1/evidence/{id}/proof"),
             "/api/v1/evidence/log".to_owned(), format!("{}checkpoint", log.path), format!("{}tile/0/000.p/1", log.path)];
        for path in &reading {
            assert_eq!(office.app.get(&office.bob, path).await.status, 403, "{path}");
            assert_eq!(office.app.get(&office.admin, path).await.status, 200, "{path}");
            let nobody = office.app.ask(None, Method::GET, path, axum::body::Body::empty()).await;
            assert_eq!(nobody.status, 401, "{path}");
        }
        let export = "/api/v1/evidence/export";
        assert_eq!(office.app.get(&office.admin, export).await.status, 403);
        assert_eq!(office.app.get(&office.auditor, export).await.status, 200);
    }

    async fn a_proof_waits_for_the_sequencer(db: &TestDb) {
        let office = Office::open(db).await;
        let id = office.act(&office.bob).await.leaf;
        let path = format!("/api/v1/evidence/{id}/proof");
        let (answer, ()) = tokio::join!(office.app.get(&office.auditor, &path), office.sequence());
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    async fn a_running_sequencer_makes_every_record_provable_in_time(db: &TestDb) {
        let office = Office::open(db).await;
        let worker = tokio::spawn(office.sequencer().run());
        for _ in 0..3 {
            let id = office.act(&office.bob).await.leaf;
            let answer = office.app.get(&office.auditor, &format!("/api/v1/evidence/{id}/proof")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        worker.abort();
    }

    async fn a_proof_is_not_waited_for_for_ever(db: &TestDb) {
        let office = Office::open(db).await;
        let id = office.act(&office.bob).await.leaf;
        let answer = office.app.get(&office.auditor, &format!("/api/v1/evidence/{id}/proof")).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (409, json!("not_integrated")));
    }

    async fn a_tile_never_changes_and_only_those_of_the_tree_exist(db: &TestDb) {
        let office = Office::open(db).await;
        office.sequence().await;
        let log = office.log().await;
        let size = office.checkpoint(&log).await.head().size;
        let get = async |tile: &str| office.app.get(&office.auditor, &format!("{}tile/{tile}", log.path)).await;
        let first = get("0/000.p/2").await;
        assert_eq!(first.header("cache-control"), "private, max-age=31536000, immutable");
        office.act(&office.bob).await;
        office.sequence().await;
        assert_eq!(get("0/000.p/2").await.body, first.body);
        assert_eq!(get(&format!("0/000.p/{}", size + 200)).await.status, 404);
        for nonsense in ["0/000.p/0", "0/000.p/257", "0/00", "0/../0/000", "9/000", "x/000", "0/000.p/02", "entries/001.p/1"] {
            assert_eq!(get(nonsense).await.status, 404, "{nonsense}");
        }
    }
}

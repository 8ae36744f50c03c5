//! The person goes, the proof stays.

use http::Method;
use serde_json::{Value, json};
use writ_merkle::{Policy, TlogProof};
use writ_store::{on_both, testing::TestDb};
use writ_testkit::{Answer, Someone};

use crate::{Office, verify};

async fn erase(office: &Office, who: &Someone, subject: &Someone) -> Answer {
    office.app.send(who, Method::POST, "/api/v1/evidence/erasures", &json!({ "subject": subject.id() })).await
}

async fn show(office: &Office, id: impl std::fmt::Display) -> Value {
    office.app.get(&office.auditor, &format!("/api/v1/evidence/{id}")).await.json()
}

fn actor(record: &Value) -> String {
    let leaf: Value = serde_json::from_str(record["leaf"].as_str().unwrap()).unwrap();
    leaf["actor"].as_str().unwrap().to_owned()
}

on_both! {
    async fn erasing_destroys_what_records_say_and_no_proof(db: &TestDb) {
        let office = Office::open(db).await;
        let (of_bob, of_ann) = (office.act(&office.bob).await.leaf, office.act(&office.auditor).await.leaf);
        office.sequence().await;
        let before = show(&office, of_bob).await;
        let erased = erase(&office, &office.admin, &office.bob).await;
        assert_eq!(erased.status, 200, "{erased:?}");
        assert_eq!(erased.json()["pseudonym"], actor(&before).as_str());

        let after = show(&office, of_bob).await;
        assert_eq!((&after["payload"], &after["erased"]), (&Value::Null, &json!(true)));
        assert_eq!((&after["leaf"], &after["index"]), (&before["leaf"], &before["index"]));
        assert_eq!(show(&office, of_ann).await["payload"]["actor"]["id"], json!(office.auditor.id()));

        office.sequence().await;
        let log = office.log().await;
        let proof = office.app.get(&office.auditor, &format!("/api/v1/evidence/{of_bob}/proof")).await;
        let leaf = after["leaf"].as_str().unwrap().as_bytes();
        TlogProof::from_bytes(&proof.body).unwrap().verify(leaf, &log.keys, &Policy::default()).unwrap();
        let verified = verify(&office.export("").await, &log, None);
        assert!(verified.is_intact(), "{verified:?}");
        assert!(verified.erased > 0 && verified.payloads > 0, "{verified:?}");
    }

    async fn who_acts_on_does_so_under_another_name_and_key(db: &TestDb) {
        let office = Office::open(db).await;
        let before = actor(&show(&office, office.act(&office.bob).await.leaf).await);
        erase(&office, &office.admin, &office.bob).await;
        let after = show(&office, office.act(&office.bob).await.leaf).await;
        assert_ne!(actor(&after), before);
        assert_eq!(after["payload"]["actor"]["id"], json!(office.bob.id()));
    }

    async fn a_key_another_server_remembers_is_not_used_again(db: &TestDb) {
        let office = Office::open(db).await;
        let limits = writ_gate::Limits::default();
        let other = writ_gate::Gate::new(db.db.clone(), office.house.gate.seal().clone(), db.time.world(), limits);
        let act = async || {
            let resource = writ_gate::Resource::all("environment");
            let grant = other.grant(&office.bob.caller, writ_kernel::Action::EnvironmentRead, resource).await.unwrap();
            grant.commit(writ_gate::Done::plain()).await.unwrap().leaf
        };
        act().await;
        erase(&office, &office.admin, &office.bob).await;
        assert_eq!(show(&office, act().await).await["erased"], false);
    }

    async fn the_leaf_of_an_erasure_names_the_pseudonym_and_not_the_person(db: &TestDb) {
        let office = Office::open(db).await;
        let pseudonym = actor(&show(&office, office.act(&office.bob).await.leaf).await);
        let answer = erase(&office, &office.admin, &office.bob).await;
        let id = answer.header("writ-receipt").split(['=', ',']).nth(1).unwrap().to_owned();
        let record = show(&office, id).await;
        assert_eq!(record["action"], "evidence.subjects.erase");
        assert_eq!(record["payload"]["detail"], json!({ "pseudonym": pseudonym, "keys": 1 }));
        assert!(!record.to_string().contains(&office.bob.id().to_string()));
    }

    async fn erasing_is_for_administrators_and_not_of_oneself(db: &TestDb) {
        let office = Office::open(db).await;
        office.act(&office.bob).await;
        assert_eq!(erase(&office, &office.auditor, &office.bob).await.status, 403);
        assert_eq!(erase(&office, &office.bob, &office.auditor).await.status, 403);
        let own = erase(&office, &office.admin, &office.admin).await;
        assert_eq!((own.status.as_u16(), own.json()["code"].clone()), (409, json!("own_records")));
        assert_eq!(erase(&office, &office.admin, &office.bob).await.status, 200);
        assert_eq!(erase(&office, &office.admin, &office.house.root).await.status, 404);
    }
}

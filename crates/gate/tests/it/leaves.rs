//! What stands in the log, and what can be proven from it.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use serde_json::{Value, json};
use writ_crypto::hash;
use writ_gate::{Circumstances, Done, Resource, tenancy};
use writ_kernel::{Action, Kind};
use writ_store::{execute, on, on_both, testing::TestDb};
use writ_testkit::{House, Record, Someone};

/// The newest record of `action`.
async fn last(house: &House, who: &Someone, action: Action) -> Record {
    let mut records = house.records(who.tenant()).await;
    records.retain(|record| record.leaf["cls"] == action.name());
    records.pop().unwrap()
}

fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap()
}

/// HMAC-SHA256 with the key inside the payload, as a leaf writes it.
fn commitment(payload: &Value, label: &str, text: &str) -> String {
    let key = payload["commitmentKey"].as_str().unwrap();
    let key = hex(key);
    let mac = hash::hmac_sha256(&key, &[label.as_bytes(), text.as_bytes()]);
    format!("hmac-sha256:{}", hash::hex(&mac))
}

fn hex(text: &str) -> [u8; 32] {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..64).step_by(2).map(byte).collect();
    bytes.try_into().unwrap()
}

on_both! {
    async fn the_receipt_is_the_hash_of_the_stored_leaf_in_the_tree(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let grant = house.gate.grant(&admin.caller, Action::PolicyRead, Resource::all("policy-set")).await.unwrap();
        let receipt = grant.commit(Done::plain()).await.unwrap();
        let record = last(&house, &admin, Action::PolicyRead).await;
        assert_eq!(record.leaf["id"], receipt.leaf.to_string());
        assert_eq!(writ_merkle::tree::leaf_hash(record.text.as_bytes()).as_bytes(), &receipt.hash);
        assert_eq!(record.hash, receipt.hash);
    }

    async fn a_leaf_is_canonical_and_says_when_where_and_under_which_policies(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let grant = house.gate.grant(&admin.caller, Action::PolicyRead, Resource::all("policy-set")).await.unwrap();
        let policies = grant.policies().digest().to_owned();
        grant.commit(Done::plain()).await.unwrap();
        let record = last(&house, &admin, Action::PolicyRead).await;
        assert_eq!(record.text, canonical(&record.leaf));
        let log = tenancy::tenant(&mut db.db.read(admin.tenant()).await.unwrap()).await.unwrap().log;
        assert_eq!(record.leaf["log"], log);
        assert_eq!(record.leaf["t"], house.gate.world().now().to_string());
        assert_eq!(record.leaf["pol"], policies);
        assert_eq!(record.leaf["trace"], admin.caller.trace.to_string());
    }

    async fn a_refusal_says_who_what_and_why_to_key_holders(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let vic = house.person(&admin, "vic", &["viewer"]).await;
        let target = house.gate.world().id::<writ_kernel::Person>();
        let resource = Resource::one("person", target).named("zoe");
        house.gate.grant(&vic.caller, Action::PersonDisable, resource).await.unwrap_err();
        let payload = last(&house, &admin, Action::PersonDisable).await.payload;
        assert_eq!(payload["action"], "identity.people.disable");
        assert_eq!(payload["outcome"], "refuse");
        assert_eq!(payload["actor"]["id"], vic.id().to_string());
        assert_eq!(payload["actor"]["roles"], json!(["viewer"]));
        assert_eq!(payload["actor"]["source"], "192.0.2.7");
        assert_eq!(payload["object"]["id"], target.to_string());
        assert_eq!(payload["object"]["name"], "zoe");
        assert_eq!(payload["decision"]["allow"], false);
        assert_eq!(payload["detail"]["code"], "forbidden");
        assert_eq!(payload["detail"]["told"], "no role you hold here permits `identity.people.disable`");
    }

    async fn the_public_leaf_names_nobody_and_nothing(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let vic = house.person(&admin, "vicary", &["viewer"]).await;
        let target = house.gate.world().id::<writ_kernel::Person>();
        let resource = Resource::one("person", target).named("zoe-the-victim");
        house.gate.grant(&vic.caller, Action::PersonDisable, resource).await.unwrap_err();
        let about = [
            vic.id().to_string(), target.to_string(), admin.id().to_string(), admin.tenant().to_string(),
            "vicary".to_owned(), "zoe-the-victim".to_owned(), "acme".to_owned(), "192.0.2.7".to_owned(), "viewer".to_owned(),
        ];
        for record in house.records(admin.tenant()).await {
            for fact in &about {
                assert!(!record.text.contains(fact), "{fact} stands in {}", record.text);
            }
            let members: BTreeSet<_> = record.leaf.as_object().unwrap().keys().map(String::as_str).collect();
            let known = ["v", "id", "t", "log", "cls", "out", "actor", "obj", "aseq", "dec", "pol", "trace", "pc"];
            assert!(members.is_subset(&known.into()), "{members:?}");
        }
    }

    async fn the_leaf_commits_to_the_payload_and_to_the_decision(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let entry = house.gate.enter(&admin.caller, Action::PolicyRead).await.unwrap();
        let around = Circumstances { approvals: 3, isolation: Some(1), plan: None };
        let grant = entry.admit_under(Resource::all("policy-set"), around).await.unwrap();
        grant.commit(Done::with(json!({ "why": "ünïcode", "n": 1.5 }))).await.unwrap();
        let Record { leaf, payload, .. } = last(&house, &admin, Action::PolicyRead).await;
        let mut body = payload.clone();
        body.as_object_mut().unwrap().remove("commitmentKey").unwrap();
        assert_eq!(leaf["pc"], commitment(&payload, "writ/payload/v1\0", &canonical(&body)));
        assert_eq!(leaf["dec"], commitment(&payload, "writ/decision/v1\0", &canonical(&payload["decision"])));
        assert_eq!(payload["decision"]["approvals"], 3);
        body["detail"]["why"] = json!("something else");
        assert_ne!(leaf["pc"], commitment(&payload, "writ/payload/v1\0", &canonical(&body)));
    }

    async fn the_same_act_twice_commits_to_different_values(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        for _ in 0..2 {
            let grant = house.gate.grant(&admin.caller, Action::PolicyRead, Resource::all("policy-set")).await.unwrap();
            grant.commit(Done::plain()).await.unwrap();
        }
        let records = house.records(admin.tenant()).await;
        let of = |member: &str| records.iter().map(|record| record.leaf[member].to_string()).collect::<BTreeSet<_>>();
        assert_eq!((of("pc").len(), of("dec").len()), (records.len(), records.len()));
    }

    async fn the_numbers_of_an_actor_have_no_gap_under_concurrency(db: &TestDb) {
        let house = Arc::new(House::over(db).await);
        let admin = house.tenant("acme").await;
        let ann = house.person(&admin, "ann", &["admin"]).await;
        let act = |n: u32| {
            let (house, who) = (house.clone(), if n.is_multiple_of(2) { ann.clone() } else { admin.clone() });
            tokio::spawn(async move {
                let grant = house.gate.grant(&who.caller, Action::PolicyRead, Resource::all("policy-set")).await.unwrap();
                // Every fifth is dropped: that leaves no gap either.
                if n.is_multiple_of(5) { drop(grant) } else { grant.commit(Done::plain()).await.map(drop).unwrap() }
            })
        };
        join_all((0..50).map(act)).await.into_iter().for_each(Result::unwrap);
        let records = house.records(admin.tenant()).await;
        assert_eq!(records.iter().filter(|record| record.leaf["cls"] == "policy.sets.read").count(), 40);
        let actors: BTreeSet<_> = records.iter().map(|record| record.leaf["actor"].as_str().unwrap()).collect();
        assert!(actors.len() >= 2);
        for actor in actors {
            let own = records.iter().filter(|record| record.leaf["actor"] == actor);
            let mut numbers: Vec<_> = own.map(|record| record.leaf["aseq"].as_i64().unwrap()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<i64>>(), "{actor}");
        }
    }

    async fn two_who_act_on_each_other_at_once_both_get_through(db: &TestDb) {
        let house = Arc::new(House::over(db).await);
        let admin = house.tenant("acme").await;
        let (ann, bob) = (house.person(&admin, "ann", &["admin"]).await, house.person(&admin, "bob", &["admin"]).await);
        let act = |n: u32| {
            let house = house.clone();
            let (who, whom) = if n.is_multiple_of(2) { (ann.clone(), bob.id()) } else { (bob.clone(), ann.id()) };
            tokio::spawn(async move {
                let resource = Resource::one("person", writ_kernel::Id::<()>::from_uuid(whom));
                house.gate.grant(&who.caller, Action::PersonRead, resource).await?.commit(Done::plain()).await
            })
        };
        for outcome in join_all((0..40).map(act)).await {
            outcome.unwrap().unwrap();
        }
    }

    async fn destroying_a_key_erases_what_was_said_and_leaves_the_leaf(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let mut tx = db.db.tx(admin.tenant()).await.unwrap();
        let (leaf, key, sealed) = on!(tx, |conn, tenant| {
            sqlx::query_as::<_, (uuid::Uuid, uuid::Uuid, Vec<u8>)>(
                "SELECT leaf_id, key_id, payload FROM evidence_leaves WHERE tenant_id = $1",
            )
            .bind(tenant)
            .fetch_one(conn)
        }).unwrap();
        house.gate.open_payload(&mut tx, leaf, key, &sealed).await.unwrap();
        execute!(tx, |conn, tenant| sqlx::query("DELETE FROM evidence_keys WHERE tenant_id = $1").bind(tenant).execute(conn)).unwrap();
        let gone = house.gate.open_payload(&mut tx, leaf, key, &sealed).await.unwrap_err();
        assert_eq!((gone.kind(), gone.code()), (Kind::Gone, "erased"));
    }

    async fn a_payload_belongs_to_its_leaf(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let mut tx = db.db.read(admin.tenant()).await.unwrap();
        let (key, sealed) = on!(tx, |conn, tenant| {
            sqlx::query_as::<_, (uuid::Uuid, Vec<u8>)>("SELECT key_id, payload FROM evidence_leaves WHERE tenant_id = $1")
                .bind(tenant)
                .fetch_one(conn)
        }).unwrap();
        let other = house.gate.world().uuid();
        assert!(house.gate.open_payload(&mut tx, other, key, &sealed).await.is_err());
    }
}

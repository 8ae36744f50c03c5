//! The door for what changes nothing: on both engines.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use writ_gate::{Done, Resource, policy_sets};
use writ_kernel::{Action, Caller, Capability, Fence, Kind, Rule, Rules};
use writ_store::{on_both, testing::TestDb};
use writ_testkit::{House, Record, Someone};

async fn records(house: &House, who: &Someone, action: Action) -> Vec<Record> {
    let records = house.records(who.tenant()).await;
    records.into_iter().filter(|record| record.leaf["cls"] == action.name()).collect()
}

async fn reader(house: &House) -> Someone {
    let admin = house.tenant("acme").await;
    house.person(&admin, "rita", &["secrets-admin"]).await
}

fn secret() -> Resource {
    Resource::all("secret")
}

async fn activate(house: &House, admin: &Someone, policies: &str) {
    let grant = house.gate.grant(&admin.caller, Action::PolicyWrite, Resource::all("policy-set")).await;
    let (mut grant, world) = (grant.unwrap(), house.gate.world());
    policy_sets::activate(grant.tx(), world, admin.caller.principal, policies, None).await.unwrap();
    grant.commit(Done::plain()).await.unwrap();
}

on_both! {
    async fn what_is_recorded_is_durable_and_says_what_was_read(db: &TestDb) {
        let house = House::over(db).await;
        let rita = reader(&house).await;
        let entry = house.gate.enter_to_read(&rita.caller, Action::SecretRead).await.unwrap();
        let receipt = entry.admit(secret()).await.unwrap().record(Done::with(json!({ "version": 3 }))).await.unwrap();
        let records = records(&house, &rita, Action::SecretRead).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].leaf["id"], receipt.leaf.to_string());
        assert_eq!(records[0].payload["detail"]["version"], 3);
    }

    async fn a_dropped_reading_leaves_nothing(db: &TestDb) {
        let house = House::over(db).await;
        let rita = reader(&house).await;
        drop(house.gate.enter_to_read(&rita.caller, Action::SecretRead).await.unwrap().admit(secret()).await.unwrap());
        assert!(records(&house, &rita, Action::SecretRead).await.is_empty());
    }

    async fn nothing_can_be_changed_through_it(db: &TestDb) {
        let house = House::over(db).await;
        let rita = reader(&house).await;
        let error = house.gate.enter_to_read(&rita.caller, Action::SecretWrite).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
    }

    async fn what_policy_forbids_is_refused_on_record(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let aud = house.person(&admin, "aud", &["auditor"]).await;
        let entry = house.gate.enter_to_read(&aud.caller, Action::SecretRead).await.unwrap();
        let error = entry.admit(secret()).await.unwrap_err();
        assert_eq!((error.kind(), error.receipt().is_some()), (Kind::Forbidden, true));
        let records = records(&house, &aud, Action::SecretRead).await;
        assert_eq!(records.iter().map(|record| record.leaf["out"].clone()).collect::<Vec<_>>(), ["refuse"]);
    }

    async fn a_credential_goes_no_further_than_its_path_rules(db: &TestDb) {
        let house = House::over(db).await;
        let rita = reader(&house).await;
        let rules = Arc::new(Rules::new([Rule::allow("kv/data/mine/*", vec![Capability::Read])]));
        let fence = Fence::new(rules);
        let within = Caller { fence: Some(fence.at("kv/data/mine/one", Capability::Read)), ..rita.caller.clone() };
        drop(house.gate.enter_to_read(&within, Action::SecretRead).await.unwrap());
        for fence in [fence.clone(), fence.at("kv/data/yours", Capability::Read), fence.at("kv/data/mine/one", Capability::List)] {
            let beyond = Caller { fence: Some(fence), ..rita.caller.clone() };
            let error = house.gate.enter_to_read(&beyond, Action::SecretRead).await.unwrap_err();
            assert_eq!((error.kind(), error.receipt().is_some()), (Kind::Forbidden, true));
        }
    }

    async fn readings_at_once_share_their_writing_and_leave_no_gap(db: &TestDb) {
        let house = Arc::new(House::over(db).await);
        let rita = reader(&house).await;
        let read = |_| {
            let (house, rita) = (house.clone(), rita.clone());
            tokio::spawn(async move {
                let entry = house.gate.enter_to_read(&rita.caller, Action::SecretRead).await.unwrap();
                entry.admit(secret()).await.unwrap().record(Done::plain()).await.unwrap().leaf
            })
        };
        let receipts = join_all((0..100).map(read)).await;
        let mut numbers: Vec<_> = records(&house, &rita, Action::SecretRead).await
            .iter().map(|record| record.leaf["aseq"].as_i64().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(receipts.len(), numbers.len());
        assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
    }

    async fn a_new_policy_holds_for_the_next_reading(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let rita = house.person(&admin, "rita", &["secrets-admin"]).await;
        let may_read = async || {
            let entry = house.gate.enter_to_read(&rita.caller, Action::SecretRead).await.unwrap();
            entry.admit(secret()).await.is_ok()
        };
        assert!(may_read().await);
        activate(&house, &admin, r#"forbid (principal, action == Writ::Action::"vault.secrets.read", resource);"#).await;
        assert!(!may_read().await);
        activate(&house, &admin, "").await;
        assert!(may_read().await);
    }

    async fn a_policy_that_looks_at_the_clock_is_asked_each_time(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let rita = house.person(&admin, "rita", &["secrets-admin"]).await;
        activate(&house, &admin, r#"
            forbid (principal, action == Writ::Action::"vault.secrets.read", resource)
            when { context.sessionAgeSeconds > 60 };"#).await;
        let may_read = async || {
            let entry = house.gate.enter_to_read(&rita.caller, Action::SecretRead).await.unwrap();
            entry.admit(secret()).await.is_ok()
        };
        assert!(may_read().await);
        house.time.advance(std::time::Duration::from_secs(61));
        assert!(!may_read().await);
    }
}

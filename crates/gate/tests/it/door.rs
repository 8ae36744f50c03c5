//! Entering, being admitted, committing: on both engines.

use std::{sync::Arc, time::Duration};

use writ_gate::{Done, Environment, Gate, Grant, Limits, Rate, Resource, policy_sets, tenancy};
use writ_kernel::{Action, Caller, Kind, Scopes};
use writ_store::{on_both, testing::TestDb};
use writ_testkit::{House, Record};

use crate::cast;

/// An environment that is not in the database yet.
fn fresh(house: &House, name: &str) -> Environment {
    Environment { id: house.gate.world().id(), name: name.parse().unwrap(), ..cast::environment("dev", 0) }
}

async fn may_create(house: &House, who: &Caller) -> Grant {
    house.gate.grant(who, Action::EnvironmentCreate, Resource::all("environment")).await.unwrap()
}

async fn environments(house: &House, who: &Caller) -> Vec<Environment> {
    tenancy::environments(&mut house.gate.db().read(who.tenant).await.unwrap()).await.unwrap()
}

/// The records of `action`, since tenants are not born without any.
async fn records(house: &House, who: &Caller, action: Action) -> Vec<Record> {
    let records = house.records(who.tenant).await;
    records.into_iter().filter(|record| record.leaf["cls"] == action.name()).collect()
}

/// A gate to the same house that hardly lets anyone in twice.
fn narrow(house: &House, principal: Rate, tenant: Rate) -> Gate {
    let (db, seal, world) = (house.gate.db().clone(), house.gate.seal().clone(), house.gate.world().clone());
    Gate::new(db, seal, world, Limits { tenant, principal })
}

const WIDE: Rate = Rate { per_second: 1_000, burst: 1_000 };
const ONE: Rate = Rate { per_second: 1, burst: 1 };

on_both! {
    async fn a_commit_makes_the_change_and_its_leaf_last(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        let environment = fresh(&house, "dev");
        let mut grant = may_create(&house, &admin).await;
        tenancy::create_environment(grant.tx(), &environment).await.unwrap();
        grant.commit(Done::plain().created(environment.id)).await.unwrap();
        assert_eq!(environments(&house, &admin).await, [environment]);
        let records = records(&house, &admin, Action::EnvironmentCreate).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].leaf["out"], "allow");
    }

    async fn a_dropped_grant_does_nothing_at_all(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        let mut grant = may_create(&house, &admin).await;
        tenancy::create_environment(grant.tx(), &fresh(&house, "dev")).await.unwrap();
        grant.also(Action::PolicyWrite, &Resource::all("policy-set"), Done::plain()).await.unwrap();
        drop(grant);
        assert!(environments(&house, &admin).await.is_empty());
        assert!(records(&house, &admin, Action::EnvironmentCreate).await.is_empty());
        assert!(records(&house, &admin, Action::PolicyWrite).await.is_empty());
    }

    async fn a_commit_that_fails_leaves_neither_change_nor_leaf(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        let mut grant = may_create(&house, &admin).await;
        tenancy::create_environment(grant.tx(), &fresh(&house, "dev")).await.unwrap();
        let taken = tenancy::create_environment(grant.tx(), &fresh(&house, "dev")).await.unwrap_err();
        assert_eq!(taken.code(), "name_taken");
        grant.commit(Done::plain()).await.unwrap_err();
        assert!(environments(&house, &admin).await.is_empty());
        assert!(records(&house, &admin, Action::EnvironmentCreate).await.is_empty());
    }

    async fn after_a_commit_that_failed_the_next_one_succeeds_and_can_be_read(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let ann = house.person(&admin, "ann", &["viewer"]).await.caller;
        house.time.advance(Duration::from_hours(24 * 40));
        let mut grant = house.gate.grant(&ann, Action::EnvironmentRead, Resource::all("environment")).await.unwrap();
        grant.also(Action::EnvironmentRead, &Resource::all("environment"), Done::plain()).await.unwrap();
        drop(grant);
        let grant = house.gate.grant(&ann, Action::EnvironmentRead, Resource::all("environment")).await.unwrap();
        grant.commit(Done::plain()).await.unwrap();
        assert_eq!(records(&house, &ann, Action::EnvironmentRead).await.len(), 1);
    }

    async fn what_a_verb_refuses_is_undone_and_on_record(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        let mut grant = may_create(&house, &admin).await;
        tenancy::create_environment(grant.tx(), &fresh(&house, "dev")).await.unwrap();
        let error = grant.refuse(writ_kernel::Error::conflict("too_late", "it is too late")).await;
        assert_eq!(error.code(), "too_late");
        assert!(environments(&house, &admin).await.is_empty());
        let records = records(&house, &admin, Action::EnvironmentCreate).await;
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].leaf["out"].as_str(), records[0].code()), (Some("refuse"), Some("too_late")));
    }

    async fn what_policy_forbids_is_on_record_and_the_caller_gets_the_receipt(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let viewer = house.person(&admin, "vic", &["viewer"]).await.caller;
        let error = house.gate.grant(&viewer, Action::PersonCreate, Resource::all("person")).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Forbidden, "forbidden"));
        assert_eq!(error.public(), "no role you hold here permits `identity.people.create`");
        let refused: Vec<_> = records(&house, &viewer, Action::PersonCreate).await
            .into_iter().filter(|record| record.leaf["out"] == "refuse").collect();
        assert_eq!(refused.len(), 1);
        let id = refused[0].leaf["id"].as_str().unwrap();
        let hash = writ_crypto::hash::hex(&refused[0].hash);
        assert_eq!(error.receipt().unwrap(), format!("recorded id={id}, leaf=sha256:{hash}"));
    }

    async fn a_credential_without_the_scope_gets_nowhere_whatever_its_roles(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        let narrow = Caller { scopes: "identity.people.read".parse().unwrap(), ..admin.clone() };
        let error = house.gate.enter(&narrow, Action::EnvironmentCreate).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Forbidden, "insufficient_scope"));
        let records = records(&house, &admin, Action::EnvironmentCreate).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].code(), Some("insufficient_scope"));
        let nothing = Caller { scopes: Scopes::default(), ..admin };
        assert!(house.gate.enter(&nothing, Action::PersonRead).await.is_err());
    }

    async fn another_tenants_row_is_not_found_and_the_attempt_is_on_record(db: &TestDb) {
        let house = House::over(db).await;
        let (ours, theirs) = (house.tenant("acme").await.caller, house.tenant("umbrella").await.caller);
        let environment = fresh(&house, "dev");
        let mut grant = may_create(&house, &theirs).await;
        tenancy::create_environment(grant.tx(), &environment).await.unwrap();
        grant.commit(Done::plain()).await.unwrap();
        let before = house.records(theirs.tenant).await.len();

        let mut entry = house.gate.enter(&ours, Action::EnvironmentUpdate).await.unwrap();
        assert_eq!(tenancy::environment(entry.tx(), environment.id).await.unwrap(), None);
        let error = entry.not_found("environment").await;
        assert_eq!((error.kind(), error.public()), (Kind::NotFound, "no such environment"));
        let records = records(&house, &ours, Action::EnvironmentUpdate).await;
        assert_eq!((records.len(), records[0].code()), (1, Some("not_found")));
        assert_eq!(house.records(theirs.tenant).await.len(), before);
    }

    async fn a_caller_of_no_tenant_is_nobody(db: &TestDb) {
        let house = House::over(db).await;
        let stranger = cast::person(&["admin"]);
        let error = house.gate.enter(&stranger, Action::PersonRead).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthenticated);
    }

    async fn behind_a_closed_seal_nothing_happens(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        house.gate.seal().close();
        house.gate.forget();
        let error = house.gate.enter(&admin, Action::PersonRead).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Sealed);
    }

    async fn whoever_asks_too_often_waits_and_the_neighbour_does_not(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let ann = house.person(&admin, "ann", &[]).await.caller;
        let gate = narrow(&house, ONE, WIDE);
        drop(gate.enter(&admin.caller, Action::PersonRead).await.unwrap());
        let error = gate.enter(&admin.caller, Action::PersonRead).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Exhausted, "rate_limited"));
        let wait = error.retry_after().unwrap();
        drop(gate.enter(&ann, Action::PersonRead).await.unwrap());
        house.time.advance(wait);
        drop(gate.enter(&admin.caller, Action::PersonRead).await.unwrap());
    }

    async fn a_tenant_in_a_hurry_does_not_slow_another(db: &TestDb) {
        let house = House::over(db).await;
        let (hasty, calm) = (house.tenant("acme").await.caller, house.tenant("umbrella").await.caller);
        let gate = narrow(&house, WIDE, ONE);
        drop(gate.enter(&hasty, Action::PersonRead).await.unwrap());
        assert_eq!(gate.enter(&hasty, Action::PersonRead).await.unwrap_err().kind(), Kind::Exhausted);
        drop(gate.enter(&calm, Action::PersonRead).await.unwrap());
    }

    async fn only_what_streams_out_of_a_run_may_go_without_a_leaf_of_its_own(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        let mut grant = may_create(&house, &admin).await;
        tenancy::create_environment(grant.tx(), &fresh(&house, "dev")).await.unwrap();
        assert_eq!(grant.commit_covered().await.unwrap_err().kind(), Kind::Internal);
        assert!(environments(&house, &admin).await.is_empty());
    }

    async fn a_tenant_is_founded_once(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        let tx = house.gate.db().tx(admin.tenant).await.unwrap();
        let error = house.gate.found(tx, admin.trace, Done::plain()).await.unwrap_err();
        assert_eq!(error.code(), "already_founded");
    }

    async fn a_new_policy_set_holds_from_its_commit_on(db: &TestDb) {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await.caller;
        let mut grant = house.gate.grant(&admin, Action::PolicyWrite, Resource::all("policy-set")).await.unwrap();
        let world = grant.world().clone();
        let own = "forbid (principal, action == Writ::Action::\"identity.people.create\", resource);";
        let (_, policies) = policy_sets::activate(grant.tx(), &world, admin.principal, own, None).await.unwrap();
        grant.commit(Done::plain()).await.unwrap();
        let error = house.gate.grant(&admin, Action::PersonCreate, Resource::all("person")).await.unwrap_err();
        assert_eq!(error.public(), "policy `tenant/policy0` forbids `identity.people.create` here");
        let refused = records(&house, &admin, Action::PersonCreate).await;
        assert_eq!(refused[0].leaf["pol"], policies.digest());
        let neighbour = house.tenant("umbrella").await.caller;
        drop(house.gate.grant(&neighbour, Action::PersonCreate, Resource::all("person")).await.unwrap());
    }

    async fn of_two_policy_sets_that_replace_the_same_one_holds(db: &TestDb) {
        let house = Arc::new(House::over(db).await);
        let admin = house.tenant("acme").await.caller;
        let first = activate(&house, &admin, "// first", None).await.unwrap();
        let replace = |own: &'static str| {
            let (house, admin) = (house.clone(), admin.clone());
            tokio::spawn(async move { activate(&house, &admin, own, Some(first)).await })
        };
        let attempts = ["// second", "// third"].map(replace);
        let mut kept = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                Ok(_) => kept += 1,
                Err(error) => assert_eq!((error.kind(), error.code()), (Kind::Conflict, "stale_policy_set")),
            }
        }
        assert_eq!(kept, 1);
    }
}

async fn activate(
    house: &House,
    who: &Caller,
    own: &str,
    replaces: Option<uuid::Uuid>,
) -> writ_kernel::Result<uuid::Uuid> {
    let mut grant = house.gate.grant(who, Action::PolicyWrite, Resource::all("policy-set")).await?;
    let world = grant.world().clone();
    let (id, _) = policy_sets::activate(grant.tx(), &world, who.principal, own, replaces).await?;
    grant.commit(Done::plain()).await.map(|_| id.uuid())
}

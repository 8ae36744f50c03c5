//! What the door costs: a decision by itself, and a whole act from entry to durable evidence.
//!
//! `cargo bench -p writ-gate` prints latencies, and what of an act is the decision.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark reports"
)]

use std::time::{Duration, Instant};

use writ_gate::{Circumstances, Done, Environment, Facts, Resource, policy::Policies};
use writ_kernel::{Action, Caller, Role};
use writ_store::testing::TestDb;
use writ_testkit::House;

const ROUNDS: usize = 2_000;

#[tokio::main]
async fn main() {
    let db = TestDb::sqlite().await;
    let house = House::over(&db).await;
    let admin = house.tenant("acme").await;
    let caller = Caller {
        roles: [Role { name: "developer".parse().unwrap(), environment: None }].into(),
        ..admin.caller
    };
    let resource = Resource::all("deployment").within(Environment {
        id: house.gate.world().id(),
        name: "dev".parse().unwrap(),
        kind: "dev".to_owned(),
        required_approvals: 0,
        minimum_isolation: 0,
        created_at: house.gate.world().now(),
    });

    let policies = Policies::compile("").unwrap();
    let facts = Facts::new(&caller, &resource, &Circumstances::default(), house.gate.world().now());
    let decision = measure(|| {
        assert!(policies.decide(Action::DeploymentCreate, &facts).unwrap().allow);
    });

    let mut acts = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let grant = house.gate.grant(&caller, Action::DeploymentCreate, resource.clone()).await.unwrap();
        grant.commit(Done::plain()).await.unwrap();
        acts.push(start.elapsed());
    }
    let act = quantiles(acts);
    println!("{:<36} {:>10} {:>10}", "", "p50", "p99");
    println!("{:<36} {:>10.1?} {:>10.1?}", "a decision", decision.0, decision.1);
    println!("{:<36} {:>10.1?} {:>10.1?}", "enter, decide, record, commit", act.0, act.1);
    println!("the decision is {:.0} % of the act", decision.0.as_secs_f64() / act.0.as_secs_f64() * 100.0);
}

fn measure(mut each: impl FnMut()) -> (Duration, Duration) {
    let one = |()| {
        let start = Instant::now();
        each();
        start.elapsed()
    };
    quantiles(std::iter::repeat_n((), ROUNDS).map(one).collect())
}

fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

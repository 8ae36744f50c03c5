//! Others must agree, and to exactly one plan.

use writ_wire::{approvals::Verdict, deployments::State};

use crate::house::{House, Tenant, decide};

const STEADY: &str = r#"resource "terraform_data" "a" { input = "steady" }"#;

/// Each plan of it is another.
const RESTLESS: &str = r#"
resource "terraform_data" "a" { input = "steady" }
output "now" { value = timestamp() }
resource "terraform_data" "b" { input = plantimestamp() }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_identical_plan_keeps_its_approval_and_is_applied_once() {
    let house = House::start("").await;
    let tenant = Tenant::found(&house).await;
    let careful = tenant.workbench("careful", 1).await;
    let waiting = tenant.deploy_main(&careful, STEADY).await.must(State::AwaitingApproval, "");

    let own = decide(&tenant.alice, &waiting.deployment, Verdict::Approve).await.unwrap_err();
    assert_eq!(own.problem().unwrap().status, 403, "{own:?}");
    let approval = decide(&tenant.bob, &waiting.deployment, Verdict::Approve).await.unwrap();
    assert_eq!(approval.state, "approved");

    let done = tenant.follow(waiting.id(), |_| false).await.must(State::Succeeded, "applied");
    let (seen, made) = (waiting.deployment.plan.as_ref().unwrap(), done.deployment.plan.as_ref().unwrap());
    assert_eq!(seen.binding, made.binding);
    assert_eq!(tenant.approval(&done.deployment).await.state, "used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_differs_voids_the_approval_and_asks_again() {
    let house = House::start("").await;
    let tenant = Tenant::found(&house).await;
    let careful = tenant.workbench("careful", 1).await;
    let waiting = tenant.deploy_main(&careful, RESTLESS).await.must(State::AwaitingApproval, "");
    let first = waiting.deployment.approval.unwrap();
    decide(&tenant.bob, &waiting.deployment, Verdict::Approve).await.unwrap();

    let asked_again = |state, deployment: &writ_wire::deployments::Deployment| {
        state == State::AwaitingApproval && deployment.approval != Some(first)
    };
    let again = loop {
        let seen = tenant.follow(waiting.id(), |state| state == State::AwaitingApproval).await;
        assert!(!seen.deployment.state.is_final(), "{:?}", seen.deployment.outcome);
        if asked_again(seen.deployment.state, &seen.deployment) {
            break seen;
        }
    };
    assert_ne!(
        waiting.deployment.plan.as_ref().unwrap().binding,
        again.deployment.plan.as_ref().unwrap().binding
    );
    let stale = decide(&tenant.carol, &waiting.deployment, Verdict::Approve).await.unwrap_err();
    assert_eq!(stale.problem().unwrap().status, 409, "{stale:?}");
    assert!(crate::house::files_below(&house.data().join("states")).is_empty(), "nothing was applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_must_agree_through_a_power_cut_and_one_no_is_enough() {
    let mut house = House::start("").await;
    let tenant = Tenant::found(&house).await;
    let strict = tenant.workbench("strict", 2).await;
    let waiting = tenant.deploy_main(&strict, STEADY).await.must(State::AwaitingApproval, "");
    let one = decide(&tenant.bob, &waiting.deployment, Verdict::Approve).await.unwrap();
    assert_eq!((one.state.as_str(), one.quorum), ("pending", 2));
    let twice = decide(&tenant.bob, &waiting.deployment, Verdict::Approve).await;
    assert!(
        twice.is_err() || twice.is_ok_and(|approval| approval.state == "pending"),
        "one person is one vote"
    );
    house.kill().await;
    house.restart().await;
    assert_eq!(tenant.look(waiting.id()).await.state, State::AwaitingApproval);
    assert_eq!(decide(&tenant.carol, &waiting.deployment, Verdict::Approve).await.unwrap().state, "approved");
    tenant.follow(waiting.id(), |_| false).await.must(State::Succeeded, "applied");

    let changed = r#"resource "terraform_data" "a" { input = "changed" }"#;
    let waiting = tenant.deploy_main(&strict, changed).await.must(State::AwaitingApproval, "");
    decide(&tenant.bob, &waiting.deployment, Verdict::Approve).await.unwrap();
    assert_eq!(decide(&tenant.carol, &waiting.deployment, Verdict::Reject).await.unwrap().state, "rejected");
    let refused = tenant.follow(waiting.id(), |_| false).await;
    assert_eq!(refused.deployment.state, State::Refused);
}

//! The usual path: plan, apply, change, destroy, go back.

use serde_json::json;
use writ_wire::deployments::{Deployment, Mode, Rollback, State};

use crate::house::{House, Tenant};

const CONFIGURATION: &str = r#"
variable "size" {
  type    = number
  default = 1
}
resource "terraform_data" "disk" {
  input = { size = var.size }
}
output "size" {
  value = terraform_data.disk.output.size
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_made_kept_made_again_and_taken_back() {
    let house = House::start("").await;
    let tenant = Tenant::found(&house).await;
    let dev = tenant.workbench("dev", 0).await;
    let mut wish = tenant.wish(&dev, CONFIGURATION).await;

    wish.mode = Mode::Plan;
    let planned = tenant.deploy(&wish).await.must(State::Succeeded, "planned");
    assert_eq!(planned.deployment.plan.as_ref().unwrap().facts.create, 1);

    wish.mode = Mode::Apply;
    let first = tenant.deploy(&wish).await.must(State::Succeeded, "applied");
    assert_eq!(first.output("size"), Some(&json!(1)));

    tenant.deploy(&wish).await.must(State::Succeeded, "no_changes");

    wish.variables.insert("size".to_owned(), json!(2));
    let second = tenant.deploy(&wish).await.must(State::Succeeded, "applied");
    assert_eq!(second.deployment.plan.as_ref().unwrap().facts.update, 1);
    assert_eq!(second.output("size"), Some(&json!(2)));

    let path = format!("/api/v1/deployments/{}/rollback", first.id());
    let back: Deployment =
        tenant.alice.post(&path, &Rollback { reason: Some("too big".into()) }).await.unwrap();
    let back = tenant.follow(back.id, |_| false).await.must(State::Succeeded, "applied");
    assert_eq!(back.output("size"), Some(&json!(1)));

    wish.mode = Mode::Destroy;
    let destroyed = tenant.deploy(&wish).await.must(State::Succeeded, "destroyed");
    assert_eq!(destroyed.deployment.plan.as_ref().unwrap().facts.delete, 1);
    wish.mode = Mode::Plan;
    let planned = tenant.deploy(&wish).await.must(State::Succeeded, "planned");
    assert_eq!(planned.deployment.plan.as_ref().unwrap().facts.create, 1, "nothing is left");
    assert!(house.left_in_workspaces().is_empty());
}

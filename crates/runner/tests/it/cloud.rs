//! Whole lives at a cloud: moto in the place of Amazon, and the real tool.

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    moto::Moto,
    plane::Plane,
    run::{States, assert_ends, told_with},
};

const MAIN: &str = "resource \"terraform_data\" \"x\" { input = \"hello\" }\noutput \"x\" { value = terraform_data.x.output }\n";

/// A run at `moto`, and what its bootstrap says of that.
fn at(moto: &Moto, token: &NamedTempFile, main: &str) -> (Plane, Value) {
    std::fs::write(token.path(), "a.web.token").unwrap();
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    let plane = Plane {
        cloud: json!({ "cloud": "aws", "roleArn": role("deploy"), "externalId": "external-id", "region": "eu-central-1" }),
        backend: json!({ "kind": "s3", "bucket": "state", "region": "eu-central-1", "prefix": "acme" }),
        ..Plane::permitting(main)
    };
    let more = json!({
        "identity": { "source": "web-identity", "tokenFile": token.path(), "roleArn": role("runner") },
        "awsEndpoints": { "sts": moto.url, "s3": moto.url, "dynamodb": moto.url },
    });
    (plane, more)
}

fn kinds(heard: &Plane) -> Vec<&str> {
    heard.events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_made_with_borrowed_authority_and_state_at_the_cloud() {
    let (moto, token) = (Moto::start().await, NamedTempFile::new().unwrap());
    moto.bucket("state").await;
    let shout =
        "resource \"terraform_data\" \"y\" {\n  provisioner \"local-exec\" { command = \"env\" }\n}\n";
    let (plane, more) = at(&moto, &token, &format!("{MAIN}{shout}"));
    let heard = told_with(plane, &States::new(), &more).await;
    assert_ends(&heard, "applied");
    assert_eq!(heard.finish()["outcome"]["outputs"], json!({ "x": "hello" }));
    // A session for planning and another for applying, and what was served is on record.
    let kinds = kinds(&heard);
    assert_eq!(kinds.iter().filter(|kind| **kind == "credential_leased").count(), 2, "{kinds:?}");
    assert!(kinds.iter().filter(|kind| **kind == "credential_served").count() >= 3, "{kinds:?}");
    let hashes: Vec<_> = heard.events.iter().filter_map(|event| event["keyHash"].as_str()).collect();
    assert_ne!(hashes.first(), hashes.last());
    // The environment of the tool, which a provisioner prints, has an address and nothing that opens anything.
    let said = heard.said();
    assert!(said.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:"), "{said}");
    assert!(said.contains("AWS_CONTAINER_AUTHORIZATION_TOKEN=[REDACTED"), "{said}");
    assert!(!said.contains("ASIA") && !said.contains("AWS_SECRET_ACCESS_KEY"), "{said}");
    // The next run finds the state.
    let (plane, more) = at(&moto, &token, &format!("{MAIN}{shout}"));
    let again = told_with(plane, &States::new(), &more).await;
    assert_eq!(again.plan.as_ref().unwrap()["changes"], false);
    assert_eq!(again.plan.as_ref().unwrap()["bound"]["stateLineage"], heard.finish()["state"]["lineage"]);
}

/// The lock of a run, as the tool writes it into the bucket.
const LOCK: &str = "6d2f8a4e-1c1f-6f3a-8c7d-2f0e6a4b9d11";
const HOLDER: &str = "writ-0192a000-0000-7000-8000-0000000000ff@host";

async fn locked(release: Option<&'static str>) -> Plane {
    let (moto, token) = (Moto::start().await, NamedTempFile::new().unwrap());
    moto.bucket("state").await;
    let lock = json!({ "ID": LOCK, "Operation": "OperationTypeApply", "Info": "", "Who": HOLDER, "Version": "1.11.4",
        "Created": "2026-11-22T12:00:00Z", "Path": "state/acme/web/terraform.tfstate" });
    moto.put("state/acme/web/terraform.tfstate.tflock", &lock.to_string()).await;
    let (plane, more) = at(&moto, &token, MAIN);
    told_with(Plane { release, ..plane }, &States::new(), &more).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_whose_holder_may_live_is_reported_and_left() {
    let heard = locked(None).await;
    assert_ends(&heard, "state_locked");
    let told = heard.events.iter().find(|event| event["event"] == "state_locked").unwrap();
    assert_eq!(told["lock"], LOCK);
    assert!(told["holder"].as_str().unwrap().starts_with(HOLDER), "{told}");
    assert!(!kinds(&heard).contains(&"state_unlocked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_a_dead_run_is_released_and_the_work_goes_on() {
    let heard = locked(Some(LOCK)).await;
    assert_ends(&heard, "applied");
    assert!(kinds(&heard).contains(&"state_unlocked"), "{:?}", heard.events);
}

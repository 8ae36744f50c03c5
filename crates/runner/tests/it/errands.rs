//! Whole lives that are errands: a connection is tried, or a lock released. Moto in the place of Amazon, behind a token
//! service that is as strict as Amazon's, which moto is not.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    moto::Moto,
    plane::Plane,
    run::{States, assert_ends, told_with},
};

const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";
const EXTERNAL_ID: &str = "the-external-id";
const LOCK: &str = "6d2f8a4e-1c1f-6f3a-8c7d-2f0e6a4b9d11";
const HOLDER: &str = "joe@laptop";

/// How the token service treats who asks for the role.
#[derive(Clone, Copy, PartialEq)]
enum Trust {
    /// Only those who know the external id.
    Strict,
    /// Those who know it, and those who bring none.
    Forgetful,
    /// Everybody.
    Everybody,
    /// Nobody gets an answer.
    Silent,
}

type Door = Arc<(Trust, String)>;

async fn sts(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> Response {
    let (trust, moto) = &*door;
    let fields: std::collections::BTreeMap<String, String> =
        form_urlencoded::parse(&body).into_owned().collect();
    if *trust == Trust::Silent {
        std::future::pending::<()>().await;
    }
    let assumed = fields["Action"] == "AssumeRole";
    let known = match (trust, fields.get("ExternalId").map(String::as_str)) {
        (Trust::Everybody, _) | (_, Some(EXTERNAL_ID)) | (Trust::Forgetful, None) => true,
        (Trust::Strict | Trust::Forgetful | Trust::Silent, _) => false,
    };
    if assumed && !(known && fields["RoleArn"] == ROLE) {
        let refused = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>";
        return (StatusCode::FORBIDDEN, refused).into_response();
    }
    let mut request = reqwest::Client::builder().no_proxy().build().unwrap().post(moto).body(body);
    for name in ["authorization", "content-type", "x-amz-date", "x-amz-security-token"] {
        request = headers.get(name).into_iter().fold(request, |request, value| request.header(name, value));
    }
    let answer = request.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.text().await.unwrap()).into_response()
}

/// A cloud with a bucket, a lock table and a token service.
struct Cloud {
    moto: Moto,
    sts: String,
    token: NamedTempFile,
}

impl Cloud {
    async fn with(trust: Trust) -> Self {
        let moto = Moto::start().await;
        moto.bucket("state").await;
        moto.table("locks", "LockID").await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sts_url = format!("http://{}/", listener.local_addr().unwrap());
        let app = Router::new().fallback(sts).with_state(Arc::new((trust, moto.url.clone())));
        tokio::spawn(axum::serve(listener, app).into_future());
        let token = NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "a.web.token").unwrap();
        Self { moto, sts: sts_url, token }
    }

    fn bootstrap(&self) -> Value {
        json!({
            "identity": { "source": "web-identity", "tokenFile": self.token.path(),
                "roleArn": "arn:aws:iam::123456789012:role/runner" },
            "awsEndpoints": { "sts": self.sts, "s3": self.moto.url, "dynamodb": self.moto.url },
        })
    }

    /// An errand that is heard to its end.
    async fn errand(&self, plane: Plane) -> Plane {
        let heard = told_with(plane, &States::new(), &self.bootstrap()).await;
        assert_eq!(heard.said(), "", "an errand has no output");
        heard
    }

    async fn has_lock(&self) -> bool {
        self.moto.get("state/acme/web/terraform.tfstate.tflock").await.is_success()
    }
}

fn validation() -> Plane {
    Plane {
        task: json!({ "task": "validate" }),
        cloud: json!({ "cloud": "aws", "roleArn": ROLE, "externalId": EXTERNAL_ID, "region": "eu-central-1" }),
        backend: json!({ "kind": "s3", "bucket": "state", "region": "eu-central-1", "prefix": "acme", "lockTable": "locks" }),
        ..Plane::of("")
    }
}

/// Each row's name and status; the text of those that fail.
fn rows(heard: &Plane) -> Vec<(String, String)> {
    let rows = heard.finish()["report"].as_array().unwrap();
    let text = |row: &Value, member: &str| row[member].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "check"), text(row, "status"))).collect()
}

fn assert_rows(heard: &Plane, expected: &[(&str, &str)]) {
    let rows = rows(heard);
    let rows: Vec<_> = rows.iter().map(|(check, status)| (check.as_str(), status.as_str())).collect();
    assert_eq!(rows, expected, "{}", heard.finish());
}

fn row<'a>(heard: &'a Plane, check: &str) -> &'a Value {
    heard.finish()["report"].as_array().unwrap().iter().find(|row| row["check"] == check).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_can_be_used_passes_in_every_row() {
    let cloud = Cloud::with(Trust::Strict).await;
    let heard = cloud.errand(validation()).await;
    let names =
        ["tool", "isolation", "identity", "authority", "confused_deputy", "reachability", "state_lock"];
    assert_rows(&heard, &names.map(|name| (name, "pass")));
    assert_ends(&heard, "validated");
    let authority = row(&heard, "authority")["detail"].as_str().unwrap();
    assert!(authority.contains("assumed-role/deploy/"), "{authority}");
    let leased: Vec<_> = heard.events.iter().filter(|event| event["event"] == "credential_leased").collect();
    assert_eq!(leased.len(), 1, "{:?}", heard.events);
    assert_eq!(leased[0]["reference"], ROLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cloud_there_is_the_machine_to_try() {
    let plane = Plane { task: json!({ "task": "validate" }), ..Plane::of("") };
    let heard = told_with(plane, &States::new(), &json!({})).await;
    assert_rows(&heard, &["tool", "isolation", "authority", "reachability"].map(|name| (name, "pass")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_external_id_or_role_is_told_and_nothing_is_reached() {
    let cloud = Cloud::with(Trust::Strict).await;
    for (member, value) in
        [("externalId", "another-id"), ("roleArn", "arn:aws:iam::123456789012:role/nobody")]
    {
        let mut plane = validation();
        plane.cloud[member] = json!(value);
        let heard = cloud.errand(plane).await;
        assert_ends(&heard, "validation_failed");
        let authority = row(&heard, "authority");
        assert_eq!(authority["status"], "fail");
        assert!(authority["detail"].as_str().unwrap().contains("sts_access_denied"), "{authority}");
        assert!(authority["fix"].as_str().unwrap().contains("external id"), "{authority}");
        assert_eq!(row(&heard, "confused_deputy")["status"], "pass");
        for skipped in ["reachability", "state_lock"] {
            assert_eq!(row(&heard, skipped)["status"], "skipped");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_lets_in_who_does_not_know_its_external_id_is_a_finding() {
    for (trust, how) in [(Trust::Forgetful, "without any"), (Trust::Everybody, "without any")] {
        let cloud = Cloud::with(trust).await;
        let heard = cloud.errand(validation()).await;
        let found = row(&heard, "confused_deputy");
        assert_eq!(found["status"], "fail");
        assert!(found["detail"].as_str().unwrap().contains(how), "{found}");
        assert!(found["fix"].as_str().unwrap().contains("sts:ExternalId"), "{found}");
        // The rest is found out all the same.
        assert_eq!(row(&heard, "state_lock")["status"], "pass");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_the_state_that_are_missing_or_unfit_are_named() {
    let cloud = Cloud::with(Trust::Strict).await;
    cloud.moto.table("people", "Name").await;
    for (bucket, table, check, code) in [
        ("nowhere", "locks", "reachability", "state_bucket_missing"),
        ("state", "nothing", "state_lock", "lock_table_missing"),
        ("state", "people", "state_lock", "lock_table_unfit"),
    ] {
        let mut plane = validation();
        plane.backend["bucket"] = json!(bucket);
        plane.backend["lockTable"] = json!(table);
        let heard = cloud.errand(plane).await;
        let failed: Vec<_> = rows(&heard).into_iter().filter(|(_, status)| status == "fail").collect();
        assert_eq!(failed, [(check.to_owned(), "fail".to_owned())], "{}", heard.finish());
        assert!(row(&heard, check)["detail"].as_str().unwrap().contains(code), "{}", row(&heard, check));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_without_an_identity_says_so() {
    let heard = told_with(validation(), &States::new(), &json!({})).await;
    assert_eq!(row(&heard, "identity")["status"], "fail");
    assert!(row(&heard, "identity")["detail"].as_str().unwrap().contains("no_identity"));
    assert_eq!(row(&heard, "confused_deputy")["status"], "skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_never_answers_is_a_row_and_not_a_hang() {
    let cloud = Cloud::with(Trust::Silent).await;
    let heard = cloud.errand(Plane { seconds: 8, ..validation() }).await;
    let identity = row(&heard, "identity");
    assert_eq!(identity["status"], "fail");
    assert!(identity["detail"].as_str().unwrap().contains("timed_out"), "{identity}");
    assert_ends(&heard, "validation_failed");
}

/// A cloud in which the state is locked by somebody.
async fn locked() -> Cloud {
    let cloud = Cloud::with(Trust::Strict).await;
    let lock = json!({ "ID": LOCK, "Operation": "OperationTypeApply", "Info": "", "Who": HOLDER, "Version": "1.11.4",
        "Created": "2026-11-22T12:00:00Z", "Path": "state/acme/web/terraform.tfstate" });
    cloud.moto.put("state/acme/web/terraform.tfstate.tflock", &lock.to_string()).await;
    cloud
}

fn unlock(lock: &str, release: Option<&'static str>) -> Plane {
    let mut plane = validation();
    plane.backend["lockTable"] = Value::Null;
    Plane { task: json!({ "task": "unlock", "lock": lock }), release, ..plane }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_released_when_the_control_plane_says_so() {
    let cloud = locked().await;
    let heard = cloud.errand(unlock(LOCK, Some(LOCK))).await;
    assert_ends(&heard, "released");
    let told = heard.events.iter().find(|event| event["event"] == "state_locked").unwrap();
    assert_eq!(told["lock"], LOCK);
    assert!(told["holder"].as_str().unwrap().starts_with(HOLDER), "{told}");
    assert!(heard.events.iter().any(|event| event["event"] == "state_unlocked"));
    assert!(!cloud.has_lock().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_left_when_the_control_plane_says_nothing_or_means_another() {
    let cloud = locked().await;
    for plane in [unlock(LOCK, None), unlock("another", Some(LOCK))] {
        let heard = cloud.errand(plane).await;
        assert_ends(&heard, "not_released");
        assert!(cloud.has_lock().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_holds_a_lock_there_is_nothing_to_release() {
    let cloud = locked().await;
    assert_ends(&cloud.errand(unlock(LOCK, Some(LOCK))).await, "released");
    let heard = cloud.errand(unlock(LOCK, Some(LOCK))).await;
    assert!(!heard.events.iter().any(|event| event["event"] == "state_locked"), "{:?}", heard.events);
    assert_ends(&heard, "not_locked");
}

//! An emulated Amazon Web Services: state in a bucket, with credentials that are borrowed by each run.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State as Shared, http::HeaderMap, response::IntoResponse};
use rustix::process::Signal;
use serde_json::Value;
use writ_wire::{
    connections::{Cloud, StateBackend},
    deployments::State,
};

use crate::{
    house::{House, Tenant, eventually},
    processes::{self, marker},
};

const EXTERNAL_ID: &str = "acme-e2e-7f3k";
const ROLE: &str = "arn:aws:iam::123456789012:role/writ-deploy";
const TOKEN: &str = "a.web-identity.token-e2e-planted";

/// An emulator that others wrote, and every request to its token service.
pub(crate) struct Moto {
    server: Child,
    pub(crate) url: String,
    sts: String,
    asked: Calls,
    pub(crate) trust: Arc<Mutex<Trust>>,
}

type Calls = Arc<Mutex<Vec<(BTreeMap<String, String>, String)>>>;

/// How the token service treats who asks for a role.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Trust {
    /// As Amazon does, and moto does not: only who knows the role's external id.
    Strict,
    /// Everybody.
    Everybody,
    /// Nobody gets an answer.
    Silent,
}

/// What the token service's stand-in knows.
type Door = (String, Calls, Arc<Mutex<Trust>>);

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

impl Moto {
    pub(crate) async fn start() -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let program =
            std::env::var_os("WRIT_MOTO_SERVER").map_or_else(|| PathBuf::from("moto_server"), PathBuf::from);
        let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let server = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts: eval \"$(scripts/test-env moto)\"");
        eventually("an answer of moto", || std::net::TcpStream::connect(address).ok()).await;
        let url = format!("http://{address}");
        let asked = Calls::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let sts = format!("http://{}", listener.local_addr().unwrap());
        let trust = Arc::new(Mutex::new(Trust::Strict));
        let door: Door = (url.clone(), Arc::clone(&asked), Arc::clone(&trust));
        let app = Router::new().fallback(pass_on).with_state(door);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { server, url, sts, asked, trust }
    }

    /// A request as of anybody: moto reads who asks out of the header and checks no signature.
    pub(crate) async fn ask(&self, service: &str, request: reqwest::RequestBuilder) -> reqwest::Response {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential=x/20261122/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        request.header("authorization", header).send().await.unwrap().error_for_status().unwrap()
    }

    pub(crate) async fn make_places(&self) {
        let client = client();
        let body = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
        self.ask("s3", client.put(format!("{}/state", self.url)).body(body)).await;
        let table = r#"{"TableName":"locks","KeySchema":[{"AttributeName":"LockID","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"LockID","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}"#;
        let request = client
            .post(&self.url)
            .header("x-amz-target", "DynamoDB_20120810.CreateTable")
            .header("content-type", "application/x-amz-json-1.0")
            .body(table);
        self.ask("dynamodb", request).await;
    }

    async fn object(&self, key: &str) -> String {
        let request = client().get(format!("{}/state/{key}", self.url));
        self.ask("s3", request).await.text().await.unwrap()
    }

    pub(crate) async fn objects(&self) -> String {
        let request = client().get(format!("{}/state?list-type=2", self.url));
        self.ask("s3", request).await.text().await.unwrap()
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Notes what was asked and what was answered.
async fn pass_on(
    Shared((url, calls, trust)): Shared<Door>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let fields: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let trust = *trust.lock().unwrap();
    if trust == Trust::Silent {
        std::future::pending::<()>().await;
    }
    let known = fields["Action"] != "AssumeRole"
        || trust == Trust::Everybody
        || (fields.get("ExternalId").map(String::as_str) == Some(EXTERNAL_ID) && fields["RoleArn"] == ROLE);
    if !known {
        let refused =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        return (axum::http::StatusCode::FORBIDDEN, refused.to_owned());
    }
    let mut request = client().post(url).body(body);
    for name in ["authorization", "content-type", "x-amz-date", "x-amz-security-token"] {
        request = headers.get(name).into_iter().fold(request, |request, value| request.header(name, value));
    }
    let answer = request.send().await.unwrap();
    let status = axum::http::StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let text = answer.text().await.unwrap();
    calls.lock().unwrap().push((fields, text.clone()));
    (status, text)
}

pub(crate) fn cloud() -> Cloud {
    Cloud::Aws {
        role_arn: ROLE.to_owned(),
        external_id: EXTERNAL_ID.to_owned(),
        region: "eu-central-1".to_owned(),
        allowed_regions: Vec::new(),
    }
}

pub(crate) fn bucket(prefix: &str, lock_table: Option<&str>) -> StateBackend {
    StateBackend::S3 {
        bucket: "state".to_owned(),
        region: "eu-central-1".to_owned(),
        prefix: prefix.to_owned(),
        lock_table: lock_table.map(str::to_owned),
    }
}

pub(crate) async fn house(moto: &Moto) -> (House, Tenant, tempfile::NamedTempFile) {
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), TOKEN).unwrap();
    let runner = format!(
        "allow_local_exec = true\n\
         identity = {{ source = 'web-identity', tokenFile = '{}', roleArn = 'arn:aws:iam::123456789012:role/runner' }}\n\
         aws_endpoints = {{ sts = '{}/', s3 = '{}', dynamodb = '{}' }}\n",
        token.path().display(),
        moto.sts,
        moto.url,
        moto.url
    );
    let house = House::start(&runner).await;
    let tenant = Tenant::found(&house).await;
    (house, tenant, token)
}

/// Its command tells the names in its environment.
const CONFIGURATION: &str = r#"
resource "terraform_data" "a" {
  input = "first"
  provisioner "local-exec" { command = "env | cut -d= -f1 | sort | tr '\n' ' '" }
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn state_is_written_with_borrowed_credentials_that_nobody_keeps() {
    let moto = Moto::start().await;
    moto.make_places().await;
    let (house, tenant, _token) = house(&moto).await;
    let mut secrets: Vec<String> = vec![TOKEN.to_owned()];
    for (name, table) in [("files", None), ("table", Some("locks"))] {
        let connection = tenant.connection(name, 0, cloud(), bucket(name, table)).await;
        let applied = tenant.deploy_main(&connection, CONFIGURATION).await.must(State::Succeeded, "applied");
        let text = applied.text();
        assert!(text.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI"), "{text}");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
            assert!(!text.contains(name), "{name}: {text}");
        }
        let state: Value =
            serde_json::from_str(&moto.object(&format!("{name}/app/terraform.tfstate")).await).unwrap();
        assert_eq!(state["resources"].as_array().unwrap().len(), 1);
        let kept = format!("\"lineage\": \"{}\"", state["lineage"].as_str().unwrap());
        assert_eq!(house.holders(&[&kept]), Vec::new(), "no state is kept");
        tenant.deploy_main(&connection, CONFIGURATION).await.must(State::Succeeded, "no_changes");
        told_in_evidence(&tenant, applied.id()).await;
    }
    assert!(!moto.objects().await.contains(".tflock"), "no lock is left");

    let calls = moto.asked.lock().unwrap().clone();
    let assumed = calls.iter().filter(|(fields, _)| fields["Action"] == "AssumeRole");
    let mut phases = Vec::new();
    for (fields, _) in assumed {
        assert_eq!((fields["RoleArn"].as_str(), fields["ExternalId"].as_str()), (ROLE, EXTERNAL_ID));
        assert!(fields["DurationSeconds"].parse::<u32>().unwrap() <= 3600);
        assert!(fields.contains_key("Policy"), "the session is narrowed");
        let tags: BTreeMap<&str, &str> = (1..=9)
            .filter_map(|number| {
                let tag =
                    |part: &str| fields.get(&format!("Tags.member.{number}.{part}")).map(String::as_str);
                Some((tag("Key")?, tag("Value")?))
            })
            .collect();
        for name in ["writ:tenant", "writ:environment", "writ:deployment", "writ:run"] {
            assert!(tags.contains_key(name), "{tags:?}");
        }
        phases.push(tags["writ:phase"].to_owned());
    }
    assert!(phases.contains(&"plan".to_owned()) && phases.contains(&"apply".to_owned()), "{phases:?}");
    secrets.extend(calls.iter().flat_map(|(_, answer)| values(answer)));
    assert!(secrets.len() > 10, "the credentials are known");
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    assert_eq!(house.holders(&secrets), Vec::new());
}

/// The key, its secret and its session out of an answer of the token service.
fn values(answer: &str) -> impl Iterator<Item = String> + '_ {
    ["AccessKeyId", "SecretAccessKey", "SessionToken"].into_iter().filter_map(|name| {
        let rest = answer.split_once(&format!("<{name}>"))?.1;
        Some(rest.split_once('<')?.0.to_owned())
    })
}

/// Leases and each fetch are on record, by reference and hash.
async fn told_in_evidence(tenant: &Tenant, deployment: uuid::Uuid) {
    let mut events = Vec::new();
    for record in tenant.evidence(deployment).await {
        let path = format!("/api/v1/evidence/{}", record.id);
        let record: writ_wire::evidence::Record = tenant.iris.get(&path).await.unwrap();
        events.push(record.payload.map(|payload| payload.to_string()).unwrap_or_default());
    }
    let all = events.join("\n");
    assert!(all.contains("credential_leased") && all.contains(ROLE), "{all}");
    assert!(all.contains("credential_served"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_a_dead_run_left_is_released_and_another_one_is_not() {
    let moto = Moto::start().await;
    moto.make_places().await;
    let (house, tenant, _token) = house(&moto).await;
    let connection = tenant.connection("files", 0, cloud(), bucket("files", None)).await;
    let marker = marker(20);
    let slow = format!(
        "resource \"terraform_data\" \"a\" {{\n provisioner \"local-exec\" {{ command = \"sleep {marker}\" }}\n}}"
    );
    let id = tenant.ask(&tenant.wish(&connection, &slow).await).await;
    eventually("the slow resource", || processes::marked(&marker).into_iter().next()).await;
    processes::signal(house.runners()[0], Signal::KILL);
    tenant.follow(id, |_| false).await.must(State::Lost, "runner_lost");
    assert!(moto.objects().await.contains(".tflock"), "the lock is left");
    tenant.deploy_main(&connection, CONFIGURATION).await.must(State::Succeeded, "applied");
    assert!(!moto.objects().await.contains(".tflock"));

    // A lock of somebody unknown is theirs, whatever it looks like.
    let foreign = r#"{"ID":"1d1f5e0a-0c5c-4b6e-9a52-3e2b6c9f7a11","Operation":"OperationTypeApply","Info":"","Who":"somebody@elsewhere","Version":"1.11.4","Created":"2026-11-22T12:00:00Z","Path":"state/files/app/terraform.tfstate"}"#;
    let request =
        client().put(format!("{}/state/files/app/terraform.tfstate.tflock", moto.url)).body(foreign);
    moto.ask("s3", request).await;
    let changed = CONFIGURATION.replace("first", "second");
    let locked = tenant.deploy_main(&connection, &changed).await.must(State::Failed, "state_locked");
    assert!(locked.deployment.outcome.as_ref().unwrap().hint.is_some(), "it says what to do");
    assert!(moto.objects().await.contains(".tflock"), "it is still theirs");
}

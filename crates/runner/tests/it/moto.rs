//! Against moto, an emulator of AWS that others wrote, and the real tool.

use std::{
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use flate2::bufread::DeflateDecoder;
use tokio::sync::mpsc;
use writ_crypto::SecretString;
use writ_runner::{
    aws::{Borrower, IdentitySource, Limits, SessionDuration, session_policy},
    credentials::{CredentialEventKind as Kind, Endpoint, Renewal},
};
use writ_wire::connections::StateBackend;

use crate::borrowing::{System, assume, identity, sts_within, world};

pub(crate) struct Moto {
    server: Child,
    pub(crate) url: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

impl Moto {
    pub(crate) async fn start() -> Self {
        let program =
            std::env::var_os("WRIT_MOTO_SERVER").map_or_else(|| PathBuf::from("moto_server"), PathBuf::from);
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
        let server = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "`{}` does not start ({error}): run `eval \"$(scripts/test-env moto)\"` first",
                    program.display()
                )
            });
        let moto = Self { server, url: format!("http://127.0.0.1:{port}/") };
        for _ in 0..600 {
            if moto.answers().await {
                return moto;
            }
            tokio::time::sleep(Duration::from_millis(100)).await; // a server of its own tells no other way
        }
        panic!("moto does not answer");
    }

    async fn answers(&self) -> bool {
        tokio::net::TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches('/'))
            .await
            .is_ok()
    }

    pub(crate) async fn bucket(&self, name: &str) {
        let body = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
        self.put(name, body).await;
    }

    /// Whether there is an object.
    pub(crate) async fn get(&self, path: &str) -> reqwest::StatusCode {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{}{path}", self.url)).header("authorization", signed_for("s3"));
        request.send().await.unwrap().status()
    }

    /// Makes a table with a text as its key.
    pub(crate) async fn table(&self, name: &str, key: &str) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let table = serde_json::json!({ "TableName": name, "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": key, "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": key, "AttributeType": "S" }] });
        let request = client
            .post(&self.url)
            .header("authorization", signed_for("dynamodb"))
            .header("x-amz-target", "DynamoDB_20120810.CreateTable")
            .header("content-type", "application/x-amz-json-1.0")
            .body(table.to_string());
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// Puts a bucket, or an object into one.
    pub(crate) async fn put(&self, path: &str, body: &str) {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .put(format!("{}{path}", self.url))
            .header("authorization", signed_for("s3"))
            .body(body.to_owned());
        assert!(request.send().await.unwrap().status().is_success());
    }
}

/// Moto reads who asks out of this header and checks no signature.
fn signed_for(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=x/20261122/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

fn state() -> StateBackend {
    StateBackend::S3 {
        bucket: "state".into(),
        region: "eu-central-1".into(),
        prefix: "web/".into(),
        lock_table: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_of_others_understands_what_is_asked() {
    let moto = Moto::start().await;
    let sts = sts_within(world(&Arc::new(System)), &moto.url, Limits::default());
    let mut request = assume("external-id");
    request.policy = session_policy::for_plan("aws", &state());
    let credentials = sts.assume_role(&identity(), &request).await.unwrap();
    assert!(credentials.access_key_id.expose().starts_with("ASIA"));

    let role = "arn:aws:iam::123456789012:role/runner".parse().unwrap();
    let token = SecretString::new("a.web.token".into());
    let session = "writ-run".parse().unwrap();
    let own =
        sts.assume_role_with_web_identity(&role, &session, SessionDuration::HOUR, &token).await.unwrap();
    sts.assume_role(&own.into(), &request).await.unwrap();
}

const CONFIGURATION: &str = r#"
terraform {
  backend "s3" {
    bucket                      = "state"
    key                         = "web/terraform.tfstate"
    region                      = "eu-central-1"
    use_path_style              = true
    use_lockfile                = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
  }
}
resource "terraform_data" "x" { input = "hello" }
output "x" { value = terraform_data.x.output }
"#;

/// The tool, as `WRIT_TOOL` or on the path.
fn tool(directory: &Path, moto: &Moto, endpoint: &Endpoint, args: &[&str]) -> Output {
    let tool = std::env::var_os("WRIT_TOOL").map_or_else(|| PathBuf::from("terraform"), PathBuf::from);
    Command::new(&tool)
        .args(args)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/local/bin")
        .env("HOME", directory)
        .env("TF_IN_AUTOMATION", "1")
        .env("CHECKPOINT_DISABLE", "1")
        .env("AWS_ENDPOINT_URL_S3", moto.url.trim_end_matches('/'))
        .envs(endpoint.env())
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "`{}` does not start ({error}): run `eval \"$(scripts/test-env tool)\"` first",
                tool.display()
            )
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_tool_works_with_borrowed_credentials_and_keeps_none_of_them() {
    let moto = Moto::start().await;
    moto.bucket("state").await;
    let world = world(&Arc::new(System));
    let token_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token_file.path(), "a.web.token").unwrap();
    let borrower = Arc::new(Borrower {
        sts: sts_within(world.clone(), &moto.url, Limits::default()),
        source: IdentitySource::WebIdentity {
            token_file: token_file.path().into(),
            role_arn: "arn:aws:iam::123456789012:role/runner".into(),
        },
        request: assume("external-id"),
    });
    let values = Arc::new(std::sync::Mutex::new(Vec::new()));
    let known = Arc::clone(&values);
    let on_new_values = Box::new(move |new: &writ_runner::aws::Credentials| {
        let new = [&new.access_key_id, &new.secret_access_key, &new.session_token];
        known.lock().unwrap().extend(new.map(|value| value.expose().to_owned()));
    });
    let resolver = Box::new(move || {
        let borrower = Arc::clone(&borrower);
        Box::pin(async move { borrower.borrow().await }) as _
    });
    let (send, mut events) = mpsc::channel(256);
    let endpoint = Endpoint::start(world, resolver, on_new_values, send, Renewal::default()).await.unwrap();

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("main.tf"), CONFIGURATION).unwrap();
    for args in [
        &["init", "-input=false", "-no-color"][..],
        &["plan", "-input=false", "-no-color", "-out=tf.plan"],
        &["apply", "-input=false", "-no-color", "tf.plan"],
        &["output", "-json"],
    ] {
        let output = tool(directory.path(), &moto, &endpoint, args);
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {said}");
        for value in values.lock().unwrap().iter() {
            assert!(!said.contains(value), "{args:?} printed a credential");
        }
    }
    assert_eq!(values.lock().unwrap().len(), 3);
    let served = std::iter::from_fn(|| events.try_recv().ok())
        .filter(|event| matches!(event.kind, Kind::Served(_)))
        .count();
    assert!(served >= 4, "each command fetches its own: {served}");
    nothing_holds(directory.path(), &values.lock().unwrap());
    endpoint.close().await;
}

/// No file under `directory` holds one of `values`, nor does an entry of an archive, which the plan is.
fn nothing_holds(directory: &Path, values: &[String]) {
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_dir() {
            nothing_holds(&entry.path(), values);
            continue;
        }
        let bytes = std::fs::read(entry.path()).unwrap();
        let is_plan = entry.file_name() == "tf.plan";
        let entries = if is_plan { unpacked(&bytes) } else { Vec::new() };
        assert_eq!(
            is_plan,
            entries.iter().any(|entry| find(entry, b"terraform_data").is_some()),
            "the plan is read"
        );
        for text in entries.iter().chain([&bytes]) {
            for value in values {
                assert!(
                    find(text, value.as_bytes()).is_none(),
                    "{} holds a credential",
                    entry.path().display()
                );
            }
        }
    }
}

/// The entries of a zip archive, found by their local headers (APPNOTE 4.3.7).
fn unpacked(archive: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    let mut rest = archive;
    while let Some(start) = find(rest, b"PK\x03\x04") {
        rest = &rest[start..];
        let length = |at: usize| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        let body = 30 + length(26) + length(28);
        let mut entry = Vec::new();
        if length(8) == 8 {
            drop(DeflateDecoder::new(&rest[body..]).read_to_end(&mut entry));
        }
        entries.push(entry);
        rest = &rest[body..];
    }
    entries
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

//! What a deployment costs over running the tool by hand: the same configuration, the same steps, both from nothing.
//!
//! `cargo bench -p writ-cli` prints both and the difference. `WRIT_TOOL` names the tool; else the first `tofu` or
//! `terraform` on the path.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark reports"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const CONFIGURATION: &str = r#"resource "terraform_data" "it" { input = "x" }"#;
const ROUNDS: usize = 5;

fn main() {
    let tool = tool();
    let by_hand = median(|| by_hand(&tool));
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &tool);
    let writ = median(|| server.deploy(directory.path()));
    println!("by hand (init, plan, show, apply)   {by_hand:>8.0?}");
    println!("through writ, evidence and all      {writ:>8.0?}");
    println!(
        "overhead                            {:>8.0?}   ratio {:.2}",
        writ.saturating_sub(by_hand),
        writ.as_secs_f64() / by_hand.as_secs_f64()
    );
}

fn tool() -> PathBuf {
    if let Some(tool) = std::env::var_os("WRIT_TOOL") {
        return tool.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["tofu", "terraform"]
        .iter()
        .find_map(|name| std::env::split_paths(&path).map(|at| at.join(name)).find(|file| file.is_file()));
    found.expect("neither `tofu` nor `terraform` is on the path; set WRIT_TOOL")
}

fn median(mut round: impl FnMut() -> Duration) -> Duration {
    round();
    let mut times: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    times.sort_unstable();
    times.get(ROUNDS / 2).copied().unwrap_or_default()
}

fn by_hand(tool: &Path) -> Duration {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("main.tf"), CONFIGURATION).unwrap();
    let start = Instant::now();
    for arguments in [
        &["init", "-input=false"][..],
        &["validate", "-json"],
        &["state", "pull"],
        &["plan", "-input=false", "-out=p"],
        &["show", "-json", "p"],
        &["apply", "-input=false", "p"],
        &["output", "-json"],
    ] {
        let status = Command::new(tool)
            .args(arguments)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{arguments:?}");
    }
    start.elapsed()
}

struct Server {
    child: std::process::Child,
    address: String,
    pin: String,
    token: String,
    connection: String,
}

impl Server {
    fn start(directory: &Path, tool: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_writ"))
            .arg("server")
            .env("WRIT_DATA_DIR", directory.join("data"))
            .env("WRIT_SERVER_LISTEN", "127.0.0.1:0")
            .env("WRIT_LOG_FILTER", "error")
            .env("WRIT_RUNNER_TOOL", tool)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut server = Self {
            child,
            address: text(&ready["address"]),
            pin: text(&ready["pin"]),
            token: String::new(),
            connection: String::new(),
        };
        let init = server.call(
            "init",
            &json!({ "protection": { "kind": "dev-file" }, "admin": "root" }),
            "/api/v1/sys/init",
        );
        server.log_in(&text(&init["enrolmentToken"]));
        let tenant = server.call("tenant", &json!({ "name": "acme", "admin": "ada" }), "/api/v1/tenants");
        server.log_in(&text(&tenant["enrolmentToken"]));
        for role in ["operator", "developer"] {
            let principal = text(&tenant["admin"]["id"]);
            server.call("role", &json!({ "principal": principal, "role": role }), "/api/v1/role-bindings");
        }
        let environment =
            server.call("environment", &json!({ "name": "dev", "kind": "dev" }), "/api/v1/environments");
        let wanted = json!({ "name": "bench", "environment": environment["id"], "target": { "cloud": "local" }, "backend": { "kind": "local" } });
        server.connection = text(&server.call("connection", &wanted, "/api/v1/connections")["id"]);
        server
    }

    fn log_in(&mut self, enrolment: &str) {
        let session = self.call("session", &json!({ "token": enrolment }), "/api/v1/sessions");
        session["token"].as_str().unwrap().clone_into(&mut self.token);
    }

    fn call(&self, what: &str, body: &Value, path: &str) -> Value {
        let client = self.client();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime
            .block_on(async { client.post(path, body).await })
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    fn client(&self) -> writ_client::Client {
        let trust = writ_client::Trust::Pin(self.pin.parse().unwrap());
        let mut config =
            writ_client::Config::new(&self.address, trust, std::sync::Arc::new(writ_crypto::Entropy::os()));
        config.token = (!self.token.is_empty()).then(|| writ_client::Token::new(self.token.clone()).unwrap());
        writ_client::Client::new(config).unwrap()
    }

    /// From the request to the end of the deployment, each of a target of its own.
    fn deploy(&self, _: &Path) -> Duration {
        let client = self.client();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let archive = archive();
            let configuration: Value = client.post_bytes("/api/v1/configurations", "application/gzip", archive.into()).await.unwrap();
            let nonce = writ_crypto::hash::hex(&writ_crypto::hash::sha256(format!("{:?}", Instant::now()).as_bytes()));
            let target = nonce.get(..12).unwrap();
            let wanted = json!({ "target": target, "connection": self.connection, "configuration": configuration["id"] });
            let start = Instant::now();
            let created: Value = client.post("/api/v1/deployments", &wanted).await.unwrap();
            let id = created["id"].as_str().unwrap();
            let mut after = 0;
            loop {
                let output: Value = client.get(&format!("/api/v1/deployments/{id}/output?after={after}&wait=20")).await.unwrap();
                after = output["next"].as_u64().unwrap();
                match output["state"].as_str().unwrap() {
                    "succeeded" => return start.elapsed(),
                    "failed" | "refused" | "lost" | "cancelled" => panic!("the deployment ended as {output}"),
                    _ => {}
                }
            }
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(CONFIGURATION.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "main.tf", CONFIGURATION.as_bytes()).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

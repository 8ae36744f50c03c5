//! The unmodified command line of the peer, over HTTP. `WRIT_BAO` names it: `eval "$(scripts/test-env bao)"`.

use std::{path::PathBuf, process::Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use writ_store::testing::TestDb;

use crate::stage::Stage;

struct Bao {
    program: PathBuf,
    address: String,
    home: TempDir,
}

impl Bao {
    async fn against(stage: &Stage) -> Self {
        let program = std::env::var_os("WRIT_BAO");
        let program = PathBuf::from(program.expect("WRIT_BAO: eval \"$(scripts/test-env bao)\""));
        Self { program, address: format!("http://{}", stage.serve().await), home: TempDir::new().unwrap() }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().env("HOME", self.home.path()).env("BAO_ADDR", &self.address);
        command.output().await.unwrap()
    }

    /// What a command that succeeds prints.
    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn tells(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.says(arguments).await).unwrap()
    }

    /// Initialises and unseals the server, and signs in with its root token.
    async fn begin(&self) -> Value {
        let wanted = ["operator", "init", "-key-shares=3", "-key-threshold=2", "-format=json"];
        let begun = self.tells(&wanted).await;
        for share in begun["unseal_keys_b64"].as_array().unwrap().iter().take(2) {
            self.says(&["operator", "unseal", share.as_str().unwrap()]).await;
        }
        self.says(&["login", "-no-print", begun["root_token"].as_str().unwrap()]).await;
        begun
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_initialises_unseals_and_seals() {
    let db = TestDb::sqlite().await;
    let bao = Bao::against(&Stage::bare(&db)).await;
    assert_eq!(bao.run(&["status"]).await.status.code(), Some(2));
    let begun = bao.begin().await;
    assert_eq!(begun["unseal_keys_b64"].as_array().unwrap().len(), 3);
    assert_eq!(bao.tells(&["status", "-format=json"]).await["sealed"], json!(false));
    let own = bao.tells(&["token", "lookup", "-format=json"]).await;
    assert_eq!(own["data"]["policies"], json!(["root"]));
    bao.says(&["operator", "seal"]).await;
    let output = bao.run(&["token", "lookup"]).await;
    assert!(String::from_utf8(output.stderr).unwrap().contains("Vault is sealed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_works_with_secrets_under_a_policy() {
    let db = TestDb::sqlite().await;
    let bao = Bao::against(&Stage::bare(&db)).await;
    bao.begin().await;
    bao.says(&["secrets", "enable", "-path=kv", "-version=2", "kv"]).await;
    assert!(bao.says(&["secrets", "list"]).await.contains("kv/"));
    assert!(bao.says(&["auth", "list"]).await.contains("token/"));
    let policy = bao.home.path().join("app.hcl");
    std::fs::write(
        &policy,
        "path \"kv/data/app/*\" { capabilities = [\"create\", \"read\", \"update\", \"patch\"] }\n",
    )
    .unwrap();
    bao.says(&["policy", "write", "app", policy.to_str().unwrap()]).await;
    assert!(bao.says(&["policy", "list"]).await.contains("app"));
    assert!(bao.says(&["policy", "read", "app"]).await.contains("kv/data/app/*"));
    let made = bao.tells(&["token", "create", "-policy=app", "-ttl=1h", "-format=json"]).await;
    let token = made["auth"]["client_token"].as_str().unwrap();
    assert_eq!(
        bao.says(&["token", "capabilities", token, "kv/data/app/x"]).await.trim(),
        "create, patch, read, update"
    );

    bao.says(&["login", "-no-print", token]).await;
    bao.says(&["kv", "put", "kv/app/x", "user=ann", "password=hunter2"]).await;
    bao.says(&["kv", "patch", "kv/app/x", "user=bob"]).await;
    let read = bao.tells(&["kv", "get", "-format=json", "kv/app/x"]).await;
    assert_eq!(read["data"]["data"], json!({ "user": "bob", "password": "hunter2" }));
    assert_eq!(read["data"]["metadata"]["version"], json!(2));
    let refused = bao.run(&["kv", "get", "kv/other"]).await;
    assert!(String::from_utf8(refused.stderr).unwrap().contains("permission denied"));
    bao.says(&["token", "renew"]).await;
    bao.says(&["token", "revoke", "-self"]).await;
    assert!(!bao.run(&["token", "lookup"]).await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_wrapped_and_unwrapped_once() {
    let db = TestDb::sqlite().await;
    let bao = Bao::against(&Stage::bare(&db)).await;
    bao.begin().await;
    let wrapped = bao.tells(&["write", "-wrap-ttl=5m", "-format=json", "sys/wrapping/wrap", "a=b"]).await;
    let token = wrapped["wrap_info"]["token"].as_str().unwrap();
    assert_eq!(bao.tells(&["unwrap", "-format=json", token]).await["data"], json!({ "a": "b" }));
    assert!(!bao.run(&["unwrap", token]).await.status.success());
    bao.says(&["write", "cubbyhole/x", "n=1"]).await;
    assert_eq!(bao.says(&["read", "-field=n", "cubbyhole/x"]).await.trim(), "1");
    assert!(bao.says(&["list", "cubbyhole/"]).await.contains('x'));
}

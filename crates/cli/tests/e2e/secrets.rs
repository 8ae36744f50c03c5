//! Secrets planted in a configuration are in no answer, no file of the database, no log and no evidence.

use data_encoding::BASE64;
use writ_wire::deployments::State;

use crate::house::{CANARY, Followed, House, Tenant};

const ACCOUNT_KEY: &str = "Zm9yIHRlc3RzIG9ubHksIG5vdCBhIHJlYWwga2V5IGF0IGFsbCwgbmV2ZXIgd2FzIG9uZQ==";
const ACCESS_KEY: &str = "AKIAE2EPLANTED7QXZ4L";
const SECRET_KEY: &str = "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";
const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJlMmUtcGxhbnRlZCJ9.c2lnbmF0dXJlLWUyZS1wbGFudGVk";
const PEM_LINE: &str = "MC4CAQAwBQYDK2VwBCIEIE2ePlantedPlantedPlantedPlantedPlantedPlant";
const PASSWORD: &str = "e2e-planted-password-91c4";
const VARIABLE: &str = "e2e-planted-variable-77d0";
const FIRST_LINE: &str = "e2e-planted-first-line-3a";
const LAST_LINE: &str = "e2e-planted-last-line-3b";
/// Not sensitive: shows that what is looked at is the real thing.
const OPEN: &str = "e2e-open-value-5f";

fn planted() -> Vec<String> {
    let raw = [
        ACCOUNT_KEY,
        ACCESS_KEY,
        SECRET_KEY,
        JWT,
        PEM_LINE,
        PASSWORD,
        VARIABLE,
        FIRST_LINE,
        LAST_LINE,
        CANARY,
    ];
    let mut all: Vec<String> = raw.map(str::to_owned).to_vec();
    all.extend([VARIABLE, PASSWORD].map(|secret| BASE64.encode(secret.as_bytes())));
    all
}

fn configuration(rest: &str) -> String {
    format!(
        r#"
variable "token" {{
  type      = string
  sensitive = true
  default   = "{VARIABLE}"
}}
variable "lines" {{
  type      = string
  sensitive = true
  default   = "{FIRST_LINE}\n{LAST_LINE}"
}}
{rest}"#
    )
}

fn outputs() -> String {
    configuration(&format!(
        r#"
resource "terraform_data" "keeper" {{
  input = {{ token = var.token, lines = var.lines }}
}}
resource "terraform_data" "careless" {{
  input = "password = \"{PASSWORD}\""
}}
output "open" {{ value = "{OPEN}" }}
output "storage" {{ value = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={ACCOUNT_KEY};EndpointSuffix=core.windows.net" }}
output "keys" {{ value = "aws_access_key_id = {ACCESS_KEY} aws_secret_access_key = {SECRET_KEY}" }}
output "jwt" {{ value = "Authorization: Bearer {JWT}" }}
output "pem" {{ value = "-----BEGIN PRIVATE KEY-----\n{PEM_LINE}\n-----END PRIVATE KEY-----\n" }}
output "database_password" {{ value = "{PASSWORD}" }}
output "token" {{
  value     = var.token
  sensitive = true
}}
output "encoded" {{ value = nonsensitive(base64encode(var.token)) }}
output "revealed" {{ value = nonsensitive(var.lines) }}
"#
    ))
}

/// Fails while it applies, with every secret in what it says.
fn failing() -> String {
    configuration(&format!(
        r#"
resource "terraform_data" "failing" {{
  input = "x"
  lifecycle {{
    postcondition {{
      condition     = self.output != "x"
      error_message = "no: ${{nonsensitive(var.token)}} ${{nonsensitive(var.lines)}} AccountKey={ACCOUNT_KEY}; {ACCESS_KEY} aws_secret_access_key={SECRET_KEY} {JWT} password = \"{PASSWORD}\""
    }}
  }}
}}
"#
    ))
}

/// Fails while it is planned.
fn refusing() -> String {
    configuration(
        r#"
resource "terraform_data" "refusing" {
  input = "x"
  lifecycle {
    precondition {
      condition     = length(var.token) < 3
      error_message = "not with ${nonsensitive(var.token)}, in base64 ${nonsensitive(base64encode(var.token))}"
    }
  }
}
"#,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_are_stored_and_shown_nowhere() {
    let mut house = House::start("").await;
    let tenant = Tenant::found(&house).await;
    let dev = tenant.workbench("dev", 0).await;
    let mut answers = String::new();

    let applied = tenant.deploy_main(&dev, &outputs()).await.must(State::Succeeded, "applied");
    assert_eq!(applied.output("open").unwrap(), OPEN);
    assert!(applied.output("token").is_none(), "sensitive outputs do not leave");
    answers += &everything(&tenant, &applied).await;

    let mut wish = tenant.wish(&dev, &failing()).await;
    wish.target = "failing".to_owned();
    let failed = tenant.deploy(&wish).await.must(State::Failed, "apply_failed");
    assert!(failed.text().contains("no: "), "the tool's own words are told: {}", failed.text());
    answers += &everything(&tenant, &failed).await;

    wish = tenant.wish(&dev, &refusing()).await;
    wish.target = "refusing".to_owned();
    let refused = tenant.deploy(&wish).await.must(State::Failed, "plan_failed");
    assert!(refused.text().contains("not with "), "{}", refused.text());
    answers += &everything(&tenant, &refused).await;

    let planted = planted();
    let planted: Vec<&str> = planted.iter().map(String::as_str).collect();
    let shown: Vec<&&str> = planted.iter().filter(|secret| answers.contains(**secret)).collect();
    assert!(shown.is_empty(), "shown: {shown:?}\n{answers}");
    // While it runs, so that the write-ahead log is looked into; and after, when it is folded in.
    for _ in 0..2 {
        let config = house.directory().join("writ.toml");
        let stored: Vec<_> =
            house.holders(&planted).into_iter().filter(|(file, _)| *file != config).collect();
        assert!(stored.is_empty(), "{stored:?}");
        if house.running() {
            assert!(!house.holders(&[OPEN]).is_empty(), "the search finds what is open");
            house.stop().await;
        }
    }
}

/// All that the API tells of a deployment, as text.
async fn everything(tenant: &Tenant, followed: &Followed) -> String {
    let deployment = serde_json::to_string(&followed.deployment).unwrap();
    let list: serde_json::Value = tenant.alice.get("/api/v1/deployments").await.unwrap();
    format!("{deployment}\n{list}\n{}", followed.text())
}

//! What the demonstration deploys, and the secrets it plants to show them redacted.

use std::io::Write as _;

use data_encoding::{BASE32_NOPAD, BASE64, HEXUPPER};
use flate2::{Compression, write::GzEncoder};
use writ_kernel::Chance;

use crate::output::Failure;

/// Secrets made up for this one run, so that a search for them finds only what leaked.
pub(crate) struct Planted {
    pub(crate) account_key: String,
    pub(crate) access_key: String,
    pub(crate) password: String,
}

impl Planted {
    pub(crate) fn new(chance: &dyn Chance) -> Self {
        let mut bytes = [0; 64];
        chance.fill(&mut bytes);
        let (first, rest) = bytes.split_at(32);
        Self {
            account_key: BASE64.encode(&bytes),
            access_key: format!("AKIA{}", BASE32_NOPAD.encode(first).chars().take(16).collect::<String>()),
            password: format!("pw-{}", HEXUPPER.encode(rest).chars().take(24).collect::<String>()),
        }
    }

    /// Each of them.
    pub(crate) fn all(&self) -> [&str; 3] {
        [&self.account_key, &self.access_key, &self.password]
    }
}

/// A small real configuration whose outputs give the planted secrets away.
fn configuration(planted: &Planted) -> String {
    let Planted { account_key, access_key, password } = planted;
    format!(
        r#"terraform {{
  required_version = ">= 1.6"
}}

variable "team" {{
  type    = string
  default = "payments"
}}

resource "terraform_data" "network" {{
  input = {{
    team   = var.team
    cidr   = "10.20.0.0/16"
    region = "eu-central-1"
  }}
}}

resource "terraform_data" "database" {{
  input = {{
    engine  = "postgres-16"
    network = terraform_data.network.id
  }}
}}

output "network" {{
  value = terraform_data.network.output.cidr
}}

# What careless modules do, and what must not be seen outside of the runner:
output "storage" {{
  value = "DefaultEndpointsProtocol=https;AccountName=demo;AccountKey={account_key};EndpointSuffix=core.windows.net"
}}

output "uploader" {{
  value = "uploads as {access_key}"
}}

output "login" {{
  value     = "{password}"
  sensitive = true
}}
"#
    )
}

/// The configuration, packed for upload.
pub(crate) fn archive(planted: &Planted) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::internal("the configuration cannot be packed", &error);
    let text = configuration(planted);
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "main.tf", text.as_bytes()).map_err(failed)?;
    let mut gzip = tar.into_inner().map_err(failed)?;
    gzip.flush().map_err(failed)?;
    gzip.finish().map_err(failed)
}

/// The tenant's own policy: no plan of more than twenty new resources.
pub(crate) const POLICY: &str = r#"@id("small-steps")
@hint("split the change: at most 20 new resources at a time")
forbid (principal, action == Writ::Action::"runtime.deployments.apply", resource)
when { context has plan && context.plan.create > 20 };
"#;

//! What a runner is told before it speaks to anybody.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer};
use writ_client::{Pin, Trust};
use writ_crypto::{SecretBytes, SecretString};
use writ_kernel::{Error, Result};

use crate::{aws::IdentitySource, tool::Preference};

/// No bootstrap is longer than this many bytes.
const LONGEST: u64 = 64 * 1024;
/// How long a tool may take to end in order, in seconds, unless told.
const GRACE: u32 = 60;
/// The room of a workspace in memory, in bytes, unless told.
const ROOM: u64 = 2 << 30;

/// Everything a runner is given, as JSON on its standard input: an inherited pipe, so that nothing of it is in an
/// argument vector, an environment or a file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds the run's one-time token")]
pub struct Bootstrap {
    /// Where the control plane is: `https://host:port`, or `http://` on a loopback address.
    pub server_url: String,
    /// SHA-256 of the control plane's certificate, 64 hexadecimal digits. Needed for `https`.
    #[serde(default)]
    pub pin: Option<String>,
    /// The header `traceparent` of W3C Trace Context that every call to the control plane brings along.
    #[serde(default)]
    pub traceparent: Option<String>,
    /// The one-time token of the run.
    #[serde(deserialize_with = "secret")]
    pub token: SecretString,
    /// `any`, `opentofu`, `terraform`, or the absolute path of a binary.
    #[serde(default = "any")]
    pub tool: String,
    /// Where to make the workspace; in memory, where there is some, unless told.
    #[serde(default)]
    pub workspace_parent: Option<PathBuf>,
    /// The room of a workspace in memory, in bytes.
    #[serde(default = "room")]
    pub workspace_bytes: u64,
    /// The absolute path of the state file, for deployments whose state is local.
    #[serde(default)]
    pub local_state: Option<PathBuf>,
    /// Who the runner is at Amazon Web Services.
    #[serde(default)]
    pub identity: Option<IdentitySource>,
    /// Other addresses than Amazon's own, for emulators and private endpoints.
    #[serde(default)]
    pub aws_endpoints: AwsEndpoints,
    /// The only source of providers, when given: a directory in the layout of a file system mirror.
    #[serde(default)]
    pub provider_mirror: Option<PathBuf>,
    /// What configurations may do beyond the strictest.
    #[serde(default)]
    pub gate: GateKnobs,
    /// The TCP ports that the tool may connect to, beside those of the addresses above and of its own credentials.
    #[serde(default = "connect_ports")]
    pub connect_ports: Vec<u16>,
    /// How long the tool may take to end in order, in seconds: 1 to 3600.
    #[serde(default = "grace")]
    pub grace_seconds: u32,
}

/// Addresses of services at Amazon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsEndpoints {
    /// The security token service.
    #[serde(default)]
    pub sts: Option<String>,
    /// Object storage, for state.
    #[serde(default)]
    pub s3: Option<String>,
    /// Tables, for state locks.
    #[serde(default)]
    pub dynamodb: Option<String>,
}

/// What the operator of the runner lets configurations do; see [`crate::static_gate::GatePolicy`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateKnobs {
    /// Whether provisioners may run commands.
    #[serde(default)]
    pub allow_local_exec: bool,
    /// Whether external programs may deliver data.
    #[serde(default)]
    pub allow_external_data: bool,
    /// Addresses that fetched modules may come from.
    #[serde(default)]
    pub allowed_module_sources: Vec<String>,
}

fn connect_ports() -> Vec<u16> {
    vec![443]
}

impl AwsEndpoints {
    /// The ports of the addresses that are given.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        let addresses = [&self.sts, &self.s3, &self.dynamodb].into_iter().flatten();
        addresses.filter_map(|address| reqwest::Url::parse(address).ok()?.port_or_known_default())
    }
}

impl Bootstrap {
    /// Reads all of `input`.
    ///
    /// # Errors
    /// `TooLarge` beyond 64 KiB; `Invalid` when it is not a bootstrap. No error quotes what was read.
    pub fn read(input: impl Read) -> Result<Self> {
        let mut text = Vec::new();
        let read = input.take(LONGEST + 1).read_to_end(&mut text);
        let text = SecretBytes::new(text);
        read.map_err(|error| {
            Error::unavailable("no_bootstrap", "standard input cannot be read").because(error)
        })?;
        if text.len() as u64 > LONGEST {
            return Err(Error::too_large("bootstrap_too_large", "the bootstrap is larger than 64 KiB"));
        }
        let bootstrap: Self = serde_json::from_slice(text.expose()).map_err(|error| {
            // Its own message may quote the token.
            let place = format!("line {} column {}", error.line(), error.column());
            Error::invalid("malformed_bootstrap", format!("standard input holds no bootstrap, see {place}"))
                .hint("runners are started by the server, not by hand")
        })?;
        bootstrap.trust()?;
        bootstrap.check()
    }

    /// Who the control plane must be.
    pub(super) fn trust(&self) -> Result<Trust> {
        match &self.pin {
            Some(pin) => pin.parse::<Pin>().map(Trust::Pin).map_err(|_| {
                Error::invalid("malformed_pin", "a certificate pin is 64 hexadecimal digits").at("pin")
            }),
            None => Ok(Trust::Loopback),
        }
    }

    /// Which tool to look for.
    pub(super) fn preference(&self) -> Preference {
        match self.tool.as_str() {
            "any" => Preference::Any,
            "opentofu" => Preference::OpenTofu,
            "terraform" => Preference::Terraform,
            path => Preference::Path(path.into()),
        }
    }

    fn check(self) -> Result<Self> {
        let absolute = |field: &str, path: Option<&Path>| match path {
            Some(path) if !path.is_absolute() => {
                Err(Error::invalid("malformed_bootstrap", format!("`{field}` is an absolute path")).at(field))
            }
            _ => Ok(()),
        };
        if let Preference::Path(path) = self.preference() {
            absolute("tool", Some(&path))?;
        }
        absolute("localState", self.local_state.as_deref())?;
        absolute("workspaceParent", self.workspace_parent.as_deref())?;
        absolute("providerMirror", self.provider_mirror.as_deref())?;
        if !(1..=3600).contains(&self.grace_seconds) {
            return Err(
                Error::invalid("malformed_bootstrap", "`graceSeconds` is 1 to 3600").at("graceSeconds")
            );
        }
        Ok(self)
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::new)
}

fn any() -> String {
    "any".to_owned()
}

const fn room() -> u64 {
    ROOM
}

const fn grace() -> u32 {
    GRACE
}

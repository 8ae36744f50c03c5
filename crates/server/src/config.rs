//! Configuration: a TOML file, overlaid by environment variables, read once.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use writ_kernel::{Error, Result};

/// Everything the daemon can be told.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where its data lives: certificate, development key file, local state.
    pub data_dir: PathBuf,
    /// Where it listens.
    #[serde(default)]
    pub server: Server,
    /// Where it keeps what it knows.
    #[serde(default)]
    pub database: Database,
    /// How it runs runners.
    #[serde(default)]
    pub runner: Runner,
    /// How much anybody may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// Where randomness comes from, beside the operating system.
    #[serde(default)]
    pub entropy: Entropy,
    /// What it says of itself.
    #[serde(default)]
    pub log: Log,
    /// Where it sends traces.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// How it speaks the Vault protocol.
    #[serde(default)]
    pub dialect: Dialect,
    /// The hardware security module that may protect the root key.
    #[serde(default)]
    pub hsm: Hsm,
}

/// How the daemon speaks the Vault protocol.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// Let issuers and clusters that vouch for somebody at sign-in be at addresses of this machine or of private networks,
    /// as the API server of the cluster is that the daemon runs in. Whoever configures a way to sign in could then reach,
    /// through the daemon, whatever it can.
    pub private_networks: bool,
}

/// Where the daemon listens.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address of the API, over TLS 1.3.
    pub listen: SocketAddr,
    /// The host name others know it by: it names the evidence logs and stands in the self-made certificate.
    pub host: String,
    /// A certificate chain in PEM; absent for a self-made certificate, which clients pin.
    pub certificate: Option<PathBuf>,
    /// The certificate's key in PEM.
    pub key: Option<PathBuf>,
    /// Refuse clients without a post-quantum key exchange.
    pub require_post_quantum: bool,
    /// The address of `/metrics`, plain HTTP; absent for none.
    pub metrics: Option<SocketAddr>,
    /// The longest a request may take, in seconds; a wait for output is added.
    pub timeout_seconds: u64,
    /// How long a shutdown waits for what is under way, in seconds.
    pub drain_seconds: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            host: "localhost".to_owned(),
            certificate: None,
            key: None,
            require_post_quantum: false,
            metrics: None,
            timeout_seconds: 60,
            drain_seconds: 30,
        }
    }
}

/// Where the daemon keeps what it knows.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:///path` or `postgres://…`; absent for `writ.db` in the data directory. May hold a password: prefer a
    /// libpq service or password file.
    #[serde(skip_serializing)]
    pub url: Option<String>,
    /// PostgreSQL: the URL of the role that owns the tables, for `writ migrate`.
    #[serde(skip_serializing)]
    pub migrate_url: Option<String>,
}

/// How the daemon runs runners.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Runner {
    /// The OpenTofu or Terraform to use; absent for the first `tofu` or `terraform` on the path.
    pub tool: Option<PathBuf>,
    /// Where runners make their private workspaces; absent for memory-backed ones where there are such.
    pub workspace: Option<PathBuf>,
    /// A directory of providers that runners must take them from.
    pub provider_mirror: Option<PathBuf>,
    /// Runs of one tenant under way at once.
    pub runs_of_tenant: u32,
    /// A run that is silent for so many seconds is gone.
    pub silence_seconds: u64,
    /// How long a tool may take to stop when asked, in seconds.
    pub grace_seconds: u64,
    /// Where runners' own identity comes from, in the runner's words; absent for none, which suffices without a cloud.
    pub identity: Option<serde_json::Value>,
    /// Base URLs of `sts`, `s3` and `dynamodb`, where they are not Amazon's own.
    pub aws_endpoints: BTreeMap<String, String>,
    /// The TCP ports that tools may connect to, beside those of `aws_endpoints` and of their own credentials. Port 80
    /// reaches the metadata services of clouds, which give away the machine's identity.
    pub connect_ports: Vec<u16>,
    /// Let configurations run commands on the runner.
    pub allow_local_exec: bool,
    /// Let configurations take data from programs they bring.
    pub allow_external_data: bool,
    /// Addresses that modules may be fetched from.
    pub allowed_module_sources: Vec<String>,
}

impl Default for Runner {
    fn default() -> Self {
        Self {
            tool: None,
            workspace: None,
            provider_mirror: None,
            runs_of_tenant: 10,
            silence_seconds: 20,
            grace_seconds: 30,
            identity: None,
            aws_endpoints: BTreeMap::new(),
            connect_ports: vec![443],
            allow_local_exec: false,
            allow_external_data: false,
            allowed_module_sources: Vec::new(),
        }
    }
}

/// How much anybody may ask for.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests a second of one principal, sustained.
    pub principal_per_second: u32,
    /// Requests of one principal at once after a pause.
    pub principal_burst: u32,
    /// Requests a second of one tenant, sustained.
    pub tenant_per_second: u32,
    /// Requests of one tenant at once after a pause.
    pub tenant_burst: u32,
    /// Requests handled at once.
    pub concurrency: usize,
    /// Open connections.
    pub connections: usize,
    /// With fewer bytes free where the data directory is, readiness warns.
    pub disk_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            principal_per_second: 100,
            principal_burst: 200,
            tenant_per_second: 500,
            tenant_burst: 1_000,
            concurrency: 1_024,
            connections: 4_096,
            disk_free_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Where randomness comes from, beside the operating system.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entropy {
    /// Character devices or files of quantum generators, by name.
    pub devices: BTreeMap<String, PathBuf>,
    /// Quantum generators that answer over HTTP, by name.
    pub http: BTreeMap<String, HttpSource>,
}

/// A quantum generator that answers GET with random bytes and nothing around them. It is asked at most once a second.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSource {
    /// Where it is: `https://host/path`, or `http://` on a loopback address. Redirects are not followed. The connection
    /// is as ours are, TLS 1.3 with X25519MLKEM768: who listens now must not know our keys' origin later.
    pub url: String,
    /// The authority that signed its certificate, PEM.
    pub authority: Option<PathBuf>,
    /// Or the SHA-256 of its certificate, 64 hexadecimal digits.
    pub pin: Option<String>,
}

/// What the daemon says of itself.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged, as a filter: `info`, `writ_deploy=debug,info`.
    pub filter: String,
    /// One JSON object a line, for machines; else text for people.
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), json: false }
    }
}

/// Where the daemon sends traces, in the OpenTelemetry protocol over HTTP with JSON. Off without an endpoint.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The collector: `https://host:port`, or `http://` on a loopback address; `/v1/traces` is added. Absent for the
    /// variable `OTEL_EXPORTER_OTLP_ENDPOINT`, and off without that too. The connection is as ours are, TLS 1.3 with
    /// X25519MLKEM768.
    pub otlp_endpoint: Option<String>,
    /// The authority that signed its certificate, PEM.
    pub authority: Option<PathBuf>,
    /// Or the SHA-256 of its certificate, 64 hexadecimal digits.
    pub pin: Option<String>,
    /// The variable that holds what the collector wants to see: `name=value,name=value`, values percent-encoded.
    pub headers_env: String,
    /// Or the file that holds it, which wins.
    pub headers_file: Option<PathBuf>,
    /// What traces call this server; `OTEL_SERVICE_NAME` wins over the default.
    pub service_name: String,
    /// The share of traces that is kept, 0 to 1. The trace's id decides, never the client.
    pub sample_ratio: f64,
    /// Off, whatever else is said; `OTEL_SDK_DISABLED` says it too.
    pub disabled: bool,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            authority: None,
            pin: None,
            headers_env: "OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
            headers_file: None,
            service_name: "writ".to_owned(),
            sample_ratio: 1.0,
            disabled: false,
        }
    }
}

/// The hardware security module that may protect the root key, by PKCS#11. It is used where the root key is protected
/// by it, and asked for that: `writ init --protection pkcs11`, `writ rekey --protection pkcs11`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hsm {
    /// Its PKCS#11 module, a shared library of its vendor; absent for no device.
    pub module: Option<PathBuf>,
    /// The label of the token.
    pub token: String,
    /// The label of the key on it. A key is made under this label if there is none.
    pub key: String,
    /// The variable that holds the PIN of the token's user.
    pub pin_env: String,
    /// Or the file that holds it, which wins.
    pub pin_file: Option<PathBuf>,
}

impl Default for Hsm {
    fn default() -> Self {
        Self {
            module: None,
            token: "writ".to_owned(),
            key: "writ-root".to_owned(),
            pin_env: "HSM_PIN".to_owned(),
            pin_file: None,
        }
    }
}

impl Config {
    /// Reads the file, if one is given, and overlays every variable `WRIT_<SECTION>_<MEMBER>` of `environment`
    /// (`WRIT_DATA_DIR`, `WRIT_SERVER_LISTEN`, …). Three variables of OpenTelemetry count where neither says anything.
    ///
    /// # Errors
    /// `Invalid`, naming the member and what is wrong with it.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let mut foreign = Vec::new();
        let mut table = match file {
            None => toml::Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    let message = format!("the configuration `{}` cannot be read: {error}", path.display());
                    Error::invalid("configuration", message)
                })?;
                text.parse().map_err(malformed)?
            }
        };
        for (name, value) in environment {
            if let Some(name) = name.strip_prefix("WRIT_") {
                overlay(&mut table, name, &value);
            } else if let Some((_, member)) = FOREIGN.iter().find(|(theirs, _)| *theirs == name) {
                foreign.push((*member, value));
            }
        }
        // What is said to us in particular wins over what is said to everybody.
        for (member, value) in foreign {
            underlay(&mut table, "telemetry", member, &value);
        }
        let config: Self = table.try_into().map_err(malformed)?;
        config.check()?;
        Ok(config)
    }

    /// The JSON Schema of the file.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// The database, as the server opens it.
    ///
    /// # Errors
    /// `Invalid` when the URL is malformed.
    pub fn database(&self) -> Result<writ_store::Config> {
        match &self.database.url {
            Some(url) => url.parse(),
            None => Ok(writ_store::Config::Sqlite { path: self.data_dir.join("writ.db") }),
        }
    }

    /// The database, as its owner opens it to bring it up to date.
    ///
    /// # Errors
    /// `Invalid` when the URL is malformed.
    pub fn database_of_owner(&self) -> Result<writ_store::Config> {
        self.database.migrate_url.as_deref().map_or_else(|| self.database(), str::parse)
    }

    fn check(&self) -> Result<()> {
        let wrong = |field: &str, why: &str| Err(Error::invalid("configuration", why.to_owned()).at(field));
        if !self.data_dir.is_absolute() {
            return wrong("data_dir", "the data directory is an absolute path");
        }
        if self.server.certificate.is_some() != self.server.key.is_some() {
            return wrong("server.certificate", "a certificate and its key come together");
        }
        if self.server.timeout_seconds == 0 || self.runner.silence_seconds < 10 {
            return wrong(
                "server.timeout_seconds",
                "time-outs are at least 1 second, a runner's silence at least 10",
            );
        }
        let host = &self.server.host;
        if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
            return wrong("server.host", "the host is a DNS name");
        }
        // Port 0 is any free port, never the same one twice.
        if self.server.metrics.is_some_and(|metrics| metrics.port() != 0 && metrics == self.server.listen) {
            return wrong("server.metrics", "metrics have an address of their own");
        }
        if !(0.0..=1.0).contains(&self.telemetry.sample_ratio) {
            return wrong("telemetry.sample_ratio", "a share is between 0 and 1");
        }
        if self.hsm.token.is_empty() || self.hsm.token.len() > 32 || self.hsm.key.is_empty() {
            return wrong("hsm.token", "labels are not empty, and a token's has at most 32 bytes");
        }
        for (name, source) in &self.entropy.http {
            crate::entropy::trust(source).map_err(|error| error.at(format!("entropy.http.{name}")))?;
        }
        self.database().map(drop)
    }
}

const SECTIONS: &[&str] = &["SERVER", "DATABASE", "RUNNER", "LIMITS", "ENTROPY", "LOG", "TELEMETRY", "HSM"];
/// Variables of OpenTelemetry, and our members of `telemetry`.
const FOREIGN: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    ("OTEL_SERVICE_NAME", "service_name"),
    ("OTEL_SDK_DISABLED", "disabled"),
];

/// Puts one variable in its place. A variable of no known section is not ours (like `WRIT_TOKEN` of the command line).
fn overlay(table: &mut toml::Table, name: &str, value: &str) {
    if name == "DATA_DIR" {
        table.insert("data_dir".to_owned(), value.into());
        return;
    }
    let Some((section, member)) = name.split_once('_').filter(|(section, _)| SECTIONS.contains(section))
    else {
        return;
    };
    if let Some(section) = section_of(table, &section.to_lowercase()) {
        section.insert(member.to_lowercase(), typed(value));
    }
}

/// Puts a value where there is none.
fn underlay(table: &mut toml::Table, section: &str, member: &str, value: &str) {
    if let Some(section) = section_of(table, section).filter(|_| !value.is_empty()) {
        section.entry(member).or_insert_with(|| typed(value));
    }
}

fn section_of<'a>(table: &'a mut toml::Table, name: &str) -> Option<&'a mut toml::Table> {
    table.entry(name).or_insert_with(|| toml::Table::new().into()).as_table_mut()
}

/// Numbers and booleans are what they look like; everything else is text.
fn typed(value: &str) -> toml::Value {
    let number = value.bytes().all(|c| c.is_ascii_digit() || c == b'.').then(|| value.parse::<f64>());
    match (value.parse::<i64>(), value.parse::<bool>(), number) {
        (Ok(number), ..) => number.into(),
        (_, Ok(boolean), _) => boolean.into(),
        (.., Some(Ok(number))) => number.into(),
        _ => value.into(),
    }
}

fn malformed(error: impl std::fmt::Display) -> Error {
    // Only the first line: the rest quotes the file, which may hold a password.
    let text = error.to_string();
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.contains('|') && !line.trim().is_empty()).collect();
    Error::invalid("configuration", lines.join(": ")).hint("check it with `writ config check`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("writ.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file), environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn a_data_directory_is_enough() {
        let config = load("data_dir = '/var/lib/writ'", &[]).unwrap();
        assert_eq!(config.server.listen.port(), 8443);
        assert!(matches!(config.database().unwrap(), writ_store::Config::Sqlite { .. }));
    }

    #[test]
    fn variables_win_over_the_file() {
        let text = "data_dir = '/a'\n[server]\nlisten = '127.0.0.1:1'";
        let config =
            load(text, &[("WRIT_SERVER_LISTEN", "127.0.0.1:2"), ("WRIT_DATA_DIR", "/b"), ("PATH", "x")])
                .unwrap();
        assert_eq!((config.server.listen.port(), config.data_dir), (2, PathBuf::from("/b")));
    }

    #[test]
    fn opentelemetrys_own_variables_count_where_we_were_told_nothing() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
            ("OTEL_SERVICE_NAME", "ours"),
            ("WRIT_TELEMETRY_SAMPLE_RATIO", "0.25"),
        ];
        let told = load("data_dir = '/a'", &variables).unwrap().telemetry;
        assert_eq!(told.otlp_endpoint.as_deref(), Some("http://127.0.0.1:4318"));
        assert_eq!((told.service_name.as_str(), told.disabled), ("ours", false));
        assert!((told.sample_ratio - 0.25).abs() < f64::EPSILON);

        let text =
            "data_dir = '/a'\n[telemetry]\notlp_endpoint = 'http://127.0.0.1:1'\nservice_name = 'mine'";
        let told = load(text, &variables).unwrap().telemetry;
        assert_eq!(told.otlp_endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(told.service_name, "mine");
        assert!(load("data_dir = '/a'", &[]).unwrap().telemetry.otlp_endpoint.is_none(), "off unless told");
    }

    #[test]
    fn unknown_members_and_half_pairs_are_refused() {
        for text in [
            "data_dir = '/a'\nlissten = 1",
            "data_dir = '/a'\n[server]\nprot = 1",
            "data_dir = 'relative'",
            "data_dir = '/a'\n[server]\ncertificate = '/x.pem'",
            "data_dir = '/a'\n[server]\nhost = 'a/b'",
            "data_dir = '/a'\n[telemetry]\nsample_ratio = 1.5",
            "data_dir = '/a'\n[database]\nurl = 'mysql://x'",
        ] {
            assert_eq!(load(text, &[]).unwrap_err().kind(), writ_kernel::Kind::Invalid, "{text}");
        }
    }

    #[test]
    fn an_error_never_quotes_a_password() {
        let error = load("data_dir = '/a'\n[database]\nurl = 'postgres://u:hunter2@'x", &[]).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

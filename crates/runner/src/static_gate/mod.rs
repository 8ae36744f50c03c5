//! The check of a configuration before any credential exists.
//!
//! [`check`] reads an unpacked configuration and says what in it would run code, reach out, leave the directory or
//! carry a secret. It parses everything the tool would load (HCL and JSON, modules in subdirectories, files given
//! to `templatefile`) and evaluates nothing: what only shows when evaluated is a warning, and the sandbox's to
//! contain. A provider that is allowed is trusted. Modules that are fetched are checked by fetching them first and
//! checking again.

mod files;
mod hcl;
mod json;
mod modules;
mod paths;
mod providers;
mod rules;
mod settings;
mod tree;

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};
use writ_wire::connections::StateBackend;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The run ends here.
    Block,
    /// The run goes on, and evidence says so.
    Warn,
}

/// Something in a configuration that should not be there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file, relative to the configuration's root, with `/`.
    pub file: String,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// The stable word for machines (`kebab-case`).
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found: one line, never a secret's value.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{} {}", self.rule, self.file, self.line, self.message)
    }
}

/// Where state is kept, as the tool calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Amazon S3.
    S3,
    /// Azure storage.
    Azurerm,
    /// Google Cloud Storage.
    Gcs,
    /// A file. Only where the control plane keeps it.
    Local,
}

impl From<&StateBackend> for Backend {
    fn from(state: &StateBackend) -> Self {
        match state {
            StateBackend::S3 { .. } => Self::S3,
            StateBackend::Azurerm { .. } => Self::Azurerm,
            StateBackend::Gcs { .. } => Self::Gcs,
            StateBackend::Local {} => Self::Local,
        }
    }
}

impl Backend {
    fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azurerm => "azurerm",
            Self::Gcs => "gcs",
            Self::Local => "local",
        }
    }
}

/// What a configuration may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatePolicy {
    /// Provider sources, like `hashicorp/aws` or `registry.example.com/team/thing`. The built-in provider always is
    /// allowed.
    #[serde(default)]
    pub allowed_providers: Vec<String>,
    /// Addresses that fetched modules may come from, whole or up to a `/`: `terraform-aws-modules`,
    /// `git::https://git.example.com/infra`. Modules in the configuration itself always are allowed.
    #[serde(default)]
    pub allowed_module_sources: Vec<String>,
    /// Whether provisioners and other commands may run.
    #[serde(default)]
    pub allow_local_exec: bool,
    /// Whether external programs may deliver data.
    #[serde(default)]
    pub allow_external_data: bool,
    /// The connection's backend.
    pub backend: Backend,
}

/// Everything found in the configuration under `root`, in order of file, line and rule, each once. The same
/// configuration gives the same findings.
pub fn check(root: &Path, policy: &GatePolicy) -> Vec<Finding> {
    let mut report = Report::default();
    let sources = files::read(root, &mut report);
    let modules = modules::assemble(&sources, &mut report);
    for module in &modules {
        rules::check(module, policy, &mut report);
    }
    report.finish()
}

/// Whether nothing in `findings` blocks.
pub fn passes(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity != Severity::Block)
}

/// The most findings that are told: a configuration made to be refused does not fill the evidence.
const MOST: usize = 500;

/// Findings as they come.
#[derive(Default)]
struct Report(Vec<Finding>);

impl Report {
    fn block(
        &mut self,
        rule: &'static str,
        at: (&str, usize),
        message: impl Into<String>,
        hint: &'static str,
    ) {
        self.add(rule, Severity::Block, at, &message.into(), hint);
    }

    fn warn(
        &mut self,
        rule: &'static str,
        at: (&str, usize),
        message: impl Into<String>,
        hint: &'static str,
    ) {
        self.add(rule, Severity::Warn, at, &message.into(), hint);
    }

    fn add(
        &mut self,
        rule: &'static str,
        severity: Severity,
        at: (&str, usize),
        message: &str,
        hint: &'static str,
    ) {
        // One line, whatever names the configuration has.
        let message = message.chars().map(|c| if c.is_control() { '?' } else { c }).take(300).collect();
        self.0.push(Finding { file: at.0.to_owned(), line: at.1, rule, severity, message, hint });
    }

    fn finish(mut self) -> Vec<Finding> {
        self.0.sort();
        self.0.dedup();
        if self.0.len() > MOST {
            // What blocks stays: dropping warnings must never let a configuration through.
            self.0.sort_by_key(|finding| finding.severity);
            self.0.truncate(MOST);
            self.block(
                "too-many-findings",
                (".", 0),
                format!("only the first {MOST} are told"),
                "mend these first",
            );
            self.0.sort();
        }
        self.0
    }
}

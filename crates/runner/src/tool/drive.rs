//! Driving the tool step by step.

use std::{
    collections::BTreeMap,
    fmt::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use writ_crypto::{
    SecretBytes, SecretString,
    hash::{hex, sha256},
};
use writ_kernel::{Error, Result};

use super::{
    Diagnostic, LockHeld, PlanDocument, PlanFile, StateFacts, StepOutcome, Tool, Watch,
    events::Events,
    supervise::{Ear, supervise},
};
use crate::{
    sandbox::{Job, Sandbox},
    workspace::Workspace,
};

/// Where the tool looks for programs, like `git` and the shell of a provisioner.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The address of no resource.
const NOTHING: &str = "terraform_data.writ_looks_for_a_lock";

/// Backend settings that would hand a credential to the tool's disk and plan.
const SENSITIVE: &[&str] = &[
    "access_key",
    "secret_key",
    "token",
    "sas_token",
    "password",
    "client_secret",
    "client_certificate_password",
    "credentials",
    "access_token",
    "encryption_key",
    "sse_customer_key",
    "oidc_token",
];

/// How a run drives the tool, the same for every step.
#[expect(missing_debug_implementations, reason = "its environment holds the token of the run")]
pub struct Setting {
    /// The directory of the configuration inside the archive; empty for its root.
    pub directory: PathBuf,
    /// Where the state is, as `-backend-config` pairs; no credential.
    pub backend: Vec<(String, String)>,
    /// The values of input variables.
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// The only source of providers, when given: a directory in the layout of a file system mirror.
    pub mirror: Option<PathBuf>,
    /// More environment. Long-lived credentials do not belong here; the token of the run's own credential
    /// endpoint does.
    pub env: Vec<(String, SecretString)>,
    /// Files and directories the tool may read besides the system's, its own and the mirror.
    pub readable: Vec<PathBuf>,
    /// Directories it may write besides the workspace, like that of a local state in development.
    pub writable: Vec<PathBuf>,
    /// How long to wait for a held state lock.
    pub lock_timeout: Duration,
}

/// What to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanMode {
    /// To make reality what the configuration says.
    Apply,
    /// To destroy everything.
    Destroy,
    /// To learn how reality differs from the state; changes nothing but the state.
    RefreshOnly,
}

/// A tool at work in one workspace.
#[expect(missing_debug_implementations, reason = "its environment holds the token of the run")]
pub struct Drive<'a> {
    tool: &'a Tool,
    sandbox: &'a Sandbox,
    workspace: &'a Workspace,
    setting: Setting,
    dir: PathBuf,
    variables: PathBuf,
    env: BTreeMap<&'static str, String>,
}

impl<'a> Drive<'a> {
    /// Readies `workspace`, whose configuration is unpacked, for the tool: writes its files and hands all of
    /// it over to the identity the tool runs as. From here on nothing in it is to be trusted.
    pub fn begin(
        tool: &'a Tool,
        sandbox: &'a Sandbox,
        workspace: &'a Workspace,
        setting: Setting,
    ) -> Result<Self> {
        for (key, value) in &setting.backend {
            check_backend(key, value)?;
        }
        let dir = inside(&workspace.config(), &setting.directory)?;
        let variables = serde_json::to_vec(&setting.variables)
            .map_err(|error| Error::internal("write the variables").because(error))?;
        let variables = workspace.write_control("variables.tfvars.json", &variables)?;
        let config =
            workspace.write_control("cli.tfrc", cli_config(setting.mirror.as_deref())?.as_bytes())?;
        sandbox.hand_over(workspace.root())?;
        for writable in &setting.writable {
            sandbox.hand_over(writable)?;
        }
        if let (Some(_), Some(mirror)) = (&sandbox.account, &setting.mirror) {
            check_open(mirror)?;
        }
        let env = BTreeMap::from([
            ("PATH", PATH.to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", text(&workspace.home())?),
            ("TMPDIR", text(&workspace.temporary())?),
            ("TF_CLI_CONFIG_FILE", text(&config)?),
            ("TF_IN_AUTOMATION", "1".to_owned()),
            ("TF_INPUT", "0".to_owned()),
            ("CHECKPOINT_DISABLE", "1".to_owned()),
        ]);
        Ok(Self { tool, sandbox, workspace, setting, dir, variables, env })
    }

    /// Fetches providers and modules and opens the state backend. A lock file in the configuration is
    /// binding.
    pub async fn init(&self, watch: &Watch) -> Result<StepOutcome> {
        let mut args = vec!["-input=false".to_owned(), "-no-color".to_owned()];
        if self.dir.join(".terraform.lock.hcl").exists() {
            args.push("-lockfile=readonly".to_owned());
        }
        args.extend(self.setting.backend.iter().map(|(key, value)| format!("-backend-config={key}={value}")));
        self.heard("init", args, watch).await
    }

    /// Checks the configuration. Its diagnostics are in the outcome.
    pub async fn validate(&self, watch: &Watch) -> Result<StepOutcome> {
        #[derive(Deserialize)]
        struct Answer {
            diagnostics: Vec<Diagnostic>,
        }
        let (mut outcome, answer) = self.kept("validate", vec!["-json".to_owned()], watch).await?;
        if let Ok(answer) = serde_json::from_slice::<Answer>(&answer) {
            let mut events = Events::default();
            answer.diagnostics.into_iter().for_each(|diagnostic| events.diagnose(diagnostic));
            outcome.errors += events.errors;
            outcome.diagnostics.append(&mut events.diagnostics);
        }
        Ok(outcome)
    }

    /// Plans and saves the plan; no plan when it failed.
    pub async fn plan(&self, mode: PlanMode, watch: &Watch) -> Result<(StepOutcome, Option<PlanFile>)> {
        let path = self.workspace.control().join("plan");
        let mut args = vec![
            "-json".to_owned(),
            "-input=false".to_owned(),
            self.lock_timeout(),
            format!("-out={}", text(&path)?),
            format!("-var-file={}", text(&self.variables)?),
        ];
        match mode {
            PlanMode::Apply => {}
            PlanMode::Destroy => args.push("-destroy".to_owned()),
            PlanMode::RefreshOnly => args.push("-refresh-only".to_owned()),
        }
        let outcome = self.heard("plan", args, watch).await?;
        let plan = outcome.succeeded().then(|| PlanFile::at(path)).transpose()?;
        Ok((outcome, plan))
    }

    /// The plan as a document.
    pub async fn show_plan(&self, plan: &PlanFile, watch: &Watch) -> Result<PlanDocument> {
        plan.recheck()?;
        let args = vec!["-json".to_owned(), "-no-color".to_owned(), text(&plan.path)?];
        PlanDocument::parse(self.document("show", args, watch).await?)
    }

    /// Carries out exactly `plan`, if it still is the file that was hashed.
    pub async fn apply(&self, plan: &PlanFile, watch: &Watch) -> Result<StepOutcome> {
        plan.recheck()?;
        let args =
            vec!["-json".to_owned(), "-input=false".to_owned(), self.lock_timeout(), text(&plan.path)?];
        self.heard("apply", args, watch).await
    }

    /// Which version the state is at.
    pub async fn state(&self, watch: &Watch) -> Result<StateFacts> {
        self.pull(watch).await.map(|(facts, _)| facts)
    }

    /// Which version the state is at, and the state itself in the form it is kept in, with every secret in it;
    /// empty when there is none yet.
    pub async fn pull(&self, watch: &Watch) -> Result<(StateFacts, SecretBytes)> {
        #[derive(Deserialize)]
        struct Head {
            lineage: String,
            serial: u64,
        }
        let state = SecretBytes::new(self.document("state", vec!["pull".to_owned()], watch).await?);
        let digest = hex(&sha256(state.expose()));
        if state.expose().trim_ascii().is_empty() {
            return Ok((StateFacts { lineage: None, serial: 0, sha256: digest }, state));
        }
        // The cause would quote the state.
        let head: Head = serde_json::from_slice(state.expose())
            .map_err(|_| Error::internal("the state pulled by the tool is malformed"))?;
        Ok((StateFacts { lineage: Some(head.lineage), serial: head.serial, sha256: digest }, state))
    }

    /// The state as a document, with every secret in it.
    pub async fn show_state(&self, watch: &Watch) -> Result<SecretBytes> {
        self.document("show", vec!["-json".to_owned()], watch).await.map(SecretBytes::new)
    }

    /// The outputs as a document, sensitive ones in clear.
    pub async fn outputs(&self, watch: &Watch) -> Result<SecretBytes> {
        self.document("output", vec!["-json".to_owned()], watch).await.map(SecretBytes::new)
    }

    /// Releases the state lock `id`. Only for a lock whose holder is provably dead.
    pub async fn force_unlock(&self, id: &str, watch: &Watch) -> Result<StepOutcome> {
        if id.is_empty()
            || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c))
            || id.starts_with('-')
        {
            return Err(Error::invalid(
                "malformed_lock_id",
                "a lock identifier has letters, digits and hyphens",
            ));
        }
        self.heard("force-unlock", vec!["-force".to_owned(), id.to_owned()], watch).await
    }

    /// Who holds the lock of the state; `None` when nobody does. Found out by asking for the lock and wanting nothing:
    /// the address is of no resource, and nothing would be removed.
    ///
    /// # Errors
    /// [`StepOutcome::error`] when the state cannot be reached.
    pub async fn holder(&self, watch: &Watch) -> Result<Option<LockHeld>> {
        let args = ["rm", "-no-color", "-dry-run", "-lock-timeout=0s", NOTHING].map(str::to_owned).to_vec();
        let outcome = self.heard("state", args, watch).await?;
        if outcome.lock.is_some() || outcome.succeeded() {
            return Ok(outcome.lock);
        }
        // Once it had the lock, it fails when there is no state yet.
        match self.state(watch).await {
            Ok(state) if state.lineage.as_deref().is_none_or(str::is_empty) => Ok(None),
            _ => Err(outcome.error()),
        }
    }

    /// A step whose output is a document.
    async fn document(&self, step: &'static str, args: Vec<String>, watch: &Watch) -> Result<Vec<u8>> {
        let (outcome, document) = self.kept(step, args, watch).await?;
        if outcome.succeeded() { Ok(document) } else { Err(outcome.error()) }
    }

    async fn heard(&self, step: &'static str, args: Vec<String>, watch: &Watch) -> Result<StepOutcome> {
        self.run(step, args, watch, &mut Ear::open()).await
    }

    async fn kept(
        &self,
        step: &'static str,
        args: Vec<String>,
        watch: &Watch,
    ) -> Result<(StepOutcome, Vec<u8>)> {
        let mut ear = Ear::Keep(Vec::new());
        let outcome = self.run(step, args, watch, &mut ear).await?;
        match ear {
            Ear::Keep(document) => Ok((outcome, document)),
            Ear::Open(_) => Ok((outcome, Vec::new())),
        }
    }

    async fn run(
        &self,
        step: &'static str,
        args: Vec<String>,
        watch: &Watch,
        out: &mut Ear,
    ) -> Result<StepOutcome> {
        let process = self.sandbox.launch(self.job(step, args), self.workspace).await?;
        let isolation = process.isolation().clone();
        let mut err = Ear::open();
        let ended = supervise(process, watch, out, &mut err).await?;
        let mut outcome = StepOutcome {
            step,
            exit: ended.exit,
            stopped: ended.stopped,
            diagnostics: Vec::new(),
            errors: 0,
            summary: None,
            started: 0,
            completed: 0,
            lock: None,
            truncated: ended.truncated,
            isolation,
        };
        for ear in [out, &mut err] {
            if let Ear::Open(events) = ear {
                absorb(&mut outcome, events);
            }
        }
        Ok(outcome)
    }

    fn job(&self, step: &'static str, args: Vec<String>) -> Job {
        // What a caller adds cannot replace what keeps the tool in its place.
        let mut env: BTreeMap<String, String> =
            self.setting.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        env.extend(self.env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Job {
            program: self.tool.path.clone(),
            args: std::iter::once(step.to_owned()).chain(args).collect(),
            env,
            dir: self.dir.clone(),
            readable: self.setting.readable.iter().chain(&self.setting.mirror).cloned().collect(),
            writable: self.setting.writable.clone(),
        }
    }

    fn lock_timeout(&self) -> String {
        format!("-lock-timeout={}s", self.setting.lock_timeout.as_secs())
    }
}

fn absorb(outcome: &mut StepOutcome, events: &mut Events) {
    let texts =
        events.diagnostics.iter().map(|diagnostic| diagnostic.detail.as_str()).chain([events.plain.as_str()]);
    outcome.lock = outcome.lock.take().or_else(|| texts.into_iter().find_map(LockHeld::parse));
    outcome.errors += events.errors;
    outcome.started += events.started;
    outcome.completed += events.completed;
    outcome.summary = events.summary.take().or_else(|| outcome.summary.take());
    outcome.diagnostics.append(&mut events.diagnostics);
}

fn check_backend(key: &str, value: &str) -> Result<()> {
    let named = key.rsplit('.').next().unwrap_or(key);
    if SENSITIVE.contains(&named) {
        return Err(Error::invalid(
            "sensitive_backend_key",
            format!("the backend setting `{key}` is a credential"),
        )
        .hint("a state backend is opened with the credentials the run borrows"));
    }
    let word = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if !word || value.chars().any(char::is_control) {
        return Err(Error::invalid(
            "malformed_backend",
            format!("the backend setting `{}` is malformed", key.escape_debug()),
        ));
    }
    Ok(())
}

/// Whether a user that is nobody here can come to `mirror` and read it.
fn check_open(mirror: &Path) -> Result<()> {
    let others = |path: &Path| std::fs::metadata(path).map_or(0, |stat| stat.permissions().mode() & 0o7);
    if others(mirror) & 0o5 == 0o5 && mirror.ancestors().all(|path| others(path) & 0o1 != 0) {
        return Ok(());
    }
    Err(Error::unavailable(
        "unreachable_mirror",
        format!("the provider mirror `{}` is closed to other users", mirror.display()),
    )
    .hint("the tool runs as a user of its own: keep the mirror where everybody may read, like `/usr/share`"))
}

/// `directory` below `root`, when it leads nowhere else.
fn inside(root: &Path, directory: &Path) -> Result<PathBuf> {
    let plain = directory.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let dir = root.join(directory);
    if plain && dir.is_dir() {
        return Ok(dir);
    }
    Err(Error::invalid("no_such_directory", "the configuration has no such directory").at("directory"))
}

/// The tool's own configuration: no telemetry, and with a mirror no other source of providers.
fn cli_config(mirror: Option<&Path>) -> Result<String> {
    let mut config = String::from("disable_checkpoint = true\n");
    if let Some(mirror) = mirror {
        let path = text(mirror)?;
        if path.contains(['"', '\\', '$', '%']) || path.chars().any(char::is_control) {
            return Err(Error::invalid(
                "malformed_mirror",
                "the provider mirror's path has a special character",
            ));
        }
        // Writing to a string cannot fail.
        let _ = writeln!(
            config,
            "provider_installation {{\n  filesystem_mirror {{\n    path = \"{path}\"\n  }}\n}}"
        );
    }
    Ok(config)
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::invalid("malformed_path", format!("the path `{}` is not UTF-8", path.display()))
    })
}

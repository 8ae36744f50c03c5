//! The life, step by step.

use std::{sync::Arc, time::Duration};

use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;
use writ_crypto::{SecretString, hash::sha256};
use writ_kernel::{Error, Result, Timestamp, World};
use writ_wire::{
    runner::{Claim, Finish, Pulse, RunEvent, Task},
    tenancy::IsolationLevel,
};

use super::{
    Bootstrap,
    backend::{self, LocalState},
    binding,
    borrowing::Lease,
    control::{Control, Halt, Why, heartbeats, unless_halted},
    declared,
    ending::Ending,
    uploader::{self, Reports},
    voice::Voice,
};
use crate::{
    sandbox::{ACCOUNTS, Account, Isolation, Job, Launcher, Level, Limits, Sandbox},
    static_gate::{self, GatePolicy},
    tool::{Preference, Setting, Tool},
    workspace::{ArchiveLimits, PrivateMounts, Workspace},
};

/// What is kept of the time of a run for reporting its end.
pub(super) const RESERVE: Duration = Duration::from_secs(30);
/// How long after the deadline the end is still reported to a control plane that does not answer.
const LATE: Duration = Duration::from_mins(1);
/// How long a held state lock is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Lives one run: claims it with the token of `bootstrap`, does its work, and reports its end. `launcher` is how the
/// sandbox starts programs.
///
/// # Errors
/// When the run could not be claimed, or its end not be reported. Everything else is told in the report.
pub async fn live(
    bootstrap: Bootstrap,
    mounts: Option<PrivateMounts>,
    launcher: Launcher,
    world: World,
) -> Result<()> {
    let control = Arc::new(Control::new(&bootstrap, &world)?);
    let preparing = AbortOnDropHandle::new(tokio::spawn(prepare(bootstrap.preference())));
    let claim = control.claim().await?;
    let halt = Halt::default();
    let every = Duration::from_secs(u64::from(claim.heartbeat_seconds.max(1)));
    let _beating =
        AbortOnDropHandle::new(tokio::spawn(heartbeats(Arc::clone(&control), every, halt.clone())));
    let _listening = AbortOnDropHandle::new(tokio::spawn(interruptions(halt.clone())));
    let terms = Terms::of(&claim, &bootstrap, world.now());
    let (reports, uploading) = uploader::start(Arc::clone(&control), halt.clone(), terms.give_up);
    let _uploading = AbortOnDropHandle::new(uploading);
    // Nobody listens to an errand: what there is to know of it is in its report.
    let heard = claim.task == Task::Deploy;
    let voice = Arc::new(Voice::new(world.clone(), reports.clone(), halt.clone(), terms.stop_at, heard));
    voice.keep_quiet("canary", [claim.canary.as_str()]);
    voice.keep_quiet("run-token", [claim.session.as_str(), bootstrap.token.expose()]);
    let run = Run { bootstrap, claim, control, reports, voice, halt, world, terms };
    let (ending, wiped) = Box::pin(run.work(mounts.as_ref(), launcher, preparing)).await;
    run.finish(ending, wiped).await
}

/// What needs no word from the control plane: the tool, and the hash of this very program.
async fn prepare(preference: Preference) -> Result<(Tool, String)> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let (tool, digest) = tokio::join!(Tool::find(&preference, &search), spawn_blocking(binding::own_digest));
    let digest = digest.map_err(|error| Error::internal("hash the runner").because(error))??;
    Ok((tool?, digest))
}

/// Stops the run when the operating system asks for it.
async fn interruptions(halt: Halt) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    halt.call(Why::Interrupted);
}

/// What a run may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// When the tool is told to end.
    pub(super) stop_at: Timestamp,
    /// How long it may take for that.
    pub(super) grace: Duration,
    /// When the end is not reported any more.
    give_up: Timestamp,
}

impl Terms {
    fn of(claim: &Claim, bootstrap: &Bootstrap, now: Timestamp) -> Self {
        let quarter = claim.deadline.since(now) / 4;
        let grace = Duration::from_secs(u64::from(bootstrap.grace_seconds)).min(quarter);
        let stop_at = claim.deadline.minus(RESERVE.min(quarter) + grace);
        Self { stop_at, grace, give_up: claim.deadline.plus(LATE) }
    }
}

pub(super) type Preparing = AbortOnDropHandle<Result<(Tool, String)>>;

/// One run.
pub(super) struct Run {
    pub(super) bootstrap: Bootstrap,
    pub(super) claim: Claim,
    pub(super) control: Arc<Control>,
    pub(super) reports: Reports,
    pub(super) voice: Arc<Voice>,
    pub(super) halt: Halt,
    pub(super) world: World,
    pub(super) terms: Terms,
}

/// What stands ready before anything is borrowed.
pub(super) struct Stage<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) sandbox: Sandbox,
    pub(super) tool: Tool,
    pub(super) runner_digest: String,
    pub(super) local: Option<LocalState>,
}

impl Run {
    /// All the work, and whether nothing of the workspace is left.
    async fn work(
        &self,
        mounts: Option<&PrivateMounts>,
        launcher: Launcher,
        preparing: Preparing,
    ) -> (Ending, bool) {
        let Bootstrap { workspace_parent, workspace_bytes, .. } = &self.bootstrap;
        let mut workspace = match Workspace::create(workspace_parent.as_deref(), mounts, *workspace_bytes) {
            Ok(workspace) => workspace,
            Err(error) => return (self.failed(&error).await, true),
        };
        let ending = match &self.claim.task {
            Task::Deploy => Box::pin(self.inside(&workspace, mounts, launcher, preparing)).await,
            Task::Validate => Ok(Box::pin(self.validate(&workspace, launcher, preparing)).await),
            Task::Unlock { lock } => {
                Box::pin(self.release(lock, &workspace, mounts, launcher, preparing)).await
            }
        };
        let ending = match ending {
            Ok(ending) => ending,
            Err(error) => self.failed(&error).await,
        };
        (ending, workspace.wipe().is_ok())
    }

    /// The TCP ports that the tool may connect to: those its operator names, of emulators, and of its own credentials.
    /// Above all not port 80, where the metadata services of clouds give away the machine's identity.
    pub(super) fn reachable(&self, lease: Option<&Lease>) -> Vec<u16> {
        let Bootstrap { connect_ports, aws_endpoints, .. } = &self.bootstrap;
        connect_ports.iter().copied().chain(aws_endpoints.ports()).chain(lease.map(Lease::port)).collect()
    }

    async fn failed(&self, error: &Error) -> Ending {
        if self.halt.why().is_none() {
            self.voice.say("runner", &format!("failed: {error}")).await;
        }
        Ending::of(error)
    }

    async fn inside(
        &self,
        workspace: &Workspace,
        mounts: Option<&PrivateMounts>,
        launcher: Launcher,
        preparing: Preparing,
    ) -> Result<Ending> {
        let packed = unless_halted(&self.halt, self.control.configuration()).await?;
        workspace.unpack(packed.expose(), &ArchiveLimits::default())?;
        if binding::tree_digest(&workspace.config())? != self.claim.configuration_digest {
            return Err(Error::conflict(
                "configuration_changed",
                "the configuration is not the one that was deployed",
            ));
        }
        self.voice.learn(&declared::secrets(&workspace.config(), &self.claim.variables));
        if let Some(refused) = self.check(workspace).await {
            return Ok(refused);
        }
        let (tool, runner_digest) =
            preparing.await.map_err(|error| Error::internal("find the tool").because(error))??;
        let (name, version) = (tool.flavour.name(), tool.version);
        self.voice.say("runner", &format!("{name} {version}")).await;
        let mut stage = Stage { workspace, sandbox: sandbox(launcher)?, tool, runner_digest, local: None };
        write_override(workspace, &self.claim)?;
        if self.isolate(&mut stage.sandbox, workspace).await? < self.claim.minimum_isolation {
            return Err(too_low());
        }
        if let Some(path) = self.local_state()? {
            stage.local = Some(LocalState::open(path, mounts, workspace.root())?);
        }
        let lease = Lease::begin(&self.claim, &self.bootstrap, &self.world, &self.voice, &self.reports);
        let lease = unless_halted(&self.halt, lease).await?;
        stage.sandbox.connect = Some(self.reachable(lease.as_ref()));
        let ending = self.drive(&stage, lease.as_ref()).await;
        if let Some(lease) = lease {
            lease.close().await;
        }
        ending
    }

    /// The check of the configuration, before any credential exists.
    async fn check(&self, workspace: &Workspace) -> Option<Ending> {
        let knobs = &self.bootstrap.gate;
        let policy = GatePolicy {
            allowed_providers: self.claim.allowed_providers.clone(),
            allowed_module_sources: knobs.allowed_module_sources.clone(),
            allow_local_exec: knobs.allow_local_exec,
            allow_external_data: knobs.allow_external_data,
            backend: backend::kind(&self.claim.backend),
        };
        let findings = static_gate::check(&workspace.config(), &policy);
        let passed = static_gate::passes(&findings);
        for finding in &findings {
            self.voice.say("check", &format!("{finding}\n  hint: {}", finding.hint)).await;
        }
        let told = findings.iter().map(|finding| self.voice.redact(&finding.to_string())).collect();
        self.reports.event(RunEvent::Checked { passed, findings: told }).await;
        let first = findings.iter().find(|finding| finding.severity == static_gate::Severity::Block)?;
        let detail = self.voice.redact(&format!("the configuration is refused: {first}"));
        Some(Ending::bad("static_gate_refused", detail, Some(first.hint)))
    }

    /// Finds out what walls stand here, by starting something harmless behind them. Each step must reach them again.
    pub(super) async fn isolate(
        &self,
        sandbox: &mut Sandbox,
        workspace: &Workspace,
    ) -> Result<IsolationLevel> {
        sandbox.hand_over(workspace.root())?;
        let probe = Job {
            program: "/bin/true".into(),
            args: Vec::new(),
            env: std::collections::BTreeMap::new(),
            dir: workspace.config(),
            readable: Vec::new(),
            writable: Vec::new(),
        };
        let mut process = sandbox.launch(probe, workspace).await?;
        let isolation = process.isolation().clone();
        process.ended().await?;
        let level = level(&isolation);
        self.reports.event(RunEvent::Isolated { level, layers: layers(&isolation) }).await;
        self.voice.say("runner", &format!("isolation: {level:?}").to_lowercase()).await;
        sandbox.minimum = isolation.level();
        Ok(level)
    }

    pub(super) fn local_state(&self) -> Result<Option<&std::path::Path>> {
        match (&self.claim.backend, &self.bootstrap.local_state) {
            (writ_wire::connections::StateBackend::Local {}, Some(path)) => Ok(Some(path)),
            (writ_wire::connections::StateBackend::Local {}, None) => {
                Err(Error::invalid("no_local_state", "the runner was given no place for a local state"))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn setting(&self, stage: &Stage<'_>, lease: Option<&Lease>) -> Result<Setting> {
        let local = stage.local.as_ref();
        let emulated = self.bootstrap.aws_endpoints.s3.is_some();
        let backend = backend::settings(
            &self.claim.backend,
            &self.claim.target,
            local.map(LocalState::file),
            emulated,
        )?;
        let mut env = lease.map(|lease| lease.env(&self.bootstrap)).unwrap_or_default();
        env.push(("WRIT_CANARY".to_owned(), SecretString::new(self.claim.canary.clone())));
        // A user without an entry in the system's list is called so; the tool writes it into state locks, and by that
        // a lock is known to be of this run.
        env.push(("USER".to_owned(), SecretString::new(format!("writ-{}", self.claim.run))));
        Ok(Setting {
            directory: std::path::PathBuf::new(),
            backend,
            variables: self.claim.variables.clone().into_iter().collect(),
            mirror: self.bootstrap.provider_mirror.clone(),
            env,
            readable: Vec::new(),
            writable: local.map(|local| local.dir().to_owned()).into_iter().collect(),
            lock_timeout: LOCK_TIMEOUT,
        })
    }

    /// Tells the end. The output's digest covers every line, so nothing is said after it.
    async fn finish(self, ending: Ending, wiped: bool) -> Result<()> {
        let why = self.halt.why();
        let ending = ending.stopped(why);
        if self.voice.lost() > 0 {
            let lost = format!("{} lines of output could not be delivered in time", self.voice.lost());
            self.voice.say("runner", &lost).await;
        }
        // Without anybody who takes reports there is no output; the end itself may still be heard.
        let output_digest = self.reports.delivered().await.unwrap_or_else(|_| binding::written(&sha256(b"")));
        let finish = Finish {
            succeeded: ending.succeeded,
            cancelled: why == Some(Why::Cancelled) && !ending.succeeded,
            outcome: ending.outcome,
            output_digest,
            redactions: self.voice.redactions(),
            state: ending.state,
            report: ending.report,
            wiped,
        };
        self.control
            .insist::<_, Pulse>("/runner/v1/finish", &finish, Some(self.terms.give_up))
            .await
            .map(drop)
    }
}

/// The machine cannot do what the environment demands.
pub(super) fn too_low() -> Error {
    let detail = "this machine cannot isolate the tool as far as the environment demands";
    Error::unavailable("isolation_too_low", detail)
        .hint("run it on a newer kernel or as root, or lower the demanded isolation of this environment")
}

pub(super) fn sandbox(launcher: Launcher) -> Result<Sandbox> {
    Ok(Sandbox {
        launcher,
        account: Account::claim(ACCOUNTS)?,
        limits: Limits::default(),
        connect: None,
        minimum: Level::None,
    })
}

/// Before the workspace is handed over: afterwards nothing in it is to be trusted.
pub(super) fn write_override(workspace: &Workspace, claim: &Claim) -> Result<()> {
    let content = backend::override_file(&claim.backend);
    backend::OVERRIDES.iter().try_for_each(|name| {
        std::fs::write(workspace.config().join(name), &content)
            .map_err(|error| Error::internal(format!("write `{name}`")).because(error))
    })
}

fn level(isolation: &Isolation) -> IsolationLevel {
    match isolation.level() {
        Level::None => IsolationLevel::None,
        Level::Partial => IsolationLevel::Partial,
        Level::Full => IsolationLevel::Full,
    }
}

/// Each wall by name, and whether it stands.
fn layers(isolation: &Isolation) -> std::collections::BTreeMap<String, String> {
    let walls = serde_json::to_value(isolation).unwrap_or_default();
    let walls = walls.as_object().into_iter().flatten();
    walls.map(|(name, value)| (name.clone(), value.to_string())).collect()
}

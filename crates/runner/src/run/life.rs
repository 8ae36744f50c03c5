//! The life, step by step.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use writ_crypto::{SecretBytes, SecretString};
use writ_kernel::{Error, Result, Timestamp, World};
use writ_redact::plan::{project, sensitive_values};
use writ_wire::{
    deployments::{Mode, PlanBinding},
    runner::{Claim, Finish, PlanDecision, Pulse, RunEvent, StateMark, SubmitPlan},
    tenancy::IsolationLevel,
};

use super::{
    Bootstrap,
    backend::{self, LocalState},
    binding::{self, LockFile},
    borrowing::Lease,
    control::{Control, Halt, Why, heartbeats, unless_halted},
    declared,
    ending::{self, Ending},
    facts,
    uploader::{self, Reports},
    voice::Voice,
};
use crate::{
    sandbox::{ACCOUNTS, Account, Isolation, Job, Launcher, Level, Limits, Sandbox},
    static_gate::{self, GatePolicy},
    tool::{Bounds, Chunk, Drive, PlanFile, PlanMode, Setting, StateFacts, StepOutcome, Tool, Watch},
    workspace::{ArchiveLimits, PrivateMounts, Workspace},
};

/// What is kept of the time of a run for reporting its end.
const RESERVE: Duration = Duration::from_secs(30);
/// How long after the deadline the end is still reported to a control plane that does not answer.
const LATE: Duration = Duration::from_mins(1);
/// How many bytes the tool may print in one run.
const OUTPUT: u64 = 50 << 20;
/// How long a held state lock is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How many chunks of output wait for the redactor.
const CHUNKS: usize = 16;

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
    let claim = control.claim().await?;
    let halt = Halt::default();
    let every = Duration::from_secs(u64::from(claim.heartbeat_seconds.max(1)));
    let _beating =
        AbortOnDropHandle::new(tokio::spawn(heartbeats(Arc::clone(&control), every, halt.clone())));
    let _listening = AbortOnDropHandle::new(tokio::spawn(interruptions(halt.clone())));
    let terms = Terms::of(&claim, &bootstrap, world.now());
    let (reports, uploading) = uploader::start(Arc::clone(&control), halt.clone(), terms.give_up);
    let _uploading = AbortOnDropHandle::new(uploading);
    let voice = Arc::new(Voice::new(world.clone(), reports.clone()));
    voice.keep_quiet("canary", [claim.canary.as_str()]);
    voice.keep_quiet("run-token", [claim.session.as_str(), bootstrap.token.expose()]);
    let run = Run { bootstrap, claim, control, reports, voice, halt, world, terms };
    let (ending, wiped) = Box::pin(run.work(mounts.as_ref(), launcher)).await;
    run.finish(ending, wiped).await
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
struct Terms {
    /// When the tool is told to end.
    stop_at: Timestamp,
    /// How long it may take for that.
    grace: Duration,
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

/// One run.
struct Run {
    bootstrap: Bootstrap,
    claim: Claim,
    control: Arc<Control>,
    reports: Reports,
    voice: Arc<Voice>,
    halt: Halt,
    world: World,
    terms: Terms,
}

/// What stands ready before anything is borrowed.
struct Stage<'a> {
    workspace: &'a Workspace,
    sandbox: Sandbox,
    tool: Tool,
    runner_digest: String,
    local: Option<LocalState>,
}

/// A plan that was made.
struct Planned {
    file: PlanFile,
    /// With every secret in it.
    document: Value,
    before: StateFacts,
}

impl Run {
    /// All the work, and whether nothing of the workspace is left.
    async fn work(&self, mounts: Option<&PrivateMounts>, launcher: Launcher) -> (Ending, bool) {
        let Bootstrap { workspace_parent, workspace_bytes, .. } = &self.bootstrap;
        let mut workspace = match Workspace::create(workspace_parent.as_deref(), mounts, *workspace_bytes) {
            Ok(workspace) => workspace,
            Err(error) => return (self.failed(&error).await, true),
        };
        let ending = match Box::pin(self.inside(&workspace, mounts, launcher)).await {
            Ok(ending) => ending,
            Err(error) => self.failed(&error).await,
        };
        (ending, workspace.wipe().is_ok())
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
    ) -> Result<Ending> {
        let search = std::env::var_os("PATH").unwrap_or_default();
        let preference = self.bootstrap.preference();
        let (tool, packed, runner_digest) = tokio::join!(
            Tool::find(&preference, &search),
            unless_halted(&self.halt, self.control.configuration()),
            tokio::task::spawn_blocking(binding::own_digest),
        );
        let runner_digest =
            runner_digest.map_err(|error| Error::internal("hash the runner").because(error))??;
        workspace.unpack(packed?.expose(), &ArchiveLimits::default())?;
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
        let tool = tool?;
        let (name, version) = (tool.flavour.name(), tool.version);
        self.voice.say("runner", &format!("{name} {version}")).await;
        let mut stage = Stage { workspace, sandbox: sandbox(launcher)?, tool, runner_digest, local: None };
        write_override(workspace, &self.claim)?;
        if let Some(refused) = self.isolate(&mut stage).await? {
            return Ok(refused);
        }
        if let Some(path) = self.local_state()? {
            stage.local = Some(LocalState::open(path, mounts, workspace.root())?);
        }
        let lease = Lease::begin(&self.claim, &self.bootstrap, &self.world, &self.voice, &self.reports);
        let lease = unless_halted(&self.halt, lease).await?;
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

    /// Finds out what walls stand here, by starting something harmless behind them.
    async fn isolate(&self, stage: &mut Stage<'_>) -> Result<Option<Ending>> {
        stage.sandbox.hand_over(stage.workspace.root())?;
        let probe = Job {
            program: "/bin/true".into(),
            args: Vec::new(),
            env: std::collections::BTreeMap::new(),
            dir: stage.workspace.config(),
            readable: Vec::new(),
            writable: Vec::new(),
        };
        let mut process = stage.sandbox.launch(probe, stage.workspace).await?;
        let isolation = process.isolation().clone();
        process.ended().await?;
        let level = level(&isolation);
        self.reports.event(RunEvent::Isolated { level, layers: layers(&isolation) }).await;
        self.voice.say("runner", &format!("isolation: {level:?}").to_lowercase()).await;
        if level < self.claim.minimum_isolation {
            let detail = "this machine cannot isolate the tool as far as the environment demands";
            let hint =
                "run it on a newer kernel or as root, or lower the demanded isolation of this environment";
            return Ok(Some(Ending::bad("isolation_too_low", detail, Some(hint))));
        }
        // Each step must reach it again.
        stage.sandbox.minimum = isolation.level();
        Ok(None)
    }

    fn local_state(&self) -> Result<Option<&std::path::Path>> {
        match (&self.claim.backend, &self.bootstrap.local_state) {
            (writ_wire::connections::StateBackend::Local {}, Some(path)) => Ok(Some(path)),
            (writ_wire::connections::StateBackend::Local {}, None) => {
                Err(Error::invalid("no_local_state", "the runner was given no place for a local state"))
            }
            _ => Ok(None),
        }
    }

    fn setting(&self, stage: &Stage<'_>, lease: Option<&Lease>) -> Result<Setting> {
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

    /// The steps of the tool.
    async fn drive(&self, stage: &Stage<'_>, lease: Option<&Lease>) -> Result<Ending> {
        let setting = self.setting(stage, lease)?;
        let drive = Drive::begin(&stage.tool, &stage.sandbox, stage.workspace, setting)?;
        let init = self.step("init", async |watch| drive.init(watch).await).await?;
        if !init.succeeded() {
            return Ok(self.step_failed(&init));
        }
        let (before, document) = self.step("state", async |watch| drive.pull(watch).await).await?;
        let mark = self.mark(&before, &document)?;
        let planned = match self.plan(&drive, before).await? {
            Ok(planned) => planned,
            Err(ending) => return Ok(ending),
        };
        let changes = facts::changes(&planned.document);
        let decision = self.submit(stage, &planned, changes).await?;
        let mut ending = match decision {
            PlanDecision::Apply { permit } => {
                self.voice.say("runner", &format!("permitted: {permit}")).await;
                return self.apply(&drive, &planned, lease).await;
            }
            PlanDecision::Done {} if changes => Ending::good("planned", "the plan was made"),
            PlanDecision::Done {} => Ending::good("no_changes", "reality is as the configuration says"),
            PlanDecision::Wait { reason } => Ending::good("waiting", reason),
            PlanDecision::Refused { reason } => Ending::bad("refused", reason, None),
        };
        self.voice.say("runner", &ending.outcome.detail).await;
        ending.state = mark;
        Ok(ending)
    }

    /// Makes the plan. What the tool says meanwhile is held back until the plan's secrets are known.
    async fn plan(&self, drive: &Drive<'_>, before: StateFacts) -> Result<Result<Planned, Ending>> {
        let (mut outcome, mut file, mut held) = self.plan_once(drive).await?;
        if self.unlocked(drive, &outcome).await? {
            (outcome, file, held) = self.plan_once(drive).await?;
        }
        let Some(file) = file else {
            if self.learn_state(drive, &before).await.is_ok() {
                self.voice.release("plan", held).await;
            } else {
                self.voice
                    .say("plan", "the output is withheld: which of it is secret cannot be found out")
                    .await;
            }
            return Ok(Err(self.step_failed(&outcome)));
        };
        let document = self.step("show", async |watch| drive.show_plan(&file, watch).await).await?;
        let document: Value = serde_json::from_slice(document.json.expose())
            .map_err(|_| Error::internal("the tool's plan document is malformed"))?;
        self.voice.learn(&sensitive_values(&document));
        self.voice.release("plan", held).await;
        Ok(Ok(Planned { file, document, before }))
    }

    async fn plan_once(&self, drive: &Drive<'_>) -> Result<(StepOutcome, Option<PlanFile>, Vec<Chunk>)> {
        let mode = if self.claim.mode == Mode::Destroy { PlanMode::Destroy } else { PlanMode::Apply };
        let (sink, mut chunks) = mpsc::channel(CHUNKS);
        let planning = async {
            let watch = self.watch(sink);
            drive.plan(mode, &watch).await
        };
        let holding = async {
            let mut held: Vec<Chunk> = Vec::new();
            while let Some(chunk) = chunks.recv().await {
                held.push(chunk);
            }
            held
        };
        let (planned, held) = tokio::join!(planning, holding);
        planned.map(|(outcome, file)| (outcome, file, held))
    }

    /// When a step failed because the state is locked: reports the lock, and releases it if the control plane says that
    /// its holder is a run that is certainly dead. Whether the step may be tried again.
    async fn unlocked(&self, drive: &Drive<'_>, outcome: &StepOutcome) -> Result<bool> {
        let Some(held) = &outcome.lock else { return Ok(false) };
        let holder = self.voice.redact(&format!("{} since {}: {}", held.who, held.created, held.operation));
        let lock = self.voice.redact(&held.id);
        let pulse = self.reports.ask(RunEvent::StateLocked { lock: lock.clone(), holder }).await?;
        if pulse.release.is_none_or(|release| release != held.id) {
            return Ok(false);
        }
        let released =
            self.step("force-unlock", async |watch| drive.force_unlock(&held.id, watch).await).await?;
        if released.succeeded() {
            self.reports.event(RunEvent::StateUnlocked { lock }).await;
        }
        Ok(released.succeeded())
    }

    /// Tells the redactor what the state marks as secret.
    async fn learn_state(&self, drive: &Drive<'_>, state: &StateFacts) -> Result<()> {
        if state.lineage.is_none() {
            return Ok(());
        }
        let shown = self.afterwards("show", async |watch| drive.show_state(watch).await).await?;
        let shown: Value = serde_json::from_slice(shown.expose())
            .map_err(|_| Error::internal("the tool's state document is malformed"))?;
        self.voice.learn(&sensitive_values(&shown));
        Ok(())
    }

    /// Sends what may leave of the plan, once everything before it is on record, and hears what may become of it.
    async fn submit(&self, stage: &Stage<'_>, planned: &Planned, changes: bool) -> Result<PlanDecision> {
        let lock = LockFile::read(&stage.workspace.config())?;
        let projection = self.voice.with_redactor(|redactor| project(&planned.document, redactor));
        let (lock_file, providers) = lock.map(|lock| (lock.digest, lock.providers)).unzip();
        let providers = providers.unwrap_or_default();
        let facts = facts::facts(&planned.document, &projection, providers.keys());
        let bound = PlanBinding {
            plan: binding::plan_digest(&self.claim.plan_salt, &planned.document)?,
            configuration: self.claim.configuration_digest.clone(),
            lock_file,
            providers,
            tool: stage.tool.flavour.name().to_lowercase(),
            tool_version: stage.tool.version.to_string(),
            tool_digest: format!("sha256:{}", stage.tool.sha256),
            runner_digest: stage.runner_digest.clone(),
            state_lineage: planned.before.lineage.clone(),
            state_serial: planned.before.serial,
        };
        let submitted = SubmitPlan { bound, facts, changes, projection };
        let asking = async {
            self.reports.delivered().await?;
            self.control.insist("/runner/v1/plan", &submitted, Some(self.terms.stop_at)).await
        };
        unless_halted(&self.halt, asking).await
    }

    /// Carries out exactly the plan that was permitted, and finds out what came of it.
    async fn apply(&self, drive: &Drive<'_>, planned: &Planned, lease: Option<&Lease>) -> Result<Ending> {
        if let Some(lease) = lease {
            lease.widen(&self.claim.backend, facts::touched(&planned.document)).await?;
        }
        let mut outcome = self.step("apply", async |watch| drive.apply(&planned.file, watch).await).await?;
        if self.unlocked(drive, &outcome).await? {
            outcome = self.step("apply", async |watch| drive.apply(&planned.file, watch).await).await?;
        }
        let after = self.afterwards("state", async |watch| drive.pull(watch).await).await.ok();
        let after_facts = after.as_ref().map(|(facts, _)| facts);
        // Values that only applying made are known from here on, for the outputs and for what is said of a failure.
        let learnt = match after_facts {
            Some(facts) => self.learn_state(drive, facts).await.is_ok(),
            None => false,
        };
        let verdict = outcome.verdict(Some(&planned.before), after_facts);
        let mut ending = Ending::of_apply(self.claim.mode, &outcome, verdict, self.because(&outcome));
        if let Some((facts, state)) = &after {
            ending.state = self.mark(facts, state)?;
            let state: Value = serde_json::from_slice(state.expose()).unwrap_or_default();
            if learnt {
                ending.outcome.outputs =
                    self.voice.with_redactor(|redactor| ending::outputs(&state, redactor));
            }
        }
        Ok(ending)
    }

    fn step_failed(&self, outcome: &StepOutcome) -> Ending {
        Ending::of_step(outcome, self.because(outcome))
    }

    /// The first thing the tool called an error.
    fn because(&self, outcome: &StepOutcome) -> Option<String> {
        let errors =
            |diagnostic: &&crate::tool::Diagnostic| diagnostic.severity == crate::tool::Severity::Error;
        outcome.diagnostics.iter().find(errors).map(|diagnostic| self.voice.redact(&diagnostic.summary))
    }

    /// A step whose output is said as it comes. Ends when the run is stopped or its time is up.
    async fn step<T>(&self, step: &'static str, work: impl AsyncFnOnce(&Watch) -> Result<T>) -> Result<T> {
        let (sink, chunks) = mpsc::channel(CHUNKS);
        self.heard(step, self.watch(sink), chunks, work).await
    }

    /// A look at what a stopped step has left: not stopped itself, and short.
    async fn afterwards<T>(
        &self,
        step: &'static str,
        work: impl AsyncFnOnce(&Watch) -> Result<T>,
    ) -> Result<T> {
        let (sink, chunks) = mpsc::channel(CHUNKS);
        let bounds = Bounds { timeout: RESERVE / 3, grace: Duration::from_secs(1), ..Bounds::default() };
        self.heard(step, Watch { sink, cancel: CancellationToken::new(), bounds }, chunks, work).await
    }

    async fn heard<T>(
        &self,
        step: &'static str,
        watch: Watch,
        chunks: mpsc::Receiver<Chunk>,
        work: impl AsyncFnOnce(&Watch) -> Result<T>,
    ) -> Result<T> {
        let working = async {
            let watch = watch;
            work(&watch).await
        };
        tokio::join!(working, self.voice.hear(step, chunks)).0
    }

    fn watch(&self, sink: mpsc::Sender<Chunk>) -> Watch {
        let bounds = Bounds {
            timeout: self.terms.stop_at.since(self.world.now()),
            grace: self.terms.grace,
            output: OUTPUT.saturating_sub(self.voice.heard()),
            ..Bounds::default()
        };
        Watch { sink, cancel: self.halt.token.clone(), bounds }
    }

    fn mark(&self, facts: &StateFacts, state: &SecretBytes) -> Result<Option<StateMark>> {
        let Some(lineage) = facts.lineage.clone() else { return Ok(None) };
        let digest = binding::salted(&self.claim.plan_salt, state.expose())?;
        Ok(Some(StateMark { lineage, serial: facts.serial, digest }))
    }

    /// Tells the end. The output's digest covers every line, so nothing is said after it is taken.
    async fn finish(self, ending: Ending, wiped: bool) -> Result<()> {
        let why = self.halt.why();
        let ending = ending.stopped(why);
        // What cannot be delivered any more is not waited for: the digest tells that it is missing.
        let _ = self.reports.delivered().await;
        let finish = Finish {
            succeeded: ending.succeeded,
            cancelled: why == Some(Why::Cancelled) && !ending.succeeded,
            outcome: ending.outcome,
            output_digest: self.voice.digest(),
            redactions: self.voice.redactions(),
            state: ending.state,
            wiped,
        };
        self.control
            .insist::<_, Pulse>("/runner/v1/finish", &finish, Some(self.terms.give_up))
            .await
            .map(drop)
    }
}

fn sandbox(launcher: Launcher) -> Result<Sandbox> {
    Ok(Sandbox {
        launcher,
        account: Account::claim(ACCOUNTS)?,
        limits: Limits::default(),
        connect: None,
        minimum: Level::None,
    })
}

/// Before the workspace is handed over: afterwards nothing in it is to be trusted.
fn write_override(workspace: &Workspace, claim: &Claim) -> Result<()> {
    let path = workspace.config().join(backend::OVERRIDE);
    std::fs::write(&path, backend::override_file(&claim.backend))
        .map_err(|error| Error::internal(format!("write `{}`", backend::OVERRIDE)).because(error))
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

//! The steps of the tool: init, plan, apply, and what is looked at in between.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use writ_crypto::SecretBytes;
use writ_kernel::{Error, Result};
use writ_redact::plan::{project, sensitive_values};
use writ_wire::{
    deployments::{Mode, PlanBinding},
    runner::{PlanDecision, RunEvent, StateMark, SubmitPlan},
};

use super::{
    binding::{self, LockFile},
    borrowing::Lease,
    control::{halted, unless_halted},
    ending::{self, Ending},
    facts,
    life::{RESERVE, Run, Stage},
};
use crate::tool::{
    Bounds, Chunk, Diagnostic, Drive, PlanFile, PlanMode, Severity, StateFacts, StepOutcome, Watch,
};

/// How many bytes the tool may print in one run.
const OUTPUT: u64 = 50 << 20;
/// How many chunks of output wait for the redactor.
const CHUNKS: usize = 16;

/// A plan that was made.
struct Planned {
    file: PlanFile,
    /// With every secret in it.
    document: Value,
    before: StateFacts,
    /// The state before, as it is told.
    mark: Option<StateMark>,
}

impl Run {
    /// The steps of the tool.
    pub(super) async fn drive(&self, stage: &Stage<'_>, lease: Option<&Lease>) -> Result<Ending> {
        let setting = self.setting(stage, lease)?;
        let drive = Drive::begin(&stage.tool, &stage.sandbox, stage.workspace, setting)?;
        let init = self.step("init", async |watch| drive.init(watch).await).await?;
        if !init.succeeded() {
            return Ok(self.step_failed(&init));
        }
        let planned = match self.plan(&drive).await? {
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
        ending.state = planned.mark;
        Ok(ending)
    }

    /// Makes the plan. What the tool says meanwhile is held back until the plan's secrets are known.
    async fn plan(&self, drive: &Drive<'_>) -> Result<Result<Planned, Ending>> {
        // Reading the state takes no lock, so that it need not wait.
        let (planned, pulled) =
            tokio::join!(self.plan_once(drive), self.step("state", async |watch| drive.pull(watch).await));
        let (mut outcome, mut file, mut held) = planned?;
        if self.unlocked(drive, &outcome).await? {
            (outcome, file, held) = self.plan_once(drive).await?;
        }
        let Some(file) = file else {
            let known = match &pulled {
                Ok((before, _)) => self.learn_state(drive, before).await.is_ok(),
                Err(_) => false,
            };
            if known {
                self.voice.release("plan", held).await;
            } else {
                self.voice
                    .say("plan", "the output is withheld: which of it is secret cannot be found out")
                    .await;
            }
            let because = known.then(|| self.because(&outcome)).flatten();
            return Ok(Err(Ending::of_step(&outcome, because)));
        };
        let (before, state) = pulled?;
        let mark = self.mark(&before, &state)?;
        let document = self.step("show", async |watch| drive.show_plan(&file, watch).await).await?;
        let document: Value = serde_json::from_slice(document.json.expose())
            .map_err(|_| Error::internal("the tool's plan document is malformed"))?;
        self.voice.learn(&sensitive_values(&document));
        self.voice.release("plan", held).await;
        Ok(Ok(Planned { file, document, before, mark }))
    }

    async fn plan_once(&self, drive: &Drive<'_>) -> Result<(StepOutcome, Option<PlanFile>, Vec<Chunk>)> {
        let mode = if self.claim.mode == Mode::Destroy { PlanMode::Destroy } else { PlanMode::Apply };
        self.may_begin("plan")?;
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
        let holder = self.told(held);
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
        self.learn(&shown)
    }

    fn learn(&self, shown: &SecretBytes) -> Result<()> {
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
        let (after, shown) = tokio::join!(
            self.afterwards("state", async |watch| drive.pull(watch).await),
            self.afterwards("show", async |watch| drive.show_state(watch).await),
        );
        // Values that only applying made are known from here on, for the outputs and for what is said of a failure.
        let learnt = shown.and_then(|shown| self.learn(&shown)).is_ok();
        let after = after.ok();
        let after_facts = after.as_ref().map(|(facts, _)| facts);
        let verdict = outcome.verdict(Some(&planned.before), after_facts);
        let because = learnt.then(|| self.because(&outcome)).flatten();
        let mut ending = Ending::of_apply(self.claim.mode, &outcome, verdict, because);
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

    pub(super) fn step_failed(&self, outcome: &StepOutcome) -> Ending {
        Ending::of_step(outcome, self.because(outcome))
    }

    /// The first thing the tool called an error.
    fn because(&self, outcome: &StepOutcome) -> Option<String> {
        let errors = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
        outcome.diagnostics.iter().find(errors).map(|diagnostic| self.voice.redact(&diagnostic.summary))
    }

    /// A step whose output is said as it comes. Ends when the run is stopped or its time is up.
    pub(super) async fn step<T>(
        &self,
        step: &'static str,
        work: impl AsyncFnOnce(&Watch) -> Result<T>,
    ) -> Result<T> {
        self.may_begin(step)?;
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

    /// A step that would be stopped at once is not begun.
    fn may_begin(&self, step: &str) -> Result<()> {
        if self.halt.why().is_some() {
            return Err(halted());
        }
        if self.world.now() >= self.terms.stop_at {
            return Err(Error::timeout("timed_out", format!("there was no time left for `{step}`"))
                .hint("allow the deployment more time"));
        }
        Ok(())
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
}

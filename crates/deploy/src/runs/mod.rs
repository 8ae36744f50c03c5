//! Runs: claimed once, reporting until they end.

pub(crate) mod http;
pub(crate) mod sql;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;
use writ_crypto::{SecretBytes, Token};
use writ_gate::{Done, Entry, Gate, Grant, Outcome as Recorded, Receipt, Resource};
use writ_kernel::{
    Action, Caller, Credential, Environment, Error, Id, PrincipalKind, Result, Run, Scopes, TenantId,
    TraceId, World,
};
use writ_redact::Canary;
use writ_wire::{
    deployments::{Mode, Outcome, Plan, State},
    runner::{Claim, Finish, PlanDecision, Pulse, PushEvents, PushOutput, RunEvent, SubmitPlan, Task},
    tenancy::{EnvironmentKind, IsolationLevel},
};

use crate::{
    configurations, decision,
    deployments::{Place, outcome, place, variables},
    errands, locks,
    model::{Deploy, RunRecord, RunState, Work},
    tokens,
};

/// How often a runner is to be heard of, in seconds.
pub(crate) const HEARTBEAT_SECONDS: u32 = 5;
/// The most lines one push may bring, and the most bytes of one line.
const PUSH_LINES: usize = 2_000;
const LINE_BYTES: usize = 64 * 1024;

/// The runner of a run, as a caller: it may claim and report, and nothing else.
fn runner(world: &World, tenant: TenantId, run: Uuid, trace: TraceId) -> Result<Caller> {
    Ok(Caller {
        principal: Id::from_uuid(run),
        kind: PrincipalKind::Runner,
        scopes: "runtime.runs.claim runtime.runs.report".parse::<Scopes>()?,
        fence: None,
        credential: Credential::RunToken(run),
        roles: Arc::new([]),
        trace,
        ..Caller::system(tenant, world)
    })
}

/// What a run works at, and what is around it.
pub(crate) enum Site {
    /// A deployment.
    Deployment(Box<Place>),
    /// An errand.
    Errand(Box<errands::Place>),
}

impl Site {
    pub(crate) fn resource(&self) -> Resource {
        match self {
            Self::Deployment(place) => place.resource(),
            Self::Errand(place) => place.resource(),
        }
    }

    /// The same as the resource of its own runner.
    pub(crate) fn own(&self, runner: &Caller) -> Resource {
        self.resource().of(runner.principal)
    }

    fn pulse(&self) -> Pulse {
        let cancel = match self {
            Self::Deployment(place) => place.deployment.cancel_requested || place.deployment.state.is_final(),
            Self::Errand(place) => place.errand.cancel_requested || place.errand.state.is_final(),
        };
        Pulse { cancel, release: None }
    }
}

/// Takes a run with its one-time token. A second attempt, by whomever, is refused and on record.
pub(crate) async fn claim(room: &Deploy, token: &str, trace: TraceId) -> Result<(Claim, Receipt)> {
    let gate = room.gate();
    let claims = tokens::verify(gate, token).await?;
    let caller = runner(gate.world(), claims.tenant, claims.run.uuid(), trace)?;
    let mut entry = gate.enter(&caller, Action::RunClaim).await?;
    let Some((run, site)) = around(&mut entry, claims.run).await? else {
        return Err(entry.not_found("run").await);
    };
    let mut grant = entry.admit(site.own(&caller)).await?;
    let (session, hash) = Token::generate(gate.world(), "runner");
    let now = gate.world().now();
    if run.work.id() != claims.deployment.uuid() || !sql::claim(grant.tx(), run.id, &hash, now).await? {
        return Err(grant.refuse(Error::unauthenticated("token_spent", "the run was claimed already")).await);
    }
    let claim = match site {
        Site::Deployment(place) => of_deployment(&mut grant, &run, *place, session.expose()).await?,
        Site::Errand(place) => of_errand(&grant, &run, *place, session.expose())?,
    };
    let receipt = grant.commit(Done::with(json!({ run.work.noun(): run.work.id() }))).await?;
    Ok((claim, receipt))
}

/// What the runner of a deployment needs to know.
async fn of_deployment(grant: &mut Grant, run: &RunRecord, place: Place, session: &str) -> Result<Claim> {
    let configuration = crate::sql::configuration(grant.tx(), place.deployment.configuration.uuid()).await?;
    let configuration = configuration.ok_or_else(|| Error::not_found("configuration"))?;
    let variables = variables(grant.keys(), grant.tenant(), &place.deployment)?;
    let Place { deployment, connection, environment } = place;
    Ok(Claim {
        run: run.id.uuid(),
        task: Task::Deploy,
        deployment: deployment.id.uuid(),
        tenant: grant.tenant().uuid(),
        environment: environment.name.to_string(),
        environment_kind: kind(&environment.kind)?,
        target: deployment.target.to_string(),
        mode: deployment.mode,
        session: session.to_owned(),
        canary: canary(run)?.text().to_owned(),
        plan_salt: deployment.plan_salt,
        configuration_digest: configuration.digest,
        cloud: connection.target,
        backend: connection.backend,
        allowed_providers: connection.allowed_providers,
        variables,
        minimum_isolation: level(environment.minimum_isolation),
        deadline: run.deadline,
        heartbeat_seconds: HEARTBEAT_SECONDS,
        trace: deployment.trace.to_string(),
    })
}

/// What the runner of an errand needs to know: it plans nothing, and gets no configuration.
fn of_errand(grant: &Grant, run: &RunRecord, place: errands::Place, session: &str) -> Result<Claim> {
    let errands::Place { errand, connection, environment } = place;
    let (task, target) = errand.task.told();
    Ok(Claim {
        run: run.id.uuid(),
        task,
        deployment: errand.id.uuid(),
        tenant: grant.tenant().uuid(),
        environment: environment.name.to_string(),
        environment_kind: kind(&environment.kind)?,
        target,
        mode: Mode::Plan,
        session: session.to_owned(),
        canary: canary(run)?.text().to_owned(),
        plan_salt: String::new(),
        configuration_digest: String::new(),
        cloud: connection.target,
        backend: connection.backend,
        allowed_providers: Vec::new(),
        variables: BTreeMap::new(),
        minimum_isolation: level(environment.minimum_isolation),
        deadline: run.deadline,
        heartbeat_seconds: HEARTBEAT_SECONDS,
        trace: errand.trace.to_string(),
    })
}

/// The caller behind a session token of a run that is under way.
pub(crate) async fn authenticate(gate: &Gate, token: &str, trace: TraceId) -> Result<(Caller, Id<Run>)> {
    let invalid = || Error::unauthenticated("invalid_credential", "the run is over, or never was");
    let (kind, hash) = Token::hash(token).map_err(|error| invalid().because(error))?;
    if kind != "runner" {
        return Err(invalid());
    }
    let mut tx = gate.db().system_read().await?;
    let (tenant, run) = sql::by_session(&mut tx, &hash).await?.ok_or_else(invalid)?;
    Ok((runner(gate.world(), tenant, run, trace)?, Id::from_uuid(run)))
}

/// The configuration to plan.
pub(crate) async fn configuration(room: &Deploy, caller: &Caller, run: Id<Run>) -> Result<SecretBytes> {
    let (_, place, mut grant) = deploying(room.gate(), caller, run).await?;
    let keys = room.gate().seal().tenant(grant.tx()).await?;
    let archive = configurations::archive(grant.tx(), &keys, place.deployment.configuration).await?;
    grant.commit(Done::with(json!({ "configuration": place.deployment.configuration }))).await?;
    Ok(archive)
}

/// The runner lives.
pub(crate) async fn beat(room: &Deploy, caller: &Caller, run: Id<Run>) -> Result<Pulse> {
    let (run, site, mut grant) = reporting(room.gate(), caller, run).await?;
    let now = grant.world().now();
    sql::beat(grant.tx(), run.id, now).await?;
    grant.commit_covered().await?;
    Ok(site.pulse())
}

/// Keeps redacted output. The leaf at the run's end has a digest of all of it.
pub(crate) async fn output(room: &Deploy, caller: &Caller, run: Id<Run>, push: PushOutput) -> Result<Pulse> {
    if push.lines.len() > PUSH_LINES || push.lines.iter().any(|line| line.text.len() > LINE_BYTES) {
        return Err(Error::too_large("output_too_large", "one push has at most 2000 lines of 64 KiB"));
    }
    let (run, place, mut grant) = deploying(room.gate(), caller, run).await?;
    let id = place.deployment.id;
    let site = Site::Deployment(Box::new(place));
    if push.lines.iter().any(|line| sighted(&run, line.text.as_bytes())) {
        return quarantine(room, grant, &run, site).await;
    }
    let now = grant.world().now();
    if sql::take_push(grant.tx(), run.id, push.push, now).await? {
        sql::append_output(grant.tx(), id, &push.lines).await?;
    }
    grant.commit_covered().await?;
    room.wake();
    Ok(site.pulse())
}

/// Puts what happened inside the run on record, one leaf for each push. A report of a state lock is answered, and
/// answered again when it is repeated, with whether the runner may release it.
pub(crate) async fn events(room: &Deploy, caller: &Caller, run: Id<Run>, push: PushEvents) -> Result<Pulse> {
    let (run, site, mut grant) = reporting(room.gate(), caller, run).await?;
    if sighted_in(&run, &push.events)? {
        return quarantine(room, grant, &run, site).await;
    }
    let now = grant.world().now();
    if sql::take_push(grant.tx(), run.id, push.push, now).await? {
        for event in &push.events {
            match event {
                RunEvent::Isolated { level, .. } => {
                    sql::set_isolation(grant.tx(), run.id, *level as u8).await?;
                }
                // What became of an errand, its end tells.
                RunEvent::StateUnlocked { lock } if matches!(site, Site::Deployment(_)) => {
                    let done = Done::with(json!({ "lock": lock, "run": run.id })).outcome(Recorded::Done);
                    grant.also(Action::StateUnlock, &site.resource(), done).await?;
                }
                _ => {}
            }
        }
        grant.commit(Done::with(json!({ "run": run.id, "events": push.events }))).await?;
    } else {
        grant.commit_covered().await?;
    }
    let mut pulse = site.pulse();
    for event in &push.events {
        if let RunEvent::StateLocked { lock, holder } = event {
            pulse.release = Box::pin(locks::release(room, caller, &run, &site, lock, holder)).await?;
        }
    }
    Ok(pulse)
}

/// Takes the plan and says what may become of it.
pub(crate) async fn plan(
    room: &Deploy,
    caller: &Caller,
    run: Id<Run>,
    submitted: SubmitPlan,
) -> Result<PlanDecision> {
    let (run, mut place, mut grant) = deploying(room.gate(), caller, run).await?;
    if sighted_in(&run, &submitted)? {
        return quarantine(room, grant, &run, Site::Deployment(Box::new(place))).await;
    }
    if place.deployment.state != State::Planning || run.permit.is_some() {
        return Err(Error::conflict("no_plan_expected", "the deployment is not being planned"));
    }
    let binding = decision::binding(&place, &submitted.bound, grant.policies())?;
    let SubmitPlan { bound, facts, changes, projection } = submitted;
    place.deployment.plan = Some(Plan { binding: binding.clone(), bound, facts, projection });
    decision::advance(&mut grant, State::Planning, &place.deployment).await?;
    grant.commit(Done::with(json!({ "run": run.id, "binding": binding, "changes": changes }))).await?;
    Box::pin(decision::decide(room, caller, &run, &place, changes)).await
}

/// The end of a run, told by itself.
pub(crate) async fn finish(room: &Deploy, caller: &Caller, run: Id<Run>, finish: Finish) -> Result<Receipt> {
    let (run, site, mut grant) = reporting(room.gate(), caller, run).await?;
    if sighted_in(&run, &finish)? {
        return quarantine(room, grant, &run, site).await;
    }
    sql::end(grant.tx(), run.id, RunState::Finished).await?;
    let mut place = match site {
        Site::Deployment(place) => *place,
        Site::Errand(place) => return errands::work::finish(room, grant, &run, *place, finish).await,
    };
    let before = place.deployment.state;
    if let Some((state, outcome)) = ending(&place, &run, &finish) {
        place.deployment.state = state;
        place.deployment.outcome = Some(outcome);
        decision::advance(&mut grant, before, &place.deployment).await?;
    }
    let detail = json!({ "run": run.id, "finish": finish, "state": place.deployment.state,
        "binding": place.deployment.plan.as_ref().map(|plan| plan.binding.as_str()),
        "connection": place.connection.target, "permit": run.permit });
    if run.permit.is_some() {
        let outcome = if finish.succeeded { Recorded::Done } else { Recorded::Fail };
        let (action, resource) = (decision::action_of(place.deployment.mode), place.resource());
        grant.also(action, &resource, Done::with(detail.clone()).outcome(outcome)).await?;
    }
    let receipt = grant.commit(Done::with(detail)).await?;
    room.wake();
    Ok(receipt)
}

/// What the end of a run makes of its deployment; `None` when that was settled before (it waits for others, or was refused).
fn ending(place: &Place, run: &RunRecord, finish: &Finish) -> Option<(State, Outcome)> {
    let told = finish.outcome.clone();
    match place.deployment.state {
        State::Planning | State::Applying if finish.cancelled => Some((State::Cancelled, told)),
        State::Applying if finish.succeeded => Some((State::Succeeded, told)),
        // Without a permit nothing can have been applied, and without a plan nothing was looked at, whatever the
        // runner says.
        State::Planning if finish.succeeded && run.permit.is_none() && place.deployment.plan.is_some() => {
            Some((State::Succeeded, told))
        }
        State::Planning | State::Applying => Some((State::Failed, told)),
        _ => None,
    }
}

/// A run that vanished: silent for too long, or past its deadline. Says truthfully what is known.
pub(crate) async fn lose(room: &Deploy, tenant: TenantId, run: Uuid) -> Result<()> {
    let gate = room.gate();
    let caller = Caller::system(tenant, gate.world());
    let mut entry = gate.enter(&caller, Action::RunReport).await?;
    let Some((run, site)) = around(&mut entry, Id::from_uuid(run)).await? else { return Ok(()) };
    let mut grant = entry.admit(site.resource()).await?;
    if !sql::end(grant.tx(), run.id, RunState::Lost).await? {
        return Ok(());
    }
    let mut place = match site {
        Site::Deployment(place) => *place,
        Site::Errand(place) => return errands::work::lose(room, grant, &run, *place).await,
    };
    let before = place.deployment.state;
    let (state, outcome) = if run.permit.is_some() {
        let hint = "plan again to see what is left; a state lock of this run can be released";
        let told = outcome(
            "runner_lost",
            "the runner vanished while it applied: what it left behind is unknown",
            Some(hint),
        );
        (State::Lost, told)
    } else {
        let told =
            outcome("runner_lost", "the runner vanished before anything was changed", Some("deploy again"));
        (State::Failed, told)
    };
    if matches!(before, State::Planning | State::Applying) {
        place.deployment.state = state;
        place.deployment.outcome = Some(outcome);
        decision::advance(&mut grant, before, &place.deployment).await?;
    }
    let detail = json!({ "run": run.id, "lastHeartbeat": run.heartbeat_at, "deadline": run.deadline, "state": place.deployment.state });
    if run.permit.is_some() {
        let (action, resource) = (decision::action_of(place.deployment.mode), place.resource());
        grant.also(action, &resource, Done::with(detail.clone()).outcome(Recorded::Fail)).await?;
    }
    grant.commit(Done::with(detail).outcome(Recorded::Fail)).await?;
    room.wake();
    Ok(())
}

/// The process of a run is dead, says its launcher. If the run had not ended, it is lost.
pub(crate) async fn gone(room: &Deploy, tenant: TenantId, run: Uuid) -> Result<()> {
    let mut tx = room.gate().db().tx(tenant).await?;
    sql::set_gone(&mut tx, Id::from_uuid(run)).await?;
    tx.commit().await?;
    lose(room, tenant, run).await
}

/// A run and what is around it, inside an entry.
pub(crate) async fn around(entry: &mut Entry, run: Id<Run>) -> Result<Option<(RunRecord, Site)>> {
    let Some(run) = sql::find(entry.tx(), run.uuid()).await? else { return Ok(None) };
    let site = match run.work {
        Work::Deployment(id) => place(entry, id.uuid()).await?.map(|place| Site::Deployment(Box::new(place))),
        Work::Validation(id) | Work::Unlock(id) => {
            errands::place(entry, id.uuid()).await?.map(|place| Site::Errand(Box::new(place)))
        }
    };
    Ok(site.map(|site| (run, site)))
}

async fn reporting(gate: &Gate, caller: &Caller, run: Id<Run>) -> Result<(RunRecord, Site, Grant)> {
    let mut entry = gate.enter(caller, Action::RunReport).await?;
    let Some((run, site)) = around(&mut entry, run).await? else { return Err(entry.not_found("run").await) };
    if run.state != RunState::Claimed {
        return Err(entry.refuse(Error::unauthenticated("run_over", "the run is over")).await);
    }
    let grant = entry.admit(site.own(caller)).await?;
    Ok((run, site, grant))
}

/// [`reporting`], for what only the run of a deployment has to report.
async fn deploying(gate: &Gate, caller: &Caller, run: Id<Run>) -> Result<(RunRecord, Place, Grant)> {
    match reporting(gate, caller, run).await? {
        (run, Site::Deployment(place), grant) => Ok((run, *place, grant)),
        (_, Site::Errand(_), grant) => {
            let error = Error::conflict("no_deployment", "the run is not one of a deployment");
            Err(grant.refuse(error).await)
        }
    }
}

fn canary(run: &RunRecord) -> Result<Canary> {
    let bytes =
        HEXLOWER.decode(run.canary.as_bytes()).map_err(|_| Error::internal("a canary is malformed"))?;
    Ok(Canary::new(&bytes))
}

fn sighted(run: &RunRecord, bytes: &[u8]) -> bool {
    canary(run).is_ok_and(|canary| canary.sighted(bytes))
}

fn sighted_in(run: &RunRecord, value: &impl Serialize) -> Result<bool> {
    Ok(sighted(run, crate::sql::to_json(value)?.as_bytes()))
}

/// The canary showed: redaction does not hold in this run. Nothing of the push is kept and the run ends here.
async fn quarantine<T>(room: &Deploy, mut grant: Grant, run: &RunRecord, site: Site) -> Result<T> {
    sql::end(grant.tx(), run.id, RunState::Lost).await?;
    let hint = "treat what this run could read as exposed, and report it";
    let told = "a secret of the run reached the control plane; the run was ended";
    let seen = outcome("canary_seen", told, Some(hint));
    match site {
        Site::Errand(place) => errands::work::ended(&mut grant, run, *place, seen).await?,
        Site::Deployment(place) => {
            let before = place.deployment;
            if matches!(before.state, State::Planning | State::Applying) {
                let mut deployment = before.clone();
                deployment.state = if run.permit.is_some() { State::Lost } else { State::Failed };
                deployment.outcome = Some(seen);
                decision::advance(&mut grant, before.state, &deployment).await?;
            }
        }
    }
    grant.commit(Done::with(json!({ "run": run.id, "canary": "seen" })).outcome(Recorded::Fail)).await?;
    room.wake();
    Err(Error::conflict("canary_seen", "a secret of the run was in what it sent; the run is over"))
}

fn kind(text: &str) -> Result<EnvironmentKind> {
    crate::sql::from_json(&format!("\"{text}\""))
}

const fn level(number: u8) -> IsolationLevel {
    match number {
        0 => IsolationLevel::None,
        1 => IsolationLevel::Partial,
        _ => IsolationLevel::Full,
    }
}

/// A run about to be started, for so many seconds.
pub(crate) fn fresh(world: &World, work: Work, environment: Id<Environment>, seconds: u32) -> RunRecord {
    let now = world.now();
    RunRecord {
        id: world.id(),
        work,
        environment,
        state: RunState::Starting,
        canary: HEXLOWER.encode(&world.bytes::<20>()),
        isolation: None,
        permit: None,
        gone: false,
        heartbeat_at: now,
        deadline: now.plus(Duration::from_secs(u64::from(seconds))),
    }
}

//! Runs: claimed once, reporting until they end.

pub(crate) mod http;
pub(crate) mod sql;

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;
use writ_crypto::{SecretBytes, Token};
use writ_gate::{Done, Entry, Gate, Grant, Outcome as Recorded, Receipt};
use writ_kernel::{
    Action, Caller, Credential, Error, Id, PrincipalKind, Result, Run, Scopes, TenantId, TraceId, World,
};
use writ_redact::Canary;
use writ_wire::{
    deployments::{Outcome, Plan, State},
    runner::{Claim, Finish, PlanDecision, Pulse, PushEvents, PushOutput, RunEvent, SubmitPlan},
    tenancy::{EnvironmentKind, IsolationLevel},
};

use crate::{
    configurations, decision,
    deployments::{Place, outcome, place, variables},
    model::{Deploy, RunRecord, RunState},
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

/// Takes a run with its one-time token. A second attempt, by whomever, is refused and on record.
pub(crate) async fn claim(room: &Deploy, token: &str, trace: TraceId) -> Result<(Claim, Receipt)> {
    let gate = room.gate();
    let claims = tokens::verify(gate, token).await?;
    let caller = runner(gate.world(), claims.tenant, claims.run.uuid(), trace)?;
    let mut entry = gate.enter(&caller, Action::RunClaim).await?;
    let Some((run, place)) = around(&mut entry, claims.run).await? else {
        return Err(entry.not_found("run").await);
    };
    let mut grant = entry.admit(decision::own(&caller, &place)).await?;
    let (session, hash) = Token::generate(gate.world(), "runner");
    let now = gate.world().now();
    if run.deployment != claims.deployment || !sql::claim(grant.tx(), run.id, &hash, now).await? {
        return Err(grant.refuse(Error::unauthenticated("token_spent", "the run was claimed already")).await);
    }
    let configuration = crate::sql::configuration(grant.tx(), place.deployment.configuration.uuid()).await?;
    let configuration = configuration.ok_or_else(|| Error::not_found("configuration"))?;
    let variables = variables(grant.keys(), caller.tenant, &place.deployment)?;
    let receipt = grant.commit(Done::with(json!({ "deployment": place.deployment.id }))).await?;
    let environment = &place.environment;
    let claim = Claim {
        run: run.id.uuid(),
        deployment: place.deployment.id.uuid(),
        tenant: caller.tenant.uuid(),
        environment: environment.name.to_string(),
        environment_kind: kind(&environment.kind)?,
        target: place.deployment.target.to_string(),
        mode: place.deployment.mode,
        session: session.expose().to_owned(),
        canary: canary(&run)?.text().to_owned(),
        plan_salt: place.deployment.plan_salt,
        configuration_digest: configuration.digest,
        cloud: place.connection.target,
        backend: place.connection.backend,
        allowed_providers: place.connection.allowed_providers,
        variables,
        minimum_isolation: level(environment.minimum_isolation),
        deadline: run.deadline,
        heartbeat_seconds: HEARTBEAT_SECONDS,
        trace: place.deployment.trace.to_string(),
    };
    Ok((claim, receipt))
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
    let (_, place, mut grant) = reporting(room.gate(), caller, run).await?;
    let keys = room.gate().seal().tenant(grant.tx()).await?;
    let archive = configurations::archive(grant.tx(), &keys, place.deployment.configuration).await?;
    grant.commit(Done::with(json!({ "configuration": place.deployment.configuration }))).await?;
    Ok(archive)
}

/// The runner lives.
pub(crate) async fn beat(room: &Deploy, caller: &Caller, run: Id<Run>) -> Result<Pulse> {
    let (run, place, mut grant) = reporting(room.gate(), caller, run).await?;
    let now = grant.world().now();
    sql::beat(grant.tx(), run.id, now).await?;
    grant.commit_covered().await?;
    Ok(pulse(&place))
}

/// Keeps redacted output. The leaf at the run's end has a digest of all of it.
pub(crate) async fn output(room: &Deploy, caller: &Caller, run: Id<Run>, push: PushOutput) -> Result<Pulse> {
    if push.lines.len() > PUSH_LINES || push.lines.iter().any(|line| line.text.len() > LINE_BYTES) {
        return Err(Error::too_large("output_too_large", "one push has at most 2000 lines of 64 KiB"));
    }
    let (run, place, mut grant) = reporting(room.gate(), caller, run).await?;
    if push.lines.iter().any(|line| sighted(&run, line.text.as_bytes())) {
        return quarantine(room, grant, &run, &place).await;
    }
    let now = grant.world().now();
    if sql::take_push(grant.tx(), run.id, push.push, now).await? {
        sql::append_output(grant.tx(), place.deployment.id, &push.lines).await?;
    }
    grant.commit_covered().await?;
    room.wake();
    Ok(pulse(&place))
}

/// Puts what happened inside the run on record, one leaf for each push.
pub(crate) async fn events(room: &Deploy, caller: &Caller, run: Id<Run>, push: PushEvents) -> Result<Pulse> {
    let (run, place, mut grant) = reporting(room.gate(), caller, run).await?;
    if sighted_in(&run, &push.events)? {
        return quarantine(room, grant, &run, &place).await;
    }
    let now = grant.world().now();
    if !sql::take_push(grant.tx(), run.id, push.push, now).await? {
        grant.commit_covered().await?;
        return Ok(pulse(&place));
    }
    let mut pulse = pulse(&place);
    for event in &push.events {
        match event {
            RunEvent::Isolated { level, .. } => sql::set_isolation(grant.tx(), run.id, *level as u8).await?,
            RunEvent::StateLocked { lock, holder } if is_dead_run(&mut grant, &place, holder).await? => {
                let done = Done::with(json!({ "lock": lock, "holder": holder, "run": run.id }));
                grant.also(Action::StateUnlock, &place.resource(), done.outcome(Recorded::Intent)).await?;
                pulse.release = Some(lock.clone());
            }
            _ => {}
        }
    }
    grant.commit(Done::with(json!({ "run": run.id, "events": push.events }))).await?;
    Ok(pulse)
}

/// Takes the plan and says what may become of it.
pub(crate) async fn plan(
    room: &Deploy,
    caller: &Caller,
    run: Id<Run>,
    submitted: SubmitPlan,
) -> Result<PlanDecision> {
    let (run, mut place, mut grant) = reporting(room.gate(), caller, run).await?;
    if sighted_in(&run, &submitted)? {
        return quarantine(room, grant, &run, &place).await;
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
    let (run, mut place, mut grant) = reporting(room.gate(), caller, run).await?;
    if sighted_in(&run, &finish)? {
        return quarantine(room, grant, &run, &place).await;
    }
    sql::end(grant.tx(), run.id, RunState::Finished).await?;
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
    let Some((run, mut place)) = around(&mut entry, Id::from_uuid(run)).await? else { return Ok(()) };
    let mut grant = entry.admit(place.resource()).await?;
    if !sql::end(grant.tx(), run.id, RunState::Lost).await? {
        return Ok(());
    }
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

/// Whether `holder`, as a state lock names it, is a run of the same deployment target that is certainly dead. A runner
/// gives the tool its run as the name of its user: `writ-<run id>@<host>`.
async fn is_dead_run(grant: &mut Grant, place: &Place, holder: &str) -> Result<bool> {
    let run = holder
        .strip_prefix("writ-")
        .and_then(|rest| rest.split('@').next())
        .and_then(|id| id.parse::<Uuid>().ok());
    let Some(run) = run else { return Ok(false) };
    let Some(run) = sql::find(grant.tx(), run).await? else { return Ok(false) };
    let of_target =
        crate::sql::deployment(grant.tx(), run.deployment.uuid()).await?.is_some_and(|deployment| {
            deployment.target == place.deployment.target
                && deployment.environment == place.deployment.environment
        });
    Ok(of_target && run.gone && matches!(run.state, RunState::Lost | RunState::Finished))
}

/// A run and what is around it, inside an entry.
pub(crate) async fn around(entry: &mut Entry, run: Id<Run>) -> Result<Option<(RunRecord, Place)>> {
    let Some(run) = sql::find(entry.tx(), run.uuid()).await? else { return Ok(None) };
    Ok(place(entry, run.deployment.uuid()).await?.map(|place| (run, place)))
}

async fn reporting(gate: &Gate, caller: &Caller, run: Id<Run>) -> Result<(RunRecord, Place, Grant)> {
    let mut entry = gate.enter(caller, Action::RunReport).await?;
    let Some((run, place)) = around(&mut entry, run).await? else { return Err(entry.not_found("run").await) };
    if run.state != RunState::Claimed {
        return Err(entry.refuse(Error::unauthenticated("run_over", "the run is over")).await);
    }
    let grant = entry.admit(decision::own(caller, &place)).await?;
    Ok((run, place, grant))
}

fn pulse(place: &Place) -> Pulse {
    let cancel = place.deployment.cancel_requested || place.deployment.state.is_final();
    Pulse { cancel, release: None }
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
async fn quarantine<T>(room: &Deploy, mut grant: Grant, run: &RunRecord, place: &Place) -> Result<T> {
    sql::end(grant.tx(), run.id, RunState::Lost).await?;
    let mut deployment = place.deployment.clone();
    if matches!(deployment.state, State::Planning | State::Applying) {
        deployment.state = if run.permit.is_some() { State::Lost } else { State::Failed };
        let hint = "treat what this run could read as exposed, and report it";
        deployment.outcome = Some(outcome(
            "canary_seen",
            "a secret of the run reached the control plane; the run was ended",
            Some(hint),
        ));
        decision::advance(&mut grant, place.deployment.state, &deployment).await?;
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

/// A run about to be started.
pub(crate) fn fresh(world: &World, place: &Place) -> RunRecord {
    let now = world.now();
    RunRecord {
        id: world.id(),
        deployment: place.deployment.id,
        environment: place.environment.id,
        state: RunState::Starting,
        canary: HEXLOWER.encode(&world.bytes::<20>()),
        isolation: None,
        permit: None,
        gone: false,
        heartbeat_at: now,
        deadline: now.plus(std::time::Duration::from_secs(u64::from(place.deployment.timeout_seconds))),
    }
}

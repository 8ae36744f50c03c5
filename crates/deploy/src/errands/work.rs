//! What becomes of an errand while and after a runner is at it.

use serde_json::json;
use writ_gate::{Circumstances, Done, Grant, Outcome as Recorded, Receipt, policy::Decision};
use writ_kernel::{Action, Caller, Error, Kind, Result};
use writ_store::Tx;
use writ_wire::{connections::PreflightCheck, deployments::Outcome, errands::ErrandState, runner::Finish};

use super::{Place, Release, Task, asked, sql};
use crate::{
    circumstances::Author,
    deployments::outcome,
    locks::{self, Holder},
    model::{Deploy, RunRecord},
    runs,
};

/// The most rows a report may have, and the most characters of a text in one.
const ROWS: usize = 50;
const TEXT: usize = 2_000;

/// The end of an errand's run, told by itself.
pub(crate) async fn finish(
    room: &Deploy,
    mut grant: Grant,
    run: &RunRecord,
    place: Place,
    finish: Finish,
) -> Result<Receipt> {
    let Finish { succeeded, cancelled, outcome, report, wiped, redactions, .. } = finish;
    let report = sound(report)?;
    let before = place.errand.state;
    let mut errand = place.errand.clone();
    // Without a permit no lock can have been released, and a row that fails is a failure, whatever the runner says.
    let done = match &errand.task {
        Task::Validate => !report.is_empty() && report.iter().all(|row| row.status != "fail"),
        Task::Unlock(_) => run.permit.is_some(),
    };
    errand.state = match (cancelled, succeeded && done) {
        (true, _) => ErrandState::Cancelled,
        (false, true) => ErrandState::Succeeded,
        (false, false) => ErrandState::Failed,
    };
    errand.report = report;
    // Why the server said no is told by the server.
    let refused = errand.outcome.take().filter(|_| errand.state == ErrandState::Failed);
    errand.outcome = Some(refused.unwrap_or(outcome));
    advance(&mut grant, before, &errand).await?;
    let mut detail = asked(&place);
    if let Some(members) = detail.as_object_mut() {
        members.extend([
            ("run".to_owned(), json!(run.id)),
            ("state".to_owned(), json!(errand.state)),
            ("report".to_owned(), json!(errand.report)),
            ("outcome".to_owned(), json!(errand.outcome)),
            ("redactions".to_owned(), json!(redactions)),
            ("wiped".to_owned(), json!(wiped)),
        ]);
    }
    tell(&mut grant, run, &place, errand.state == ErrandState::Succeeded).await?;
    let receipt = grant.commit(Done::with(detail)).await?;
    room.wake();
    Ok(receipt)
}

/// The runner of an errand vanished. Says truthfully what is known.
pub(crate) async fn lose(room: &Deploy, mut grant: Grant, run: &RunRecord, place: Place) -> Result<()> {
    let told = if run.permit.is_some() {
        let hint = "deploy or plan again: it says whether the state is still locked";
        outcome("runner_lost", "the runner vanished while it released the lock", Some(hint))
    } else {
        outcome("runner_lost", "the runner vanished before it had found out anything", Some("try again"))
    };
    let detail = json!({ "run": run.id, "errand": place.errand.id, "lastHeartbeat": run.heartbeat_at,
        "deadline": run.deadline });
    ended(&mut grant, run, place, told).await?;
    grant.commit(Done::with(detail).outcome(Recorded::Fail)).await?;
    room.wake();
    Ok(())
}

/// Ends an errand that a runner was at, and that went wrong in a way the runner does not tell.
pub(crate) async fn ended(grant: &mut Grant, run: &RunRecord, place: Place, told: Outcome) -> Result<()> {
    let before = place.errand.state;
    if before != ErrandState::Running {
        return Ok(());
    }
    let mut errand = place.errand.clone();
    errand.state = if run.permit.is_some() { ErrandState::Lost } else { ErrandState::Failed };
    errand.outcome = Some(told);
    advance(grant, before, &errand).await?;
    tell(grant, run, &place, false).await
}

/// The outcome leaf of what happened outside of our database.
async fn tell(grant: &mut Grant, run: &RunRecord, place: &Place, done: bool) -> Result<()> {
    let touched = matches!(place.errand.task, Task::Validate) || run.permit.is_some();
    if !touched {
        return Ok(());
    }
    let outcome = if done { Recorded::Done } else { Recorded::Fail };
    let told = Done::with(json!({ "errand": place.errand.id, "run": run.id, "permit": run.permit }));
    grant.also(place.errand.task.action(), &place.resource(), told.outcome(outcome)).await?;
    Ok(())
}

/// Answers the runner that has found the lock: may it be released? The one place where authority to release a lock on
/// somebody's word is minted. Policy is asked again, about the author as they are now.
pub(crate) async fn release(
    room: &Deploy,
    runner: &Caller,
    run: &RunRecord,
    place: &Place,
    lock: &str,
    holder: &str,
) -> Result<Option<String>> {
    let Task::Unlock(wanted) = &place.errand.task else { return Ok(None) };
    if run.permit.is_some() && wanted.lock == lock {
        return Ok(Some(lock.to_owned()));
    }
    let mut tx = room.gate().db().read(runner.tenant).await?;
    let against = objection(room, &mut tx, wanted, lock, holder).await?;
    drop(tx);
    let author = Author {
        tenant: runner.tenant,
        principal: place.errand.author,
        trace: place.errand.trace,
        table: "errands",
        row: place.errand.id.uuid(),
        asked: Some(&place.errand.asked),
    };
    let against = match (against, author.now(room).await?) {
        (Some(against), _) => against,
        (None, None) => outcome("author_disabled", "whoever asked for the release can no longer act", None),
        (None, Some(author)) => {
            let Err(error) = Box::pin(permit(room, &author, run, place, holder)).await else {
                return Ok(Some(lock.to_owned()));
            };
            if error.kind() != Kind::Forbidden {
                return Err(error);
            }
            // That it was refused is on record already.
            deny(room, runner, place, &outcome("policy_refused", error.public(), error.advice()), false)
                .await?;
            return Ok(None);
        }
    };
    deny(room, runner, place, &against, true).await?;
    Ok(None)
}

/// What speaks against letting go of `lock`, apart from policy.
async fn objection(
    room: &Deploy,
    tx: &mut Tx,
    wanted: &Release,
    lock: &str,
    holder: &str,
) -> Result<Option<Outcome>> {
    if wanted.lock != lock {
        let detail = format!("the state is locked by another lock now: `{lock}`, held by {holder}");
        return Ok(Some(outcome("lock_changed", detail, Some("look at who holds it before you ask again"))));
    }
    // The runner tells the holder, since when, and for what.
    let who = holder.split(" since ").next().unwrap_or_default();
    if wanted.holder.as_deref().is_some_and(|expected| expected != who) {
        let detail = format!("the lock is held by `{who}`, not by the holder that was named");
        return Ok(Some(outcome(
            "holder_changed",
            detail,
            Some("look at who holds it before you ask again"),
        )));
    }
    let (held, _) = locks::held_by(tx, holder, None, room.gate().world().now()).await?;
    Ok((held == Holder::Living).then(|| {
        let hint = "cancel its deployment and wait for its end; an hour after its deadline at the latest it has no power";
        outcome("holder_may_live", "the lock is held by a run that may still be at work", Some(hint))
    }))
}

/// Mints the permit. Enters as the author, so the leaf of the act is the author's.
async fn permit(room: &Deploy, author: &Caller, run: &RunRecord, seen: &Place, holder: &str) -> Result<()> {
    let mut entry = room.gate().enter(author, Action::StateUnlock).await?;
    let Some(place) = super::place(&mut entry, seen.errand.id.uuid()).await? else {
        return Err(entry.not_found("errand").await);
    };
    if place.errand.cancel_requested || place.errand.state != ErrandState::Running {
        return Err(entry.refuse(Error::forbidden("cancelled", "the errand was cancelled")).await);
    }
    let around = Circumstances { isolation: run.isolation, ..Circumstances::default() };
    let mut grant = entry.admit_under(place.resource(), around).await?;
    let permit = grant.world().uuid();
    runs::sql::set_permit(grant.tx(), run.id, permit).await?;
    let mut detail = asked(&place);
    if let Some(members) = detail.as_object_mut() {
        let more = [("permit", json!(permit)), ("run", json!(run.id)), ("held", json!(holder))];
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    grant.commit(Done::with(detail).outcome(Recorded::Intent)).await?;
    Ok(())
}

/// Notes why the lock stays; on record too, unless it is.
async fn deny(room: &Deploy, runner: &Caller, place: &Place, why: &Outcome, record: bool) -> Result<()> {
    let own = place.resource().of(runner.principal);
    let mut grant = room.gate().grant(runner, Action::RunReport, own).await?;
    let mut errand = place.errand.clone();
    errand.outcome = Some(why.clone());
    advance(&mut grant, ErrandState::Running, &errand).await?;
    let detail = json!({ "errand": errand.id, "code": why.code, "told": why.detail });
    if record {
        let decision = Decision { allow: false, reasons: vec![why.code.clone()], hint: why.hint.clone() };
        let done = Done::with(detail.clone()).outcome(Recorded::Refuse);
        grant.also_decided(Action::StateUnlock, &place.resource(), &decision, done).await?;
    }
    grant.commit(Done::with(detail)).await?;
    Ok(())
}

async fn advance(grant: &mut Grant, from: ErrandState, to: &super::ErrandRecord) -> Result<()> {
    let now = grant.world().now();
    if sql::advance(grant.tx(), from, to, now).await? {
        return Ok(());
    }
    Err(Error::conflict("errand_moved", "the errand moved on at the same moment"))
}

/// A report of bounded size with known words.
fn sound(report: Vec<PreflightCheck>) -> Result<Vec<PreflightCheck>> {
    let short = |text: &str| text.chars().count() <= TEXT;
    let row = |row: &PreflightCheck| {
        matches!(row.status.as_str(), "pass" | "fail" | "skipped")
            && short(&row.check)
            && short(&row.detail)
            && row.fix.as_deref().is_none_or(short)
    };
    if report.len() <= ROWS && report.iter().all(row) {
        return Ok(report);
    }
    Err(Error::invalid("malformed_report", "a report has at most 50 rows that pass, fail or were skipped")
        .at("report"))
}

//! State locks: who holds one, and who lets it go.
//!
//! A runner gives the tool its run as the name of its user, so a lock names its holder `writ-<run id>@<host>`.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Outcome as Recorded};
use writ_kernel::{Action, Caller, Environment, Id, Name, Result, Timestamp};
use writ_store::Tx;

use crate::{
    deployments::{self, place},
    errands,
    model::{Deploy, RunRecord, RunState, Work},
    runs::Site,
};

/// No credential that a run borrowed is good for longer than this after its deadline.
const SESSION: Duration = Duration::from_hours(1);

/// What is known about the holder of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// It is no run of this tenant.
    Stranger,
    /// A run that is certainly dead.
    Dead,
    /// A run that nobody has seen dead, and that has had nothing to work with for a while.
    Powerless,
    /// A run that may still be at work.
    Living,
}

/// Answers a runner that found the state locked: the lock's id, if it may be released.
pub(crate) async fn release(
    room: &Deploy,
    runner: &Caller,
    run: &RunRecord,
    site: &Site,
    lock: &str,
    holder: &str,
) -> Result<Option<String>> {
    match site {
        Site::Deployment(place) => of_dead_run(room, runner, run, place, lock, holder).await,
        Site::Errand(place) => errands::work::release(room, runner, run, place, lock, holder).await,
    }
}

/// A deployment finds the lock of an earlier run of the same target that is certainly dead: the server itself lets it
/// go, by a decision of its own. Anything less certain is left to people.
async fn of_dead_run(
    room: &Deploy,
    runner: &Caller,
    run: &RunRecord,
    seen: &deployments::Place,
    lock: &str,
    holder: &str,
) -> Result<Option<String>> {
    let gate = room.gate();
    let system = Caller { trace: runner.trace, ..Caller::system(runner.tenant, gate.world()) };
    let mut entry = gate.enter(&system, Action::StateUnlock).await?;
    let Some(place) = place(&mut entry, seen.deployment.id.uuid()).await? else { return Ok(None) };
    let of = (&place.deployment.target, place.deployment.environment);
    let (held, same) = held_by(entry.tx(), holder, Some(of), gate.world().now()).await?;
    if held != Holder::Dead || !same {
        return Ok(None);
    }
    let grant = entry.admit(place.resource()).await?;
    let detail = json!({ "lock": lock, "holder": holder, "run": run.id });
    grant.commit(Done::with(detail).outcome(Recorded::Intent)).await?;
    Ok(Some(lock.to_owned()))
}

/// What is known about `holder`, and whether it is a run of the target `of`.
pub(crate) async fn held_by(
    tx: &mut Tx,
    holder: &str,
    of: Option<(&Name, Id<Environment>)>,
    now: Timestamp,
) -> Result<(Holder, bool)> {
    let named = holder.strip_prefix("writ-").and_then(|rest| rest.split('@').next());
    let Some(id) = named.and_then(|id| id.parse::<Uuid>().ok()) else {
        return Ok((Holder::Stranger, false));
    };
    let Some(run) = crate::runs::sql::find(tx, id).await? else { return Ok((Holder::Stranger, false)) };
    let ended = matches!(run.state, RunState::Lost | RunState::Finished);
    let held = match (ended, run.gone) {
        (true, true) => Holder::Dead,
        (true, false) if now > run.deadline.plus(SESSION) => Holder::Powerless,
        _ => Holder::Living,
    };
    let worked_at = target_of(tx, &run).await?;
    let same = worked_at.is_some_and(|(target, environment)| of == Some((&target, environment)));
    Ok((held, same))
}

/// The target whose state a run works at.
async fn target_of(tx: &mut Tx, run: &RunRecord) -> Result<Option<(Name, Id<Environment>)>> {
    Ok(match run.work {
        Work::Deployment(id) => crate::sql::deployment(tx, id.uuid())
            .await?
            .map(|deployment| (deployment.target, deployment.environment)),
        Work::Unlock(id) => errands::sql::find(tx, id.uuid()).await?.and_then(|errand| match errand.task {
            errands::Task::Unlock(release) => Some((release.target, errand.environment)),
            errands::Task::Validate => None,
        }),
        Work::Validation(_) => None,
    })
}

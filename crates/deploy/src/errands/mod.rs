//! Errands: what a disposable runner does beside deployments. Asked for, looked at, stopped.

pub(crate) mod http;
pub(crate) mod sql;
pub(crate) mod work;

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Entry, Environment, Gate, Grant, Receipt, Resource, tenancy};
use writ_kernel::{
    Action, Caller, Connection, Error, Id, Label, Name, Page, PageRequest, Principal, Result, Timestamp,
    TraceId,
};
use writ_store::serialize_on;
use writ_wire::{
    connections::PreflightCheck,
    deployments::Outcome,
    errands::{self as wire, ErrandKind, ErrandQuery, ErrandState, ReleaseLock},
};

use crate::{
    circumstances::Asked,
    connections::lock_name,
    deployments::outcome,
    model::{ConnectionRecord, Deploy},
    preflight,
};

/// As many errands of one tenant may be under way or wait at once.
const UNFINISHED: i64 = 50;

/// Marks the ids of errands.
pub(crate) enum Errand {}

/// What a runner does beside deployments, as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct ErrandRecord {
    pub(crate) id: Id<Errand>,
    pub(crate) task: Task,
    pub(crate) connection: Id<Connection>,
    pub(crate) environment: Id<writ_kernel::Environment>,
    pub(crate) state: ErrandState,
    pub(crate) author: Id<Principal>,
    /// The circumstances of the request, sealed.
    pub(crate) asked: Vec<u8>,
    pub(crate) report: Vec<PreflightCheck>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) cancel_requested: bool,
    pub(crate) trace: TraceId,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// What an errand is for.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// Find out whether the connection can be used.
    Validate,
    /// Release a state lock.
    Unlock(Release),
}

/// Which lock is to be released.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) target: Name,
    pub(crate) lock: String,
    pub(crate) holder: Option<String>,
    pub(crate) reason: Label,
}

impl Task {
    pub(crate) const fn kind(&self) -> ErrandKind {
        match self {
            Self::Validate => ErrandKind::Validation,
            Self::Unlock(_) => ErrandKind::Unlock,
        }
    }

    /// The task as its runner is told it, and the target it is about.
    pub(crate) fn told(&self) -> (writ_wire::runner::Task, String) {
        use writ_wire::runner::Task as Told;
        match self {
            Self::Validate => (Told::Validate, String::new()),
            Self::Unlock(Release { target, lock, .. }) => {
                (Told::Unlock { lock: lock.clone() }, target.to_string())
            }
        }
    }

    /// The action whoever asks for it, or stops it, must be permitted.
    pub(crate) const fn action(&self) -> Action {
        match self {
            Self::Validate => Action::ConnectionPreflight,
            Self::Unlock(_) => Action::StateUnlock,
        }
    }
}

/// An errand with everything around it that a decision needs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) errand: ErrandRecord,
    pub(crate) connection: ConnectionRecord,
    pub(crate) environment: Environment,
}

impl Place {
    /// What the errand is done to: the connection, or the state of a target.
    pub(crate) fn resource(&self) -> Resource {
        let environment = self.environment.clone();
        match &self.errand.task {
            // Looking at an unsound connection is what this is for, so policy is asked about its environment only.
            Task::Validate => Resource::one("connection", self.connection.id)
                .named(&self.connection.name)
                .within(environment),
            Task::Unlock(release) => {
                let resource = self.connection.resource(environment).named(&release.target);
                Resource { kind: "state", ..resource }
            }
        }
    }
}

/// Asks for a runner that tries the connection.
pub(crate) async fn validate(
    room: &Deploy,
    caller: &Caller,
    connection: Uuid,
) -> Result<(ErrandRecord, Receipt)> {
    begin(room, caller, connection, Task::Validate).await
}

/// Asks for a runner that releases a state lock.
pub(crate) async fn release(
    room: &Deploy,
    caller: &Caller,
    connection: Uuid,
    wanted: ReleaseLock,
) -> Result<(ErrandRecord, Receipt)> {
    let ReleaseLock { target, lock, holder, reason } = wanted;
    let release = Release {
        target: target.parse().map_err(|error: Error| error.at("target"))?,
        lock: lock_id(lock)?,
        holder: holder.map(holder_name).transpose()?,
        reason: reason.parse().map_err(|error: Error| error.at("reason"))?,
    };
    begin(room, caller, connection, Task::Unlock(release)).await
}

/// The identifier of a lock, safe to hand to a program.
fn lock_id(text: String) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if (1..=256).contains(&text.len()) && !text.starts_with('-') && text.chars().all(plain) {
        return Ok(text);
    }
    Err(Error::invalid("malformed_lock_id", "a lock's id is 1 to 256 of A-Z, a-z, 0-9 and `-_./:`")
        .at("lock")
        .hint("the outcome of the deployment that found the state locked names it"))
}

fn holder_name(text: String) -> Result<String> {
    text.parse::<Label>().map_err(|error| error.at("holder"))?;
    Ok(text)
}

async fn begin(
    room: &Deploy,
    caller: &Caller,
    connection: Uuid,
    task: Task,
) -> Result<(ErrandRecord, Receipt)> {
    let mut entry = room.gate().enter(caller, task.action()).await?;
    serialize_on(entry.tx(), &lock_name(connection)).await?;
    let Some(connection) = crate::sql::connection(entry.tx(), connection).await? else {
        return Err(entry.not_found("connection").await);
    };
    let Some(environment) = tenancy::environment(entry.tx(), connection.environment).await? else {
        return Err(entry.not_found("environment").await);
    };
    let place = fresh(&entry, room.gate(), connection, environment, task)?;
    let mut grant = entry.admit(place.resource()).await?;
    let report = preflight::form(&place.connection, &place.environment);
    // No credential is borrowed for references that are not what they should be.
    if let Some(failed) = report.iter().find(|check| check.status == "fail") {
        let error = Error::conflict("preflight_failed", format!("preflight check `{}` failed", failed.check));
        return Err(grant.refuse(error.hint(failed.fix.clone().unwrap_or_default())).await);
    }
    if sql::unfinished(grant.tx()).await? >= UNFINISHED {
        let what = "the tenant has 50 validations and unlocks under way";
        return Err(grant.refuse(Error::exhausted("too_many_errands", what, Duration::from_secs(30))).await);
    }
    sql::insert(grant.tx(), &place.errand).await?;
    let receipt = grant.commit(Done::with(asked(&place))).await?;
    room.wake();
    Ok((place.errand, receipt))
}

fn fresh(
    entry: &Entry,
    gate: &Gate,
    connection: ConnectionRecord,
    environment: Environment,
    task: Task,
) -> Result<Place> {
    let (caller, world) = (entry.caller(), gate.world());
    let (id, now) = (world.id(), world.now());
    let errand = ErrandRecord {
        id,
        asked: Asked::by(caller).seal(entry.keys(), world, caller.tenant, "errands", id.uuid())?,
        task,
        connection: connection.id,
        environment: environment.id,
        state: ErrandState::Queued,
        author: caller.principal,
        report: Vec::new(),
        outcome: None,
        cancel_requested: false,
        trace: caller.trace,
        created_at: now,
        updated_at: now,
    };
    Ok(Place { errand, connection, environment })
}

/// What evidence tells of the request.
pub(crate) fn asked(place: &Place) -> serde_json::Value {
    let errand = &place.errand;
    match &errand.task {
        Task::Validate => json!({ "errand": errand.id, "connection": errand.connection }),
        Task::Unlock(Release { target, lock, holder, reason }) => json!({
            "errand": errand.id, "connection": errand.connection, "target": target, "lock": lock,
            "holder": holder, "reason": reason,
        }),
    }
}

/// Lists errands, newest first.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    query: ErrandQuery,
) -> Result<(Page<ErrandRecord>, Receipt)> {
    let page = PageRequest::new(query.after, query.limit)?;
    let mut grant = gate.grant(caller, Action::ConnectionRead, Resource::all("errand")).await?;
    let page = sql::list(grant.tx(), query.connection, &page).await?;
    Ok((page, grant.commit(Done::plain()).await?))
}

/// One errand, waiting for its end for as long as is asked.
pub(crate) async fn find(
    room: &Deploy,
    caller: &Caller,
    id: Uuid,
    wait: u8,
) -> Result<(ErrandRecord, Receipt)> {
    let (_, grant) = admitted(room.gate(), caller, id, |_| Action::ConnectionRead).await?;
    let receipt = grant.commit(Done::plain()).await?;
    let seat = room.0.waiting.try_acquire();
    let longest = if seat.is_ok() { 30 } else { 0 };
    let give_up = tokio::time::Instant::now() + Duration::from_secs(u64::from(wait.min(longest)));
    loop {
        let changed = room.0.changed.notified();
        let mut tx = room.gate().db().read(caller.tenant).await?;
        let errand = sql::find(&mut tx, id).await?.ok_or_else(|| Error::not_found("errand"))?;
        drop(tx);
        if errand.state.is_final() || tokio::time::Instant::now() >= give_up {
            return Ok((errand, receipt));
        }
        // Another replica may have changed it, so the wait is never longer than a second.
        let nap = give_up.min(tokio::time::Instant::now() + Duration::from_secs(1));
        let _ = tokio::time::timeout_at(nap, changed).await;
    }
}

/// Stops an errand: at once when nobody is at it, else as soon as its runner hears of it.
pub(crate) async fn cancel(room: &Deploy, caller: &Caller, id: Uuid) -> Result<(ErrandRecord, Receipt)> {
    let (Place { mut errand, .. }, mut grant) = admitted(room.gate(), caller, id, Task::action).await?;
    let (before, now) = (errand.state, grant.world().now());
    let stopped = match before {
        ErrandState::Queued => {
            errand.state = ErrandState::Cancelled;
            errand.outcome = Some(outcome("cancelled", "cancelled before a runner was started", None));
            sql::advance(grant.tx(), before, &errand, now).await?
        }
        ErrandState::Running => {
            errand.cancel_requested = true;
            sql::request_cancel(grant.tx(), errand.id, now).await?
        }
        over => return Err(Error::conflict("errand_over", format!("it has {}", over.as_str()))),
    };
    if !stopped {
        return Err(Error::conflict("errand_moved", "it moved on at the same moment; try again"));
    }
    let receipt = grant.commit(Done::with(json!({ "errand": errand.id, "cancelled": before }))).await?;
    room.wake();
    Ok((errand, receipt))
}

/// Finds an errand and what is around it; `None` when the tenant has no such.
pub(crate) async fn place(entry: &mut Entry, id: Uuid) -> Result<Option<Place>> {
    let Some(errand) = sql::find(entry.tx(), id).await? else { return Ok(None) };
    let connection = crate::sql::connection(entry.tx(), errand.connection.uuid()).await?;
    let environment = tenancy::environment(entry.tx(), errand.environment).await?;
    let (Some(connection), Some(environment)) = (connection, environment) else {
        return Err(Error::gone("connection_removed", "the connection was removed"));
    };
    Ok(Some(Place { errand, connection, environment }))
}

/// Enters for what `action` says of the errand, which is looked up beforehand in the caller's own tenant: what may be
/// done to it depends on what it is for.
async fn admitted(
    gate: &Gate,
    caller: &Caller,
    id: Uuid,
    action: impl Fn(&Task) -> Action,
) -> Result<(Place, Grant)> {
    let known = sql::find(&mut gate.db().read(caller.tenant).await?, id).await?;
    let action = known.map_or(Action::ConnectionRead, |errand| action(&errand.task));
    let mut entry = gate.enter(caller, action).await?;
    let Some(place) = place(&mut entry, id).await? else { return Err(entry.not_found("errand").await) };
    let grant = entry.admit(place.resource()).await?;
    Ok((place, grant))
}

impl From<ErrandRecord> for wire::Errand {
    fn from(errand: ErrandRecord) -> Self {
        let kind = errand.task.kind();
        let release = match errand.task {
            Task::Validate => None,
            Task::Unlock(Release { target, lock, holder, reason }) => {
                Some(ReleaseLock { target: target.to_string(), lock, holder, reason: reason.to_string() })
            }
        };
        Self {
            id: errand.id.uuid(),
            kind,
            connection: errand.connection.uuid(),
            environment: errand.environment.uuid(),
            state: errand.state,
            author: errand.author.uuid(),
            release,
            report: errand.report,
            outcome: errand.outcome,
            created_at: errand.created_at,
            updated_at: errand.updated_at,
        }
    }
}

//! The worker that ends leases: those whose time is over, those whose holder is gone, those that were never finished,
//! and those that a target would not end before.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Grant, Outcome, Resource};
use writ_kernel::{Action, Caller, Error, Id, Kind, Result, TenantId, Timestamp};
use writ_store::Db;
use writ_wire::leases::LeaseState;

use crate::{each::for_each, events::emit};

use super::{
    lending::{event, lease_in},
    made::{Target, Unmade},
    model::{LeaseRecord, Leases},
    sql::{self, Which},
};

/// As many leases are looked at in one round.
const ROUND: i64 = 200;
/// An attempt that takes longer than this has been lost.
const ATTEMPT: Duration = Duration::from_mins(1);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(15);

/// The worker. Several servers may run one each: every attempt is one that only one of them makes.
#[derive(Debug)]
pub struct Keeper {
    leases: Leases,
    called: Timestamp,
}

impl Keeper {
    /// A worker for `leases`.
    pub fn new(leases: Leases) -> Self {
        Self { leases, called: Timestamp::from_micros(0) }
    }

    /// Works until the future is dropped. A round that fails is logged and tried again.
    pub async fn run(mut self) {
        let leases = self.leases.clone();
        loop {
            let announced = leases.0.changed.notified();
            if let Err(error) = Box::pin(self.round()).await
                && error.kind() != Kind::Sealed
            {
                tracing::warn!(%error, "a round of the lease worker failed");
            }
            let _ = tokio::time::timeout(leases.0.terms.every, announced).await;
        }
    }

    /// One look at everything that waits.
    ///
    /// # Errors
    /// When the database fails; what was done so far stays done.
    pub async fn round(&mut self) -> Result<()> {
        let gate = self.leases.gate();
        if gate.seal().is_closed() {
            return Ok(());
        }
        attend_all(&self.leases).await?;
        let now = gate.world().now();
        // A clock that was set back does not keep the roll from being called.
        if now.since(self.called) >= self.leases.0.terms.roll_call || now < self.called {
            let gone = roll_call(&self.leases).await?;
            self.called = now;
            if gone > 0 {
                attend_all(&self.leases).await?;
            }
        }
        Ok(())
    }
}

/// Leases under way, of all tenants, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Credentials being made.
    pub pending: i64,
    /// Credentials that work.
    pub active: i64,
    /// Credentials that are to end.
    pub revoking: i64,
    /// Credentials that are to end and that a target did not end when it was asked: they may work still.
    pub overdue: i64,
}

/// Counts leases.
///
/// # Errors
/// When the database fails.
pub async fn census(db: &Db) -> Result<Census> {
    let mut census = Census::default();
    for (state, count, failed) in sql::census(&mut db.system_read().await?).await? {
        match state.as_str() {
            "pending" => census.pending = count,
            "active" => census.active = count,
            _ => (census.revoking, census.overdue) = (count, failed),
        }
    }
    Ok(census)
}

/// Looks at every lease that wants it.
async fn attend_all(leases: &Leases) -> Result<()> {
    let gate = leases.gate();
    let due = sql::due(&mut gate.db().system_read().await?, gate.world().now(), ROUND).await?;
    for_each(due, |(tenant, lease)| {
        let leases = leases.clone();
        async move {
            let Err(error) = Box::pin(attend(&leases, tenant, lease)).await else { return };
            tracing::warn!(%error, %lease, "a lease could not be attended to");
            if let Err(error) = postpone(&leases, tenant, lease).await {
                tracing::warn!(%error, %lease, "a lease could not be put off");
            }
        }
    })
    .await;
    Ok(())
}

/// What nothing can be done for now makes room for others.
async fn postpone(leases: &Leases, tenant: TenantId, lease: Uuid) -> Result<()> {
    let gate = leases.gate();
    let now = gate.world().now();
    let mut tx = gate.db().tx(tenant).await?;
    sql::postpone(&mut tx, lease, now, now.plus(ATTEMPT)).await?;
    tx.commit().await
}

/// Does what a lease wants now.
async fn attend(leases: &Leases, tenant: TenantId, id: Uuid) -> Result<()> {
    let now = leases.gate().world().now();
    let Some(lease) = sql::lease(&mut leases.gate().db().read(tenant).await?, id).await? else {
        return Ok(());
    };
    match lease.state {
        LeaseState::Pending => begin(leases, tenant, &lease, "orphaned").await?,
        LeaseState::Active if now >= lease.expires_at => begin(leases, tenant, &lease, "expired").await?,
        LeaseState::Revoking => {}
        LeaseState::Active | LeaseState::Ended | LeaseState::Abandoned => return Ok(()),
    }
    end(leases, tenant, id).await
}

/// Says that a lease is to end: an intent.
async fn begin(leases: &Leases, tenant: TenantId, lease: &LeaseRecord, reason: &str) -> Result<()> {
    let Some((mut grant, resource)) = ours(leases, tenant, lease).await? else { return Err(homeless()) };
    let now = grant.world().now();
    let ending = LeaseRecord {
        state: LeaseState::Revoking,
        reason: Some(reason.to_owned()),
        next_at: Some(now),
        ..lease.clone()
    };
    if !sql::advance(grant.tx(), lease.state, &ending).await? {
        return Ok(());
    }
    if lease.state == LeaseState::Pending {
        let orphan = Done::with(json!({ "code": "orphaned" })).outcome(Outcome::Fail);
        grant.also(Action::LeaseCreate, &resource, orphan).await?;
    }
    grant.commit(Done::with(json!({ "reason": reason })).outcome(Outcome::Intent)).await.map(drop)
}

/// Tries to end a lease that is to end, if it is time to.
pub(crate) async fn end(leases: &Leases, tenant: TenantId, id: Uuid) -> Result<()> {
    let gate = leases.gate();
    let mut tx = gate.db().tx(tenant).await?;
    let Some(mut lease) = sql::lease(&mut tx, id).await? else { return Ok(()) };
    let now = gate.world().now();
    // Whatever fails from here on, it is not tried again before its time.
    if !sql::take(&mut tx, &lease, now, now.plus(ATTEMPT)).await? {
        return Ok(());
    }
    tx.commit().await?;
    lease.attempts += 1;
    match unmake(leases, tenant, &lease).await {
        Ok(Unmade::Over) => over(leases, tenant, lease).await,
        Ok(Unmade::Until(when)) => {
            let why = "a session cannot be closed: it works until its time is over".to_owned();
            again(leases, tenant, lease, when, why).await
        }
        Err(error) => {
            let when = gate.world().now().plus(back_off(lease.attempts));
            tracing::warn!(%error, lease = %id, attempts = lease.attempts, "a target did not end a lease");
            again(leases, tenant, lease, when, error.public().to_owned()).await
        }
    }
}

async fn unmake(leases: &Leases, tenant: TenantId, lease: &LeaseRecord) -> Result<Unmade> {
    let gate = leases.gate();
    let mut tx = gate.db().read(tenant).await?;
    let engine = sql::engine(&mut tx, lease.engine.uuid()).await?.ok_or_else(homeless)?;
    let keys = gate.seal().tenant(&mut tx).await?;
    drop(tx);
    Target::open(&engine, tenant, &keys)?.unmake(leases, tenant, lease).await
}

fn homeless() -> Error {
    Error::internal("a lease without its engine or environment")
}

/// The target has confirmed it.
async fn over(leases: &Leases, tenant: TenantId, lease: LeaseRecord) -> Result<()> {
    let Some((mut grant, _)) = ours(leases, tenant, &lease).await? else { return Ok(()) };
    let now = grant.world().now();
    let ended =
        LeaseRecord { state: LeaseState::Ended, next_at: None, failure: None, ended_at: Some(now), ..lease };
    if !sql::settle(grant.tx(), &ended).await? {
        return Ok(());
    }
    emit(&mut grant, event("LeaseRevoked", &ended)).await?;
    let detail = json!({ "reason": ended.reason, "attempts": ended.attempts });
    grant.commit(Done::with(detail).outcome(Outcome::Done)).await.map(drop)
}

/// It is not over: it is tried again at `when`.
async fn again(
    leases: &Leases,
    tenant: TenantId,
    lease: LeaseRecord,
    when: Timestamp,
    why: String,
) -> Result<()> {
    let tried = LeaseRecord { next_at: Some(when), failure: Some(why), ..lease };
    // The first failure is on record, and ever fewer of those that follow: a target may be gone for weeks.
    if u64::try_from(tried.attempts).is_ok_and(u64::is_power_of_two) {
        let Some((mut grant, _)) = ours(leases, tenant, &tried).await? else { return Ok(()) };
        if !sql::settle(grant.tx(), &tried).await? {
            return Ok(());
        }
        let detail = json!({ "attempts": tried.attempts, "failure": tried.failure, "nextTryAt": when });
        return grant.commit(Done::with(detail).outcome(Outcome::Fail)).await.map(drop);
    }
    let mut tx = leases.gate().db().tx(tenant).await?;
    sql::settle(&mut tx, &tried).await?;
    tx.commit().await
}

/// Lets go of what people and service accounts hold that are no longer active. Returns how many leases that were.
async fn roll_call(leases: &Leases) -> Result<u64> {
    let mut ending = 0;
    let mut after = (Uuid::nil(), Uuid::nil());
    loop {
        let mut tx = leases.gate().db().system_read().await?;
        let holders = sql::holders(&mut tx, after, ROUND).await?;
        drop(tx);
        let Some(last) = holders.last().copied() else { return Ok(ending) };
        for (tenant, holder) in holders {
            match call(leases, Id::from_uuid(tenant), holder).await {
                Ok(gone) => ending += gone,
                Err(error) => tracing::warn!(%error, %holder, "whether a holder is there could not be found"),
            }
        }
        after = last;
    }
}

async fn call(leases: &Leases, tenant: TenantId, holder: Uuid) -> Result<u64> {
    if leases.0.holders.active(tenant, Id::from_uuid(holder)).await? {
        return Ok(0);
    }
    let which = Which { holder: Some(holder), ..Which::default() };
    let_go(leases, tenant, which, "holder_disabled").await
}

/// Lets the leases that `which` means begin to end, on record.
pub(crate) async fn let_go(
    leases: &Leases,
    tenant: TenantId,
    which: Which<'_>,
    reason: &'static str,
) -> Result<u64> {
    let gate = leases.gate();
    let caller = Caller::system(tenant, gate.world());
    let resource = Resource { owner: which.holder.map(Id::from_uuid), ..Resource::all("lease") };
    let mut grant = gate.grant(&caller, Action::LeaseRevoke, resource).await?;
    let now = grant.world().now();
    let ending = sql::begin_to_end(grant.tx(), which, reason, now).await?;
    if ending > 0 {
        let detail = json!({ "reason": reason, "holder": which.holder, "leases": ending });
        grant.commit(Done::with(detail).outcome(Outcome::Intent)).await?;
        leases.wake();
    }
    Ok(ending)
}

/// The worker's grant to end a lease.
async fn ours(leases: &Leases, tenant: TenantId, lease: &LeaseRecord) -> Result<Option<(Grant, Resource)>> {
    let gate = leases.gate();
    let caller = Caller::system(tenant, gate.world());
    let mut entry = gate.enter(&caller, Action::LeaseRevoke).await?;
    let Some((_, engine, environment)) = lease_in(&mut entry, lease.id.uuid()).await? else {
        return Ok(None);
    };
    let resource = lease.resource(&engine, environment);
    let grant = entry.admit(resource.clone()).await?;
    Ok(Some((grant, resource)))
}

/// 2, 4, 8 … seconds, at most a quarter of an hour.
fn back_off(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.clamp(0, 10)).unwrap_or(0);
    Duration::from_secs(2_u64.pow(doublings)).min(LONGEST_BACK_OFF)
}

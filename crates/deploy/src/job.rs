//! The worker that starts runners, notices when one is gone, and lets unanswered requests for approval expire.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use uuid::Uuid;
use writ_crypto::runner_token::RunnerClaims;
use writ_gate::{Done, Entry, Grant, Outcome as Recorded, approvals};
use writ_kernel::{Action, Caller, Error, Id, Result, TenantId, Timestamp, TraceId};
use writ_store::serialize_on;
use writ_wire::{deployments::State, errands::ErrandState};

use crate::{
    decision,
    deployments::{outcome, place},
    errands,
    model::{Deploy, RunRecord, Work},
    ports::{Launch, Launcher, LocalState},
    runs, sql, tokens,
};

/// How much is done at once, and how long is waited for signs of life.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Runs of one tenant under way at once.
    pub runs_of_tenant: u32,
    /// How often the worker looks for work that nobody announced.
    pub every: Duration,
    /// A run that is silent for this long is gone.
    pub silence: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { runs_of_tenant: 10, every: Duration::from_secs(1), silence: Duration::from_secs(20) }
    }
}

/// As many pieces of work are looked at in one round.
const ROUND: i64 = 100;
/// A run token outlives the run's deadline by this much, so that clocks may differ.
const TOKEN_BUFFER: i64 = 60;
/// How long the runner of a validation may take, in seconds.
const VALIDATION: u32 = 120;
/// How long the runner that releases a lock may take, in seconds.
const UNLOCK: u32 = 300;

/// The worker. Several servers may run one each: every step is a conditional change that only one of them makes.
pub struct Scheduler {
    room: Deploy,
    launcher: Arc<dyn Launcher>,
    terms: Terms,
    /// When it began: before, nobody here could have heard of anybody.
    since: Timestamp,
}

impl Scheduler {
    /// A worker for `room` that starts runners with `launcher`.
    pub fn new(room: Deploy, launcher: Arc<dyn Launcher>, terms: Terms) -> Self {
        let since = room.gate().world().now();
        Self { room, launcher, terms, since }
    }

    /// Works until the future is dropped. A round that fails is logged and tried again.
    pub async fn run(self) {
        loop {
            let announced = self.room.0.changed.notified();
            if let Err(error) = Box::pin(self.round()).await
                && error.kind() != writ_kernel::Kind::Sealed
            {
                tracing::warn!(%error, "a round of the deployment worker failed");
            }
            let _ = tokio::time::timeout(self.terms.every, announced).await;
        }
    }

    /// One look at everything that waits.
    ///
    /// # Errors
    /// When the database fails; what was done so far stays done.
    pub async fn round(&self) -> Result<()> {
        let gate = self.room.gate();
        let now = gate.world().now();
        self.bury().await?;
        // Runs outlive a server, and must have had the time to be heard by this one.
        let listened = now.since(self.since) >= self.terms.silence;
        let silent = if listened { now.minus(self.terms.silence) } else { Timestamp::from_micros(0) };
        let gone = runs::sql::vanished(&mut gate.db().system_read().await?, silent, now, ROUND).await?;
        for (tenant, run) in gone {
            tell(runs::lose(&self.room, tenant, run).await);
        }
        let stale =
            sql::stale_approvals(&mut gate.db().system_read().await?, now.minus(approvals::LIFETIME), ROUND)
                .await?;
        for (tenant, deployment) in stale {
            tell(self.expire(tenant, deployment).await);
        }
        let waiting = sql::waiting(&mut gate.db().system_read().await?, ROUND).await?;
        for (tenant, deployment) in waiting {
            tell(Box::pin(self.start(tenant, deployment)).await);
        }
        let waiting = errands::sql::waiting(&mut gate.db().system_read().await?, ROUND).await?;
        for (tenant, errand) in waiting {
            tell(Box::pin(self.send(tenant, errand)).await);
        }
        Ok(())
    }

    /// Starts a runner for a deployment, unless its environment or tenant is busy.
    async fn start(&self, tenant: TenantId, deployment: Uuid) -> Result<()> {
        let mut entry = self.enter(tenant).await?;
        let Some(place) = place(&mut entry, deployment).await? else { return Ok(()) };
        let before = place.deployment.state;
        let ready = matches!(before, State::Queued | State::Approved);
        if !ready
            || runs::sql::busy(entry.tx(), place.environment.id).await?
            || self.is_full(&mut entry).await?
        {
            return Ok(());
        }
        let mut grant = entry.admit(place.resource()).await?;
        let work = Work::Deployment(place.deployment.id);
        let seconds = place.deployment.timeout_seconds;
        let run = runs::fresh(grant.world(), work, place.environment.id, seconds);
        runs::sql::insert(grant.tx(), &run, run.heartbeat_at).await?;
        let mut planning = place.deployment.clone();
        planning.state = State::Planning;
        decision::advance(&mut grant, before, &planning).await?;
        let local_state = LocalState {
            environment: place.environment.id.uuid(),
            target: place.deployment.target.to_string(),
        };
        self.launch(grant, run, place.deployment.trace, Some(local_state)).await
    }

    /// Starts a runner for an errand. Only what changes something needs the environment for itself.
    async fn send(&self, tenant: TenantId, errand: Uuid) -> Result<()> {
        let mut entry = self.enter(tenant).await?;
        let Some(place) = errands::place(&mut entry, errand).await? else { return Ok(()) };
        let (work, seconds, target) = match &place.errand.task {
            errands::Task::Validate => (Work::Validation(place.errand.id), VALIDATION, None),
            errands::Task::Unlock(release) => {
                (Work::Unlock(place.errand.id), UNLOCK, Some(release.target.to_string()))
            }
        };
        let alone = matches!(work, Work::Unlock(_));
        if place.errand.state != ErrandState::Queued
            || (alone && runs::sql::busy(entry.tx(), place.environment.id).await?)
            || self.is_full(&mut entry).await?
        {
            return Ok(());
        }
        let mut grant = entry.admit(place.resource()).await?;
        let run = runs::fresh(grant.world(), work, place.environment.id, seconds);
        runs::sql::insert(grant.tx(), &run, run.heartbeat_at).await?;
        let mut running = place.errand.clone();
        running.state = ErrandState::Running;
        let now = grant.world().now();
        if !errands::sql::advance(grant.tx(), ErrandState::Queued, &running, now).await? {
            return Ok(());
        }
        let environment = place.environment.id.uuid();
        let local_state = target.map(|target| LocalState { environment, target });
        self.launch(grant, run, place.errand.trace, local_state).await
    }

    /// Workers of other servers look at the same runs: what is free now stays free until the run is written down.
    async fn enter(&self, tenant: TenantId) -> Result<Entry> {
        let gate = self.room.gate();
        let mut entry = gate.enter(&Caller::system(tenant, gate.world()), Action::RunStart).await?;
        serialize_on(entry.tx(), "runs").await?;
        Ok(entry)
    }

    async fn is_full(&self, entry: &mut Entry) -> Result<bool> {
        Ok(runs::sql::active(entry.tx()).await? >= i64::from(self.terms.runs_of_tenant))
    }

    /// Writes down that a runner is about to be started, then starts it.
    async fn launch(
        &self,
        grant: Grant,
        run: RunRecord,
        trace: TraceId,
        local_state: Option<LocalState>,
    ) -> Result<()> {
        let gate = self.room.gate();
        let tenant = grant.tenant();
        let done = Done::with(json!({ "run": run.id, "for": run.work.as_str(), "deadline": run.deadline }));
        grant.commit(done.outcome(Recorded::Intent)).await?;

        let claims = RunnerClaims {
            tenant,
            deployment: Id::from_uuid(run.work.id()),
            run: run.id,
            nonce: writ_crypto::hash::hex(&gate.world().bytes::<16>()),
            iat: gate.world().now().seconds(),
            exp: run.deadline.seconds() + TOKEN_BUFFER,
        };
        let token = tokens::sign(gate, &claims).await?;
        let launch = Launch {
            tenant,
            deployment: Id::from_uuid(run.work.id()),
            run: run.id,
            trace,
            token,
            deadline: run.deadline,
            local_state,
        };
        match self.launcher.launch(launch).await {
            Ok(process) => {
                let mut tx = gate.db().tx(tenant).await?;
                runs::sql::set_process(&mut tx, run.id, &process).await?;
                tx.commit().await?;
            }
            Err(error) => {
                tracing::error!(%error, run = %run.id, "a runner could not be started");
                runs::lose(&self.room, tenant, run.id.uuid()).await?;
            }
        }
        self.room.wake();
        Ok(())
    }

    /// Every process that nobody has seen dead yet, however many there are.
    async fn bury(&self) -> Result<()> {
        let gate = self.room.gate();
        let mut after = Uuid::nil();
        loop {
            let processes = runs::sql::processes(&mut gate.db().system_read().await?, after, ROUND).await?;
            let Some((_, last, _)) = processes.last() else { return Ok(()) };
            after = *last;
            let dead = processes.iter().filter(|(_, _, process)| self.launcher.gone(process));
            for (tenant, run, _) in dead {
                tell(runs::gone(&self.room, *tenant, *run).await);
            }
        }
    }

    /// Nobody answered in time.
    async fn expire(&self, tenant: TenantId, deployment: Uuid) -> Result<()> {
        let gate = self.room.gate();
        let caller = Caller::system(tenant, gate.world());
        let mut entry = gate.enter(&caller, Action::RunStart).await?;
        let Some(place) = place(&mut entry, deployment).await? else { return Ok(()) };
        let mut grant = entry.admit(place.resource()).await?;
        let mut refused = place.deployment.clone();
        refused.state = State::Refused;
        refused.outcome =
            Some(outcome("approval_expired", "nobody decided in time", Some("deploy again to ask again")));
        decision::advance(&mut grant, State::AwaitingApproval, &refused).await?;
        grant
            .commit(Done::with(json!({ "approval": place.deployment.approval })).outcome(Recorded::Refuse))
            .await?;
        self.room.wake();
        Ok(())
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// One piece of work that fails must not keep the others waiting.
fn tell(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a piece of deployment work failed");
    }
}

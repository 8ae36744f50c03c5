//! Borrowing, renewing, giving back.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Entry, Environment, Grant, Outcome, Receipt, tenancy};
use writ_kernel::{Action, Caller, Credential, Error, Id, Page, PageRequest, Result, TenantId, Timestamp};
use writ_store::serialize_on;
use writ_wire::leases::{Borrow, LeaseState};

use crate::events::{NewEvent, emit};

use super::{
    engines::{engine_in, listing},
    made::{Target, handle, renewable},
    model::{Borrowed, EngineRecord, LeaseRecord, Leases},
    sql::{self, Which},
    worker,
};

/// A credential that is not made by then is not going to be: the worker ends what there may be of it.
pub(crate) const MAKING: Duration = Duration::from_mins(3);

/// Which leases are wanted. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Of this engine.
    pub engine: Option<Uuid>,
    /// Of this environment.
    pub environment: Option<Uuid>,
    /// Of this holder.
    pub holder: Option<Uuid>,
    /// In this state.
    pub state: Option<LeaseState>,
}

impl Leases {
    /// Has a credential made and lends it. It is in the answer and nowhere else.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Exhausted` when too much is lent; `Unavailable` with `engine_failed` when the target
    /// did not make it. Then the worker makes sure that nothing of it stays.
    pub async fn lend(&self, caller: &Caller, wanted: Borrow) -> Result<(Borrowed, Receipt)> {
        let (lease, target) = self.announce(caller, &wanted).await?;
        match target.make(self, caller.tenant, &lease).await {
            Ok(credential) => {
                let (lease, receipt) = self.hand_over(caller, lease).await?;
                Ok((Borrowed { lease, credential }, receipt))
            }
            Err(error) => Err(self.not_made(caller, lease, error).await),
        }
    }

    /// Writes down what is about to be made: an intent.
    async fn announce(&self, caller: &Caller, wanted: &Borrow) -> Result<(LeaseRecord, Target)> {
        let mut entry = self.gate().enter(caller, Action::LeaseCreate).await?;
        // Before the engine is read: it points nowhere else until the lease is written down.
        serialize_on(entry.tx(), "leases").await?;
        let Some((engine, environment)) = engine_in(&mut entry, wanted.engine).await? else {
            return Err(entry.not_found("engine").await);
        };
        let Some(role) = sql::role(entry.tx(), wanted.engine, &wanted.role).await? else {
            return Err(entry.not_found("role").await);
        };
        let world = self.gate().world();
        let (id, now) = (world.id(), world.now());
        let max_ttl = role.max_ttl.min(engine.max_ttl);
        let ttl =
            wanted.ttl_seconds.map_or(role.default_ttl, |ttl| Duration::from_secs(ttl.into())).min(max_ttl);
        if ttl.is_zero() {
            return Err(Error::invalid("lease_lifetime", "a lease lasts at least a second").at("ttlSeconds"));
        }
        let token = match caller.credential {
            Credential::DialectToken(id) => Some(id),
            _ => None,
        };
        let lease = LeaseRecord {
            id,
            engine: engine.id,
            environment: engine.environment,
            handle: handle(&role.spec, role.name.as_str(), id.uuid()),
            renewable: renewable(&role.spec),
            role: role.name,
            spec: role.spec,
            holder: caller.principal,
            holder_kind: if token.is_some() { "token" } else { caller.kind.as_str() }.to_owned(),
            credential: token,
            state: LeaseState::Pending,
            issued_at: now,
            expires_at: now.plus(ttl),
            max_expires_at: now.plus(max_ttl),
            next_at: Some(now.plus(MAKING)),
            attempts: 0,
            reason: None,
            failure: None,
            ended_at: None,
        };
        let mut grant = entry.admit(lease.resource(&engine, environment)).await?;
        if let Some(error) = self.too_many(&mut grant).await? {
            return Err(grant.refuse(error).await);
        }
        let target = Target::open(&engine, grant.tenant(), grant.keys())?;
        sql::insert_lease(grant.tx(), &lease).await?;
        let detail = json!({
            "engine": engine.name, "role": lease.role, "handle": lease.handle, "expiresAt": lease.expires_at,
        });
        grant.commit(Done::with(detail).created(lease.id).outcome(Outcome::Intent)).await?;
        Ok((lease, target))
    }

    async fn too_many(&self, grant: &mut Grant) -> Result<Option<Error>> {
        let holder = grant.caller().principal.uuid();
        let (of_tenant, of_holder) = sql::under_way(grant.tx(), holder).await?;
        let terms = &self.0.terms;
        let full = of_tenant >= i64::from(terms.of_tenant) || of_holder >= i64::from(terms.of_holder);
        Ok(full.then(|| {
            Error::exhausted("too_many_leases", "too many leases are not over", Duration::from_mins(1))
                .hint("give back what is not needed, or borrow for a shorter time")
        }))
    }

    /// The credential works: the outcome is durable before it leaves.
    async fn hand_over(&self, caller: &Caller, lease: LeaseRecord) -> Result<(LeaseRecord, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::LeaseCreate).await?;
        let Some((engine, environment)) = engine_in(&mut entry, lease.engine.uuid()).await? else {
            return Err(entry.not_found("engine").await);
        };
        let mut grant = entry.admit(lease.resource(&engine, environment)).await?;
        let active = LeaseRecord { state: LeaseState::Active, next_at: Some(lease.expires_at), ..lease };
        if !sql::advance(grant.tx(), LeaseState::Pending, &active).await? {
            let error = Error::conflict("lease_lost", "the credential was not made in time, and is ended");
            return Err(grant.refuse(error).await);
        }
        emit(&mut grant, event("LeaseCreated", &active)).await?;
        let done = Done::with(json!({ "expiresAt": active.expires_at })).outcome(Outcome::Done);
        let receipt = grant.commit(done).await?;
        Ok((active, receipt))
    }

    /// The target did not make it, or nobody knows whether it did.
    async fn not_made(&self, caller: &Caller, lease: LeaseRecord, cause: Error) -> Error {
        let public = format!("the engine could not make a credential: {}", cause.public());
        let failed = Error::unavailable("engine_failed", public);
        let failed = match cause.advice() {
            Some(advice) => failed.hint(advice),
            None => failed,
        };
        let recorded = self.record_not_made(caller, lease, cause.code()).await;
        self.wake();
        match recorded {
            Ok(receipt) => failed.recorded(receipt.to_string()).because(cause),
            // The lease is `pending` still, and the worker ends it when its time is over.
            Err(error) => failed.context(format!("not on record yet: {error}")).because(cause),
        }
    }

    async fn record_not_made(&self, caller: &Caller, lease: LeaseRecord, code: &str) -> Result<Receipt> {
        let mut entry = self.gate().enter(caller, Action::LeaseCreate).await?;
        let Some((engine, environment)) = engine_in(&mut entry, lease.engine.uuid()).await? else {
            return Err(entry.not_found("engine").await);
        };
        let mut grant = entry.admit(lease.resource(&engine, environment)).await?;
        // Its `next_at` stays: the target may be making it still, and what is ended before it is made is not ended.
        let over = LeaseRecord { state: LeaseState::Revoking, reason: Some("not_made".to_owned()), ..lease };
        sql::advance(grant.tx(), LeaseState::Pending, &over).await?;
        grant.commit(Done::with(json!({ "code": code })).outcome(Outcome::Fail)).await
    }

    /// Lets a lease live for longer, within what its role and engine allow. It never gets shorter.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Conflict` when it is not active or not renewable; `Unavailable` when the target did
    /// not do it.
    pub async fn renew(
        &self,
        caller: &Caller,
        id: Uuid,
        ttl_seconds: Option<u32>,
    ) -> Result<(LeaseRecord, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::LeaseRenew).await?;
        let Some((lease, engine, environment)) = lease_in(&mut entry, id).await? else {
            return Err(entry.not_found("lease").await);
        };
        let role = sql::role(entry.tx(), engine.id.uuid(), lease.role.as_str()).await?;
        let grant = entry.admit(lease.resource(&engine, environment)).await?;
        let now = grant.world().now();
        if lease.state != LeaseState::Active || now >= lease.expires_at {
            return Err(grant.refuse(Error::conflict("lease_over", "the lease is over")).await);
        }
        if !lease.renewable {
            let error = Error::conflict("not_renewable", "a credential of this kind cannot live longer")
                .hint("borrow another one");
            return Err(grant.refuse(error).await);
        }
        let ttl = ttl_seconds.map(|ttl| Duration::from_secs(ttl.into()));
        let ttl = ttl.or(role.map(|role| role.default_ttl)).unwrap_or(engine.default_ttl);
        let until = now.plus(ttl).min(lease.max_expires_at).max(lease.expires_at);
        let target = Target::open(&engine, grant.tenant(), grant.keys())?;
        let detail = json!({ "until": until });
        grant.commit(Done::with(detail).outcome(Outcome::Intent)).await?;

        let told = target.extend(&lease, until).await;
        self.renewed(caller, lease, until, told).await
    }

    async fn renewed(
        &self,
        caller: &Caller,
        lease: LeaseRecord,
        until: Timestamp,
        told: Result<()>,
    ) -> Result<(LeaseRecord, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::LeaseRenew).await?;
        let Some((_, engine, environment)) = lease_in(&mut entry, lease.id.uuid()).await? else {
            return Err(entry.not_found("lease").await);
        };
        let mut grant = entry.admit(lease.resource(&engine, environment)).await?;
        if let Err(cause) = told {
            let receipt =
                grant.commit(Done::with(json!({ "code": cause.code() })).outcome(Outcome::Fail)).await?;
            let public = format!("the engine could not let the credential live longer: {}", cause.public());
            return Err(Error::unavailable("engine_failed", public)
                .recorded(receipt.to_string())
                .because(cause));
        }
        let (seen, now) = (lease.expires_at, grant.world().now());
        let longer = LeaseRecord { expires_at: until, next_at: Some(until), ..lease };
        if !sql::renew(grant.tx(), seen, &longer).await? {
            // The target may let it live longer than it should by now.
            let ended = sql::end_again(grant.tx(), longer.id.uuid(), now).await?;
            let code = if ended { "lease_over" } else { "changed_meanwhile" };
            let receipt = grant.commit(Done::with(json!({ "code": code })).outcome(Outcome::Fail)).await?;
            self.wake();
            let error = if ended {
                Error::conflict("lease_over", "the lease is over")
            } else {
                Error::conflict("changed_meanwhile", "the lease changed meanwhile").hint("try again")
            };
            return Err(error.recorded(receipt.to_string()));
        }
        emit(&mut grant, event("LeaseRenewed", &longer)).await?;
        let receipt = grant.commit(Done::with(json!({ "until": until })).outcome(Outcome::Done)).await?;
        Ok((longer, receipt))
    }

    /// Lets a lease end now. It is tried at once; where the target does not confirm it, the lease stays `revoking` and
    /// the worker goes on trying.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn revoke(&self, caller: &Caller, id: Uuid) -> Result<(LeaseRecord, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::LeaseRevoke).await?;
        let Some((lease, engine, environment)) = lease_in(&mut entry, id).await? else {
            return Err(entry.not_found("lease").await);
        };
        let mut grant = entry.admit(lease.resource(&engine, environment)).await?;
        if matches!(lease.state, LeaseState::Ended | LeaseState::Abandoned) {
            return Ok((lease, grant.commit(Done::with(json!({ "before": "over" }))).await?));
        }
        let before = lease.state;
        let ending = LeaseRecord {
            state: LeaseState::Revoking,
            reason: lease.reason.clone().or_else(|| Some("revoked".to_owned())),
            next_at: if before == LeaseState::Pending { lease.next_at } else { Some(grant.world().now()) },
            ..lease
        };
        if !sql::advance(grant.tx(), before, &ending).await? {
            return Err(Error::conflict("changed_meanwhile", "the lease changed meanwhile").hint("try again"));
        }
        let receipt =
            grant.commit(Done::with(json!({ "reason": ending.reason })).outcome(Outcome::Intent)).await?;
        if let Err(error) = Box::pin(worker::end(self, caller.tenant, id)).await {
            tracing::warn!(%error, lease = %id, "a lease could not be ended at once");
        }
        let now = sql::lease(&mut self.gate().db().read(caller.tenant).await?, id).await?;
        Ok((now.unwrap_or(ending), receipt))
    }

    /// Lets the leases of an engine end: of all its roles, or of those whose names begin with `prefix`. The worker
    /// does it; says how many.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` when nothing can begin like that.
    pub async fn revoke_many(&self, caller: &Caller, engine: Uuid, prefix: &str) -> Result<(u64, Receipt)> {
        let name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if !prefix.chars().all(name) {
            return Err(Error::invalid("malformed_name", "no role's name begins like that").at("rolePrefix"));
        }
        let mut entry = self.gate().enter(caller, Action::LeaseRevoke).await?;
        let Some((engine, environment)) = engine_in(&mut entry, engine).await? else {
            return Err(entry.not_found("engine").await);
        };
        let mut grant = entry.admit(engine.resource(environment)).await?;
        let now = grant.world().now();
        let which = Which { engine: Some(engine.id.uuid()), role_prefix: prefix, ..Which::default() };
        let leases = sql::begin_to_end(grant.tx(), which, "revoked", now).await?;
        let detail = json!({ "engine": engine.name, "rolePrefix": prefix, "leases": leases });
        let receipt = grant.commit(Done::with(detail).outcome(Outcome::Intent)).await?;
        self.wake();
        Ok((leases, receipt))
    }

    /// Gives up a lease that could not be ended: the credential may work still, and evidence says so.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Conflict` when ending it was not tried yet.
    pub async fn abandon(&self, caller: &Caller, id: Uuid) -> Result<(LeaseRecord, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::LeaseRevoke).await?;
        let Some((lease, engine, environment)) = lease_in(&mut entry, id).await? else {
            return Err(entry.not_found("lease").await);
        };
        let mut grant = entry.admit(lease.resource(&engine, environment)).await?;
        if lease.state != LeaseState::Revoking || lease.failure.is_none() {
            let error = Error::conflict("not_tried", "only a lease that could not be ended is given up")
                .hint("revoke it first");
            return Err(grant.refuse(error).await);
        }
        let now = grant.world().now();
        let given_up =
            LeaseRecord { state: LeaseState::Abandoned, next_at: None, ended_at: Some(now), ..lease };
        if !sql::advance(grant.tx(), LeaseState::Revoking, &given_up).await? {
            return Err(Error::conflict("changed_meanwhile", "the lease changed meanwhile").hint("try again"));
        }
        let detail = json!({ "abandoned": true, "attempts": given_up.attempts, "failure": given_up.failure });
        let receipt = grant.commit(Done::with(detail).outcome(Outcome::Fail)).await?;
        Ok((given_up, receipt))
    }

    /// Lets everything end that was borrowed with a token of the Vault dialect. Says how many leases.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_of_token(&self, tenant: TenantId, token: Uuid) -> Result<u64> {
        let which = Which { credential: Some(token), ..Which::default() };
        worker::let_go(self, tenant, which, "token_revoked").await
    }

    /// One lease.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn lease(&self, caller: &Caller, id: Uuid) -> Result<(LeaseRecord, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::LeaseRead).await?;
        let Some((lease, engine, environment)) = lease_in(&mut entry, id).await? else {
            return Err(entry.not_found("lease").await);
        };
        let grant = entry.admit(lease.resource(&engine, environment)).await?;
        Ok((lease, grant.commit(Done::plain()).await?))
    }

    /// Lists leases, oldest first.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn leases(
        &self,
        caller: &Caller,
        filter: Filter,
        page: PageRequest,
    ) -> Result<(Page<LeaseRecord>, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::LeaseRead).await?;
        let Some(mut resource) = listing(&mut entry, "lease", filter.environment).await? else {
            return Err(entry.not_found("environment").await);
        };
        resource.owner = filter.holder.map(Id::from_uuid);
        let mut grant = entry.admit(resource).await?;
        let Filter { engine, environment, holder, state } = filter;
        let which = Which { engine, environment, holder, state, ..Which::default() };
        let page = sql::leases(grant.tx(), which, &page).await?;
        Ok((page, grant.commit(Done::plain()).await?))
    }
}

/// What consumers are told of a lease.
pub(crate) fn event(kind: &'static str, lease: &LeaseRecord) -> NewEvent {
    NewEvent {
        kind,
        subject_kind: "lease",
        subject: lease.id.uuid(),
        name: Some(lease.handle.clone()),
        environment: Some(lease.environment),
        data: json!({
            "engine": lease.engine, "role": lease.role, "holder": lease.holder, "expiresAt": lease.expires_at,
            "reason": lease.reason,
        }),
    }
}

/// A lease of the caller's tenant, with its engine and environment.
pub(crate) async fn lease_in(
    entry: &mut Entry,
    id: Uuid,
) -> Result<Option<(LeaseRecord, EngineRecord, Environment)>> {
    let Some(lease) = sql::lease(entry.tx(), id).await? else { return Ok(None) };
    let Some(engine) = sql::engine(entry.tx(), lease.engine.uuid()).await? else { return Ok(None) };
    let environment = tenancy::environment(entry.tx(), lease.environment).await?;
    Ok(environment.map(|environment| (lease, engine, environment)))
}

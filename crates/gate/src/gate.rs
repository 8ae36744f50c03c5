//! The one door: [`Gate::enter`], [`Entry::admit`], [`Grant::commit`].

use std::{collections::HashMap, fmt, sync::Arc, sync::Mutex};

use uuid::Uuid;
use writ_kernel::{Action, Caller, Effect, Error, Kind, Result, TenantId, World};
use writ_seal::{Seal, TenantKeys};
use writ_store::{Db, Tx};

use crate::{
    leaf,
    limits::{Allowance, Buckets, Hasty, Limits},
    model::{Circumstances, Done, Facts, Receipt, Resource},
    policy::{Decision, Policies},
    reading::ReadEntry,
    record::{self, Draft, NewKeys, PayloadKeys, Record},
    recorder::Recorder,
    sql,
    standing::{Generation, Standing, Standings},
    tenancy::PLATFORM,
};

/// The one way to do anything. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    db: Db,
    seal: Seal,
    world: World,
    buckets: Buckets,
    payload_keys: Arc<PayloadKeys>,
    recorder: Arc<Recorder>,
    policies: Mutex<HashMap<Option<Uuid>, Arc<Policies>>>,
    standings: Standings,
}

/// As many policy sets are kept compiled.
const COMPILED: usize = 256;

impl Gate {
    /// A gate over this database, behind this seal.
    pub fn new(db: Db, seal: Seal, world: World, limits: Limits) -> Self {
        let payload_keys = Arc::new(PayloadKeys::default());
        let recorder = Arc::new(Recorder::new(db.clone(), world.clone(), Arc::clone(&payload_keys)));
        let standings = Standings::new(db.is_exclusive());
        let (buckets, policies) = (Buckets::new(limits), Mutex::default());
        Self(Arc::new(Inner { db, seal, world, buckets, payload_keys, recorder, policies, standings }))
    }

    /// Time and chance.
    pub fn world(&self) -> &World {
        &self.0.world
    }

    /// What is left to `caller` of its rate. Asking takes nothing of it.
    pub fn allowance(&self, caller: &Caller) -> Allowance {
        self.0.buckets.left(caller, self.world().now())
    }

    /// The seal behind the gate.
    pub fn seal(&self) -> &Seal {
        &self.0.seal
    }

    /// The database behind the gate, for workers that look for work; whatever changes anything goes through
    /// [`Gate::enter`].
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Steps inside with an authenticated caller: the tenant guard, then rate limits, then the credential's scopes.
    /// What the action is done to can now be looked up, inside the caller's own tenant and nowhere else, and
    /// [`Entry::admit`] asks policy.
    ///
    /// # Errors
    /// `Sealed`; `Unauthenticated` when the tenant is gone; `Exhausted`; `Forbidden` when no scope covers the
    /// action. Refusals are recorded; of those for haste, one a minute for each principal.
    pub async fn enter(&self, caller: &Caller, action: Action) -> Result<Entry> {
        let then = self.generation(caller.tenant);
        let mut tx = self.0.db.tx(caller.tenant).await?;
        let inside = self.inside(&mut tx, then, caller, action).await?;
        match inside.stopped() {
            None => Ok(Entry { inside, tx }),
            Some(stop) => {
                drop(tx);
                Err(inside.stop(stop).await)
            }
        }
    }

    /// [`Gate::enter`] for what changes nothing in our database: reads of secrets and work with keys. What it leads to
    /// shares its flush with whatever else is recorded at the moment.
    ///
    /// # Errors
    /// As [`Gate::enter`].
    pub async fn enter_to_read(&self, caller: &Caller, action: Action) -> Result<ReadEntry> {
        if action.effect() == Effect::Write {
            return Err(Error::internal(format!("`{action}` changes something")));
        }
        let then = self.generation(caller.tenant);
        let mut tx = self.0.db.read(caller.tenant).await?;
        let inside = self.inside(&mut tx, then, caller, action).await?;
        match inside.stopped() {
            None => Ok(ReadEntry::new(inside, tx)),
            Some(stop) => {
                drop(tx);
                Err(inside.stop(stop).await)
            }
        }
    }

    /// `then` is the generation before `tx` began: what `tx` sees may be older than what is known by now.
    async fn inside(
        &self,
        tx: &mut Tx,
        then: Option<Generation>,
        caller: &Caller,
        action: Action,
    ) -> Result<Inside> {
        let keys = self.0.seal.tenant(tx).await?;
        let Standing { log, policies } = self.standing(tx, then).await?;
        Ok(Inside { gate: self.clone(), caller: caller.clone(), action, keys, policies, log })
    }

    /// [`Gate::enter`] and [`Entry::admit`] in one, for a resource that needs no looking up.
    ///
    /// # Errors
    /// As both.
    pub async fn grant(&self, caller: &Caller, action: Action, resource: Resource) -> Result<Grant> {
        self.enter(caller, action).await?.admit(resource).await
    }

    /// Commits the founding of a tenant together with the first leaf of its log. What happens before a tenant
    /// exists, no grant of it can permit; afterwards this refuses.
    ///
    /// # Errors
    /// `Conflict` when the tenant's log has begun.
    pub async fn found(&self, mut tx: Tx, trace: writ_kernel::TraceId, done: Done) -> Result<Receipt> {
        let tenant = sql::tenant(&mut tx).await?.ok_or_else(|| Error::not_found("tenant"))?;
        if sql::has_leaves(&mut tx).await? {
            return Err(Error::conflict("already_founded", "the tenant exists already"));
        }
        let keys = self.0.seal.tenant(&mut tx).await?;
        let policies = self.policies(&mut tx, None).await?;
        let caller = Caller { trace, ..Caller::system(tx.tenant(), &self.0.world) };
        let decision = Decision { allow: true, reasons: vec!["founding".to_owned()], hint: None };
        let record = Record {
            caller: &caller,
            action: Action::TenantCreate,
            resource: &Resource::one("tenant", tx.tenant()),
            around: &Circumstances::default(),
            decision: &decision,
            policies: &policies,
            done: &done,
        };
        let inner = &self.0;
        let draft = Draft::new(&record, &tenant.log_id.into(), &inner.world)?;
        let (receipt, new) = write_one(&mut tx, inner, &keys, draft).await?;
        tx.commit().await?;
        inner.payload_keys.remember(new);
        Ok(receipt)
    }

    /// The policies that hold in a tenant now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn active_policies(&self, tx: &mut Tx) -> Result<(Option<Uuid>, Arc<Policies>)> {
        let tenant = sql::tenant(tx).await?.ok_or_else(|| Error::not_found("tenant"))?;
        Ok((tenant.policy_id, self.policies(tx, tenant.policy_id).await?))
    }

    /// Opens the payload of a leaf of the transaction's tenant. The caller of this has entered for
    /// [`Action::EvidenceRead`].
    ///
    /// # Errors
    /// `Gone` when the payload was erased.
    pub async fn open_payload(&self, tx: &mut Tx, leaf: Uuid, key: Uuid, sealed: &[u8]) -> Result<String> {
        let keys = self.0.seal.tenant(tx).await?;
        record::open(tx, &keys, leaf, key, sealed).await
    }

    /// Forgets every key, when the server is sealed.
    pub fn forget(&self) {
        self.0.payload_keys.forget();
    }

    async fn standing(&self, tx: &mut Tx, then: Option<Generation>) -> Result<Standing> {
        let standings = &self.0.standings;
        if let Some(standing) = then.and_then(|_| standings.find(tx.tenant())) {
            return Ok(standing);
        }
        let tenant = sql::tenant(tx).await?.filter(|tenant| tenant.active != 0);
        let Some(tenant) = tenant else {
            return Err(Error::unauthenticated("unknown_tenant", "the credential is not valid"));
        };
        let policies = self.policies(tx, tenant.policy_id).await?;
        let standing = Standing { log: tenant.log_id.into(), policies };
        standings.remember(tx.tenant(), then, standing.clone());
        Ok(standing)
    }

    /// A number that changes whenever it may have changed who may do what in `tenant`: what authentication found out
    /// may be remembered with it and holds while it is the same. `None` where other processes can change the database,
    /// and nothing may be remembered.
    pub fn generation(&self, tenant: TenantId) -> Option<Generation> {
        self.0.standings.generation(tenant)
    }

    async fn policies(&self, tx: &mut Tx, id: Option<Uuid>) -> Result<Arc<Policies>> {
        let known = |gate: &Self| {
            gate.0.policies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&id).cloned()
        };
        if let Some(policies) = known(self) {
            return Ok(policies);
        }
        let text = match id {
            Some(id) => sql::policies(tx, id)
                .await?
                .ok_or_else(|| Error::internal("the active policy set is missing"))?,
            None => String::new(),
        };
        let policies = Arc::new(Policies::compile(&text)?);
        let mut compiled = self.0.policies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if compiled.len() >= COMPILED {
            compiled.clear();
        }
        // An id names one text for ever, so what is compiled never goes stale.
        compiled.insert(id, Arc::clone(&policies));
        Ok(policies)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

/// What an entry and the grant it becomes both know.
pub(crate) struct Inside {
    pub(crate) gate: Gate,
    pub(crate) caller: Caller,
    pub(crate) action: Action,
    pub(crate) keys: Arc<TenantKeys>,
    policies: Arc<Policies>,
    log: Arc<str>,
}

impl Inside {
    /// What keeps the caller from coming in: haste, an action of the platform, no scope.
    fn stopped(&self) -> Option<Hasty> {
        let (caller, action) = (&self.caller, self.action);
        let gate = &self.gate.0;
        if let Err(hasty) = gate.buckets.take(caller, gate.world.now()) {
            return Some(hasty);
        }
        let on_record = true;
        // Whatever a tenant's own policies say: what concerns the whole server is the platform tenant's.
        if action.concerns_the_server() && caller.tenant != PLATFORM {
            let error = Error::forbidden("platform_action", "only the platform tenant may do this");
            return Some(Hasty { error, on_record });
        }
        if !caller.may_try(action) {
            let error =
                Error::forbidden("insufficient_scope", format!("the credential has no scope for `{action}`"))
                    .hint("use a credential with that scope, or ask for one");
            return Some(Hasty { error, on_record });
        }
        None
    }

    async fn stop(self, Hasty { error, on_record }: Hasty) -> Error {
        if on_record { self.refuse(error).await } else { error }
    }

    /// Whether policy would permit `action` on `resource`.
    pub(crate) fn permits(&self, action: Action, resource: &Resource) -> Result<bool> {
        let around = Circumstances::default();
        let facts = Facts::new(&self.caller, resource, &around, self.gate.world().now());
        Ok(self.policies.decide(action, &facts)?.allow)
    }

    /// Asks policy. The only place where a [`Permit`] comes into being.
    pub(crate) fn decide(self, resource: Resource, around: Circumstances) -> Result<Permit> {
        let facts = Facts::new(&self.caller, &resource, &around, self.gate.world().now());
        let decision = self.policies.decide(self.action, &facts)?;
        Ok(Permit { inside: self, resource, around, decision })
    }

    /// Ends here with `error`, on record.
    pub(crate) async fn refuse(self, error: Error) -> Error {
        let decision = Decision { allow: false, reasons: vec![error.code().to_owned()], hint: None };
        let (resource, around) = (Resource::all("unknown"), Circumstances::default());
        Permit { inside: self, resource, around, decision }.refuse(error).await
    }
}

/// What policy said about one action on one resource; a grant is one that allows it, with a transaction.
pub(crate) struct Permit {
    pub(crate) inside: Inside,
    pub(crate) resource: Resource,
    around: Circumstances,
    decision: Decision,
}

/// What a leaf is about: the action, what it is done to, and why it was allowed or refused.
type About<'a> = (Action, &'a Resource, &'a Decision);

impl Permit {
    /// Why not, when policy does not allow it.
    pub(crate) fn denied(&self) -> Option<Error> {
        (!self.decision.allow).then(|| forbidden(self.inside.action, &self.decision))
    }

    fn draft(&self, (action, resource, decision): About<'_>, done: &Done) -> Result<Draft> {
        let inside = &self.inside;
        let (caller, policies, around) = (&inside.caller, &inside.policies, &self.around);
        let record = Record { caller, action, resource, around, decision, policies, done };
        Draft::new(&record, &inside.log, &inside.gate.0.world)
    }

    /// Writes a leaf about `action` on `resource` into `tx`.
    async fn write(
        &self,
        tx: &mut Tx,
        action: Action,
        resource: &Resource,
        done: &Done,
    ) -> Result<(Receipt, NewKeys)> {
        self.write_decided(tx, (action, resource, &self.decision), done).await
    }

    async fn write_decided(&self, tx: &mut Tx, about: About<'_>, done: &Done) -> Result<(Receipt, NewKeys)> {
        let draft = self.draft(about, done)?;
        write_one(tx, &self.inside.gate.0, &self.inside.keys, draft).await
    }

    /// Writes the leaf of this act alone, durably, in company of others.
    pub(crate) async fn record(&self, done: &Done) -> Result<Receipt> {
        let inside = &self.inside;
        let draft = self.draft((inside.action, &self.resource, &self.decision), done)?;
        inside.gate.0.recorder.record(inside.caller.tenant, Arc::clone(&inside.keys), draft).await
    }

    /// Ends with `error`, on record.
    pub(crate) async fn refuse(self, error: Error) -> Error {
        match self.record(&leaf::refusal(&error)).await {
            Ok(receipt) => error.recorded(receipt.to_string()),
            // A refusal that cannot be recorded is still a refusal; that it went unrecorded is the graver news.
            Err(failure) => {
                Error::new(Kind::Unavailable, "evidence_unavailable", "the refusal could not be recorded")
                    .context(format!("refusal was: {error}"))
                    .because(failure)
            }
        }
    }
}

/// A caller inside its own tenant who may look things up in order to say what the action is done to, and may not
/// act yet. Dropping it does nothing at all.
#[must_use = "an entry does nothing until it is admitted"]
pub struct Entry {
    inside: Inside,
    tx: Tx,
}

impl Entry {
    /// The transaction, bound to the caller's tenant.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.inside.caller
    }

    /// Whether policy would permit `action` on `resource`: to tell who may know that something exists. It permits
    /// nothing; [`Entry::admit`] does.
    ///
    /// # Errors
    /// As a decision.
    pub fn permits(&self, action: Action, resource: &Resource) -> Result<bool> {
        self.inside.permits(action, resource)
    }

    /// The keys of the tenant, to open what must be read before it can be decided.
    pub fn keys(&self) -> &TenantKeys {
        &self.inside.keys
    }

    /// Asks policy about `resource`. The only place where a [`Grant`] comes into being.
    ///
    /// # Errors
    /// `Forbidden`, recorded.
    pub async fn admit(self, resource: Resource) -> Result<Grant> {
        self.admit_under(resource, Circumstances::default()).await
    }

    /// As [`Entry::admit`], with what the server itself knows: approvals it counted, the plan, the isolation reached.
    ///
    /// # Errors
    /// `Forbidden`, recorded.
    pub async fn admit_under(self, resource: Resource, around: Circumstances) -> Result<Grant> {
        let permit = self.inside.decide(resource, around)?;
        match permit.denied() {
            None => Ok(Grant { permit, tx: self.tx }),
            Some(error) => {
                drop(self.tx);
                Err(permit.refuse(error).await)
            }
        }
    }

    /// What is asked for does not exist, or belongs to another: the caller learns only that, and it is recorded.
    pub async fn not_found(self, what: &'static str) -> Error {
        self.refuse(Error::not_found(what)).await
    }

    /// Ends here with `error`, on record.
    pub async fn refuse(self, error: Error) -> Error {
        drop(self.tx);
        self.inside.refuse(error).await
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.inside.action)
    }
}

/// The authority to do one action to one resource of one tenant, once. It cannot be cloned; committing consumes it
/// and writes its evidence in the same transaction as the change; dropping it does nothing at all.
#[must_use = "a grant does nothing until it is committed"]
pub struct Grant {
    permit: Permit,
    tx: Tx,
}

impl Grant {
    /// The transaction in which the act happens.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// The tenant in which the act happens.
    pub fn tenant(&self) -> TenantId {
        self.permit.inside.caller.tenant
    }

    /// Who acts.
    pub fn caller(&self) -> &Caller {
        &self.permit.inside.caller
    }

    /// What is done.
    pub fn action(&self) -> Action {
        self.permit.inside.action
    }

    /// What it is done to.
    pub fn resource(&self) -> &Resource {
        &self.permit.resource
    }

    /// The policies that allowed it.
    pub fn policies(&self) -> &Policies {
        &self.permit.inside.policies
    }

    /// Time and chance.
    pub fn world(&self) -> &World {
        self.permit.inside.gate.world()
    }

    /// The keys of the tenant.
    pub fn keys(&self) -> &TenantKeys {
        &self.permit.inside.keys
    }

    /// Writes another leaf into the same commit: for what an act brings about beside itself, like the approval that
    /// a plan now waits for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn also(&mut self, action: Action, resource: &Resource, done: Done) -> Result<Receipt> {
        let (receipt, _) = self.permit.write(&mut self.tx, action, resource, &done).await?;
        Ok(receipt)
    }

    /// As [`Grant::also`], for an act that was decided by itself: its leaf tells `decision`, and not the one that
    /// allowed this grant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn also_decided(
        &mut self,
        action: Action,
        resource: &Resource,
        decision: &Decision,
        done: Done,
    ) -> Result<Receipt> {
        let (receipt, _) =
            self.permit.write_decided(&mut self.tx, (action, resource, decision), &done).await?;
        Ok(receipt)
    }

    /// Does it: the change and its leaf become durable together.
    ///
    /// # Errors
    /// When the database fails; then nothing has happened.
    pub async fn commit(self, done: Done) -> Result<Receipt> {
        let Self { permit, mut tx } = self;
        let (receipt, new) = permit.write(&mut tx, permit.inside.action, &permit.resource, &done).await?;
        if permit.inside.action.changes_authority() {
            let (inner, tenant) = (Arc::clone(&permit.inside.gate.0), permit.inside.caller.tenant);
            // In a task of its own: whoever gives up waiting must not keep the change from being counted. A commit that
            // failed may have happened all the same.
            let committing = tokio::spawn(async move {
                let committed = tx.commit().await;
                inner.standings.changed(tenant);
                committed
            });
            committing.await.map_err(|error| Error::internal("a commit panicked").because(error))??;
        } else {
            tx.commit().await?;
        }
        permit.inside.gate.0.payload_keys.remember(new);
        Ok(receipt)
    }

    /// Does it without a leaf of its own: only for what streams out of a run, which the leaf at the run's end covers
    /// as a whole (with a digest of all of it).
    ///
    /// # Errors
    /// `Internal` for every other action; when the database fails.
    pub async fn commit_covered(self) -> Result<()> {
        if self.permit.inside.action != Action::RunReport {
            return Err(Error::internal(format!("`{}` needs a leaf of its own", self.permit.inside.action)));
        }
        self.tx.commit().await
    }

    /// Ends with `error` instead, undone and on record: for what only the verb can see, like a stale precondition
    /// that smells of an attack.
    pub async fn refuse(self, error: Error) -> Error {
        drop(self.tx);
        self.permit.refuse(error).await
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant({} on {})", self.permit.inside.action, self.permit.resource.kind)
    }
}

async fn write_one(
    tx: &mut Tx,
    inner: &Inner,
    keys: &TenantKeys,
    draft: Draft,
) -> Result<(Receipt, NewKeys)> {
    let (receipts, new) = record::write(tx, &inner.world, keys, &inner.payload_keys, &[draft]).await?;
    let receipt = receipts.into_iter().next().ok_or_else(|| Error::internal("a leaf has no receipt"))?;
    Ok((receipt, new))
}

fn forbidden(action: Action, decision: &Decision) -> Error {
    let why = match decision.reasons.first() {
        Some(policy) => format!("policy `{policy}` forbids `{action}` here"),
        None => format!("no role you hold here permits `{action}`"),
    };
    let hint =
        decision.hint.clone().unwrap_or_else(|| "ask an administrator for a role that permits it".to_owned());
    Error::forbidden("forbidden", why).hint(hint)
}

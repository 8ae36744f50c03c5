//! The room itself, and the keys it has ready.

use std::{
    collections::HashMap,
    fmt,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
};

use tokio::{sync::Semaphore, task::spawn_blocking};
use uuid::Uuid;
use writ_crypto::{
    Entropy, KeyRef,
    envelope::Aad,
    named::{KeyType, Material, PreparedKey},
};
use writ_gate::{Gate, ReadGrant};
use writ_kernel::{Error, Id, NamedKey, Result, TenantId, Timestamp};

use crate::{model::Key, sql};

/// The room of named keys. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    gate: Gate,
    entropy: Arc<Entropy>,
    ready: Mutex<HashMap<Name, Arc<PreparedKey>>>,
    making: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

/// By what a version that is ready is known: a key that comes back from a backup keeps its id, in any tenant, and is
/// another key.
#[derive(PartialEq, Eq, Hash)]
struct Name {
    tenant: TenantId,
    key: KeyRef,
    made: Timestamp,
}

/// As many key versions are held ready; others are opened again when needed.
const READY: usize = 10_000;

impl Keys {
    /// The room behind `gate`. `entropy` is what the gate's world draws from; it says which sources contribute.
    pub fn new(gate: Gate, entropy: Arc<Entropy>) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let turns = || Arc::new(Semaphore::new(cores));
        Self(Arc::new(Inner { gate, entropy, ready: Mutex::default(), making: turns(), working: turns() }))
    }

    /// Forgets every key, when the server is sealed.
    pub fn forget(&self) {
        self.ready().clear();
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn entropy(&self) -> &Entropy {
        &self.0.entropy
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.gate.world().now()
    }

    /// Makes material, beside the threads that serve requests: an RSA key takes seconds. As many are made at once as
    /// there are cores.
    pub(crate) async fn generate(&self, key_type: KeyType) -> Result<Material> {
        let world = self.gate().world().clone();
        in_turn(&self.0.making, move || Material::generate(&world, key_type)).await?
    }

    /// Does `work` with private keys, beside the threads that serve requests. As many such are done at once as there are
    /// cores.
    pub(crate) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        in_turn(&self.0.working, work).await
    }

    /// Does what was asked of `key` for `items` things: a batch with private keys beside the threads that serve requests,
    /// anything else at once.
    pub(crate) async fn with_key<T: Send + 'static>(
        &self,
        key: &Key,
        items: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        if items > 1 && key.key_type.is_asymmetric() { self.beside(work).await } else { Ok(work()) }
    }

    /// Forgets the versions of one key that was destroyed or trimmed.
    pub(crate) fn forget_key(&self, key: Id<NamedKey>) {
        self.ready().retain(|name, _| name.key.id != key.uuid());
    }

    /// One version of `key`, ready for use.
    ///
    /// # Errors
    /// `unknown_key_version` when it was trimmed meanwhile.
    pub(crate) async fn prepared(
        &self,
        grant: &mut ReadGrant,
        key: &Key,
        version: u32,
    ) -> Result<Arc<PreparedKey>> {
        let name = KeyRef { id: key.id.uuid(), version };
        let tenant = grant.caller().tenant;
        let known = Name { tenant, key: name, made: key.created_at };
        if let Some(ready) = self.ready().get(&known).cloned() {
            return Ok(ready);
        }
        let sealed = sql::sealed_version(grant.tx(), key.id, version)
            .await?
            .ok_or_else(|| Error::invalid("unknown_key_version", "the key has no such version"))?;
        let opened = grant.keys().open(&cell(tenant, key.id.uuid(), version), &sealed)?;
        let prepared = Arc::new(Material::from_sealed_bytes(opened.expose())?.prepare(name)?);
        let mut ready = self.ready();
        if ready.len() >= READY {
            ready.clear();
        }
        ready.insert(known, Arc::clone(&prepared));
        drop(ready);
        // Sealing forgets what is ready, and this may have come after that.
        if self.gate().seal().is_closed() {
            self.forget();
        }
        Ok(prepared)
    }

    fn ready(&self) -> MutexGuard<'_, HashMap<Name, Arc<PreparedKey>>> {
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let broken = |cause| Error::internal("work with a key broke off").because(cause);
    let turn = Arc::clone(turns).acquire_owned().await;
    let turn = turn.map_err(|error| Error::internal("nobody works with keys any more").because(error))?;
    let work = move || {
        let done = work();
        // Held to the end of the work, also when whoever asked for it has gone.
        drop(turn);
        done
    };
    spawn_blocking(work).await.map_err(broken)
}

/// Where the secret part of a version lives.
pub(crate) fn cell(tenant: TenantId, key: Uuid, version: u32) -> Vec<u8> {
    Aad::cell(tenant, "key_versions", key.as_bytes(), "sealed", u64::from(version))
}

//! Leaves of what changes nothing else share their transaction, and so their flush.
//!
//! Whoever has a leaf to write queues it. If nobody is writing for that tenant, a task begins to; while it waits for the
//! disk, others queue, and the next transaction takes them all. So nobody waits for company, and no tenant for another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use writ_kernel::{Error, Kind, Result, TenantId, World};
use writ_seal::TenantKeys;
use writ_store::Db;

use crate::{
    model::Receipt,
    record::{self, Draft, PayloadKeys},
};

/// As many leaves go into one transaction.
const BATCH: usize = 256;
/// As many of one tenant may wait. Whoever comes later is told to come again.
const WAITING: usize = 4_096;

/// Writes leaves in batches.
pub(crate) struct Recorder {
    db: Db,
    world: World,
    payload_keys: Arc<PayloadKeys>,
    /// What waits, of each tenant for which a task is writing.
    queues: Mutex<HashMap<TenantId, Vec<Waiting>>>,
}

struct Waiting {
    keys: Arc<TenantKeys>,
    draft: Draft,
    tell: oneshot::Sender<Result<Receipt>>,
}

impl Recorder {
    pub(crate) fn new(db: Db, world: World, payload_keys: Arc<PayloadKeys>) -> Self {
        Self { db, world, payload_keys, queues: Mutex::default() }
    }

    /// Writes one leaf, and returns when it is on disk.
    ///
    /// # Errors
    /// When the database fails; `Unavailable` when too many wait already.
    pub(crate) async fn record(
        self: &Arc<Self>,
        tenant: TenantId,
        keys: Arc<TenantKeys>,
        draft: Draft,
    ) -> Result<Receipt> {
        let (tell, told) = oneshot::channel();
        let waiting = Waiting { keys, draft, tell };
        {
            let mut queues = self.queues();
            match queues.get_mut(&tenant) {
                Some(queue) if queue.len() >= WAITING => {
                    return Err(
                        Error::unavailable("busy", "too much waits to be recorded").hint("try again shortly")
                    );
                }
                Some(queue) => queue.push(waiting),
                None => {
                    queues.insert(tenant, vec![waiting]);
                    tokio::spawn(Writing { recorder: Arc::clone(self), tenant, done: false }.write_all());
                }
            }
        }
        told.await.unwrap_or_else(|_| Err(Error::unavailable("not_recorded", "it could not be recorded")))
    }

    /// Writes leaves of one tenant. Whatever is wrong with one of them is not the others' fault.
    async fn write(&self, tenant: TenantId, all: Vec<Waiting>) {
        let Some(keys) = all.first().map(|first| Arc::clone(&first.keys)) else { return };
        let (drafts, tells): (Vec<_>, Vec<_>) = all.into_iter().map(|one| (one.draft, one.tell)).unzip();
        let results = match self.transaction(tenant, &keys, &drafts).await {
            Ok(receipts) => receipts.into_iter().map(Ok).collect(),
            Err(error) if drafts.len() == 1 => vec![Err(error)],
            Err(error) if error.kind() == Kind::Sealed => {
                drafts.iter().map(|_| Err(Error::sealed())).collect()
            }
            Err(_) => {
                let mut results = Vec::with_capacity(drafts.len());
                for draft in &drafts {
                    let alone = self.transaction(tenant, &keys, std::slice::from_ref(draft)).await;
                    let receipt = alone.and_then(|receipts| {
                        receipts.into_iter().next().ok_or_else(|| Error::internal("a leaf has no receipt"))
                    });
                    results.push(receipt);
                }
                results
            }
        };
        for (tell, result) in tells.into_iter().zip(results) {
            // Whoever no longer waits does not get the value either.
            let _ = tell.send(result);
        }
    }

    async fn transaction(
        &self,
        tenant: TenantId,
        keys: &TenantKeys,
        drafts: &[Draft],
    ) -> Result<Vec<Receipt>> {
        let mut tx = self.db.tx(tenant).await?;
        let (receipts, new) = record::write(&mut tx, &self.world, keys, &self.payload_keys, drafts).await?;
        tx.commit().await?;
        self.payload_keys.remember(new);
        Ok(receipts)
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<TenantId, Vec<Waiting>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that writes for one tenant. Its end, of whatever kind, lets another one begin; who still waits then is told
/// that nothing was recorded.
struct Writing {
    recorder: Arc<Recorder>,
    tenant: TenantId,
    done: bool,
}

impl Writing {
    async fn write_all(mut self) {
        loop {
            let some: Vec<Waiting> = {
                let recorder = Arc::clone(&self.recorder);
                let mut queues = recorder.queues();
                let Some(queue) = queues.get_mut(&self.tenant) else { return };
                if queue.is_empty() {
                    queues.remove(&self.tenant);
                    // Another task may begin from here on, and what it has to write is not ours to drop.
                    self.done = true;
                    return;
                }
                queue.drain(..queue.len().min(BATCH)).collect()
            };
            self.recorder.write(self.tenant, some).await;
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.done {
            self.recorder.queues().remove(&self.tenant);
        }
    }
}

//! Leaves of what changes nothing else share their transaction, and so their flush.
//!
//! Whoever has a leaf to write queues it. If nobody is writing, a task begins to; while it waits for the disk, others
//! queue, and the next transaction takes them all. So nobody waits for company.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::join_all;
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
/// As many may wait. Whoever comes later is told to come again.
const WAITING: usize = 16_384;

/// Writes leaves in batches.
pub(crate) struct Recorder {
    db: Db,
    world: World,
    payload_keys: Arc<PayloadKeys>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    writing: bool,
}

struct Waiting {
    tenant: TenantId,
    keys: Arc<TenantKeys>,
    draft: Draft,
    tell: oneshot::Sender<Result<Receipt>>,
}

impl Recorder {
    pub(crate) fn new(db: Db, world: World, payload_keys: Arc<PayloadKeys>) -> Self {
        Self { db, world, payload_keys, queue: Mutex::default() }
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
        {
            let mut queue = self.queue();
            if queue.waiting.len() >= WAITING {
                return Err(
                    Error::unavailable("busy", "too much waits to be recorded").hint("try again shortly")
                );
            }
            queue.waiting.push(Waiting { tenant, keys, draft, tell });
            if !std::mem::replace(&mut queue.writing, true) {
                tokio::spawn(Arc::clone(self).write_all());
            }
        }
        told.await.unwrap_or_else(|_| Err(Error::unavailable("shutting_down", "the server is shutting down")))
    }

    async fn write_all(self: Arc<Self>) {
        loop {
            let some: Vec<Waiting> = {
                let mut queue = self.queue();
                if queue.waiting.is_empty() {
                    queue.writing = false;
                    return;
                }
                let some = queue.waiting.len().min(BATCH);
                queue.waiting.drain(..some).collect()
            };
            let mut of_tenant: BTreeMap<TenantId, Vec<Waiting>> = BTreeMap::new();
            for waiting in some {
                of_tenant.entry(waiting.tenant).or_default().push(waiting);
            }
            join_all(of_tenant.into_iter().map(|(tenant, all)| self.write(tenant, all))).await;
        }
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

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

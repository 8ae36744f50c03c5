//! The sequencer: gives leaves their places, and signs what came of it.

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;
use writ_crypto::hash;
use writ_gate::{Gate, tenancy};
use writ_kernel::{Error, Result, TenantId, Timestamp};
use writ_merkle::{Hash, Head, Note, checkpoint, leaf_hash};
use writ_store::leader::{self, Epoch};

use crate::{
    http::Evidence,
    keys::Keys,
    model::{LogName, internal},
    sql, tree,
};

/// The lease of the one sequencer among all servers.
const LEASE: &str = "evidence-sequencer";
const TERM: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(5);

/// As many leaves are integrated in one transaction.
const BATCH: u16 = 2_000;

/// A log is signed at most this often, and every log that grew is.
const REST: Duration = Duration::from_secs(1);
/// How soon idleness is noticed to be over.
const POLL: Duration = Duration::from_millis(200);

/// Integrates leaves into their logs and signs checkpoints. Any number may run; one leads, and another one that
/// believes it does changes nothing.
#[derive(Debug)]
pub struct Sequencer {
    gate: Gate,
    host: String,
    holder: Uuid,
    reign: Option<Reign>,
}

#[derive(Debug, Clone, Copy)]
struct Reign {
    epoch: Epoch,
    renewed: Timestamp,
}

/// What one round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Leaves that got a place.
    pub integrated: u64,
    /// Checkpoints signed, the one of the log of logs included.
    pub signed: u64,
}

/// How many leaves of all tenants wait for their place: what operators watch the sequencer by.
///
/// # Errors
/// When the database fails.
pub async fn pending(db: &writ_store::Db) -> Result<i64> {
    sql::count_pending(&mut db.system_read().await?).await
}

impl Sequencer {
    /// A sequencer for the logs of this server.
    pub fn new(room: &Evidence) -> Self {
        let holder = room.gate.world().uuid();
        Self { gate: room.gate.clone(), host: room.host.clone(), holder, reign: None }
    }

    /// Works until the future is dropped. A failure is told to the log, and what failed is tried again.
    pub async fn run(mut self) {
        loop {
            let progress = self.tick().await.unwrap_or_else(|error| {
                tracing::error!(%error, "evidence could not be sequenced");
                Progress { signed: 1, ..Progress::default() }
            });
            tokio::time::sleep(if progress == Progress::default() { POLL } else { REST }).await;
        }
    }

    /// One round: gives every leaf that waits its place, then signs every log that grew, the log of logs last.
    /// Does nothing while the seal is closed, while there is nothing to do, and while somebody else leads.
    ///
    /// # Errors
    /// `Conflict` with `lease_lost` when another sequencer took over on the way; else what failed first, after all
    /// that did not fail was done.
    pub async fn tick(&mut self) -> Result<Progress> {
        if self.gate.seal().is_closed() || !self.is_needed().await? {
            return Ok(Progress::default());
        }
        let Some(epoch) = self.lead().await? else { return Ok(Progress::default()) };
        let round = self.round(epoch).await;
        if round.as_ref().is_err_and(|error| error.code() == "lease_lost") {
            self.reign = None;
        }
        round
    }

    async fn round(&self, epoch: Epoch) -> Result<Progress> {
        let mut progress = Progress::default();
        let mut failed = None;
        let pending = sql::tenants_pending(&mut self.gate.db().system_read().await?).await?;
        for tenant in pending {
            match self.integrate(tenant, epoch).await {
                Ok(integrated) => progress.integrated += integrated,
                Err(error) => keep(&mut failed, error)?,
            }
        }
        let unsigned = sql::logs_unsigned(&mut self.gate.db().system_read().await?).await?;
        let keys = Keys::open(&self.gate).await?;
        for name in unsigned.iter().filter(|name| !name.is_meta()) {
            match self.sign(&keys, name, epoch).await {
                Ok(()) => progress.signed += 1,
                Err(error) => keep(&mut failed, error)?,
            }
        }
        self.enter(epoch).await?;
        let meta = LogName::meta();
        let mut tx = self.gate.db().read(meta.tenant).await?;
        let grew = sql::log(&mut tx, &meta).await?.is_some_and(|log| log.signed_size < log.size());
        drop(tx);
        if grew {
            self.sign(&keys, &meta, epoch).await?;
            progress.signed += 1;
        }
        failed.map_or(Ok(progress), Err)
    }

    /// Whether anything waits. Costs two look-ups and no write, so idleness is cheap.
    async fn is_needed(&self) -> Result<bool> {
        let mut tx = self.gate.db().system_read().await?;
        Ok(!sql::tenants_pending(&mut tx).await?.is_empty()
            || !sql::logs_unsigned(&mut tx).await?.is_empty()
            || !sql::checkpoints_unentered(&mut tx, 1).await?.is_empty())
    }

    async fn lead(&mut self) -> Result<Option<Epoch>> {
        let now = self.gate.world().now();
        if let Some(reign) = self.reign.filter(|reign| now.since(reign.renewed) < RENEW) {
            return Ok(Some(reign.epoch));
        }
        let epoch = leader::try_lead(self.gate.db(), LEASE, self.holder, TERM).await?;
        self.reign = epoch.map(|epoch| Reign { epoch, renewed: now });
        Ok(epoch)
    }

    /// Gives every waiting leaf of a tenant its place in the tenant's log, and says how many.
    async fn integrate(&self, tenant: TenantId, epoch: Epoch) -> Result<u64> {
        let mut integrated = 0;
        loop {
            let mut tx = self.gate.db().tx(tenant).await?;
            let name = LogName { tenant, log: tenancy::tenant(&mut tx).await?.log };
            sql::create_log(&mut tx, &name, &name.origin(&self.host)).await?;
            let held = sql::hold_log(&mut tx, &name, epoch).await?;
            let placed = sql::place_leaves(&mut tx, held.size(), i64::from(BATCH)).await?;
            let count = placed.len();
            let hashes: Vec<Hash> =
                placed.iter().map(|(_, leaf, receipt)| hashed(&name, leaf, receipt)).collect();
            tree::append(&mut tx, &name, epoch, &held, &hashes).await?;
            tx.commit().await?;
            integrated += u64::try_from(count).unwrap_or(u64::MAX);
            if count < usize::from(BATCH) {
                return Ok(integrated);
            }
        }
    }

    /// Signs the tree that is durable, and publishes the checkpoint.
    async fn sign(&self, keys: &Keys, name: &LogName, epoch: Epoch) -> Result<()> {
        let log = sql::log(&mut self.gate.db().read(name.tenant).await?, name).await?;
        let log = log.ok_or_else(|| Error::internal("a log vanished"))?;
        let note = self.note(keys, &log.head())?;
        let mut tx = self.gate.db().tx(name.tenant).await?;
        sql::hold_log(&mut tx, name, epoch).await?;
        sql::sign_log(&mut tx, name, epoch, log.size(), &note.to_string()).await?;
        tx.commit().await
    }

    fn note(&self, keys: &Keys, head: &Head) -> Result<Note> {
        let now = u64::try_from(self.gate.world().now().seconds()).unwrap_or(0);
        checkpoint::sign(head, now, &keys.signers(&head.origin)?).map_err(internal)
    }

    /// Enters the newest checkpoints of all logs into the log of logs.
    async fn enter(&self, epoch: Epoch) -> Result<()> {
        let meta = LogName::meta();
        loop {
            let mut tx = self.gate.db().system_tx().await?;
            let entered = sql::checkpoints_unentered(&mut tx, i64::from(BATCH)).await?;
            if entered.is_empty() {
                return Ok(());
            }
            sql::create_log(&mut tx, &meta, &meta.origin(&self.host)).await?;
            let held = sql::hold_log(&mut tx, &meta, epoch).await?;
            let mut hashes = Vec::with_capacity(entered.len());
            for (position, row) in (held.size()..).zip(&entered) {
                let leaf = meta_leaf(&row.checkpoint)?;
                sql::insert_meta_leaf(&mut tx, position, &leaf).await?;
                let name =
                    LogName { tenant: writ_kernel::Id::from_uuid(row.tenant_id), log: row.log.clone() };
                sql::mark_entered(&mut tx, &name, row.signed_size).await?;
                hashes.push(leaf_hash(leaf.as_bytes()));
            }
            tree::append(&mut tx, &meta, epoch, &held, &hashes).await?;
            tx.commit().await?;
        }
    }
}

/// Remembers the first failure and lets the round go on; a lost lease ends it.
fn keep(failed: &mut Option<Error>, error: Error) -> Result<()> {
    if error.code() == "lease_lost" {
        return Err(error);
    }
    tracing::warn!(%error, "a log could not be brought up to date");
    failed.get_or_insert(error);
    Ok(())
}

/// The leaf's hash in the tree. It is taken of the leaf that is there, so that the log is true in itself; where the
/// receipt said otherwise, its holder can prove it, and we say so as well.
fn hashed(name: &LogName, leaf: &str, receipt: &[u8]) -> Hash {
    let hash = leaf_hash(leaf.as_bytes());
    if hash.as_bytes() != receipt {
        tracing::error!(log = name.log, %hash, "a leaf was altered between its receipt and its integration");
    }
    hash
}

/// A leaf of the log of logs: canonical JSON (RFC 8785) of what a checkpoint says, and its digest.
#[derive(Serialize)]
struct MetaLeaf<'a> {
    origin: &'a str,
    size: u64,
    /// Base64, as in the checkpoint.
    root: String,
    /// SHA-256 of the checkpoint with its signatures.
    checkpoint: String,
}

fn meta_leaf(checkpoint: &str) -> Result<String> {
    let note = Note::parse(checkpoint.as_bytes()).map_err(internal)?;
    let head = Head::parse(note.text()).map_err(internal)?;
    let leaf = MetaLeaf {
        origin: head.origin.as_str(),
        size: head.size,
        root: head.root.to_string(),
        checkpoint: format!("sha256:{}", hash::hex(&hash::sha256(checkpoint.as_bytes()))),
    };
    serde_json_canonicalizer::to_string(&leaf)
        .map_err(|error| Error::internal("canonical JSON").because(error))
}

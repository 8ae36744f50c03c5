//! Who read what: counted in memory, and written down together now and then. Evidence has every reading by itself; this
//! only spares insights from going through all of it.

use std::{collections::HashMap, mem, sync::Mutex, time::Duration};

use uuid::Uuid;
use writ_kernel::{Caller, Id, Result, Secret, TenantId, Timestamp};

use crate::{Vault, secrets::sql::readers as sql};

/// So often is written down who read what.
const EVERY: Duration = Duration::from_secs(5);
/// So many are written down in one transaction.
const BATCH: usize = 300;
/// With so many readers waiting, nothing is counted until they are written down.
const WAITING: usize = 65_536;

/// Readings that are not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<HashMap<Key, Tally>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    tenant: TenantId,
    secret: Id<Secret>,
    reader: Uuid,
}

/// How often somebody read a secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) kind: &'static str,
    pub(crate) reads: i64,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    pub(crate) version: u32,
}

impl Readers {
    /// Notes one reading.
    pub(crate) fn note(&self, caller: &Caller, secret: Id<Secret>, version: u32, now: Timestamp) {
        let key = Key { tenant: caller.tenant, secret, reader: caller.principal.uuid() };
        let mut waiting = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if waiting.len() >= WAITING && !waiting.contains_key(&key) {
            return;
        }
        let fresh = Tally { kind: caller.kind.as_str(), reads: 0, first_at: now, last_at: now, version };
        let tally = waiting.entry(key).or_insert(fresh);
        tally.reads += 1;
        tally.last_at = tally.last_at.max(now);
        tally.version = version;
    }

    /// Who read a secret and is not written down yet.
    pub(crate) fn of(&self, tenant: TenantId, secret: Id<Secret>) -> Vec<(Uuid, Tally)> {
        let waiting = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of = waiting.iter().filter(|(key, _)| key.tenant == tenant && key.secret == secret);
        of.map(|(key, tally)| (key.reader, *tally)).collect()
    }

    fn take(&self) -> HashMap<Key, Tally> {
        mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Vault {
    /// Writes down who read what, again and again. Never ends.
    pub async fn keep_readers(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.write_readers().await {
                tracing::warn!(%error, "who read what could not be written down");
            }
        }
    }

    /// Writes down who read what so far: bookkeeping of what is on record already, so it leaves no record of its own.
    ///
    /// # Errors
    /// When the database fails; then some readings are missing from insights, and from nothing else.
    async fn write_readers(&self) -> Result<()> {
        let mut waiting: Vec<_> = self.0.readers.take().into_iter().collect();
        waiting.sort_unstable_by_key(|(key, _)| *key);
        let of_tenants = waiting.chunk_by(|(one, _), (other, _)| one.tenant == other.tenant);
        for tallies in of_tenants.flat_map(|tallies| tallies.chunks(BATCH)) {
            let Some((first, _)) = tallies.first() else { continue };
            let mut tx = self.gate().db().tx(first.tenant).await?;
            for (key, tally) in tallies {
                sql::add(&mut tx, key.secret, key.reader, tally).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}

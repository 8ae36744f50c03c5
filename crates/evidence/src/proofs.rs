//! Proofs, and the public side of logs: checkpoints and tiles.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Entry, Gate, Receipt, Resource, tenancy};
use writ_kernel::{Action, Caller, Error, Id, LeafId, Result};
use writ_merkle::{KeyName, Tile, TlogProof};
use writ_store::Tx;
use writ_wire::evidence::{LogInfo, MetaLog};

use crate::{
    http::Evidence,
    keys::Keys,
    model::{Log, LogName, internal},
    sql, tree,
};

/// How long a proof is waited for, and how often it is looked for: a leaf is in a checkpoint within about a second.
const PATIENCE: Duration = Duration::from_secs(3);
const GLANCE: Duration = Duration::from_millis(100);

/// The proof that a record is in its log, against the newest checkpoint. Waits a moment for a record that is too
/// new to be in one.
///
/// # Errors
/// `Conflict` with `not_integrated` when the record is not in a checkpoint by then.
pub(crate) async fn prove(gate: &Gate, caller: &Caller, id: Uuid) -> Result<(String, Receipt)> {
    let resource = || Resource::one("record", Id::<LeafId>::from_uuid(id));
    let mut entry = gate.enter(caller, Action::EvidenceRead).await?;
    if sql::record(entry.tx(), id).await?.is_none() {
        return Err(entry.not_found("record").await);
    }
    // Whether the caller may have it is settled before anybody waits; and nothing is held while waiting.
    drop(entry.admit(resource()).await?);
    wait(gate, caller, id).await?;
    let mut grant = gate.enter(caller, Action::EvidenceRead).await?.admit(resource()).await?;
    let name = own_log(grant.tx()).await?;
    let Some((log, index, checkpoint)) = integrated(grant.tx(), &name, id).await? else {
        let error = Error::conflict("not_integrated", "the record is not in a checkpoint yet")
            .hint("try again in a second");
        return Err(grant.refuse(error).await);
    };
    let hashes = tree::inclusion(grant.tx(), &name, index, log.signed_size).await?;
    let proof = TlogProof { index, extra: None, hashes, checkpoint };
    let receipt = grant.commit(Done::with(json!({ "index": index, "size": log.signed_size }))).await?;
    Ok((proof.to_string(), receipt))
}

async fn wait(gate: &Gate, caller: &Caller, id: Uuid) -> Result<()> {
    let looks = PATIENCE.as_millis() / GLANCE.as_millis();
    for _ in 0..looks {
        let mut tx = gate.db().read(caller.tenant).await?;
        let name = own_log(&mut tx).await?;
        if integrated(&mut tx, &name, id).await?.is_some() {
            return Ok(());
        }
        drop(tx);
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

/// The log, the place of a record in it and the checkpoint that covers it; `None` when there is none yet.
async fn integrated(tx: &mut Tx, name: &LogName, id: Uuid) -> Result<Option<(Log, u64, String)>> {
    let index = sql::record(tx, id).await?.and_then(|record| record.index);
    let log = sql::log(tx, name).await?;
    Ok(index.zip(log).and_then(|(index, log)| {
        let checkpoint = log.checkpoint.clone().filter(|_| index < log.signed_size)?;
        Some((log, index, checkpoint))
    }))
}

/// What a verifier needs to know of the caller's log beforehand.
pub(crate) async fn log_info(room: &Evidence, caller: &Caller) -> Result<(LogInfo, Receipt)> {
    let keys = Keys::open(&room.gate).await?;
    let mut grant = room.gate.grant(caller, Action::EvidenceRead, Resource::all("log")).await?;
    let name = own_log(grant.tx()).await?;
    let log = sql::log(grant.tx(), &name).await?;
    let receipt = grant.commit(Done::plain()).await?;
    let meta = LogName::meta();
    let begun = sql::log(&mut room.gate.db().read(meta.tenant).await?, &meta).await?;
    let size = log.as_ref().map_or(0, Log::size);
    let (origin, meta_origin) = (room.origin(&name, log.as_ref())?, room.origin(&meta, begun.as_ref())?);
    let meta =
        MetaLog { keys: vkeys(&keys, &meta_origin)?, origin: meta_origin.to_string(), path: meta.path() };
    Ok((
        LogInfo { keys: vkeys(&keys, &origin)?, origin: origin.to_string(), size, path: name.path(), meta },
        receipt,
    ))
}

/// The verifier keys of the log `origin`, in signed-note form.
pub(crate) fn vkeys(keys: &Keys, origin: &KeyName) -> Result<Vec<String>> {
    Ok(keys.verifiers(origin)?.iter().map(ToString::to_string).collect())
}

/// The newest checkpoint of the caller's own log.
pub(crate) async fn checkpoint(gate: &Gate, caller: &Caller, log: &str) -> Result<(String, Receipt)> {
    let (entry, _, found) = enter_log(gate, caller, log).await?;
    let size = found.signed_size;
    let Some(checkpoint) = found.checkpoint else { return Err(entry.not_found("checkpoint").await) };
    let grant = entry.admit(Resource::all("log")).await?;
    let receipt = grant.commit(Done::with(json!({ "size": size }))).await?;
    Ok((checkpoint, receipt))
}

/// A tile of the caller's own log, as far as its newest checkpoint goes. The gate decides, but no leaf is written:
/// the log would grow by being read. What tiles hold is pseudonymous, and of use only with a checkpoint, which was
/// handed out on record.
pub(crate) async fn tile(gate: &Gate, caller: &Caller, log: &str, wanted: Tile) -> Result<Vec<u8>> {
    let (mut entry, name, found) = enter_log(gate, caller, log).await?;
    let Some(bytes) = tree::file(entry.tx(), &name, found.signed_size, wanted).await? else {
        return Err(entry.not_found("tile").await);
    };
    drop(entry.admit(Resource::all("log")).await?);
    Ok(bytes)
}

/// The newest checkpoint of the log of logs, which is for everybody.
pub(crate) async fn meta_checkpoint(gate: &Gate) -> Result<String> {
    let meta = LogName::meta();
    let log = sql::log(&mut gate.db().read(meta.tenant).await?, &meta).await?;
    log.and_then(|log| log.checkpoint).ok_or_else(|| Error::not_found("checkpoint"))
}

/// A tile of the log of logs, which is for everybody.
pub(crate) async fn meta_tile(gate: &Gate, wanted: Tile) -> Result<Vec<u8>> {
    let (meta, missing) = (LogName::meta(), || Error::not_found("tile"));
    let mut tx = gate.db().read(meta.tenant).await?;
    let log = sql::log(&mut tx, &meta).await?.ok_or_else(missing)?;
    tree::file(&mut tx, &meta, log.signed_size, wanted).await?.ok_or_else(missing)
}

/// Enters to read the log that a path names. Another tenant's log does not exist.
async fn enter_log(gate: &Gate, caller: &Caller, log: &str) -> Result<(Entry, LogName, Log)> {
    let mut entry = gate.enter(caller, Action::EvidenceRead).await?;
    let name = own_log(entry.tx()).await?;
    let found = if name.log == log { sql::log(entry.tx(), &name).await? } else { None };
    match found {
        Some(found) => Ok((entry, name, found)),
        None => Err(entry.not_found("log").await),
    }
}

/// The log of the transaction's tenant.
pub(crate) async fn own_log(tx: &mut Tx) -> Result<LogName> {
    Ok(LogName { tenant: tx.tenant(), log: tenancy::tenant(tx).await?.log })
}

impl Evidence {
    /// What a log is called: by its own name once it has begun, else by the one it will get.
    fn origin(&self, name: &LogName, log: Option<&Log>) -> Result<KeyName> {
        match log {
            Some(log) => Ok(log.origin.clone()),
            None => name.origin(&self.host).parse().map_err(internal),
        }
    }
}

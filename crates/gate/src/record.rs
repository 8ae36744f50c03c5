//! Writes the leaf of an act into the transaction of the act.

use std::{collections::HashMap, sync::Arc, sync::Mutex};

use uuid::Uuid;
use writ_crypto::{aead::DataKey, secret::SecretKey};
use writ_kernel::{Action, Caller, Error, Result, Timestamp, World};
use writ_seal::TenantKeys;
use writ_store::Tx;

use crate::{
    leaf::{Leaf, payload},
    model::{Circumstances, Done, Receipt, Resource},
    policy::{Decision, Policies},
    sql,
};

/// Everything one leaf is made of.
pub(crate) struct Record<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) action: Action,
    pub(crate) resource: &'a Resource,
    pub(crate) around: &'a Circumstances,
    pub(crate) decision: &'a Decision,
    pub(crate) policies: &'a Policies,
    pub(crate) done: &'a Done,
}

/// A payload key that this transaction made; it may be remembered once the transaction is durable.
pub(crate) type NewKey = Option<(KeyName, Arc<PayloadKey>)>;

/// Payload keys in use, so that not every leaf costs an unwrapping.
#[derive(Default)]
pub(crate) struct PayloadKeys {
    known: Mutex<HashMap<KeyName, Arc<PayloadKey>>>,
}

/// One key for each subject and month: destroying it erases the subject's month from every payload. It is remembered
/// under the subject's pseudonym: erasure ends a pseudonym, on every server at once, so a key that was destroyed is
/// never sealed with again.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct KeyName {
    tenant: Uuid,
    pseudonym: String,
    month: i64,
}

pub(crate) struct PayloadKey {
    id: Uuid,
    key: DataKey,
}

/// As many payload keys are remembered; the rest is unwrapped again when needed.
const REMEMBERED: usize = 4_096;

impl PayloadKeys {
    /// Remembers a key whose row is durable.
    pub(crate) fn remember(&self, new: NewKey) {
        let Some((name, key)) = new else { return };
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(name, key);
    }

    /// Forgets everything, as sealing and erasure demand.
    pub(crate) fn forget(&self) {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    fn find(&self, name: &KeyName) -> Option<Arc<PayloadKey>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).cloned()
    }
}

/// Writes one leaf. The caller commits, and remembers the new key when that has succeeded.
pub(crate) async fn write(
    tx: &mut Tx,
    world: &World,
    keys: &TenantKeys,
    payload_keys: &PayloadKeys,
    log: &str,
    record: Record<'_>,
) -> Result<(Receipt, NewKey)> {
    let Record { caller, action, resource, around, decision, policies, done } = record;
    let now = world.now();
    let subject = caller.principal.uuid();
    let (actor, aseq) = sql::next_leaf_of(tx, subject, &pseudonym(world)).await?;
    let object = match done.object.as_ref().map(|(id, _)| *id).or(resource.id) {
        Some(id) => Some(sql::pseudonym_of(tx, id, &pseudonym(world)).await?),
        None => None,
    };
    let (key, new) = payload_key(tx, world, keys, payload_keys, (subject, &actor), now).await?;
    let payload = payload(caller, action, resource, around, decision, done, &world.bytes())?;
    let leaf = Leaf {
        v: 1,
        id: world.id(),
        t: now,
        log,
        cls: action.name(),
        out: done.outcome.as_str(),
        actor: &actor,
        obj: object.as_deref(),
        aseq,
        dec: payload.decision,
        pol: policies.digest(),
        trace: caller.trace.to_string(),
        pc: payload.commitment,
    };
    let (text, receipt) = leaf.finish()?;
    let sealed = key.key.seal(world, leaf.id.uuid().as_bytes(), payload.sealed_text.as_bytes());
    let row = sql::NewLeaf {
        leaf_id: leaf.id.uuid(),
        at: now.micros(),
        action: action.name(),
        outcome: done.outcome.as_str(),
        object: object.as_deref(),
        trace: &leaf.trace,
        leaf: &text,
        leaf_hash: &receipt.hash,
        key_id: key.id,
        payload: &sealed,
    };
    sql::insert_leaf(tx, row).await?;
    Ok((receipt, new))
}

/// Opens the payload of a leaf.
///
/// # Errors
/// `Gone` when the key was destroyed: the record is erased, and its leaf stays provable.
pub(crate) async fn open(
    tx: &mut Tx,
    keys: &TenantKeys,
    leaf: Uuid,
    key_id: Uuid,
    sealed: &[u8],
) -> Result<String> {
    let row = sql::payload_key_by_id(tx, key_id)
        .await?
        .ok_or_else(|| Error::gone("erased", "the payload of this record was erased"))?;
    let key = unwrap(keys, &row)?;
    let bytes = key.key.open(leaf.as_bytes(), sealed)?;
    String::from_utf8(bytes.expose().to_vec()).map_err(|_| Error::internal("a payload is not text"))
}

async fn payload_key(
    tx: &mut Tx,
    world: &World,
    keys: &TenantKeys,
    payload_keys: &PayloadKeys,
    (subject, pseudonym): (Uuid, &str),
    now: Timestamp,
) -> Result<(Arc<PayloadKey>, NewKey)> {
    let name = KeyName { tenant: tx.tenant().uuid(), pseudonym: pseudonym.to_owned(), month: month(now) };
    if let Some(key) = payload_keys.find(&name) {
        return Ok((key, None));
    }
    let key = if let Some(row) = sql::payload_key(tx, subject, name.month).await? {
        Arc::new(unwrap(keys, &row)?)
    } else {
        let secret = SecretKey::new(world.bytes());
        let id = world.uuid();
        let wrapped = keys.wrap(world, &wrapping_context(id), &secret)?;
        sql::insert_payload_key(tx, id, subject, name.month, &wrapped).await?;
        Arc::new(PayloadKey { id, key: DataKey::from_secret(secret) })
    };
    Ok((Arc::clone(&key), Some((name, key))))
}

fn unwrap(keys: &TenantKeys, row: &sql::PayloadKeyRow) -> Result<PayloadKey> {
    let secret = keys.unwrap(&wrapping_context(row.key_id), &row.wrapped)?;
    Ok(PayloadKey { id: row.key_id, key: DataKey::from_secret(secret) })
}

fn wrapping_context(id: Uuid) -> Vec<u8> {
    [b"writ/evidence-payload/v1\0".as_slice(), id.as_bytes()].concat()
}

/// Months since 1970, by the calendar of UTC days divided by 30.4369: near enough for a rolling key, and without a calendar.
fn month(now: Timestamp) -> i64 {
    now.seconds().div_euclid(2_629_746)
}

fn pseudonym(world: &World) -> String {
    format!("s_{}", writ_crypto::hash::hex(&world.bytes::<12>()))
}

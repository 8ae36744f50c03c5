//! Writes the leaf of an act into the transaction of the act.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use uuid::Uuid;
use writ_crypto::{aead::DataKey, secret::SecretKey};
use writ_kernel::{Action, Caller, Error, Result, Timestamp, World};
use writ_seal::TenantKeys;
use writ_store::Tx;

use crate::{
    leaf::{Leaf, Payload, payload},
    model::{Circumstances, Done, Outcome, Receipt, Resource},
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
    pub(crate) policies: &'a Arc<Policies>,
    pub(crate) done: &'a Done,
}

/// A leaf before it has its place among its actor's leaves: all that can be made without a transaction.
pub(crate) struct Draft {
    subject: Uuid,
    object: Option<Uuid>,
    action: Action,
    outcome: Outcome,
    trace: String,
    log: Arc<str>,
    policies: Arc<Policies>,
    payload: Payload,
}

impl Draft {
    /// Puts a record into words.
    ///
    /// # Errors
    /// `Internal` when its detail cannot be put into canonical JSON.
    pub(crate) fn new(record: &Record<'_>, log: &Arc<str>, world: &World) -> Result<Self> {
        let Record { caller, action, resource, around, decision, policies, done } = *record;
        Ok(Self {
            subject: caller.principal.uuid(),
            object: done.object.as_ref().map(|(id, _)| *id).or(resource.id),
            action,
            outcome: done.outcome,
            trace: caller.trace.to_string(),
            log: Arc::clone(log),
            policies: Arc::clone(policies),
            payload: payload(caller, action, resource, around, decision, done, &world.bytes())?,
        })
    }
}

/// Payload keys that a transaction made; they may be remembered once the transaction is durable.
pub(crate) type NewKeys = Vec<(KeyName, Arc<PayloadKey>)>;

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
    /// Remembers keys whose rows are durable.
    pub(crate) fn remember(&self, new: NewKeys) {
        if new.is_empty() {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.extend(new);
    }

    /// Forgets everything, as sealing and erasure demand.
    pub(crate) fn forget(&self) {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    fn find(&self, name: &KeyName) -> Option<Arc<PayloadKey>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).cloned()
    }
}

/// Writes the leaves of `drafts`, in their order, into `tx`, which is bound to their tenant. The caller commits, and
/// remembers the new keys when that has succeeded.
pub(crate) async fn write(
    tx: &mut Tx,
    world: &World,
    keys: &TenantKeys,
    payload_keys: &PayloadKeys,
    drafts: &[Draft],
) -> Result<(Vec<Receipt>, NewKeys)> {
    let now = world.now();
    let (actors, new) = actors(tx, world, keys, payload_keys, drafts, now).await?;
    let objects: BTreeSet<Uuid> = drafts.iter().filter_map(|draft| draft.object).collect();
    let objects =
        sql::pseudonyms_of(tx, &objects.into_iter().collect::<Vec<_>>(), || pseudonym(world)).await?;
    let mut next: HashMap<Uuid, i64> = actors.iter().map(|(id, actor)| (*id, actor.first)).collect();
    let mut receipts = Vec::with_capacity(drafts.len());
    let mut rows = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let lost = || Error::internal("an actor or object has no pseudonym");
        let actor = actors.get(&draft.subject).ok_or_else(lost)?;
        let aseq = next.get_mut(&draft.subject).ok_or_else(lost)?;
        let object = draft.object.map(|id| objects.get(&id).ok_or_else(lost)).transpose()?;
        let leaf = Leaf {
            v: 1,
            id: world.id(),
            t: now,
            log: &draft.log,
            cls: draft.action.name(),
            out: draft.outcome.as_str(),
            actor: &actor.pseudonym,
            obj: object.map(String::as_str),
            aseq: *aseq,
            dec: &draft.payload.decision,
            pol: draft.policies.digest(),
            trace: &draft.trace,
            pc: &draft.payload.commitment,
        };
        *aseq += 1;
        let (text, receipt) = leaf.finish()?;
        let payload =
            actor.key.key.seal(world, leaf.id.uuid().as_bytes(), draft.payload.sealed_text.as_bytes());
        rows.push(sql::NewLeaf {
            leaf_id: leaf.id.uuid(),
            at: now.micros(),
            action: leaf.cls,
            outcome: leaf.out,
            object: leaf.obj,
            trace: leaf.trace,
            leaf: text,
            leaf_hash: receipt.hash,
            key_id: actor.key.id,
            payload,
        });
        receipts.push(receipt);
    }
    sql::insert_leaves(tx, &rows).await?;
    Ok((receipts, new))
}

/// One who acts, while their leaves are being written.
struct Actor {
    pseudonym: String,
    /// The number of the first of their leaves here.
    first: i64,
    key: Arc<PayloadKey>,
}

/// Everybody who acts in `drafts`, with the numbers their leaves will have.
async fn actors(
    tx: &mut Tx,
    world: &World,
    keys: &TenantKeys,
    payload_keys: &PayloadKeys,
    drafts: &[Draft],
    now: Timestamp,
) -> Result<(HashMap<Uuid, Actor>, NewKeys)> {
    let mut leaves = BTreeMap::new();
    for draft in drafts {
        *leaves.entry(draft.subject).or_insert(0_i64) += 1;
    }
    let (mut actors, mut new) = (HashMap::with_capacity(leaves.len()), Vec::new());
    for (subject, leaves) in leaves {
        let (pseudonym, last) = sql::next_leaves_of(tx, subject, leaves, &pseudonym(world)).await?;
        let (key, made) = payload_key(tx, world, keys, payload_keys, (subject, &pseudonym), now).await?;
        new.extend(made);
        actors.insert(subject, Actor { pseudonym, first: last - leaves + 1, key });
    }
    Ok((actors, new))
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
) -> Result<(Arc<PayloadKey>, Option<(KeyName, Arc<PayloadKey>)>)> {
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

//! Reading records, which is on record itself.

use serde_json::{Value, json};
use uuid::Uuid;
use writ_crypto::hash;
use writ_gate::{Done, Gate, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Id, LeafId, Page, PageRequest, Result, Timestamp, TraceId};
use writ_store::Tx;
use writ_wire::evidence as wire;

use crate::{
    model::Record,
    sql::{self, Filter},
};

const OUTCOMES: [&str; 5] = ["allow", "refuse", "intent", "done", "fail"];

/// Lists records, newest first, without what they say beside the leaf.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    wanted: wire::EvidenceQuery,
) -> Result<(Page<wire::Record>, Receipt)> {
    let page = PageRequest::new(wanted.after.clone(), wanted.limit)?;
    let before = page.after.as_ref().map(|cursor| cursor.0.parse::<Id<LeafId>>()).transpose();
    let before = before.map_err(|error| error.at("after"))?.map_or(Uuid::max(), Id::uuid);
    let mut filter = filter(&wanted)?;
    let detail = json!({
        "action": wanted.action, "outcome": wanted.outcome, "resource": wanted.resource, "trace": wanted.trace,
    });
    let mut grant = gate.grant(caller, Action::EvidenceRead, Resource::all("record")).await?;
    let known = match wanted.resource {
        Some(resource) => {
            filter.object = sql::pseudonym(grant.tx(), resource).await?;
            filter.object.is_some()
        }
        None => true,
    };
    let rows = if known {
        sql::records(grant.tx(), &filter, before, i64::from(page.limit) + 1).await?
    } else {
        Vec::new()
    };
    let receipt = grant.commit(Done::with(detail)).await?;
    let page = Page::cut(rows, page.limit, |record| record.id.to_string());
    Ok((page.map(|record| to_wire(record, None)), receipt))
}

/// One record with what it says: who did what, from where, and why it was allowed or refused.
pub(crate) async fn show(gate: &Gate, caller: &Caller, id: Uuid) -> Result<(wire::Record, Receipt)> {
    let mut entry = gate.enter(caller, Action::EvidenceRead).await?;
    let Some(record) = sql::record(entry.tx(), id).await? else {
        return Err(entry.not_found("record").await);
    };
    let mut grant = entry.admit(Resource::one("record", Id::<LeafId>::from_uuid(id))).await?;
    let payload = payload(gate, grant.tx(), &record).await?;
    let receipt = grant.commit(Done::plain()).await?;
    Ok((to_wire(record, payload), receipt))
}

/// What a record says beside the leaf; `None` when it was erased.
pub(crate) async fn payload(gate: &Gate, tx: &mut Tx, record: &Record) -> Result<Option<Value>> {
    if record.erased {
        return Ok(None);
    }
    let text = gate.open_payload(tx, record.id, record.key, &record.payload).await?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| Error::internal("a payload is not JSON").because(error))
}

fn filter(wanted: &wire::EvidenceQuery) -> Result<Filter> {
    let action = wanted.action.as_deref().map(str::parse::<Action>).transpose();
    let action = action.map_err(|error| error.at("action"))?.map(Action::name);
    if wanted.outcome.as_deref().is_some_and(|outcome| !OUTCOMES.contains(&outcome)) {
        let hint = format!("an outcome is one of {}", OUTCOMES.join(", "));
        return Err(Error::invalid("unknown_outcome", "there is no such outcome").at("outcome").hint(hint));
    }
    let trace = wanted.trace.as_deref().map(str::parse::<TraceId>).transpose();
    let trace = trace.map_err(|error| error.at("trace"))?.map(|trace| trace.to_string());
    Ok(Filter { action, outcome: wanted.outcome.clone(), object: None, trace })
}

fn to_wire(record: Record, payload: Option<Value>) -> wire::Record {
    wire::Record {
        id: record.id,
        at: Timestamp::from_micros(record.at),
        action: record.action,
        outcome: record.outcome,
        index: record.index,
        leaf: record.leaf,
        leaf_hash: format!("sha256:{}", hash::hex(&record.leaf_hash)),
        erased: record.erased,
        payload,
    }
}

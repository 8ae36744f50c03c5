//! Erasure: the person goes, the proof stays.

use serde_json::json;
use writ_gate::{Done, Gate, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Result};
use writ_wire::evidence::{EraseSubject, Erasure};

use crate::sql;

/// Destroys the payload keys of a subject, and what ties the subject to its pseudonym. Leaves, tree and proofs stay
/// as they are. The leaf of the erasure names the pseudonym and never the subject.
///
/// What others' records say about the subject (that somebody gave them a role, say) is those others' and stays.
pub(crate) async fn erase(gate: &Gate, caller: &Caller, wanted: EraseSubject) -> Result<(Erasure, Receipt)> {
    let mut entry = gate.enter(caller, Action::EvidenceErase).await?;
    if caller.principal.uuid() == wanted.subject {
        let error = Error::conflict("own_records", "nobody erases their own records");
        return Err(entry.refuse(error.hint("ask another administrator")).await);
    }
    if sql::pseudonym(entry.tx(), wanted.subject).await?.is_none() {
        return Err(entry.not_found("subject").await);
    }
    let mut grant = entry.admit(Resource::all("subject")).await?;
    // The pseudonym first: who acts as the subject meanwhile waits for that row, and then begins anew.
    let pseudonym = sql::delete_subject(grant.tx(), wanted.subject).await?;
    let pseudonym = pseudonym.ok_or_else(|| Error::not_found("subject"))?;
    let keys = sql::delete_keys(grant.tx(), wanted.subject).await?;
    let receipt = grant.commit(Done::with(json!({ "pseudonym": pseudonym, "keys": keys }))).await?;
    gate.forget();
    Ok((Erasure { pseudonym, keys }, receipt))
}

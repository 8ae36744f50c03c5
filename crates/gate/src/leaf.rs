//! The shape of a leaf: what everyone who may read the log sees, and what only key holders do.

use serde::Serialize;
use serde_json::{Value, json};
use writ_crypto::hash;
use writ_kernel::{Action, Caller, Error, Id, LeafId, PrincipalKind, Result, Timestamp};

use crate::{
    model::{Circumstances, Done, Outcome, Receipt, Resource},
    policy::Decision,
};

/// The public part: the bytes of its canonical form (RFC 8785) are the leaf. No personal data, no secret and no
/// hash of anything guessable: `actor` and `obj` are random pseudonyms, `dec` and `pc` are keyed with a random
/// key that lives inside the encrypted payload, so that destroying the payload's key leaves nothing to guess at.
#[derive(Serialize)]
pub(crate) struct Leaf<'a> {
    /// Version of this shape. A verifier that does not know it still verifies the hash.
    pub(crate) v: u8,
    pub(crate) id: Id<LeafId>,
    pub(crate) t: Timestamp,
    pub(crate) log: &'a str,
    pub(crate) cls: &'static str,
    pub(crate) out: &'static str,
    pub(crate) actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) obj: Option<&'a str>,
    /// Counts this actor's leaves without a gap, so that a missing one shows.
    pub(crate) aseq: i64,
    pub(crate) dec: &'a str,
    pub(crate) pol: &'a str,
    pub(crate) trace: &'a str,
    pub(crate) pc: &'a str,
}

impl Leaf<'_> {
    /// The canonical bytes and the receipt for them.
    pub(crate) fn finish(&self) -> Result<(String, Receipt)> {
        let text = canonical(self)?;
        let mut hasher = hash::Sha256::new();
        hasher.update(&[0]); // RFC 6962 §2.1: the prefix that keeps leaves and nodes apart
        hasher.update(text.as_bytes());
        let receipt = Receipt { leaf: self.id, hash: hasher.finish() };
        Ok((text, receipt))
    }
}

/// The payload with its two commitments.
pub(crate) struct Payload {
    /// Canonical JSON with the commitment key inside, to be sealed.
    pub(crate) sealed_text: String,
    /// `hmac-sha256:<hex>` over the payload without the key.
    pub(crate) commitment: String,
    /// `hmac-sha256:<hex>` over the decision alone.
    pub(crate) decision: String,
}

/// Who did what to what, why it was allowed or refused, and what the verb adds.
pub(crate) fn payload(
    caller: &Caller,
    action: Action,
    resource: &Resource,
    around: &Circumstances,
    decision: &Decision,
    done: &Done,
    key: &[u8; 32],
) -> Result<Payload> {
    let decided = json!({
        "allow": decision.allow,
        "policies": decision.reasons,
        "approvals": around.approvals,
        "plan": around.plan,
        "isolation": around.isolation,
    });
    let (object_id, object_name) = match &done.object {
        Some((id, name)) => (Some(*id), name.as_ref().or(resource.name.as_ref())),
        None => (resource.id, resource.name.as_ref()),
    };
    let mut body = json!({
        "action": action.name(),
        "outcome": done.outcome.as_str(),
        "actor": actor(caller),
        "object": {
            "kind": resource.kind,
            "id": object_id,
            "name": object_name,
            "environment": resource.environment.as_ref().map(|environment| environment.name.as_str()),
        },
        "decision": decided,
        "detail": done.detail,
    });
    let mac = |label: &[u8], text: &str| {
        format!("hmac-sha256:{}", hash::hex(&hash::hmac_sha256(key, &[label, text.as_bytes()])))
    };
    let commitment = mac(b"writ/payload/v1\0", &canonical(&body)?);
    let decision = mac(b"writ/decision/v1\0", &canonical(&decided)?);
    if let Value::Object(members) = &mut body {
        members.insert("commitmentKey".to_owned(), Value::String(hash::hex(key)));
    }
    Ok(Payload { sealed_text: canonical(&body)?, commitment, decision })
}

fn actor(caller: &Caller) -> Value {
    if caller.kind == PrincipalKind::System {
        return json!({ "kind": "system" });
    }
    let roles = caller.roles.iter().map(|role| role.name.as_str());
    json!({
        "kind": caller.kind.as_str(),
        "id": caller.principal,
        "roles": roles.collect::<Vec<_>>(),
        "credential": credential(caller),
        "mfa": caller.mfa,
        "source": caller.source,
        "authenticatedAt": caller.authenticated_at,
    })
}

fn credential(caller: &Caller) -> String {
    use writ_kernel::Credential;
    match caller.credential {
        Credential::Session(id) => format!("session {id}"),
        Credential::ApiKey(id) => format!("api-key {id}"),
        Credential::RunToken(id) => format!("run {id}"),
        Credential::DialectToken(id) => format!("dialect-token {id}"),
        Credential::Link(id) => format!("link {id}"),
        Credential::Internal => "internal".to_owned(),
    }
}

fn canonical(value: &impl Serialize) -> Result<String> {
    serde_json_canonicalizer::to_string(value)
        .map_err(|error| Error::internal("canonical JSON").because(error))
}

/// The refusal's own record: what the caller was told.
pub(crate) fn refusal(error: &Error) -> Done {
    let detail = json!({ "code": error.code(), "told": error.public() });
    Done::with(detail).outcome(Outcome::Refuse)
}

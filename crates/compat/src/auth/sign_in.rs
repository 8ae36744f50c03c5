//! What every way to sign in does once it knows who somebody is, and when it does not.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Entry, Grant};
use writ_kernel::{Action, Error, Id, PrincipalKind};

use super::terms::TokenTerms;
use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
    identity::{self, Named},
    reply::Reply,
    tokens::{self, New, networks},
};

/// Who signs in, and what they get.
pub(crate) struct Proven<'a> {
    pub(crate) terms: &'a TokenTerms,
    /// What they are called at this mount.
    pub(crate) alias: String,
    /// What the mount knows about them, for templated policies.
    pub(crate) alias_metadata: BTreeMap<String, String>,
    /// What the token says about itself.
    pub(crate) metadata: BTreeMap<String, String>,
    /// For people who read about the token.
    pub(crate) display_name: String,
    /// The role they signed in by.
    pub(crate) role: String,
    /// Who answers for that role.
    pub(crate) owner: Uuid,
    /// More networks the token is bound to.
    pub(crate) cidrs: Vec<String>,
}

/// Enters for whoever claims to be `subject` (a role, an account, the mount): nobody yet, in the environment of the
/// mount. Haste of one claimed identity slows only that one down.
///
/// # Errors
/// 429, 503.
pub(crate) async fn enter(dialect: &Dialect, ask: &Ask, subject: Uuid) -> Result<Entry, Fault> {
    let caller =
        tokens::client(dialect, &ask.view, Id::from_uuid(subject), PrincipalKind::Service, ask.from)?;
    Ok(dialect.gate().enter(&caller, Action::TokenCreate).await?)
}

/// 400 with `text`, on record: credentials that prove nothing.
pub(crate) async fn refuse(entry: Entry, text: &str) -> Fault {
    entry.refuse(Error::invalid("invalid_credentials", text)).await.into()
}

/// Gives the token, in the commit of the change that `entry` has made.
///
/// # Errors
/// 400 for a disabled entity, 403 by policy of the tenant.
pub(crate) async fn complete(dialect: &Dialect, ask: &Ask, mut entry: Entry, proven: Proven<'_>) -> Answer {
    let bound = [&proven.terms.token_bound_cidrs, &proven.cidrs];
    if bound.iter().any(|cidrs| !cidrs.is_empty() && !within(cidrs, ask)) {
        return Err(
            refuse(entry, "source address is not authorized through CIDR restrictions on this role").await
        );
    }
    if proven.terms.token_policies.iter().any(|policy| policy == "root") {
        return Err(refuse(entry, "auth methods cannot create root tokens").await);
    }
    let named = Named { mount: &ask.mount, name: &proven.alias, metadata: &proven.alias_metadata };
    let known = identity::of_alias(dialect, entry.tx(), &ask.view, &named).await?;
    if known.entity.disabled {
        return Err(refuse(entry, "the entity is disabled").await);
    }
    let mut grant = entry.admit(ask.resource("token")).await?;
    known.keep(dialect, grant.tx(), &ask.view).await?;
    let entity = known.entity;
    let span = proven.terms.span(dialect, &ask.mount);
    let identity_policies = entity.all_policies(dialect, grant.tx(), &ask.view).await?;
    let new = New {
        kind: proven.terms.kind(),
        entity: Some(entity.id),
        identity_policies,
        display_name: proven.display_name,
        metadata: Some(proven.metadata),
        cidrs: networks::common(&proven.terms.token_bound_cidrs, &proven.cidrs),
        explicit_max_ttl: proven.terms.token_explicit_max_ttl,
        max_ttl: span.max_ttl,
        period: proven.terms.token_period,
        num_uses: proven.terms.token_num_uses,
        ..New::service(
            Id::from_uuid(entity.id),
            PrincipalKind::Service,
            proven.terms.policies(),
            ask.path.trim_end_matches('/'),
            span.ttl,
        )
    };
    let detail = json!({
        "mount": ask.mount.whole_path(), "role": proven.role, "owner": proven.owner, "entity": entity.id,
        "alias": proven.alias,
    });
    give(grant, ask, new, detail).await
}

async fn give(mut grant: Grant, ask: &Ask, new: New, detail: serde_json::Value) -> Answer {
    let (token, text) = tokens::issue(grant.tx(), ask.view.environment.id, new).await?;
    grant.commit(Done::with(detail).created(token.id)).await?;
    Ok(Reply::auth(tokens::auth(&token, &text), Vec::new()))
}

/// Whether the request came from one of these networks.
pub(crate) fn within(cidrs: &[String], ask: &Ask) -> bool {
    let address: IpAddr = ask.from.peer.0.ip();
    tokens::within(cidrs, address)
}

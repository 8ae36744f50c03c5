//! From a presented token to whom it proves.

use std::{net::IpAddr, sync::Arc};

use writ_crypto::{SecretString, hash, token::Token as Text};
use writ_kernel::{
    Action, Caller, Capability, Credential, Error, Fence, Id, Principal, PrincipalKind, Result, Role, Rule,
    Rules, Scopes,
};
use writ_web::{Authenticate as _, From};

use super::{Token, Who};
use crate::{dialect::Dialect, entity::Entity, sql, view::View};

/// What a token looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A session or an API key of our own.
    Native,
    /// A wrapping token.
    Wrapping,
    /// A token of the dialect. Also texts that somebody chose as a token.
    Dialect,
}

impl Shown {
    /// What `text` looks like. Says nothing about whether there is such a token.
    pub(crate) fn of(text: &str) -> Result<Self> {
        if !text.starts_with("writ_") {
            return Ok(Self::Dialect);
        }
        let (kind, _) = Text::hash(text).map_err(|error| invalid().because(error))?;
        Ok(match kind.as_str() {
            "wrap" => Self::Wrapping,
            "token" | "batch" => Self::Dialect,
            _ => Self::Native,
        })
    }
}

fn invalid() -> Error {
    Error::unauthenticated("invalid_credential", "the credential is not valid")
}

/// Whom `text` proves.
///
/// # Errors
/// `Unauthenticated`; on record when it was a token once.
pub(crate) async fn authenticate(dialect: &Dialect, text: &SecretString, from: From) -> Result<Who> {
    match Shown::of(text.expose())? {
        Shown::Native => {
            let caller = dialect.0.identity.authenticate(text.expose(), from).await?;
            Ok(Who { caller, token: None, view: None })
        }
        Shown::Wrapping => bearer(dialect, text, from).await,
        Shown::Dialect => holder(dialect, text, from).await,
    }
}

/// Whoever holds a wrapping token: nobody we know, who may look at what waits and take it.
async fn bearer(dialect: &Dialect, text: &SecretString, from: From) -> Result<Who> {
    let mut tx = dialect.gate().db().system_read().await?;
    let hash = hash::sha256(text.expose().as_bytes());
    let (tenant, wrap) = sql::wrap_by_hash(&mut tx, &hash).await?.ok_or_else(invalid)?;
    drop(tx);
    let mut tx = dialect.gate().db().read(tenant).await?;
    let view = View::of(dialect, &mut tx, wrap.environment).await?.ok_or_else(invalid)?;
    let paths = ["sys/wrapping/unwrap", "sys/wrapping/lookup", "sys/wrapping/rewrap"];
    let rules =
        paths.map(|path| Rule::allow(path, vec![Capability::Update, Capability::Read, Capability::Create]));
    let caller = Caller {
        fence: Some(Fence::new(Arc::new(Rules::new(rules)))),
        roles: Arc::new([]),
        credential: Credential::Link(wrap.id.uuid()),
        ..client(dialect, &view, Id::from_uuid(wrap.id.uuid()), PrincipalKind::Bearer, from)?
    };
    Ok(Who { caller, token: None, view: Some(view) })
}

async fn holder(dialect: &Dialect, text: &SecretString, from: From) -> Result<Who> {
    let mut tx = dialect.gate().db().system_read().await?;
    let hash = hash::sha256(text.expose().as_bytes());
    let (tenant, token) = sql::token_by_hash(&mut tx, &hash).await?.ok_or_else(invalid)?;
    drop(tx);
    let mut tx = dialect.gate().db().read(tenant).await?;
    let view = View::of(dialect, &mut tx, token.environment.uuid()).await?.ok_or_else(invalid)?;
    let rules = view.rules(dialect, &mut tx, &token.all_policies(), token.entity).await?;
    let caller = Caller {
        fence: Some(Fence::new(rules)),
        credential: Credential::DialectToken(token.id.uuid()),
        authenticated_at: token.created_at,
        ..client(dialect, &view, token.principal, token.principal_kind, from)?
    };
    let refused = match token.parent {
        _ if !token.lives(dialect.world().now()) => Some("credential_expired"),
        Some(parent) if sql::orphaned_by_force(&mut tx, parent, dialect.world().now()).await? => {
            Some("credential_revoked")
        }
        _ if !token.cidrs.is_empty() && !within(&token.cidrs, from.peer.0.ip()) => Some("foreign_network"),
        _ => None,
    };
    let entity = match token.entity {
        Some(id) => Entity::find(dialect, &mut tx, &view, id).await?,
        None => None,
    };
    drop(tx);
    let refused = match refused {
        None if !active(dialect, &view, &token, entity.as_ref(), from).await? => Some("principal_disabled"),
        refused => refused,
    };
    if let Some(code) = refused {
        return Err(refuse(dialect, &caller, code).await);
    }
    if token.uses.is_some() {
        spend(dialect, &caller, &token).await?;
    }
    Ok(Who { caller, token: Some(token), view: Some(view) })
}

/// Takes one use. The last one revokes the token and what it begot, once this request has been let in.
async fn spend(dialect: &Dialect, caller: &Caller, token: &Token) -> Result<()> {
    let mut tx = dialect.gate().db().tx(caller.tenant).await?;
    if !sql::use_token(&mut tx, token.id).await? {
        drop(tx);
        return Err(refuse(dialect, caller, "credential_used_up").await);
    }
    if token.uses == Some(1) {
        let now = dialect.world().now();
        sql::revoke_tree(&mut tx, token.id, now).await?;
    }
    tx.commit().await
}

/// Whether whom the token belongs to is there and active: its entity, and the principal, if that is another.
async fn active(
    dialect: &Dialect,
    view: &View,
    token: &Token,
    entity: Option<&Entity>,
    from: From,
) -> Result<bool> {
    let principal = token.principal.uuid();
    match entity {
        Some(entity) if entity.disabled => return Ok(false),
        Some(entity) if entity.id == principal => return Ok(true),
        None if token.entity.is_some() => return Ok(false),
        _ => {}
    }
    if dialect.0.identity.current(view.tenant, token.principal, from.trace).await?.is_some() {
        return Ok(true);
    }
    // An orphan that a login's token made: it has no entity, and still belongs to one.
    let mut tx = dialect.gate().db().read(view.tenant).await?;
    Ok(Entity::find(dialect, &mut tx, view, principal).await?.is_some_and(|entity| !entity.disabled))
}

/// Puts on record that a credential which proves nothing any more still arrives.
async fn refuse(dialect: &Dialect, caller: &Caller, code: &'static str) -> Error {
    let error = Error::unauthenticated(code, "the credential is not valid");
    let powerless = Caller { fence: None, roles: Arc::new([]), ..caller.clone() };
    match dialect.gate().enter(&powerless, Action::CredentialUse).await {
        Ok(entry) => entry.refuse(error).await,
        Err(error) => error,
    }
}

/// A client of the dialect in the environment of `view`, with the one role that it has there.
///
/// # Errors
/// Never, in fact: the name of the role is well-formed.
pub(crate) fn client(
    dialect: &Dialect,
    view: &View,
    principal: Id<Principal>,
    kind: PrincipalKind,
    from: From,
) -> Result<Caller> {
    let role = Role { name: "dialect-client".parse()?, environment: Some(view.environment.id) };
    Ok(Caller {
        tenant: view.tenant,
        principal,
        kind,
        roles: Arc::new([role]),
        scopes: Scopes::all(),
        fence: None,
        credential: Credential::Internal,
        authenticated_at: dialect.world().now(),
        mfa: false,
        source: Some(from.peer.0.ip().to_canonical()),
        trace: from.trace,
    })
}

/// Whether `address` is in one of these networks. A network that is none contains nobody.
pub(crate) fn within(cidrs: &[String], address: IpAddr) -> bool {
    cidrs.iter().any(|cidr| contains(cidr, address.to_canonical()).unwrap_or(false))
}

fn contains(cidr: &str, address: IpAddr) -> Option<bool> {
    let (network, bits) = match cidr.split_once('/') {
        Some((network, bits)) => (network.parse::<IpAddr>().ok()?, Some(bits.parse::<u32>().ok()?)),
        None => (cidr.parse::<IpAddr>().ok()?, None),
    };
    Some(match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let rest = 32_u32.checked_sub(bits.unwrap_or(32))?;
            (network.to_bits() ^ address.to_bits()).checked_shr(rest).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let rest = 128_u32.checked_sub(bits.unwrap_or(128))?;
            (network.to_bits() ^ address.to_bits()).checked_shr(rest).unwrap_or(0) == 0
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_other() {
        let inside = |cidr: &str, address: &str| within(&[cidr.to_owned()], address.parse().unwrap());
        assert!(inside("10.0.0.0/8", "10.1.2.3") && !inside("10.0.0.0/8", "11.0.0.1"));
        assert!(inside("192.0.2.7", "192.0.2.7") && !inside("192.0.2.7", "192.0.2.8"));
        assert!(inside("0.0.0.0/0", "192.0.2.7") && !inside("0.0.0.0/0", "::1"));
        assert!(inside("2001:db8::/32", "2001:db8::1") && !inside("nonsense/8", "10.0.0.1"));
        assert!(!inside("10.0.0.0/33", "10.0.0.0"));
    }
}

//! From a presented token to a caller.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use writ_crypto::Token;
use writ_gate::Gate;
use writ_kernel::{
    Action, Caller, Credential, Error, Id, Principal, PrincipalKind, Result, Role, Scopes, TenantId,
    Timestamp, TraceId,
};
use writ_store::Tx;
use writ_web::{Authenticate, From};

use crate::{
    http::Identity,
    known::TokenHash,
    model::{CredentialKind, CredentialRecord},
    sql,
};

/// `last used` is kept to the minute: not every request is worth a write.
const LAST_USED_GRAIN: Duration = Duration::from_mins(1);

impl Authenticate for Identity {
    fn authenticate<'a>(
        &'a self,
        token: &'a str,
        from: From,
    ) -> Pin<Box<dyn Future<Output = Result<Caller>> + Send + 'a>> {
        Box::pin(async move {
            let (_, hash) = Token::hash(token).map_err(|error| invalid().because(error))?;
            let caller = match self.known.find(&self.gate, &hash) {
                Some(caller) => caller,
                None => self.look_up(token, hash, from).await?,
            };
            Ok(Caller { source: Some(from.peer.0.ip().to_canonical()), trace: from.trace, ..caller })
        })
    }
}

impl Identity {
    async fn look_up(&self, token: &str, hash: TokenHash, from: From) -> Result<Caller> {
        let gate = &self.gate;
        let (tenant, _) = presented(gate, token).await?;
        // From here on, whatever changes shows in the generation; what was read before does not count.
        let generation = gate.generation(tenant);
        let (caller, until) = caller(gate, token, from).await?;
        self.known.remember(hash, &caller, generation, until);
        Ok(caller)
    }
}

fn invalid() -> Error {
    Error::unauthenticated("invalid_credential", "the credential is not valid")
}

/// The caller that `token`, an API key or a session, proves, and until when that may be remembered.
async fn caller(gate: &Gate, token: &str, from: From) -> Result<(Caller, Timestamp)> {
    let (tenant, record) = presented(gate, token).await?;
    if record.kind == CredentialKind::Enrolment {
        return Err(Error::unauthenticated("enrolment_token", "an enrolment token only begins a session")
            .hint("run `writ login` with it"));
    }
    let caller = caller_of(gate, tenant, &record, from).await?;
    usable(gate, &caller, &record).await?;
    touch(gate, tenant, &record).await?;
    let ends = role_ends(gate, &caller).await?;
    let until = gate.world().now().plus(LAST_USED_GRAIN).min(record.expires_at);
    Ok((caller, ends.map_or(until, |end| until.min(end))))
}

/// Finds the credential behind a token by its hash. Malformed tokens never reach the database.
pub(crate) async fn presented(gate: &Gate, token: &str) -> Result<(TenantId, CredentialRecord)> {
    let (kind, hash) = Token::hash(token).map_err(|error| invalid().because(error))?;
    let mut tx = gate.db().system_read().await?;
    let found = sql::credential_by_hash(&mut tx, &hash).await?;
    found.filter(|(_, record)| record.kind.as_str() == kind).ok_or_else(invalid)
}

/// Who the credential belongs to, with the roles that hold now.
pub(crate) async fn caller_of(
    gate: &Gate,
    tenant: TenantId,
    record: &CredentialRecord,
    from: From,
) -> Result<Caller> {
    let mut tx = gate.db().read(tenant).await?;
    let roles = roles(&mut tx, record.principal, gate.world().now()).await?;
    Ok(Caller {
        tenant,
        principal: record.principal,
        kind: record.principal_kind,
        roles,
        scopes: record.scopes.clone(),
        fence: None,
        credential: match record.kind {
            CredentialKind::ApiKey => Credential::ApiKey(record.id.uuid()),
            CredentialKind::Session | CredentialKind::Enrolment => Credential::Session(record.id.uuid()),
        },
        authenticated_at: record.created_at,
        mfa: false,
        source: Some(from.peer.0.ip().to_canonical()),
        trace: from.trace,
    })
}

/// Refuses, on record, a credential that was revoked or has expired, and one of a principal that was disabled.
pub(crate) async fn usable(gate: &Gate, caller: &Caller, record: &CredentialRecord) -> Result<()> {
    let error = if record.revoked_at.is_some() {
        Error::unauthenticated("credential_revoked", "the credential was revoked")
    } else if gate.world().now() >= record.expires_at {
        Error::unauthenticated("credential_expired", "the credential has expired")
            .hint("sign in again, or ask for a new key")
    } else if !active(gate, caller.tenant, caller.principal, caller.kind).await? {
        Error::unauthenticated("principal_disabled", "the credential is not valid")
    } else {
        return Ok(());
    };
    // Only to put the refusal on record: what it wanted to do is not known yet.
    let powerless = Caller { scopes: Scopes::all(), roles: Arc::new([]), ..caller.clone() };
    Err(gate.enter(&powerless, Action::CredentialUse).await?.refuse(error).await)
}

async fn active(
    gate: &Gate,
    tenant: TenantId,
    principal: Id<Principal>,
    kind: PrincipalKind,
) -> Result<bool> {
    let mut tx = gate.db().read(tenant).await?;
    match kind {
        PrincipalKind::Person => {
            Ok(sql::person(&mut tx, principal.uuid()).await?.is_some_and(|person| person.active))
        }
        PrincipalKind::Service => {
            Ok(sql::service(&mut tx, principal.uuid()).await?.is_some_and(|service| service.active))
        }
        PrincipalKind::Runner | PrincipalKind::Bearer | PrincipalKind::System => Ok(false),
    }
}

async fn touch(gate: &Gate, tenant: TenantId, record: &CredentialRecord) -> Result<()> {
    let now = gate.world().now();
    if record.last_used_at.is_some_and(|last| now.since(last) < LAST_USED_GRAIN) {
        return Ok(());
    }
    let mut tx = gate.db().tx(tenant).await?;
    sql::touch_credential(&mut tx, record.id, now).await?;
    tx.commit().await
}

impl Identity {
    /// `principal` with the roles it holds at this moment; `None` when it is unknown or disabled. For what the house
    /// does later on behalf of somebody who asked for it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn current(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
        trace: TraceId,
    ) -> Result<Option<Caller>> {
        let mut tx = self.gate.db().read(tenant).await?;
        let id = principal.uuid();
        let kind = if sql::person(&mut tx, id).await?.is_some_and(|person| person.active) {
            PrincipalKind::Person
        } else if sql::service(&mut tx, id).await?.is_some_and(|service| service.active) {
            PrincipalKind::Service
        } else {
            return Ok(None);
        };
        let roles = roles(&mut tx, principal, self.gate.world().now()).await?;
        Ok(Some(Caller { principal, kind, roles, trace, ..Caller::system(tenant, self.gate.world()) }))
    }

    /// The person who answers for `principal`, when that is a service account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accountable(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
    ) -> Result<Option<Id<Principal>>> {
        let mut tx = self.gate.db().read(tenant).await?;
        let service = sql::service(&mut tx, principal.uuid()).await?;
        Ok(service.map(|service| Id::from_uuid(service.owner.uuid())))
    }
}

/// When the first of the caller's roles ends.
async fn role_ends(gate: &Gate, caller: &Caller) -> Result<Option<Timestamp>> {
    let mut tx = gate.db().read(caller.tenant).await?;
    let bindings = sql::bindings_of(&mut tx, caller.principal).await?.into_iter();
    let now = gate.world().now();
    Ok(bindings.filter_map(|binding| binding.expires_at).filter(|end| now < *end).min())
}

/// The roles that hold at `now`.
async fn roles(tx: &mut Tx, principal: Id<Principal>, now: Timestamp) -> Result<Arc<[Role]>> {
    let bindings = sql::bindings_of(tx, principal).await?.into_iter();
    let holding = bindings.filter(|binding| binding.expires_at.is_none_or(|end| now < end));
    Ok(holding.map(|binding| Role { name: binding.role, environment: binding.environment }).collect())
}

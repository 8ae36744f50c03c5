//! API keys, sessions and enrolment tokens.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_crypto::{SecretString, Token};
use writ_gate::{Done, Entry, Gate, Grant, Receipt, Resource};
use writ_kernel::{
    Action, Caller, Error, Id, Label, Page, PageRequest, Principal, PrincipalKind, Result, Scopes, Timestamp,
    World,
};
use writ_store::Tx;
use writ_web::From;
use writ_wire::identity::CreateApiKey;

use crate::{
    authenticate::{caller_of, presented, usable},
    model::{CredentialKind, CredentialRecord, PersonRecord},
    sql,
};

const SESSION: Duration = Duration::from_hours(12);
const ENROLMENT: Duration = Duration::from_hours(24);
const LONGEST_KEY: Duration = Duration::from_hours(366 * 24);

/// Writes a one-time enrolment token for a new person.
///
/// A session begun with it can do no more than `scopes`: those of whoever asked for the person.
pub(crate) async fn enrol(
    tx: &mut Tx,
    world: &World,
    person: Id<Principal>,
    scopes: Scopes,
) -> Result<SecretString> {
    let (token, _) = issue(
        tx,
        world,
        New {
            kind: CredentialKind::Enrolment,
            principal: person,
            principal_kind: PrincipalKind::Person,
            label: None,
            scopes,
            expires_at: world.now().plus(ENROLMENT),
        },
    )
    .await?;
    Ok(token)
}

/// Begins a session with an enrolment token, which is spent by it, or with an API key of a person.
pub(crate) async fn log_in(
    gate: &Gate,
    token: &str,
    label: Option<Label>,
    from: From,
) -> Result<(CredentialRecord, SecretString, PersonRecord, writ_gate::tenancy::TenantRecord, Receipt)> {
    let (tenant, shown) = presented(gate, token).await?;
    let caller = caller_of(gate, tenant, &shown, from).await?;
    usable(gate, &caller, &shown).await?;
    if caller.kind != PrincipalKind::Person || shown.kind == CredentialKind::Session {
        return Err(Error::unauthenticated(
            "not_for_login",
            "a session begins with an enrolment token or a person's API key",
        ));
    }
    let resource = Resource::all("session").of(caller.principal);
    let mut grant = gate.grant(&caller, Action::SessionCreate, resource).await?;
    let now = grant.world().now();
    if shown.kind == CredentialKind::Enrolment && !sql::revoke_credential(grant.tx(), shown.id, now).await? {
        return Err(grant
            .refuse(Error::unauthenticated("credential_revoked", "the enrolment token was used already"))
            .await);
    }
    let new = New {
        kind: CredentialKind::Session,
        principal: caller.principal,
        principal_kind: PrincipalKind::Person,
        label,
        // A session begun with a key can do no more than the key, and for no longer.
        scopes: shown.scopes,
        expires_at: match shown.kind {
            CredentialKind::ApiKey => shown.expires_at.min(now.plus(SESSION)),
            _ => now.plus(SESSION),
        },
    };
    let world = grant.world().clone();
    let (text, session) = issue(grant.tx(), &world, new).await?;
    let person =
        sql::person(grant.tx(), caller.principal.uuid()).await?.ok_or_else(|| Error::not_found("person"))?;
    let tenant = writ_gate::tenancy::tenant(grant.tx()).await?;
    let receipt =
        grant.commit(Done::with(json!({ "with": shown.kind.as_str() })).created(session.id)).await?;
    Ok((session, text, person, tenant, receipt))
}

/// Creates an API key for the caller or for a service account.
pub(crate) async fn create_key(
    gate: &Gate,
    caller: &Caller,
    wanted: CreateApiKey,
) -> Result<(CredentialRecord, SecretString, Receipt)> {
    let label: Label = wanted.label.parse().map_err(|error: Error| error.at("label"))?;
    let scopes: Scopes = wanted.scopes.join(" ").parse().map_err(|error: Error| error.at("scopes"))?;
    let mut entry = gate.enter(caller, Action::KeyCreate).await?;
    let (principal, principal_kind) = match wanted.service {
        None => (caller.principal, caller.kind),
        Some(id) => match sql::service(entry.tx(), id).await?.filter(|service| service.active) {
            Some(service) => (Id::from_uuid(service.id.uuid()), PrincipalKind::Service),
            None => return Err(entry.not_found("service account").await),
        },
    };
    let mut grant = entry.admit(Resource::all("api-key").named(&label).of(principal)).await?;
    if !caller.scopes.contain(&scopes) {
        let error = Error::forbidden(
            "wider_scope",
            "a new key cannot have scopes that the credential asking for it lacks",
        );
        return Err(grant.refuse(error.at("scopes")).await);
    }
    let now = grant.world().now();
    if wanted.expires_at <= now || wanted.expires_at > now.plus(LONGEST_KEY) {
        return Err(Error::invalid("key_lifetime", "a key ends in the future and at most 366 days ahead")
            .at("expiresAt"));
    }
    let (kind, expires_at) = (CredentialKind::ApiKey, wanted.expires_at);
    let world = grant.world().clone();
    let new = New { kind, principal, principal_kind, label: Some(label), scopes, expires_at };
    let (text, key) = issue(grant.tx(), &world, new).await?;
    let detail = json!({ "scopes": key.scopes.to_string(), "expiresAt": key.expires_at });
    let receipt = grant.commit(Done::with(detail).created(key.id)).await?;
    Ok((key, text, receipt))
}

/// Lists credentials of one kind: of `principal`, or of the whole tenant for those who may.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    kind: CredentialKind,
    principal: Option<Uuid>,
    page: PageRequest,
) -> Result<(Page<CredentialRecord>, Receipt)> {
    let (action, noun) = match kind {
        CredentialKind::ApiKey => (Action::KeyRead, "api-key"),
        _ => (Action::SessionRead, "session"),
    };
    let owner = principal.map(Id::<Principal>::from_uuid);
    let resource = match owner {
        Some(owner) => Resource::all(noun).of(owner),
        None => Resource::all(noun),
    };
    let mut grant = gate.grant(caller, action, resource).await?;
    let page = sql::credentials(grant.tx(), kind, principal, &page).await?;
    Ok((page, grant.commit(Done::plain()).await?))
}

/// Ends an API key or a session. Ending what has ended is no error.
pub(crate) async fn revoke(gate: &Gate, caller: &Caller, kind: CredentialKind, id: Uuid) -> Result<Receipt> {
    let (action, noun) = match kind {
        CredentialKind::ApiKey => (Action::KeyRevoke, "API key"),
        _ => (Action::SessionRevoke, "session"),
    };
    let mut entry = gate.enter(caller, action).await?;
    let Some(record) = find(&mut entry, kind, id).await? else { return Err(entry.not_found(noun).await) };
    let resource = Resource::one("credential", record.id).of(record.principal);
    let mut grant: Grant = entry.admit(resource).await?;
    let now = grant.world().now();
    let changed = sql::revoke_credential(grant.tx(), record.id, now).await?;
    grant.commit(Done::with(json!({ "changed": changed }))).await
}

async fn find(entry: &mut Entry, kind: CredentialKind, id: Uuid) -> Result<Option<CredentialRecord>> {
    Ok(sql::credential(entry.tx(), id).await?.filter(|record| record.kind == kind))
}

/// A credential to be made.
pub(crate) struct New {
    pub(crate) kind: CredentialKind,
    pub(crate) principal: Id<Principal>,
    pub(crate) principal_kind: PrincipalKind,
    pub(crate) label: Option<Label>,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Timestamp,
}

/// Makes the text of a credential and keeps its hash.
async fn issue(tx: &mut Tx, world: &World, new: New) -> Result<(SecretString, CredentialRecord)> {
    issue_as(tx, world, world.id(), new).await
}

/// [`issue`] under an id that was chosen before.
pub(crate) async fn issue_as(
    tx: &mut Tx,
    world: &World,
    id: Id<()>,
    new: New,
) -> Result<(SecretString, CredentialRecord)> {
    let New { kind, principal, principal_kind, label, scopes, expires_at } = new;
    let (text, hash) = Token::generate(world, kind.as_str());
    let record = CredentialRecord {
        id,
        kind,
        principal,
        principal_kind,
        label,
        scopes,
        created_at: world.now(),
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    sql::insert_credential(tx, &record, &hash).await?;
    Ok((text, record))
}

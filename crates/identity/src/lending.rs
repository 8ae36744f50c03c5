//! Keys of service accounts that the house lends: made and ended by its workers, on record.

use serde_json::json;
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_gate::{Done, Resource};
use writ_kernel::{
    Action, Caller, Id, Label, Principal, PrincipalKind, Result, Scopes, Service, TenantId, Timestamp,
};

use crate::{
    Identity,
    credentials::{New, issue_as},
    model::CredentialKind,
    sql,
};

/// A key to be lent.
#[derive(Debug, Clone)]
pub struct LentKey {
    /// Its id, chosen before, so that it can be ended whatever becomes of the making.
    pub id: Uuid,
    /// The service account.
    pub service: Id<Service>,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Until when.
    pub until: Timestamp,
    /// What people see in a list of keys.
    pub label: Label,
}

impl Identity {
    /// Makes a key of a service account for somebody whom another room allowed to borrow it.
    ///
    /// # Errors
    /// `NotFound` when the service account is not an active one.
    pub async fn lend_key(&self, tenant: TenantId, wanted: LentKey) -> Result<SecretString> {
        let caller = Caller::system(tenant, self.gate.world());
        let mut entry = self.gate.enter(&caller, Action::KeyCreate).await?;
        let service = sql::service(entry.tx(), wanted.service.uuid()).await?;
        let Some(service) = service.filter(|service| service.active) else {
            return Err(entry.not_found("service account").await);
        };
        let principal: Id<Principal> = Id::from_uuid(service.id.uuid());
        let mut grant = entry.admit(Resource::all("api-key").named(&wanted.label).of(principal)).await?;
        let new = New {
            kind: CredentialKind::ApiKey,
            principal,
            principal_kind: PrincipalKind::Service,
            label: Some(wanted.label),
            scopes: wanted.scopes,
            expires_at: wanted.until,
        };
        let world = grant.world().clone();
        let (text, key) = issue_as(grant.tx(), &world, Id::from_uuid(wanted.id), new).await?;
        let detail = json!({ "lent": true, "scopes": key.scopes.to_string(), "expiresAt": key.expires_at });
        grant.commit(Done::with(detail).created(key.id)).await?;
        Ok(text)
    }

    /// Ends a lent key. One that is not there, or over, is ended already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn withdraw_key(&self, tenant: TenantId, id: Uuid) -> Result<()> {
        let caller = Caller::system(tenant, self.gate.world());
        let mut entry = self.gate.enter(&caller, Action::KeyRevoke).await?;
        let known = sql::credential(entry.tx(), id).await?;
        let Some(key) = known.filter(|key| key.kind == CredentialKind::ApiKey) else { return Ok(()) };
        let mut grant = entry.admit(Resource::one("api-key", key.id).of(key.principal)).await?;
        let now = grant.world().now();
        sql::revoke_credential(grant.tx(), key.id, now).await?;
        grant.commit(Done::with(json!({ "lent": true }))).await.map(drop)
    }

    /// Whether `principal` is an active person or service account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_active(&self, tenant: TenantId, principal: Id<Principal>) -> Result<bool> {
        sql::principal_exists(&mut self.gate.db().read(tenant).await?, principal.uuid()).await
    }
}

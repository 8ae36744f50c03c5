//! What the vault lends and tells: engines, leases, events, rotation, and their ports towards the identity room.

use std::sync::Arc;

use uuid::Uuid;
use writ_crypto::SecretString;
use writ_gate::Gate;
use writ_identity::{Identity, LentKey};
use writ_kernel::{Id, Principal, Result, TenantId};
use writ_vault::{
    Vault,
    events::{self, Courier, Events, Reach},
    leases::{
        self, Keeper, Leases, Terms,
        ports::{Boxed, Holders, Key, Tokens},
    },
    rotation::{self, Rotations, Turner},
};
use writ_web::openapi::OpenApiRouter;

use crate::house::People;

/// Engines, leases, events and rotation.
#[derive(Debug, Clone)]
pub(crate) struct Lent {
    leases: Leases,
    events: Events,
    rotations: Rotations,
}

impl Lent {
    pub(crate) fn behind(gate: &Gate, identity: &Identity, vault: &Vault) -> Self {
        let people = Arc::new(People(identity.clone()));
        let leases = Leases::new(gate.clone(), people.clone(), people, Terms::default());
        let rotations = Rotations::new(vault.clone(), leases.clone());
        Self { leases, events: Events::new(gate.clone(), Reach::Public), rotations }
    }

    pub(crate) fn routes(&self) -> OpenApiRouter {
        leases::routes(self.leases.clone())
            .merge(events::routes(self.events.clone()))
            .merge(rotation::routes(self.rotations.clone()))
    }

    /// The workers, until the future is dropped.
    pub(crate) async fn work(self) {
        tokio::join!(
            Keeper::new(self.leases).run(),
            Courier::new(self.events).run(),
            Turner::new(self.rotations).run()
        );
    }
}

impl Holders for People {
    fn active(&self, tenant: TenantId, principal: Id<Principal>) -> Boxed<'_, Result<bool>> {
        Box::pin(self.0.is_active(tenant, principal))
    }
}

impl Tokens for People {
    fn lend(&self, tenant: TenantId, wanted: Key) -> Boxed<'_, Result<SecretString>> {
        Box::pin(async move {
            let Key { id, service, scopes, until, label } = wanted;
            let wanted =
                LentKey { id, service: Id::from_uuid(service), scopes, until, label: label.parse()? };
            self.0.lend_key(tenant, wanted).await
        })
    }

    fn withdraw(&self, tenant: TenantId, id: Uuid) -> Boxed<'_, Result<()>> {
        Box::pin(self.0.withdraw_key(tenant, id))
    }
}

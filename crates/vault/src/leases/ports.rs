//! What leases need of the house.

use std::{future::Future, pin::Pin};

use uuid::Uuid;
use writ_crypto::SecretString;
use writ_kernel::{Id, Principal, Result, Scopes, TenantId, Timestamp};

/// A future in a box, as ports return them.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who there is: the identity room knows.
pub trait Holders: Send + Sync {
    /// Whether `principal` is an active person or service account.
    fn active(&self, tenant: TenantId, principal: Id<Principal>) -> Boxed<'_, Result<bool>>;
}

/// Keys to this server: the identity room makes and ends them.
pub trait Tokens: Send + Sync {
    /// Makes the key `wanted`.
    fn lend(&self, tenant: TenantId, wanted: Key) -> Boxed<'_, Result<SecretString>>;

    /// Ends the key `id`. One that is not there is ended already.
    fn withdraw(&self, tenant: TenantId, id: Uuid) -> Boxed<'_, Result<()>>;
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its id, chosen before so that it can be ended whatever becomes of the making.
    pub id: Uuid,
    /// The service account.
    pub service: Uuid,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Until when.
    pub until: Timestamp,
    /// What people see in a list of keys.
    pub label: String,
}

//! What this room needs of the house.

use std::{future::Future, pin::Pin};

use writ_kernel::{Id, Principal, Result, TenantId};

/// A future in a box, as ports return them.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who answers for whom: the identity room knows.
pub trait People: Send + Sync {
    /// The person who answers for `principal`, when that is a service account.
    fn accountable(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
    ) -> Boxed<'_, Result<Option<Id<Principal>>>>;
}

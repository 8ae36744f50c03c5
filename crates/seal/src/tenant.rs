//! The keys of one tenant.

use writ_crypto::{HybridPrivate, KeyRing, SecretBytes, SecretKey};
use writ_kernel::{Result, TenantId, World};

/// What a grant may use of its tenant's keys.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct TenantKeys {
    pub(crate) tenant: TenantId,
    pub(crate) private: HybridPrivate,
    pub(crate) ring: KeyRing,
}

impl TenantKeys {
    /// Whose they are.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Seals a value for a row; `aad` says where it lives (see `writ_crypto::Aad::cell`).
    pub fn seal(&self, world: &World, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        self.ring.seal(world, aad, plaintext)
    }

    /// Opens what [`TenantKeys::seal`] made with the same `aad`.
    ///
    /// # Errors
    /// When it was sealed by another tenant, for another place, or was altered.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
        self.ring.open(aad, sealed)
    }

    /// Wraps a key to the tenant's hybrid public key.
    ///
    /// # Errors
    /// As [`writ_crypto::HybridPublic::wrap`].
    pub fn wrap(&self, world: &World, context: &[u8], key: &SecretKey) -> Result<Vec<u8>> {
        self.private.public().wrap(world, context, key)
    }

    /// Opens what [`TenantKeys::wrap`] made with the same `context`.
    ///
    /// # Errors
    /// As [`HybridPrivate::unwrap`].
    pub fn unwrap(&self, context: &[u8], wrapped: &[u8]) -> Result<SecretKey> {
        self.private.unwrap(context, wrapped)
    }
}

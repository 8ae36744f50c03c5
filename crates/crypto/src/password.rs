//! Keys from passphrases: Argon2id (RFC 9106).

use argon2::{Algorithm, Argon2, Version};
use serde::{Deserialize, Serialize};
use writ_kernel::{Error, Result};

use crate::secret::{SecretKey, SecretString};

/// What a derivation costs. Stored beside the salt; neither is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Degree of parallelism; part of the result, though lanes run one after another here.
    pub lanes: u32,
}

impl Default for Params {
    /// 64 MiB, 3 passes, 1 lane: above the second recommendation of RFC 9106 in time, equal in memory.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

impl Params {
    /// Costs nothing and protects nothing: for tests.
    pub const DANGEROUSLY_CHEAP: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// The most memory a stored setting may ask for, so that an altered one cannot exhaust the server.
    const MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;
    const MAX_PASSES: u32 = 64;
    const MAX_LANES: u32 = 64;
}

/// The key that `passphrase` and `salt` yield.
///
/// # Errors
/// `passphrase_params` when `params` are out of range.
pub fn derive(passphrase: &SecretString, salt: &[u8; 16], params: Params) -> Result<SecretKey> {
    let refused =
        || Error::invalid("passphrase_params", "the cost parameters of the passphrase are out of range");
    let Params { memory_kib, passes, lanes } = params;
    if memory_kib > Params::MAX_MEMORY_KIB || passes > Params::MAX_PASSES || lanes > Params::MAX_LANES {
        return Err(refused());
    }
    let cost = argon2::Params::new(memory_kib, passes, lanes, Some(SecretKey::LEN)).map_err(|_| refused())?;
    let mut key = zeroize::Zeroizing::new([0; SecretKey::LEN]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cost)
        .hash_password_into(passphrase.expose().as_bytes(), salt, &mut *key)
        .map_err(|_| refused())?;
    SecretKey::from_slice(&*key)
}

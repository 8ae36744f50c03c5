//! HMAC (RFC 2104, FIPS 198-1) with any [`enum@Hash`]. SHA-2 is AWS-LC's; its safe interface has no HMAC-SHA3, so that is
//! of the `hmac` and `sha3` crates.

use aws_lc_rs::hmac as aws;
use hmac::{KeyInit, Mac, SimpleHmac};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use super::{Hash, PreparedKey};
use crate::secret::ct_eq;

impl PreparedKey {
    /// The HMAC of `data` with `hash`, under this key if its type is HMAC, else under a key derived from it.
    pub fn mac(&self, hash: Hash, data: &[u8]) -> Vec<u8> {
        hmac_of(hash, self.mac_key.expose(), data)
    }

    /// Whether `code` is [`PreparedKey::mac`] of `data`, in constant time.
    pub fn mac_matches(&self, hash: Hash, data: &[u8], code: &[u8]) -> bool {
        ct_eq(&self.mac(hash, data), code)
    }
}

/// The code of `data` under `key`.
pub(super) fn hmac_of(hash: Hash, key: &[u8], data: &[u8]) -> Vec<u8> {
    let sha2 = |algorithm| aws::sign(&aws::Key::new(algorithm, key), data).as_ref().to_vec();
    match hash {
        Hash::Sha2_224 => sha2(aws::HMAC_SHA224),
        Hash::Sha2_256 => sha2(aws::HMAC_SHA256),
        Hash::Sha2_384 => sha2(aws::HMAC_SHA384),
        Hash::Sha2_512 => sha2(aws::HMAC_SHA512),
        Hash::Sha3_224 => sha3::<SimpleHmac<Sha3_224>>(key, data),
        Hash::Sha3_256 => sha3::<SimpleHmac<Sha3_256>>(key, data),
        Hash::Sha3_384 => sha3::<SimpleHmac<Sha3_384>>(key, data),
        Hash::Sha3_512 => sha3::<SimpleHmac<Sha3_512>>(key, data),
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn sha3<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    <M as KeyInit>::new_from_slice(key)
        .expect("any length")
        .chain_update(data)
        .finalize()
        .into_bytes()
        .to_vec()
}

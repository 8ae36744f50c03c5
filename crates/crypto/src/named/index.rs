//! Blind indexes: what makes an encrypted field searchable for equality, and nothing else.
//!
//! Input is normalised first: leading and trailing Unicode white space is cut off ([`str::trim`]), then every character
//! is lower-cased without regard to language ([`str::to_lowercase`], Unicode `Lowercase_Mapping` with final sigma). It
//! is *not* composed or decomposed: `é` as one character and as two give different indexes.

use super::{Hash, mac::hmac_of};
use crate::{
    hash::{self, hkdf_sha256},
    secret::SecretKey,
};

/// The key of blind indexes of one tenant, or of one field of it.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct IndexKey(SecretKey);

impl IndexKey {
    /// Uses `key`, which is for nothing else.
    pub fn new(key: SecretKey) -> Self {
        Self(key)
    }

    /// The key of one field, so that equal values in two fields do not show.
    #[must_use]
    pub fn for_field(&self, field: &str) -> Self {
        Self(hkdf_sha256(b"writ/index/v1", self.0.expose(), field.as_bytes()))
    }

    /// The index of `text`: HMAC-SHA3-256 of it, normalised.
    pub fn index(&self, text: &str) -> [u8; 32] {
        let code = hmac_of(Hash::Sha3_256, self.0.expose(), normalise(text).as_bytes());
        let mut index = [0; 32];
        index.iter_mut().zip(code).for_each(|(to, from)| *to = from);
        index
    }
}

/// The index without a key, SHA3-256 of `text`, normalised. Whoever can guess a value can confirm it: for migrations
/// that need it, only.
pub fn plain_index(text: &str) -> [u8; 32] {
    hash::sha3_256(normalise(text).as_bytes())
}

/// `text` as it is indexed; see the module.
pub fn normalise(text: &str) -> String {
    text.trim().to_lowercase()
}

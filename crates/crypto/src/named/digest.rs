//! The hashes a caller may choose for signatures and message authentication.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;
use sha3::Digest as _;
use writ_kernel::{Error, Result};

/// A hash function (FIPS 180-4, FIPS 202).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Hash {
    /// SHA-224.
    Sha2_224,
    /// SHA-256, the default.
    #[default]
    Sha2_256,
    /// SHA-384.
    Sha2_384,
    /// SHA-512.
    Sha2_512,
    /// SHA3-224.
    Sha3_224,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
}

impl Hash {
    /// Every one of them.
    pub const ALL: [Self; 8] = [
        Self::Sha2_224,
        Self::Sha2_256,
        Self::Sha2_384,
        Self::Sha2_512,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
    ];

    /// Its name, like `sha2-256`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha2_224 => "sha2-224",
            Self::Sha2_256 => "sha2-256",
            Self::Sha2_384 => "sha2-384",
            Self::Sha2_512 => "sha2-512",
            Self::Sha3_224 => "sha3-224",
            Self::Sha3_256 => "sha3-256",
            Self::Sha3_384 => "sha3-384",
            Self::Sha3_512 => "sha3-512",
        }
    }

    /// Bytes of a digest. Hashes have no other length.
    #[expect(clippy::len_without_is_empty, reason = "a digest is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha2_224 | Self::Sha3_224 => 28,
            Self::Sha2_256 | Self::Sha3_256 => 32,
            Self::Sha2_384 | Self::Sha3_384 => 48,
            Self::Sha2_512 | Self::Sha3_512 => 64,
        }
    }

    /// The digest of `data`.
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        let ours = |algorithm| digest::digest(algorithm, data).as_ref().to_vec();
        match self {
            Self::Sha2_224 => ours(&digest::SHA224),
            Self::Sha2_256 => ours(&digest::SHA256),
            Self::Sha2_384 => ours(&digest::SHA384),
            Self::Sha2_512 => ours(&digest::SHA512),
            Self::Sha3_224 => sha3::Sha3_224::digest(data).to_vec(), // the one that AWS-LC does not offer
            Self::Sha3_256 => ours(&digest::SHA3_256),
            Self::Sha3_384 => ours(&digest::SHA3_384),
            Self::Sha3_512 => ours(&digest::SHA3_512),
        }
    }

    /// `data` as a digest that somebody else made.
    ///
    /// # Errors
    /// `wrong_digest_length`.
    pub(crate) fn check(self, data: &[u8]) -> Result<Vec<u8>> {
        if data.len() == self.len() {
            return Ok(data.to_vec());
        }
        Err(Error::invalid("wrong_digest_length", format!("a digest of {self} has {} bytes", self.len())))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Hash {
    type Err = Error;

    /// Reads `sha2-256`, `SHA256`, `sha3_384` and the like.
    fn from_str(text: &str) -> Result<Self> {
        let plain: String = text.to_ascii_lowercase().replace(['-', '_'], "");
        let plain = match plain.as_str() {
            "sha224" | "sha256" | "sha384" | "sha512" => plain.replace("sha", "sha2"),
            _ => plain,
        };
        Self::ALL.into_iter().find(|hash| hash.as_str().replace('-', "") == plain).ok_or_else(|| {
            Error::invalid("unknown_hash", format!("unknown hash algorithm `{}`", text.escape_default()))
        })
    }
}

//! Opaque tokens: `writ_<kind>_<random>_<checksum>`, recognisable by secret scanners and stored as a hash.
//!
//! `random` is 200 bits in lower-case base32 (40 characters); `checksum` is 30 bits of the SHA-256 of all
//! before it, in 6 characters. The checksum only keeps typing errors and noise away from the database: it
//! proves nothing.

use data_encoding::BASE32_NOPAD;
use writ_kernel::{Error, Result, World};
use zeroize::Zeroizing;

use crate::{hash::sha256, secret::SecretString};

const PREFIX: &str = "writ_";
const RANDOM_BYTES: usize = 25;
const RANDOM_CHARS: usize = 40;
const CHECKSUM_CHARS: usize = 6;

/// The verbs of opaque tokens.
#[derive(Debug)]
pub enum Token {}

impl Token {
    /// A fresh token of `kind` (1 to 16 lower-case letters and digits, like `key`) and the hash to store.
    pub fn generate(world: &World, kind: &str) -> (SecretString, [u8; 32]) {
        debug_assert!(is_kind(kind), "a kind is 1 to 16 lower-case letters and digits");
        let mut random = Zeroizing::new([0; RANDOM_BYTES]);
        world.fill(&mut *random);
        let mut encoded = Zeroizing::new(BASE32_NOPAD.encode(&*random));
        encoded.make_ascii_lowercase();
        let mut text = String::with_capacity(PREFIX.len() + kind.len() + RANDOM_CHARS + CHECKSUM_CHARS + 2);
        text.extend([PREFIX, kind, "_", &encoded]);
        let sum = checksum(&text);
        text.extend(["_", &sum]);
        let hash = sha256(text.as_bytes());
        (SecretString::new(text), hash)
    }

    /// The kind of a token and the hash it is stored under. Says nothing about whether such a token exists.
    ///
    /// # Errors
    /// `malformed_token` when its form or checksum is wrong.
    pub fn hash(text: &str) -> Result<(String, [u8; 32])> {
        let (body, sum) = text.rsplit_once('_').ok_or_else(malformed)?;
        let (kind, random) =
            body.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or_else(malformed)?;
        let well_formed = is_kind(kind)
            && random.len() == RANDOM_CHARS
            && random.chars().all(|c| c.is_ascii_lowercase() || ('2'..='7').contains(&c));
        if !well_formed || checksum(body) != sum {
            return Err(malformed());
        }
        Ok((kind.to_owned(), sha256(text.as_bytes())))
    }
}

fn is_kind(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// 30 bits of the SHA-256 of `text`, in lower-case base32.
pub(crate) fn checksum(text: &str) -> String {
    let mut sum = BASE32_NOPAD.encode(&sha256(text.as_bytes()));
    sum.truncate(CHECKSUM_CHARS);
    sum.make_ascii_lowercase();
    sum
}

fn malformed() -> Error {
    Error::unauthenticated("malformed_token", "this is not a token of ours")
}

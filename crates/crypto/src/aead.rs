//! Authenticated encryption: AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use writ_kernel::{Error, Kind, Result, World};

use crate::secret::{SecretBytes, SecretKey};

/// Bytes that [`DataKey::seal`] adds to a plaintext: nonce and tag.
pub const OVERHEAD: usize = NONCE + TAG;

const NONCE: usize = 12;
const TAG: usize = 16;

/// A key that seals data. Its bytes cannot be had back: wrap the [`SecretKey`] it is made from.
///
/// Nonces are random, so one key must seal fewer than 2^32 values; [`crate::KeyRing`] counts.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct DataKey(LessSafeKey);

impl DataKey {
    /// A fresh key that never leaves this process.
    pub fn generate(world: &World) -> Self {
        Self::from_secret(SecretKey::generate(world))
    }

    /// The key with these bytes.
    #[expect(clippy::needless_pass_by_value, reason = "the raw key is to be gone once it is in use")]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "AES-256 takes any 32 bytes as a key")]
    pub fn from_secret(key: SecretKey) -> Self {
        Self(LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, key.expose()).expect("32 bytes are an AES-256 key"),
        ))
    }

    /// Encrypts `plaintext` and binds it to `aad`, which is not part of the output.
    /// Format: nonce (12 bytes), ciphertext, tag (16 bytes).
    ///
    /// # Panics
    /// When `plaintext` is longer than 64 GiB, the limit of the mode.
    pub fn seal(&self, world: &World, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
        self.seal_onto(world, aad, plaintext, &mut sealed);
        sealed
    }

    /// Decrypts what [`DataKey::seal`] made with the same `aad`.
    ///
    /// # Errors
    /// `seal_broken` when the key, `aad` or any bit of `sealed` is another.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        let mut buffer = zeroize::Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(aad), &mut buffer).map_err(|_| broken())?.len();
        buffer.truncate(length);
        Ok(SecretBytes::new(std::mem::take(&mut *buffer)))
    }

    /// Appends nonce, ciphertext and tag to `out`.
    #[expect(clippy::expect_used, reason = "AES-GCM refuses only plaintexts beyond 64 GiB, as documented")]
    pub(crate) fn seal_onto(&self, world: &World, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
        let nonce = world.bytes::<NONCE>();
        out.reserve_exact(plaintext.len() + OVERHEAD); // a later move would leave a copy of the plaintext behind
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let (_, in_place) = out.split_at_mut(start);
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), in_place)
            .expect("shorter than 64 GiB");
        out.extend_from_slice(tag.as_ref());
    }
}

pub(crate) fn broken() -> Error {
    Error::new(Kind::Internal, "seal_broken", "a sealed value cannot be opened")
        .hint("it was altered, moved to another place, or sealed under another key")
}

//! Hashes, message authentication codes and key derivation: SHA-256 (FIPS 180-4), SHA3-256 (FIPS 202),
//! HMAC-SHA-256 (RFC 2104) and HKDF-SHA-256 (RFC 5869).

use std::fmt;

use aws_lc_rs::{digest, hkdf, hmac};
use data_encoding::HEXLOWER;

use crate::secret::{SecretKey, ct_eq};

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    first_32(digest::digest(&digest::SHA256, data).as_ref())
}

/// SHA3-256 of `data`.
pub fn sha3_256(data: &[u8]) -> [u8; 32] {
    first_32(digest::digest(&digest::SHA3_256, data).as_ref())
}

/// SHA-256 of data that arrives in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    /// The hash of nothing yet.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Hashes `data` after everything before it.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all pieces in order.
    pub fn finish(self) -> [u8; 32] {
        first_32(self.0.finish().as_ref())
    }
}

/// SHA-256 of a file tree: of every file in the order of their paths, the length of the path (8 bytes, big-endian),
/// the path and the SHA-256 of the content. The same files give the same digest, however they were packed.
pub fn file_tree<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> [u8; 32] {
    let mut files: Vec<_> = files.into_iter().map(|(path, content)| (path, sha256(content))).collect();
    files.sort_unstable();
    let mut hasher = Sha256::new();
    hasher.update(b"writ/file-tree/v1\0");
    for (path, content) in files {
        hasher.update(&(path.len() as u64).to_be_bytes());
        hasher.update(path.as_bytes());
        hasher.update(&content);
    }
    hasher.finish()
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256(..)") // what was hashed so far may be secret
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// HMAC-SHA-256 under `key` of the concatenation of `parts`. The boundaries between parts are not bound:
/// use [`crate::Aad`] where that matters.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    first_32(context.sign().as_ref())
}

/// Whether `mac` is the HMAC-SHA-256 under `key` of the concatenation of `parts`, in constant time.
pub fn hmac_verify(key: &[u8], parts: &[&[u8]], mac: &[u8]) -> bool {
    ct_eq(&hmac_sha256(key, parts), mac)
}

/// A key derived with HKDF-SHA-256 from `ikm` for the purpose `info`.
pub fn hkdf_sha256(salt: &[u8], ikm: &[u8], info: &[u8]) -> SecretKey {
    let mut key = [0; SecretKey::LEN];
    hkdf_fill(&extract(salt, ikm), info, &mut key);
    SecretKey::new(key)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The most bytes [`hkdf_fill`] can derive: 255 hashes (RFC 5869 section 2.3).
pub(crate) const HKDF_LIMIT: usize = 255 * 32;

/// HKDF-Extract.
pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm)
}

/// HKDF-Expand into `out`, at most [`HKDF_LIMIT`] bytes.
#[expect(clippy::expect_used, reason = "HKDF-Expand fails only beyond its limit, which no caller exceeds")]
pub(crate) fn hkdf_fill(prk: &hkdf::Prk, info: &[u8], out: &mut [u8]) {
    prk.expand(&[info], Length(out.len())).and_then(|okm| okm.fill(out)).expect("within the limit of HKDF");
}

#[derive(Clone, Copy)]
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn first_32(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    use super::*;

    #[test]
    fn hkdf_of_wycheproof_at_every_length() {
        let rows: Vec<Value> =
            serde_json::from_str(include_str!("../tests/vectors/hkdf_sha256.json")).unwrap();
        for row in &rows {
            let bytes = |field: &str| HEXLOWER.decode(row[field].as_str().unwrap().as_bytes()).unwrap();
            let expected = bytes("okm");
            let mut okm = vec![0; expected.len()];
            hkdf_fill(&extract(&bytes("salt"), &bytes("ikm")), &bytes("info"), &mut okm);
            assert_eq!(okm, expected, "{}", row["tcId"]);
        }
        assert_eq!(rows.len(), 80);
    }

    #[test]
    fn hkdf_reaches_its_limit() {
        let mut okm = vec![0; HKDF_LIMIT];
        hkdf_fill(&extract(b"salt", b"ikm"), b"info", &mut okm);
        assert_eq!(okm[..32], *hkdf_sha256(b"salt", b"ikm", b"info").expose());
    }
}

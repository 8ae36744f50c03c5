//! Wrapping a key to a hybrid public key: X25519 (RFC 7748) and ML-KEM-768 (FIPS 203), so that it stays
//! secret while either of them holds.
//!
//! Construction, in the manner of X-Wing and HPKE, with everything bound:
//!
//! ```text
//! ct_x = X25519(e, 9)          ss_x = X25519(e, pk_x)       e fresh for this wrap
//! ct_m, ss_m = ML-KEM-768.Encaps(pk_m)
//! prk  = HKDF-Extract(salt = LABEL, ikm = ss_m || ss_x)
//! kek  = HKDF-Expand(prk, fields("key", ct_m, ct_x, pk_m, pk_x, context), 32)
//! out  = "WRT1" || version 1 || suite 2 || ct_x (32) || ct_m (1088) || AES-256-GCM(kek, nonce 0, key) (48)
//! ```
//!
//! `fields` puts a length before each field ([`crate::Aad`]). The nonce is constant because each `kek` seals
//! once; the first six bytes are the associated data. `e` comes from [`World`]; the randomness of ML-KEM
//! encapsulation from the generator of AWS-LC, which the operating system seeds.
//!
//! Private keys are stored as their seed: 32 bytes of X25519, then 64 of ML-KEM (`d || z`). ML-KEM's own
//! expanded form is not accepted, since its import cannot tell a damaged key.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad as GcmAad, LessSafeKey, Nonce, UnboundKey},
    agreement, kem,
};
#[expect(deprecated, reason = "the expanded form only travels to AWS-LC and is never stored")]
use ml_kem::ExpandedKeyEncoding as _;
use writ_kernel::{Error, Kind, Result, World};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    aead::broken,
    envelope::{Aad, MAGIC, Suite, VERSION, malformed},
    hash,
    secret::{SecretBytes, SecretKey},
};

/// Bytes of a [`HybridPublic`].
pub const PUBLIC_LEN: usize = X25519_LEN + ML_KEM_PUBLIC_LEN;

/// Bytes of the seed of a [`HybridPrivate`].
pub const SEED_LEN: usize = X25519_LEN + ML_KEM_SEED_LEN;

/// Bytes of a wrapped key.
pub const WRAPPED_LEN: usize = PREFIX.len() + X25519_LEN + ML_KEM_CIPHERTEXT_LEN + SecretKey::LEN + TAG_LEN;

const X25519_LEN: usize = 32;
const ML_KEM_SEED_LEN: usize = 64;
const ML_KEM_PUBLIC_LEN: usize = 1184;
const ML_KEM_CIPHERTEXT_LEN: usize = 1088;
const TAG_LEN: usize = 16;
const LABEL: &[u8] = b"writ/hybrid-wrap/x25519-mlkem768/v1";
const PREFIX: [u8; 6] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, Suite::HybridWrap as u8];

/// The half of a key pair that wraps. Bytes: X25519 (32), ML-KEM-768 (1184).
#[derive(Clone, PartialEq, Eq)]
pub struct HybridPublic {
    x25519: [u8; X25519_LEN],
    ml_kem: [u8; ML_KEM_PUBLIC_LEN],
}

impl HybridPublic {
    /// Reads a public key.
    ///
    /// # Errors
    /// `malformed_public_key` unless it is 1216 bytes whose ML-KEM part passes the modulus check of FIPS 203
    /// section 7.2.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (x25519, ml_kem) = bytes.split_first_chunk().ok_or_else(malformed_key)?;
        let ml_kem: [u8; ML_KEM_PUBLIC_LEN] = ml_kem.try_into().map_err(|_| malformed_key())?;
        ml_kem::EncapsulationKey768::new(&ml_kem.into()).map_err(|_| malformed_key())?;
        Ok(Self { x25519: *x25519, ml_kem })
    }

    /// The key as it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.x25519[..], &self.ml_kem].concat()
    }

    /// Wraps `key` so that only the private half opens it, and only with the same `context`.
    ///
    /// # Errors
    /// `malformed_public_key` when the X25519 part is a point of low order.
    pub fn wrap(&self, world: &World, context: &[u8], key: &SecretKey) -> Result<Vec<u8>> {
        let ephemeral = x25519_private(SecretKey::generate(world).expose())?;
        let ct_x = x25519_public(&ephemeral)?;
        let ss_x = x25519_agree(&ephemeral, &self.x25519).ok_or_else(malformed_key)?;
        let (ct_m, ss_m) = kem::EncapsulationKey::new(&kem::ML_KEM_768, &self.ml_kem)
            .map_err(|_| malformed_key())?
            .encapsulate()
            .map_err(|_| malformed_key())?;

        let kek = self.combine(context, ct_m.as_ref(), &ct_x, ss_m.as_ref(), &ss_x);
        let mut sealed = Zeroizing::new(key.expose().to_vec());
        sealed.reserve_exact(TAG_LEN);
        kek.seal_in_place_append_tag(once(), GcmAad::from(PREFIX), &mut *sealed)
            .map_err(|_| Error::internal("AES-GCM refused a key of 32 bytes"))?;
        Ok([&PREFIX[..], &ct_x, ct_m.as_ref(), &sealed].concat())
    }

    /// The key that seals: derived from both shared secrets and bound to everything that led to them.
    #[expect(clippy::expect_used, reason = "AES-256 takes any 32 bytes as a key")]
    fn combine(
        &self,
        context: &[u8],
        ct_m: &[u8],
        ct_x: &[u8],
        ss_m: &[u8],
        ss_x: &SecretKey,
    ) -> LessSafeKey {
        let ikm = Zeroizing::new([ss_m, ss_x.expose()].concat());
        let info = Aad::new()
            .field(b"key")
            .field(ct_m)
            .field(ct_x)
            .field(&self.ml_kem)
            .field(&self.x25519)
            .field(context)
            .finish();
        let kek = hash::hkdf_sha256(LABEL, &ikm, &info);
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, kek.expose()).expect("32 bytes are an AES-256 key"))
    }
}

impl fmt::Debug for HybridPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HybridPublic({})", hash::hex(&hash::sha256(&self.to_bytes())))
    }
}

/// The half of a key pair that unwraps.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct HybridPrivate {
    seed: SecretBytes,
    x25519: agreement::PrivateKey,
    ml_kem: kem::DecapsulationKey,
    public: HybridPublic,
}

impl HybridPrivate {
    /// A fresh key pair.
    ///
    /// # Errors
    /// `Internal` when AWS-LC has no memory for it.
    pub fn generate(world: &World) -> Result<Self> {
        let mut seed = vec![0; SEED_LEN];
        world.fill(&mut seed);
        Self::from_seed(SecretBytes::new(seed))
    }

    /// The key pair grown from a seed of 96 bytes.
    ///
    /// # Errors
    /// `Internal` when the seed has another length.
    pub fn from_seed(seed: SecretBytes) -> Result<Self> {
        let wrong = || Error::internal("the seed of a hybrid key has 96 bytes");
        let (for_x, for_m) = seed.expose().split_first_chunk::<X25519_LEN>().ok_or_else(wrong)?;
        let x25519 = x25519_private(for_x)?;
        let (ml_kem, ml_kem_public) = expand(for_m.try_into().map_err(|_| wrong())?)?;
        let public = HybridPublic { x25519: x25519_public(&x25519)?, ml_kem: ml_kem_public };
        Ok(Self { seed, x25519, ml_kem, public })
    }

    /// The seed it grew from, to be stored sealed.
    pub fn seed(&self) -> &SecretBytes {
        &self.seed
    }

    /// The half that wraps.
    pub fn public(&self) -> &HybridPublic {
        &self.public
    }

    /// Opens what [`HybridPublic::wrap`] made with the same `context`.
    ///
    /// # Errors
    /// `malformed_envelope`; `seal_broken` when the key pair, `context` or any bit is another.
    pub fn unwrap(&self, context: &[u8], wrapped: &[u8]) -> Result<SecretKey> {
        let parts = Wrapped::parse(wrapped)?;
        let ss_x = x25519_agree(&self.x25519, parts.ct_x).ok_or_else(broken)?;
        let ss_m = self.ml_kem.decapsulate(parts.ct_m.as_slice().into()).map_err(|_| broken())?;
        let kek = self.public.combine(context, parts.ct_m, parts.ct_x, ss_m.as_ref(), &ss_x);
        let mut buffer = Zeroizing::new(parts.sealed.to_vec());
        let key = kek.open_in_place(once(), GcmAad::from(PREFIX), &mut buffer).map_err(|_| broken())?;
        SecretKey::from_slice(key)
    }
}

struct Wrapped<'a> {
    ct_x: &'a [u8; X25519_LEN],
    ct_m: &'a [u8; ML_KEM_CIPHERTEXT_LEN],
    sealed: &'a [u8; SecretKey::LEN + TAG_LEN],
}

impl<'a> Wrapped<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let body =
            bytes.strip_prefix(&PREFIX).ok_or_else(|| malformed("it is no wrapped key of a known suite"))?;
        let length = || malformed("a wrapped key has another length");
        let (ct_x, rest) = body.split_first_chunk().ok_or_else(length)?;
        let (ct_m, rest) = rest.split_first_chunk().ok_or_else(length)?;
        Ok(Self { ct_x, ct_m, sealed: rest.try_into().map_err(|_| length())? })
    }
}

/// ML-KEM-768 key generation from `d || z` (FIPS 203 algorithm 16), which AWS-LC does not offer.
fn expand(seed: &[u8; ML_KEM_SEED_LEN]) -> Result<(kem::DecapsulationKey, [u8; ML_KEM_PUBLIC_LEN])> {
    let mut array = ml_kem::Seed::from(*seed);
    let key = ml_kem::DecapsulationKey768::from_seed(array);
    array.zeroize();
    #[expect(deprecated, reason = "the expanded form only travels to AWS-LC and is never stored")]
    let mut expanded = key.to_expanded_bytes();
    let private = kem::DecapsulationKey::new(&kem::ML_KEM_768, &expanded);
    expanded.zeroize();
    let private = private.map_err(|_| Error::internal("AWS-LC refused an ML-KEM-768 key"))?;
    Ok((private, ml_kem::KeyExport::to_bytes(key.encapsulation_key()).into()))
}

fn x25519_private(bytes: &[u8; X25519_LEN]) -> Result<agreement::PrivateKey> {
    agreement::PrivateKey::from_private_key(&agreement::X25519, bytes)
        .map_err(|_| Error::internal("AWS-LC refused an X25519 key"))
}

fn x25519_public(key: &agreement::PrivateKey) -> Result<[u8; X25519_LEN]> {
    let refused = || Error::internal("AWS-LC gave no X25519 public key");
    key.compute_public_key().map_err(|_| refused())?.as_ref().try_into().map_err(|_| refused())
}

/// `None` when the shared secret is all zero, which only a point of low order yields (RFC 7748 section 6.1).
fn x25519_agree(key: &agreement::PrivateKey, peer: &[u8; X25519_LEN]) -> Option<SecretKey> {
    let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer);
    agreement::agree(key, peer, (), |secret| SecretKey::from_slice(secret).map_err(|_| ())).ok()
}

/// The nonce of a key that seals once.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn malformed_key() -> Error {
    Error::new(Kind::Invalid, "malformed_public_key", "this is not a hybrid public key")
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    use super::*;

    fn rows(text: &str) -> Vec<Value> {
        serde_json::from_str(text).unwrap()
    }

    fn bytes(row: &Value, field: &str) -> Vec<u8> {
        HEXLOWER.decode(row[field].as_str().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn x25519_of_wycheproof() {
        let rows = rows(include_str!("../tests/vectors/x25519.json"));
        assert_eq!(rows.len(), 125);
        for row in rows {
            let private = x25519_private(&bytes(&row, "private").try_into().unwrap()).unwrap();
            let shared = x25519_agree(&private, &bytes(&row, "public").try_into().unwrap());
            match shared {
                Some(shared) => assert!(shared.ct_eq(&bytes(&row, "shared")), "{}", row["tcId"]),
                None => assert!(row["shared"].is_null(), "{}", row["tcId"]),
            }
        }
    }

    #[test]
    fn ml_kem_768_of_wycheproof() {
        let rows = rows(include_str!("../tests/vectors/ml_kem_768.json"));
        assert_eq!(rows.len(), 11);
        for row in rows {
            let (private, public) = expand(&bytes(&row, "seed").try_into().unwrap()).unwrap();
            assert_eq!(hash::sha256(&public).to_vec(), bytes(&row, "ekSha256"), "{}", row["tcId"]);
            let shared = private.decapsulate(bytes(&row, "c").as_slice().into()).unwrap();
            assert_eq!(shared.as_ref(), bytes(&row, "k"), "{} {}", row["tcId"], row["comment"]);
        }
    }
}

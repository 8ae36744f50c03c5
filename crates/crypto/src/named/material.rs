//! The secret part of one version of a key.

use writ_kernel::{Error, Result, World};
use zeroize::Zeroizing;

use super::{KeyType, PreparedKey, asn1, ml_kem, prepared};
use crate::{envelope::KeyRef, secret::SecretBytes};

/// The version of [`Material::to_sealed_bytes`].
const VERSION: u8 = 1;

/// The secret of one version of a key, in the smallest form it can be made again from:
///
/// | type | bytes |
/// |---|---|
/// | AES, ChaCha20-Poly1305 | the key (16 or 32) |
/// | HMAC | the key (16 to 512; 32 when generated) |
/// | ML-KEM | the seed `d || z` (64) |
/// | ML-DSA, Ed25519 | the seed (32) |
/// | ECDSA | the private scalar, big-endian (32, 48, 66) |
/// | RSA | PKCS #8, DER |
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct Material {
    key_type: KeyType,
    secret: SecretBytes,
}

impl Material {
    /// Fresh material, made of bytes of `world`. RSA alone is not: AWS-LC draws its primes from its own generator, which
    /// the operating system seeds.
    ///
    /// # Errors
    /// `Internal` when AWS-LC fails.
    pub fn generate(world: &World, key_type: KeyType) -> Result<Self> {
        let secret = match key_type {
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => asn1::generate_rsa(key_type)?,
            KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => scalar(world, key_type)?,
            _ => draw(world, secret_len(key_type)),
        };
        Ok(Self { key_type, secret })
    }

    /// A fresh HMAC key of `len` bytes, 16 to 512.
    ///
    /// # Errors
    /// `invalid_key_size`.
    pub fn generate_hmac(world: &World, len: usize) -> Result<Self> {
        Self::from_secret(KeyType::Hmac, draw(world, len.min(513)))
    }

    /// Its type.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// What to keep, sealed: version (1), code of the type (1), the secret.
    pub fn to_sealed_bytes(&self) -> SecretBytes {
        let mut bytes = Vec::with_capacity(2 + self.secret.len());
        bytes.extend([VERSION, self.key_type.code()]);
        bytes.extend_from_slice(self.secret.expose());
        SecretBytes::new(bytes)
    }

    /// Reads [`Material::to_sealed_bytes`].
    ///
    /// # Errors
    /// `malformed_key_material`.
    pub fn from_sealed_bytes(bytes: &[u8]) -> Result<Self> {
        let ([version, code], secret) = bytes.split_first_chunk::<2>().ok_or_else(malformed)?;
        let key_type = KeyType::from_code(*code).filter(|_| *version == VERSION).ok_or_else(malformed)?;
        Self::from_secret(key_type, SecretBytes::new(secret.to_vec())).map_err(|_| malformed())
    }

    /// Expands it for use under the name of the key and its version, which encryption binds.
    ///
    /// # Errors
    /// `Internal` when AWS-LC refuses it.
    pub fn prepare(&self, key: KeyRef) -> Result<PreparedKey> {
        prepared::prepare(self.key_type, &self.secret, key)
    }

    /// Checks the length of `secret`; what AWS-LC thinks of it shows when it is prepared.
    pub(super) fn from_secret(key_type: KeyType, secret: SecretBytes) -> Result<Self> {
        let fits = match key_type {
            KeyType::Hmac => (16..=512).contains(&secret.len()),
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => secret.len() > 512,
            _ => secret.len() == secret_len(key_type),
        };
        if fits {
            return Ok(Self { key_type, secret });
        }
        let expected = match key_type {
            KeyType::Hmac => "16 to 512".to_owned(),
            _ => secret_len(key_type).to_string(),
        };
        Err(Error::invalid(
            "invalid_key_size",
            format!("a key of type {key_type} has {expected} bytes, this one {}", secret.len()),
        ))
    }

    pub(super) fn secret(&self) -> &SecretBytes {
        &self.secret
    }
}

/// Bytes of the secret of a type that has a fixed number.
pub(super) const fn secret_len(key_type: KeyType) -> usize {
    match key_type {
        KeyType::Aes128Gcm => 16,
        KeyType::MlKem512 | KeyType::MlKem768 | KeyType::MlKem1024 => ml_kem::SEED,
        KeyType::EcdsaP384 => 48,
        KeyType::EcdsaP521 => 66,
        _ => 32,
    }
}

fn draw(world: &World, len: usize) -> SecretBytes {
    let mut bytes = Zeroizing::new(vec![0; len]);
    world.fill(&mut bytes);
    SecretBytes::new(std::mem::take(&mut *bytes))
}

/// A private scalar by testing candidates (FIPS 186-5 appendix A.2.2). For every curve here more than one candidate in
/// two is good, so 128 bad ones mean a broken source.
fn scalar(world: &World, key_type: KeyType) -> Result<SecretBytes> {
    for _ in 0..128 {
        let mut bytes = Zeroizing::new(vec![0; secret_len(key_type)]);
        world.fill(&mut bytes);
        if let (KeyType::EcdsaP521, Some(first)) = (key_type, bytes.first_mut()) {
            *first &= 1; // 521 bits
        }
        if prepared::ecdsa(key_type, &bytes).is_some() {
            return Ok(SecretBytes::new(std::mem::take(&mut *bytes)));
        }
    }
    Err(Error::internal("the source of randomness gave no scalar"))
}

fn malformed() -> Error {
    Error::new(writ_kernel::Kind::Internal, "malformed_key_material", "this is not key material of ours")
}

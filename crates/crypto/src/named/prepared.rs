//! A key expanded for use.

use aws_lc_rs::{
    aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305, LessSafeKey, UnboundKey},
    encoding::AsRawBytes as _,
    kem,
    rsa::{KeyPair as RsaKeyPair, OaepPrivateDecryptingKey, PrivateDecryptingKey},
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair,
        PqdsaSigningAlgorithm,
    },
};
use writ_kernel::{Error, Result};
use zeroize::Zeroizing;

use super::{KeyType, PublicKey, asn1, ml_kem};
use crate::{envelope::KeyRef, hash::hkdf_sha256, secret::SecretBytes};

/// One version of a key, expanded once and then used often, by many threads.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct PreparedKey {
    pub(super) key: KeyRef,
    pub(super) key_type: KeyType,
    pub(super) secret: Secret,
    pub(super) mac_key: SecretBytes,
    public: Option<PublicKey>,
}

/// The private part, by what it can do.
pub(super) enum Secret {
    Aead(AeadKey),
    Kem(kem::DecapsulationKey),
    MlDsa(PqdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Ecdsa(Box<EcdsaPair>),
    Rsa(Box<RsaPair>),
    Hmac,
}

/// A symmetric key: ready for use, and raw, to derive others and to wrap.
pub(super) struct AeadKey {
    pub(super) algorithm: &'static Algorithm,
    pub(super) ready: LessSafeKey,
    pub(super) raw: SecretBytes,
}

/// The same key twice, since AWS-LC ties the encoding of signatures to the key.
pub(super) struct EcdsaPair {
    pub(super) asn1: EcdsaKeyPair,
    pub(super) fixed: EcdsaKeyPair,
}

pub(super) struct RsaPair {
    pub(super) sign: RsaKeyPair,
    pub(super) decrypt: OaepPrivateDecryptingKey,
}

impl PreparedKey {
    /// Which key it is.
    pub fn key(&self) -> KeyRef {
        self.key
    }

    /// Its type.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Its public half, if it has one.
    pub fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// The key it authenticates messages with: itself if it is of type HMAC, else one derived from it.
    pub fn export_mac_key(&self) -> SecretBytes {
        SecretBytes::new(self.mac_key.expose().to_vec())
    }

    pub(super) fn public_half(&self) -> Result<&PublicKey> {
        self.public.as_ref().ok_or_else(|| unsupported(self.key_type, "has no public half"))
    }
}

pub(super) fn prepare(key_type: KeyType, secret: &SecretBytes, key: KeyRef) -> Result<PreparedKey> {
    let refused = || Error::internal(format!("AWS-LC refused a key of type {key_type}"));
    let bytes = secret.expose();
    let (half, public) = match key_type {
        KeyType::Aes128Gcm | KeyType::Aes256Gcm | KeyType::ChaCha20Poly1305 => {
            (Secret::Aead(AeadKey::new(key_type, bytes).ok_or_else(refused)?), None)
        }
        KeyType::MlKem512 | KeyType::MlKem768 | KeyType::MlKem1024 => {
            let expanded = ml_kem::expand(key_type, bytes)?;
            (Secret::Kem(expanded.private), Some(expanded.public))
        }
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => {
            let pair = PqdsaKeyPair::from_seed(ml_dsa(key_type), bytes).map_err(|_| refused())?;
            let public = pair.public_key().as_ref().to_vec();
            (Secret::MlDsa(pair), Some(public))
        }
        KeyType::Ed25519 => {
            // "Unchecked" is the comparison with a stored public key, which there is none of.
            let pair = Ed25519KeyPair::from_seed_unchecked(bytes).map_err(|_| refused())?;
            let public = pair.public_key().as_ref().to_vec();
            (Secret::Ed25519(pair), Some(public))
        }
        KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => {
            let pair = ecdsa(key_type, bytes).ok_or_else(refused)?;
            let public = pair.asn1.public_key().as_ref().to_vec();
            (Secret::Ecdsa(Box::new(pair)), Some(public))
        }
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
            let pair = rsa(bytes).ok_or_else(refused)?;
            let public = pair.sign.public_key().as_ref().to_vec();
            (Secret::Rsa(Box::new(pair)), Some(public))
        }
        KeyType::Hmac => (Secret::Hmac, None),
    };
    let public = public.map(|raw| PublicKey::from_raw(key_type, &raw)).transpose()?;
    Ok(PreparedKey { key, key_type, secret: half, mac_key: mac_key(key_type, bytes), public })
}

impl AeadKey {
    pub(super) fn new(key_type: KeyType, bytes: &[u8]) -> Option<Self> {
        let algorithm = match key_type {
            KeyType::Aes128Gcm => &AES_128_GCM,
            KeyType::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            _ => &AES_256_GCM,
        };
        let ready = LessSafeKey::new(UnboundKey::new(algorithm, bytes).ok()?);
        Some(Self { algorithm, ready, raw: SecretBytes::new(bytes.to_vec()) })
    }
}

fn mac_key(key_type: KeyType, secret: &[u8]) -> SecretBytes {
    if key_type == KeyType::Hmac {
        return SecretBytes::new(secret.to_vec());
    }
    let derived = hkdf_sha256(b"writ/named/v1/mac", secret, key_type.as_str().as_bytes());
    SecretBytes::new(derived.expose().to_vec())
}

pub(super) fn ml_dsa(key_type: KeyType) -> &'static PqdsaSigningAlgorithm {
    match key_type {
        KeyType::MlDsa44 => &signature::ML_DSA_44_SIGNING,
        KeyType::MlDsa87 => &signature::ML_DSA_87_SIGNING,
        _ => &signature::ML_DSA_65_SIGNING,
    }
}

/// Both encodings of the signatures of a curve: ASN.1 and fixed length.
pub(super) fn curve(key_type: KeyType) -> [&'static EcdsaSigningAlgorithm; 2] {
    match key_type {
        KeyType::EcdsaP384 => {
            [&signature::ECDSA_P384_SHA384_ASN1_SIGNING, &signature::ECDSA_P384_SHA384_FIXED_SIGNING]
        }
        KeyType::EcdsaP521 => {
            [&signature::ECDSA_P521_SHA512_ASN1_SIGNING, &signature::ECDSA_P521_SHA512_FIXED_SIGNING]
        }
        _ => [&signature::ECDSA_P256_SHA256_ASN1_SIGNING, &signature::ECDSA_P256_SHA256_FIXED_SIGNING],
    }
}

/// The key pair of a private scalar; `None` unless it is in range.
pub(super) fn ecdsa(key_type: KeyType, scalar: &[u8]) -> Option<EcdsaPair> {
    let der = asn1::ec_private_key(scalar)?;
    let [asn1, fixed] = curve(key_type);
    let pair = |algorithm| EcdsaKeyPair::from_private_key_der(algorithm, &der).ok();
    Some(EcdsaPair { asn1: pair(asn1)?, fixed: pair(fixed)? })
}

pub(super) fn rsa(pkcs8: &[u8]) -> Option<RsaPair> {
    let decrypt = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(pkcs8).ok()?).ok()?;
    Some(RsaPair { sign: RsaKeyPair::from_pkcs8(pkcs8).ok()?, decrypt })
}

/// A key of this type cannot do what was asked.
pub(super) fn unsupported(key_type: KeyType, what: &str) -> Error {
    Error::invalid("unsupported_operation", format!("a key of type {key_type} {what}"))
}

/// The expanded private key of an ML-DSA seed.
pub(super) fn ml_dsa_expanded(key_type: KeyType, seed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let pair = PqdsaKeyPair::from_seed(ml_dsa(key_type), seed).ok()?;
    let raw = pair.private_key().as_raw_bytes().ok()?;
    Some(Zeroizing::new(raw.as_ref().to_vec()))
}

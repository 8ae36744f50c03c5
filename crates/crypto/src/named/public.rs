//! The public half of a key: what may be shown to anybody.

use std::fmt;

use aws_lc_rs::{
    kem,
    rsa::{OaepPublicEncryptingKey, PublicEncryptingKey},
    signature::{self, ParsedPublicKey},
};
use writ_kernel::{Error, Result};

use super::{KeyType, asn1, ml_kem, prepared::curve};
use crate::hash;

/// A public key, parsed once.
///
/// | type | raw bytes |
/// |---|---|
/// | ML-KEM | encapsulation key (FIPS 203): 800, 1184, 1568 |
/// | ML-DSA | public key (FIPS 204): 1312, 1952, 2592 |
/// | Ed25519 | RFC 8032: 32 |
/// | ECDSA | uncompressed point (SEC 1): 65, 97, 133 |
/// | RSA | `RSAPublicKey` (RFC 8017), DER |
pub struct PublicKey {
    key_type: KeyType,
    raw: Vec<u8>,
    half: Half,
}

enum Half {
    Kem(kem::EncapsulationKey),
    Verifier(Verifier),
}

/// What verifies signatures.
pub(super) enum Verifier {
    /// One algorithm without choices.
    Pure(Box<ParsedPublicKey>),
    Ecdsa {
        asn1: Box<ParsedPublicKey>,
        fixed: Box<ParsedPublicKey>,
    },
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
        oaep: Box<OaepPublicEncryptingKey>,
    },
    None,
}

impl PublicKey {
    /// Reads the raw form of a type; see [`PublicKey`].
    ///
    /// # Errors
    /// `malformed_public_key`.
    pub fn from_raw(key_type: KeyType, raw: &[u8]) -> Result<Self> {
        let half = half(key_type, raw).ok_or_else(|| malformed(&format!("of type {key_type}")))?;
        Ok(Self { key_type, raw: raw.to_vec(), half })
    }

    /// Reads a `SubjectPublicKeyInfo` (RFC 5280), DER; its type is what it says.
    ///
    /// # Errors
    /// `malformed_public_key`.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let (key_type, raw) = asn1::parse_spki(der).ok_or_else(|| malformed("of a known type in DER"))?;
        Self::from_raw(key_type, &raw)
    }

    /// Reads a `SubjectPublicKeyInfo`, PEM (RFC 7468).
    ///
    /// # Errors
    /// `malformed_public_key`.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let der = asn1::pem_to_der("PUBLIC KEY", pem).ok_or_else(|| malformed("in PEM"))?;
        Self::from_der(der.expose())
    }

    /// Its type.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The raw form; see [`PublicKey`].
    pub fn as_raw(&self) -> &[u8] {
        &self.raw
    }

    /// The `SubjectPublicKeyInfo`, DER: RFC 9881 and 9935 for the post-quantum types.
    ///
    /// # Errors
    /// `Internal` when it cannot be written.
    pub fn to_der(&self) -> Result<Vec<u8>> {
        asn1::spki(self.key_type, &self.raw).ok_or_else(|| Error::internal("a public key was not written"))
    }

    /// The `SubjectPublicKeyInfo`, PEM, lines ending with `\n`.
    ///
    /// # Errors
    /// As [`PublicKey::to_der`].
    pub fn to_pem(&self) -> Result<String> {
        asn1::public_pem(&self.to_der()?).ok_or_else(|| Error::internal("a public key was not written"))
    }

    pub(super) fn encapsulation_key(&self) -> Option<&kem::EncapsulationKey> {
        match &self.half {
            Half::Kem(key) => Some(key),
            Half::Verifier(_) => None,
        }
    }

    pub(super) fn oaep(&self) -> Option<&OaepPublicEncryptingKey> {
        match &self.half {
            Half::Verifier(Verifier::Rsa { oaep, .. }) => Some(oaep),
            _ => None,
        }
    }

    pub(super) fn verifier(&self) -> &Verifier {
        match &self.half {
            Half::Verifier(verifier) => verifier,
            Half::Kem(_) => &Verifier::None,
        }
    }
}

impl Clone for PublicKey {
    #[expect(clippy::expect_used, reason = "what was read once is read again")]
    fn clone(&self) -> Self {
        Self::from_raw(self.key_type, &self.raw).expect("it was read before")
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key_type == other.key_type && self.raw == other.raw
    }
}
impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.key_type, hash::hex(&hash::sha256(&self.raw)))
    }
}

fn half(key_type: KeyType, raw: &[u8]) -> Option<Half> {
    let exactly = |length: usize| (raw.len() == length).then_some(());
    let pure =
        |key: Result<ParsedPublicKey, _>| key.ok().map(|key| Half::Verifier(Verifier::Pure(Box::new(key))));
    match key_type {
        KeyType::MlKem512 | KeyType::MlKem768 | KeyType::MlKem1024 => {
            ml_kem::public(key_type, raw).map(Half::Kem)
        }
        KeyType::MlDsa44 => {
            exactly(1312)?;
            pure(ParsedPublicKey::new(&signature::ML_DSA_44, raw))
        }
        KeyType::MlDsa65 => {
            exactly(1952)?;
            pure(ParsedPublicKey::new(&signature::ML_DSA_65, raw))
        }
        KeyType::MlDsa87 => {
            exactly(2592)?;
            pure(ParsedPublicKey::new(&signature::ML_DSA_87, raw))
        }
        KeyType::Ed25519 => {
            exactly(32)?;
            pure(ParsedPublicKey::new(&signature::ED25519, raw))
        }
        KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => {
            exactly(asn1::point_len(key_type))?;
            let [asn1, fixed] = curve(key_type);
            let parsed = |algorithm: &'static signature::EcdsaVerificationAlgorithm| {
                ParsedPublicKey::new(algorithm, raw).ok().map(Box::new)
            };
            Some(Half::Verifier(Verifier::Ecdsa { asn1: parsed(asn1)?, fixed: parsed(fixed)? }))
        }
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => rsa(key_type, raw),
        _ => None,
    }
}

fn rsa(key_type: KeyType, raw: &[u8]) -> Option<Half> {
    let [n, e] = asn1::rsa_integers::<2>(raw)?;
    (asn1::rsa_type(n) == Some(key_type)).then_some(())?;
    let key = PublicEncryptingKey::from_der(&asn1::spki(key_type, raw)?).ok()?;
    let oaep = Box::new(OaepPublicEncryptingKey::new(key).ok()?);
    Some(Half::Verifier(Verifier::Rsa { n: n.to_vec(), e: e.to_vec(), oaep }))
}

pub(super) fn malformed(what: &str) -> Error {
    Error::invalid("malformed_public_key", format!("this is not a public key {what}"))
}

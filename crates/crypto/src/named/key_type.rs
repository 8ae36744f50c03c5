//! The types of named keys and what each can do.

use std::{fmt, str::FromStr};

use writ_kernel::{Error, Result};

/// What a named key is: an algorithm with all its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// Hybrid encryption: ML-KEM-512 (FIPS 203, category 1), HKDF-SHA-256, AES-256-GCM.
    MlKem512,
    /// Hybrid encryption with ML-KEM-768, category 3. What a key is when nothing else is asked for.
    MlKem768,
    /// Hybrid encryption with ML-KEM-1024, category 5.
    MlKem1024,
    /// AES-128-GCM with random 96-bit nonces.
    Aes128Gcm,
    /// AES-256-GCM with random 96-bit nonces.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439) with random 96-bit nonces.
    ChaCha20Poly1305,
    /// ML-DSA-44 (FIPS 204, category 2) signatures.
    MlDsa44,
    /// ML-DSA-65 signatures, category 3.
    MlDsa65,
    /// ML-DSA-87 signatures, category 5.
    MlDsa87,
    /// Ed25519 (RFC 8032) signatures.
    Ed25519,
    /// ECDSA over NIST P-256 (FIPS 186-5).
    EcdsaP256,
    /// ECDSA over NIST P-384.
    EcdsaP384,
    /// ECDSA over NIST P-521.
    EcdsaP521,
    /// RSA of 2048 bits: OAEP encryption, PSS and PKCS #1 v1.5 signatures (RFC 8017).
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
    /// HMAC (RFC 2104) with a hash of the caller's choice.
    Hmac,
}

/// Name, code in [`crate::named::Material::to_sealed_bytes`], and what other dialects call it (lower case, `-` for `_`).
const TABLE: [(KeyType, &str, u8, &[&str]); 17] = [
    (KeyType::MlKem512, "ml-kem-512", 1, &["mlkem512", "mlkem-512"]),
    (KeyType::MlKem768, "ml-kem-768", 2, &["mlkem768", "mlkem-768"]),
    (KeyType::MlKem1024, "ml-kem-1024", 3, &["mlkem1024", "mlkem-1024"]),
    (KeyType::Aes128Gcm, "aes128-gcm96", 10, &["aes-128-gcm", "aes128-gcm", "aes-128", "aes128", "a128gcm"]),
    (KeyType::Aes256Gcm, "aes256-gcm96", 11, &["aes-256-gcm", "aes256-gcm", "aes-256", "aes256", "a256gcm"]),
    (KeyType::ChaCha20Poly1305, "chacha20-poly1305", 12, &["chacha20poly1305"]),
    (KeyType::MlDsa44, "ml-dsa-44", 20, &["mldsa44", "mldsa-44"]),
    (KeyType::MlDsa65, "ml-dsa-65", 21, &["mldsa65", "mldsa-65"]),
    (KeyType::MlDsa87, "ml-dsa-87", 22, &["mldsa87", "mldsa-87"]),
    (KeyType::Ed25519, "ed25519", 30, &["ed-25519", "eddsa"]),
    (KeyType::EcdsaP256, "ecdsa-p256", 31, &["ecdsa-p-256", "p-256", "p256", "es256"]),
    (KeyType::EcdsaP384, "ecdsa-p384", 32, &["ecdsa-p-384", "p-384", "p384", "es384"]),
    (KeyType::EcdsaP521, "ecdsa-p521", 33, &["ecdsa-p-521", "p-521", "p521", "es512"]),
    (KeyType::Rsa2048, "rsa-2048", 40, &["rsa2048"]),
    (KeyType::Rsa3072, "rsa-3072", 41, &["rsa3072"]),
    (KeyType::Rsa4096, "rsa-4096", 42, &["rsa4096"]),
    (KeyType::Hmac, "hmac", 50, &["hmac-key"]),
];

impl KeyType {
    /// What a key is when nothing else is asked for.
    pub const DEFAULT: Self = Self::MlKem768;

    /// What a key for signatures is when nothing else is asked for.
    pub const DEFAULT_FOR_SIGNING: Self = Self::MlDsa65;

    /// Every type.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(key_type, ..)| *key_type)
    }

    /// The canonical name, lower case.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The name as standards write it: `ML-KEM-768`, `AES-256-GCM`, `Ed25519`.
    pub fn title(self) -> String {
        match self {
            Self::Aes128Gcm => "AES-128-GCM".to_owned(),
            Self::Aes256Gcm => "AES-256-GCM".to_owned(),
            Self::Ed25519 => "Ed25519".to_owned(),
            other => other.as_str().to_ascii_uppercase(),
        }
    }

    /// The size of a type that its standard numbers, as dialects split it off: `65` of `ml-dsa-65`.
    pub const fn parameter_set(self) -> Option<&'static str> {
        Some(match self {
            Self::MlDsa44 => "44",
            Self::MlDsa65 => "65",
            Self::MlDsa87 => "87",
            Self::MlKem512 => "512",
            Self::MlKem768 => "768",
            Self::MlKem1024 => "1024",
            _ => return None,
        })
    }

    /// The curve of an elliptic-curve signature, in NIST's name.
    pub const fn curve(self) -> Option<&'static str> {
        Some(match self {
            Self::EcdsaP256 => "P-256",
            Self::EcdsaP384 => "P-384",
            Self::EcdsaP521 => "P-521",
            _ => return None,
        })
    }

    /// Whether it signs with the pure form of ML-DSA.
    pub const fn signs_post_quantum(self) -> bool {
        self.is_ml_dsa()
    }

    /// Whether its secret part is nothing but bytes, without a structure that PKCS #8 would name.
    pub const fn is_bare(self) -> bool {
        self.is_symmetric() || matches!(self, Self::Hmac | Self::Ed25519)
    }

    /// Whether it is secure against a quantum computer, as far as is known (AES-128 and smaller categories included).
    pub const fn is_post_quantum(self) -> bool {
        !matches!(
            self,
            Self::Ed25519
                | Self::EcdsaP256
                | Self::EcdsaP384
                | Self::EcdsaP521
                | Self::Rsa2048
                | Self::Rsa3072
                | Self::Rsa4096
        )
    }

    /// Whether it encrypts and decrypts.
    pub const fn encrypts(self) -> bool {
        self.is_symmetric() || self.is_ml_kem() || self.is_rsa()
    }

    /// Whether encryption can be bound to associated data.
    pub const fn takes_aad(self) -> bool {
        self.is_symmetric() || self.is_ml_kem()
    }

    /// Whether it signs and verifies.
    pub const fn signs(self) -> bool {
        self.is_ml_dsa() || self.is_ecdsa() || self.is_rsa() || matches!(self, Self::Ed25519)
    }

    /// Whether it authenticates messages with HMAC. Every key does: one that is not of type [`KeyType::Hmac`] has an
    /// authentication key derived from it.
    pub const fn macs(self) -> bool {
        true
    }

    /// Whether a key can be derived from it for a context.
    pub const fn derives(self) -> bool {
        self.is_symmetric()
    }

    /// Whether convergent encryption (equal plaintexts give equal ciphertexts) may be asked for.
    pub const fn converges(self) -> bool {
        self.is_symmetric()
    }

    /// Whether it has a public half.
    pub const fn is_asymmetric(self) -> bool {
        !self.is_symmetric() && !matches!(self, Self::Hmac)
    }

    /// Whether it encrypts rows field by field, and whether it wraps keys into few bytes.
    pub const fn seals_fields(self) -> bool {
        self.is_symmetric() || self.is_ml_kem()
    }

    /// Whether it wraps keys with AES-KWP (NIST SP 800-38F).
    pub const fn wraps_keys(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes256Gcm)
    }

    pub(crate) const fn is_symmetric(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes256Gcm | Self::ChaCha20Poly1305)
    }

    pub(crate) const fn is_ml_kem(self) -> bool {
        matches!(self, Self::MlKem512 | Self::MlKem768 | Self::MlKem1024)
    }

    pub(crate) const fn is_ml_dsa(self) -> bool {
        matches!(self, Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87)
    }

    pub(crate) const fn is_ecdsa(self) -> bool {
        matches!(self, Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521)
    }

    pub(crate) const fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    /// The type of a dialect that splits it in two, such as `ml-dsa` with parameter set `65`.
    ///
    /// # Errors
    /// `unknown_key_type`.
    pub fn with_parameter_set(family: &str, parameter_set: &str) -> Result<Self> {
        format!("{family}-{parameter_set}").parse()
    }

    pub(crate) fn code(self) -> u8 {
        self.row().2
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == code).map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, u8, &'static [&'static str]) {
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[1])
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = Error;

    /// Reads a canonical name or an alias, in any case and with `_` for `-`.
    fn from_str(text: &str) -> Result<Self> {
        let plain = text.to_ascii_lowercase().replace('_', "-");
        TABLE
            .iter()
            .find(|(_, name, _, aliases)| *name == plain || aliases.contains(&plain.as_str()))
            .map(|row| row.0)
            .ok_or_else(|| {
                Error::invalid("unknown_key_type", format!("unknown key type `{}`", text.escape_default()))
                    .hint("one of ml-kem-768, aes256-gcm96, ml-dsa-65, ed25519, ecdsa-p256, rsa-4096, hmac and their sizes")
            })
    }
}

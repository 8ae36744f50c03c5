//! Signatures: Ed25519 (RFC 8032) and ML-DSA-44/65 (FIPS 204, empty context, hedged).

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{
    self, Ed25519KeyPair, KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING,
    ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm,
};
use writ_kernel::{Error, Kind, Result, World};

use crate::secret::SecretKey;

/// A signature scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// Ed25519, classical.
    Ed25519,
    /// ML-DSA-44, category 2.
    MlDsa44,
    /// ML-DSA-65, category 3.
    MlDsa65,
}

impl Algorithm {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::MlDsa44, Self::MlDsa65];

    /// The lower-case name: `ed25519`, `ml-dsa-44` or `ml-dsa-65`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
        }
    }

    /// Bytes of a public key.
    pub const fn public_len(self) -> usize {
        match self {
            Self::Ed25519 => 32,
            Self::MlDsa44 => 1312,
            Self::MlDsa65 => 1952,
        }
    }

    /// Bytes of a signature.
    pub const fn signature_len(self) -> usize {
        match self {
            Self::Ed25519 => 64,
            Self::MlDsa44 => 2420,
            Self::MlDsa65 => 3309,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| Error::invalid("unknown_algorithm", "the signature algorithm is unknown"))
    }
}

/// A key that signs.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct SigningKey {
    seed: SecretKey,
    pair: Pair,
    public: VerifyingKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    MlDsa(PqdsaKeyPair),
}

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// `Internal` when AWS-LC has no memory for it.
    pub fn generate(world: &World, algorithm: Algorithm) -> Result<Self> {
        Self::from_seed(algorithm, SecretKey::generate(world))
    }

    /// The key grown from a seed (RFC 8032 section 5.1.5; FIPS 204 algorithm 6).
    ///
    /// # Errors
    /// `Internal` when AWS-LC has no memory for it.
    pub fn from_seed(algorithm: Algorithm, seed: SecretKey) -> Result<Self> {
        let refused = |_| Error::internal(format!("AWS-LC refused a seed of {algorithm}"));
        let ml_dsa = |scheme: &'static PqdsaSigningAlgorithm| {
            PqdsaKeyPair::from_seed(scheme, seed.expose()).map(Pair::MlDsa).map_err(refused)
        };
        let pair = match algorithm {
            // "Unchecked" is the comparison with a stored public key, which there is none of.
            Algorithm::Ed25519 => {
                Ed25519KeyPair::from_seed_unchecked(seed.expose()).map(Pair::Ed25519).map_err(refused)?
            }
            Algorithm::MlDsa44 => ml_dsa(&ML_DSA_44_SIGNING)?,
            Algorithm::MlDsa65 => ml_dsa(&ML_DSA_65_SIGNING)?,
        };
        let public = match &pair {
            Pair::Ed25519(pair) => VerifyingKey::from_bytes(algorithm, pair.public_key().as_ref())?,
            Pair::MlDsa(pair) => VerifyingKey::from_bytes(algorithm, pair.public_key().as_ref())?,
        };
        Ok(Self { seed, pair, public })
    }

    /// The seed it grew from, to be stored sealed.
    pub fn seed(&self) -> &SecretKey {
        &self.seed
    }

    /// The scheme it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm
    }

    /// Signs `message`. ML-DSA signatures are hedged: two of the same message differ.
    ///
    /// # Errors
    /// `Internal` when AWS-LC fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal(format!("AWS-LC failed to sign with {}", self.algorithm()));
        match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(message).map(|it| it.as_ref().to_vec()).map_err(failed),
            Pair::MlDsa(pair) => {
                let mut signature = vec![0; self.algorithm().signature_len()];
                let length = pair.sign(message, &mut signature).map_err(failed)?;
                signature.truncate(length);
                Ok(signature)
            }
        }
    }

    /// The key that verifies.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }
}

/// A key that verifies, parsed once.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// Reads the raw encoding of a public key.
    ///
    /// # Errors
    /// `malformed_public_key` when it is none of `algorithm`.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self> {
        let malformed =
            || Error::invalid("malformed_public_key", format!("this is not a public key of {algorithm}"));
        if bytes.len() != algorithm.public_len() {
            return Err(malformed());
        }
        let key = match algorithm {
            Algorithm::Ed25519 => ParsedPublicKey::new(&signature::ED25519, bytes),
            Algorithm::MlDsa44 => ParsedPublicKey::new(&ML_DSA_44, bytes),
            Algorithm::MlDsa65 => ParsedPublicKey::new(&ML_DSA_65, bytes),
        };
        Ok(Self { algorithm, key: key.map_err(|_| malformed())? })
    }

    /// The scheme it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw encoding.
    pub fn as_bytes(&self) -> &[u8] {
        self.key.as_ref()
    }

    /// Checks that `signature` is one of `message` by the private half of this key.
    ///
    /// # Errors
    /// `wrong_signature` when it is not.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        self.key
            .verify_sig(message, signature)
            .map_err(|_| Error::new(Kind::Invalid, "wrong_signature", "the signature does not verify"))
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.as_bytes() == other.as_bytes()
    }
}
impl Eq for VerifyingKey {}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VerifyingKey({} {})",
            self.algorithm,
            crate::hash::hex(&crate::hash::sha256(self.as_bytes()))
        )
    }
}

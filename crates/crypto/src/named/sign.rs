//! Signatures, with the choices that callers may make about them.

use std::str::FromStr;

use aws_lc_rs::{
    digest::{self, Digest},
    rand::SystemRandom,
    signature::{self, RsaParameters, RsaPssSaltLength, RsaSignatureEncoding},
};
use writ_kernel::{Error, Result};

use super::{
    Hash, KeyType, PreparedKey, PublicKey,
    prepared::{EcdsaPair, RsaPair, Secret, ml_dsa, unsupported},
    public::Verifier,
};

/// How to sign. ML-DSA and Ed25519 hash for themselves and take none of these choices: `hash` is not looked at, and a
/// hash instead of a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scheme {
    /// What hashes the message. RSA: SHA-256, SHA-384, SHA-512. ECDSA: any.
    pub hash: Hash,
    /// The input is the hash, not the message. RSA and ECDSA.
    pub prehashed: bool,
    /// The padding of RSA.
    pub padding: Padding,
    /// The salt of PSS.
    pub salt: SaltLength,
    /// The encoding of ECDSA signatures.
    pub marshaling: Marshaling,
}

/// The padding of an RSA signature (RFC 8017).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// RSASSA-PSS, with MGF1 over the same hash.
    #[default]
    Pss,
    /// RSASSA-PKCS1-v1_5.
    Pkcs1v15,
}

/// How many bytes of salt PSS has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SaltLength {
    /// As many as fit when signing; when verifying, that or as many as the hash has.
    #[default]
    Auto,
    /// As many as the hash has.
    Hash,
    /// So many: the number that `Hash` stands for, or the most that fit.
    Bytes(usize),
}

/// The encoding of an ECDSA signature, and of the text it is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Marshaling {
    /// `ECDSA-Sig-Value` (RFC 3279), in standard base64.
    #[default]
    Asn1,
    /// `r || s` (RFC 7518), in base64url without padding.
    Jws,
}

impl PreparedKey {
    /// Signs `input`. Signatures of ML-DSA, ECDSA and PSS are randomised: two of the same input differ.
    ///
    /// # Errors
    /// `unsupported_operation` when the type does not sign, or not so; `wrong_digest_length`.
    pub fn sign(&self, scheme: &Scheme, input: &[u8]) -> Result<Vec<u8>> {
        match &self.secret {
            Secret::MlDsa(pair) => {
                not_prehashed(self.key_type, scheme)?;
                let mut signature = vec![0; ml_dsa(self.key_type).signature_len()];
                let length = pair.sign(input, &mut signature).map_err(|_| self.failed())?;
                signature.truncate(length);
                Ok(signature)
            }
            Secret::Ed25519(pair) => {
                not_prehashed(self.key_type, scheme)?;
                pair.try_sign(input).map(|it| it.as_ref().to_vec()).map_err(|_| self.failed())
            }
            Secret::Ecdsa(pair) => self.sign_ecdsa(pair, scheme, input),
            Secret::Rsa(pair) => self.sign_rsa(pair, scheme, input),
            _ => Err(unsupported(self.key_type, "does not sign")),
        }
    }

    fn sign_ecdsa(&self, pair: &EcdsaPair, scheme: &Scheme, input: &[u8]) -> Result<Vec<u8>> {
        let pair = match scheme.marshaling {
            Marshaling::Asn1 => &pair.asn1,
            Marshaling::Jws => &pair.fixed,
        };
        let digest = curve_digest(self.key_type, &hashed(scheme, input)?)?;
        pair.sign_digest(&digest).map(|it| it.as_ref().to_vec()).map_err(|_| self.failed())
    }

    fn sign_rsa(&self, pair: &RsaPair, scheme: &Scheme, input: &[u8]) -> Result<Vec<u8>> {
        let mut signature = vec![0; pair.sign.public_modulus_len()];
        let encoding = rsa_encoding(scheme, salt_of(signature.len(), scheme))?;
        if scheme.prehashed {
            let digest = imported(rsa_digest(self.key_type, scheme.hash)?, &scheme.hash.check(input)?)?;
            pair.sign.sign_digest(encoding, &digest, &mut signature).map_err(|_| self.failed())?;
        } else {
            rsa_digest(self.key_type, scheme.hash)?;
            pair.sign
                .sign(encoding, &SystemRandom::new(), input, &mut signature)
                .map_err(|_| self.failed())?;
        }
        Ok(signature)
    }

    /// Whether `signature` is one of `input` by this key; see [`PublicKey::verify`].
    ///
    /// # Errors
    /// `unsupported_operation`; `wrong_digest_length`.
    pub fn verify(&self, scheme: &Scheme, input: &[u8], signature: &[u8]) -> Result<bool> {
        self.public_half()?.verify(scheme, input, signature)
    }

    fn failed(&self) -> Error {
        Error::internal(format!("AWS-LC failed to sign with {}", self.key_type))
    }
}

impl PublicKey {
    /// Whether `signature` is one of `input` by the private half of this key, made under `scheme`.
    ///
    /// # Errors
    /// `unsupported_operation` when the type does not verify, or not so; `wrong_digest_length`. A signature that is
    /// wrong, or no signature at all, is no error.
    pub fn verify(&self, scheme: &Scheme, input: &[u8], signature: &[u8]) -> Result<bool> {
        match self.verifier() {
            Verifier::Pure(key) => {
                not_prehashed(self.key_type(), scheme)?;
                Ok(key.verify_sig(input, signature).is_ok())
            }
            Verifier::Ecdsa { asn1, fixed } => {
                let key = match scheme.marshaling {
                    Marshaling::Asn1 => asn1,
                    Marshaling::Jws => fixed,
                };
                let digest = curve_digest(self.key_type(), &hashed(scheme, input)?)?;
                Ok(key.verify_digest_sig(&digest, signature).is_ok())
            }
            Verifier::Rsa { n, e, .. } => {
                let digest = imported(rsa_digest(self.key_type(), scheme.hash)?, &hashed(scheme, input)?)?;
                let components = signature::RsaPublicKeyComponents { n, e };
                Ok(rsa_parameters(scheme, salt_of(n.len(), scheme))?.into_iter().any(|parameters| {
                    components
                        .to_parsed_public_key(parameters)
                        .is_ok_and(|key| key.verify_digest_sig(&digest, signature).is_ok())
                }))
            }
            Verifier::None => Err(unsupported(self.key_type(), "does not verify")),
        }
    }
}

fn not_prehashed(key_type: KeyType, scheme: &Scheme) -> Result<()> {
    if scheme.prehashed {
        return Err(unsupported(key_type, "signs messages, not their hashes"));
    }
    Ok(())
}

fn hashed(scheme: &Scheme, input: &[u8]) -> Result<Vec<u8>> {
    if scheme.prehashed { scheme.hash.check(input) } else { Ok(scheme.hash.digest(input)) }
}

fn imported(algorithm: &'static digest::Algorithm, digest: &[u8]) -> Result<Digest> {
    Digest::import_less_safe(digest, algorithm).map_err(|_| Error::internal("a digest has another length"))
}

/// A digest of any hash as AWS-LC takes it for a curve. ECDSA reads a digest as an integer, the leftmost bits of it if it
/// is longer than the order of the curve (FIPS 186-5 section 6.4.1); the orders here have 256, 384 and 521 bits, so
/// cutting at the end, or leading zeros, give the same integer at the length that AWS-LC expects.
fn curve_digest(key_type: KeyType, digest: &[u8]) -> Result<Digest> {
    let (algorithm, length) = match key_type {
        KeyType::EcdsaP384 => (&digest::SHA384, 48),
        KeyType::EcdsaP521 => (&digest::SHA512, 64),
        _ => (&digest::SHA256, 32),
    };
    let missing = length - digest.len().min(length);
    let integer: Vec<u8> =
        std::iter::repeat_n(0, missing).chain(digest.iter().copied()).take(length).collect();
    imported(algorithm, &integer)
}

fn rsa_digest(key_type: KeyType, hash: Hash) -> Result<&'static digest::Algorithm> {
    match hash {
        Hash::Sha2_256 => Ok(&digest::SHA256),
        Hash::Sha2_384 => Ok(&digest::SHA384),
        Hash::Sha2_512 => Ok(&digest::SHA512),
        _ => Err(unsupported(key_type, &format!("does not sign with {hash}"))),
    }
}

/// Whether the salt is as long as the hash or as long as can be; `None` for either.
enum Salt {
    Hash,
    Longest,
    Either,
}

/// `modulus` is in bytes.
fn salt_of(modulus: usize, scheme: &Scheme) -> Result<Salt> {
    match scheme.salt {
        SaltLength::Auto => Ok(Salt::Either),
        SaltLength::Hash => Ok(Salt::Hash),
        SaltLength::Bytes(bytes) if bytes == scheme.hash.len() => Ok(Salt::Hash),
        SaltLength::Bytes(bytes) if Some(bytes) == modulus.checked_sub(scheme.hash.len() + 2) => {
            Ok(Salt::Longest)
        }
        SaltLength::Bytes(_) => Err(Error::invalid(
            "unsupported_operation",
            "the salt of PSS is as long as the hash, or as long as can be",
        )),
    }
}

macro_rules! longest {
    ($parameters:ident) => {
        const { &signature::$parameters.with_pss_salt_length(RsaPssSaltLength::Max) }
    };
}

fn rsa_encoding(scheme: &Scheme, salt: Result<Salt>) -> Result<&'static RsaSignatureEncoding> {
    Ok(match (scheme.padding, scheme.hash) {
        (Padding::Pkcs1v15, Hash::Sha2_384) => &signature::RSA_PKCS1_SHA384,
        (Padding::Pkcs1v15, Hash::Sha2_512) => &signature::RSA_PKCS1_SHA512,
        (Padding::Pkcs1v15, _) => &signature::RSA_PKCS1_SHA256,
        (Padding::Pss, hash) => match (salt?, hash) {
            (Salt::Hash, Hash::Sha2_384) => &signature::RSA_PSS_SHA384,
            (Salt::Hash, Hash::Sha2_512) => &signature::RSA_PSS_SHA512,
            (Salt::Hash, _) => &signature::RSA_PSS_SHA256,
            (_, Hash::Sha2_384) => longest!(RSA_PSS_SHA384),
            (_, Hash::Sha2_512) => longest!(RSA_PSS_SHA512),
            (..) => longest!(RSA_PSS_SHA256),
        },
    })
}

/// What a signature is tried under.
fn rsa_parameters(scheme: &Scheme, salt: Result<Salt>) -> Result<Vec<&'static RsaParameters>> {
    Ok(match (scheme.padding, scheme.hash) {
        (Padding::Pkcs1v15, Hash::Sha2_384) => vec![&signature::RSA_PKCS1_2048_8192_SHA384],
        (Padding::Pkcs1v15, Hash::Sha2_512) => vec![&signature::RSA_PKCS1_2048_8192_SHA512],
        (Padding::Pkcs1v15, _) => vec![&signature::RSA_PKCS1_2048_8192_SHA256],
        (Padding::Pss, hash) => {
            let (as_hash, longest): (&RsaParameters, &RsaParameters) = match hash {
                Hash::Sha2_384 => (&signature::RSA_PSS_2048_8192_SHA384, longest!(RSA_PSS_2048_8192_SHA384)),
                Hash::Sha2_512 => (&signature::RSA_PSS_2048_8192_SHA512, longest!(RSA_PSS_2048_8192_SHA512)),
                _ => (&signature::RSA_PSS_2048_8192_SHA256, longest!(RSA_PSS_2048_8192_SHA256)),
            };
            match salt? {
                Salt::Hash => vec![as_hash],
                Salt::Longest => vec![longest],
                Salt::Either => vec![longest, as_hash],
            }
        }
    })
}

impl FromStr for Padding {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "pss" => Ok(Self::Pss),
            "pkcs1v15" => Ok(Self::Pkcs1v15),
            _ => Err(unknown("signature algorithm", text)),
        }
    }
}

impl FromStr for SaltLength {
    type Err = Error;

    /// Reads `auto`, `hash` or a number of bytes; `0` and `-1`, as in Go, are `auto` and `hash`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" | "0" => Ok(Self::Auto),
            "hash" | "-1" => Ok(Self::Hash),
            _ => text.parse().map(Self::Bytes).map_err(|_| unknown("salt length", text)),
        }
    }
}

impl FromStr for Marshaling {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "asn1" => Ok(Self::Asn1),
            "jws" => Ok(Self::Jws),
            _ => Err(unknown("marshaling algorithm", text)),
        }
    }
}

fn unknown(what: &str, text: &str) -> Error {
    Error::invalid("unknown_signature_option", format!("unknown {what} `{}`", text.escape_default()))
}

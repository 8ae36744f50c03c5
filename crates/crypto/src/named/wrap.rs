//! Keys wrapped by keys: AES-KWP (NIST SP 800-38F, RFC 5649), and bringing one's own key.

use std::str::FromStr;

use aws_lc_rs::{
    key_wrap::{AES_128, AES_256, AesBlockCipher, KeyEncryptionKey, KeyWrapPadded as _},
    rsa::{
        OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
        OaepAlgorithm,
    },
};
use writ_kernel::{Error, Result, World};
use zeroize::Zeroizing;

use super::{
    KeyType, PreparedKey, PublicKey,
    encrypt::{VERSION, failed, split, transcript},
    ml_kem,
    prepared::{Secret, unsupported},
};
use crate::{
    envelope::KeyRef,
    hash::{hkdf_sha256, sha256},
    secret::{SecretBytes, SecretKey},
};

/// The most bytes that are wrapped: an RSA key of 4096 bits has 2.4 KB.
const LONGEST: usize = 16 << 10;

/// The hash of RSA-OAEP in which an import arrives, and of its MGF1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OaepHash {
    /// SHA-1: what some cloud services still send.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl OaepHash {
    fn algorithm(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
            Self::Sha256 => &OAEP_SHA256_MGF1SHA256,
            Self::Sha384 => &OAEP_SHA384_MGF1SHA384,
            Self::Sha512 => &OAEP_SHA512_MGF1SHA512,
        }
    }
}

impl FromStr for OaepHash {
    type Err = Error;

    /// Reads `SHA256` and the like, in any case and with a `-`.
    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().replace('-', "").as_str() {
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            _ => Err(Error::invalid("unknown_hash", format!("unknown hash `{}`", text.escape_default()))),
        }
    }
}

impl PreparedKey {
    /// Wraps `secret`, 1 byte to 16 KiB, with AES-KWP: the same secret gives the same bytes. AES types.
    ///
    /// # Errors
    /// `unsupported_operation`; `invalid_key_size`.
    pub fn wrap_key(&self, secret: &[u8]) -> Result<Vec<u8>> {
        kwp(self.wrapping_cipher()?, self.raw()?, secret)
    }

    /// Unwraps what [`PreparedKey::wrap_key`] made.
    ///
    /// # Errors
    /// `unsupported_operation`; `unwrap_failed`.
    pub fn unwrap_key(&self, wrapped: &[u8]) -> Result<SecretBytes> {
        unkwp(self.wrapping_cipher()?, self.raw()?, wrapped)
    }

    /// Unwraps a key that somebody brings, wrapped to this one by [`wrap_for_import`] or, for RSA, by any software that
    /// knows the import format of transit.
    ///
    /// # Errors
    /// `unsupported_operation` unless the type is ML-KEM or RSA; `unwrap_failed`.
    pub fn unwrap_import(&self, hash: OaepHash, wrapped: &[u8]) -> Result<SecretBytes> {
        match &self.secret {
            Secret::Kem(private) => {
                let (carrier, sealed) = split(self.key_type, wrapped).map_err(|_| broken())?;
                let secret = ml_kem::decapsulate(private, carrier).ok_or_else(broken)?;
                let kek = import_key(self.key_type, self.key, carrier, &secret);
                unkwp(&AES_256, kek.expose(), sealed)
            }
            Secret::Rsa(pair) => {
                let (carrier, sealed) =
                    wrapped.split_at_checked(pair.decrypt.key_size_bytes()).ok_or_else(broken)?;
                let mut out = Zeroizing::new(vec![0; pair.decrypt.min_output_size()]);
                let kek =
                    pair.decrypt.decrypt(hash.algorithm(), carrier, &mut out, None).map_err(|_| broken())?;
                if kek.len() != SecretKey::LEN {
                    return Err(broken());
                }
                unkwp(&AES_256, kek, sealed)
            }
            _ => Err(unsupported(self.key_type, "is no wrapping key")),
        }
    }

    fn wrapping_cipher(&self) -> Result<&'static AesBlockCipher> {
        match self.key_type {
            KeyType::Aes128Gcm => Ok(&AES_128),
            KeyType::Aes256Gcm => Ok(&AES_256),
            _ => Err(unsupported(self.key_type, "does not wrap keys")),
        }
    }

    fn raw(&self) -> Result<&[u8]> {
        match &self.secret {
            Secret::Aead(key) => Ok(key.raw.expose()),
            _ => Err(unsupported(self.key_type, "does not wrap keys")),
        }
    }
}

/// Wraps `secret` so that the holder of the wrapping key can import it. `key` is the id and version under which the
/// wrapping key was given out; RSA, whose format is that of transit, does not bind them.
///
/// # Errors
/// `unsupported_operation` unless `public` is ML-KEM or RSA; `invalid_key_size`.
pub fn wrap_for_import(
    world: &World,
    public: &PublicKey,
    key: KeyRef,
    hash: OaepHash,
    secret: &[u8],
) -> Result<Vec<u8>> {
    if let Some(encapsulation) = public.encapsulation_key() {
        let (carrier, shared) = ml_kem::encapsulate(encapsulation)?;
        let kek = import_key(public.key_type(), key, &carrier, &shared);
        let sealed = kwp(&AES_256, kek.expose(), secret)?;
        return Ok([&[VERSION, public.key_type().code()][..], &carrier, &sealed].concat());
    }
    let oaep = public.oaep().ok_or_else(|| unsupported(public.key_type(), "is no wrapping key"))?;
    let kek = SecretKey::generate(world);
    let mut carrier = vec![0; oaep.ciphertext_size()];
    oaep.encrypt(hash.algorithm(), kek.expose(), &mut carrier, None)
        .map_err(|_| Error::internal("AWS-LC failed to encrypt with RSA"))?;
    Ok([carrier, kwp(&AES_256, kek.expose(), secret)?].concat())
}

fn import_key(key_type: KeyType, key: KeyRef, carrier: &[u8], secret: &SecretBytes) -> SecretKey {
    let transcript = transcript(key_type, key, carrier).finish();
    hkdf_sha256(b"writ/import/v1", secret.expose(), &sha256(&transcript))
}

fn kwp(cipher: &'static AesBlockCipher, key: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
    if secret.is_empty() || secret.len() > LONGEST {
        return Err(Error::invalid("invalid_key_size", "a key to be wrapped has 1 byte to 16 KiB"));
    }
    let failed = |_| Error::internal("AWS-LC failed to wrap a key");
    let mut out = vec![0; secret.len().next_multiple_of(8) + 8];
    let kek = KeyEncryptionKey::new(cipher, key).map_err(failed)?;
    let length = kek.wrap_with_padding(secret, &mut out).map_err(failed)?.len();
    out.truncate(length);
    Ok(out)
}

fn unkwp(cipher: &'static AesBlockCipher, key: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
    if wrapped.len() < 16 || wrapped.len() > LONGEST + 16 {
        return Err(broken());
    }
    let mut out = Zeroizing::new(vec![0; wrapped.len()]);
    let kek = KeyEncryptionKey::new(cipher, key).map_err(|_| failed())?;
    let length = kek.unwrap_with_padding(wrapped, &mut out).map_err(|_| broken())?.len();
    out.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *out)))
}

fn broken() -> Error {
    Error::invalid("unwrap_failed", "this is not a key wrapped to this one")
}

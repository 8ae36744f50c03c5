//! Encryption and decryption of messages; the formats are in `docs/formats/encryption.md`.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad as GcmAad, LessSafeKey, Nonce, UnboundKey},
    kem,
    rsa::OAEP_SHA256_MGF1SHA256,
};
use writ_kernel::{Error, Result, World};
use zeroize::Zeroizing;

use super::{
    Hash, KeyType, PreparedKey, PublicKey,
    mac::hmac_of,
    ml_kem,
    prepared::{AeadKey, Secret, unsupported},
};
use crate::{
    envelope::{Aad, KeyRef},
    hash::{self, hkdf_sha256},
    secret::{SecretBytes, SecretKey},
};

/// The version of the format of hybrid encryption.
pub(super) const VERSION: u8 = 1;

pub(super) const NONCE: usize = 12;
pub(super) const TAG: usize = 16;

/// What encryption is bound to, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Associated data: not in the ciphertext, and needed again to open it.
    pub aad: &'a [u8],
    /// Derives the key that is used, from the named one. Symmetric types only.
    pub context: Option<&'a [u8]>,
    /// Equal plaintexts of one context give equal ciphertexts. Symmetric types with a context only, and without
    /// associated data: the same nonce with other associated data would give the authentication key away.
    pub convergent: bool,
}

impl PreparedKey {
    /// Encrypts `plaintext`. Each call stands alone: with ML-KEM it has an encapsulation of its own.
    ///
    /// # Errors
    /// `unsupported_operation` when the type cannot encrypt, or not with these options; `context_required`;
    /// `plaintext_too_long` for RSA.
    pub fn encrypt(&self, world: &World, options: &Options<'_>, plaintext: &[u8]) -> Result<Vec<u8>> {
        self.check(options)?;
        match &self.secret {
            Secret::Aead(key) => symmetric(key, self.key_type, options, |key, keys| {
                let nonce = match keys {
                    Some(nonce_key) => convergent_nonce(nonce_key, plaintext),
                    None => world.bytes(),
                };
                seal(&key.ready, nonce, options.aad, plaintext)
            }),
            _ => self.public_half()?.encrypt(world, self.key, options, plaintext),
        }
    }

    /// Decrypts what [`PreparedKey::encrypt`] made with the same options under this version of the key.
    ///
    /// # Errors
    /// `unsupported_operation`; `context_required`; `invalid_ciphertext` when its form is wrong; `decryption_failed` when
    /// it was altered, or belongs to another key, version, context or associated data.
    pub fn decrypt(&self, options: &Options<'_>, body: &[u8]) -> Result<SecretBytes> {
        self.check(options)?;
        match &self.secret {
            Secret::Aead(key) => {
                symmetric(key, self.key_type, options, |key, _| open(&key.ready, options.aad, body))
            }
            Secret::Kem(key) => open_hybrid(key, self.key_type, self.key, options.aad, body),
            Secret::Rsa(pair) => {
                let mut out = Zeroizing::new(vec![0; pair.decrypt.min_output_size()]);
                let length = pair
                    .decrypt
                    .decrypt(&OAEP_SHA256_MGF1SHA256, body, &mut out, None)
                    .map_err(|_| failed())?
                    .len();
                out.truncate(length);
                Ok(SecretBytes::new(std::mem::take(&mut *out)))
            }
            _ => Err(unsupported(self.key_type, "does not decrypt")),
        }
    }

    fn check(&self, options: &Options<'_>) -> Result<()> {
        check(self.key_type, options)
    }
}

impl PublicKey {
    /// Encrypts to this key: what anybody can do who knows it, its id and its version. ML-KEM and RSA.
    ///
    /// # Errors
    /// As [`PreparedKey::encrypt`].
    pub fn encrypt(
        &self,
        world: &World,
        key: KeyRef,
        options: &Options<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>> {
        check(self.key_type(), options)?;
        if let Some(public) = self.encapsulation_key() {
            return seal_hybrid(world, public, self.key_type(), key, options.aad, plaintext);
        }
        let oaep = self.oaep().ok_or_else(|| unsupported(self.key_type(), "does not encrypt"))?;
        let mut out = vec![0; oaep.ciphertext_size()];
        let most = oaep.max_plaintext_size(&OAEP_SHA256_MGF1SHA256);
        if plaintext.len() > most {
            return Err(Error::invalid(
                "plaintext_too_long",
                format!("a key of type {} encrypts at most {most} bytes", self.key_type()),
            ));
        }
        oaep.encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut out, None)
            .map_err(|_| Error::internal("AWS-LC failed to encrypt with RSA"))?;
        Ok(out)
    }
}

fn check(key_type: KeyType, options: &Options<'_>) -> Result<()> {
    if !key_type.encrypts() {
        return Err(unsupported(key_type, "does not encrypt"));
    }
    if !options.aad.is_empty() && !key_type.takes_aad() {
        return Err(unsupported(key_type, "does not take associated data"));
    }
    if options.context.is_some() && !key_type.derives() {
        return Err(unsupported(key_type, "does not derive keys"));
    }
    match options.convergent {
        true if !key_type.converges() => Err(unsupported(key_type, "does not encrypt convergently")),
        true if options.context.is_none_or(<[u8]>::is_empty) => {
            Err(Error::invalid("context_required", "convergent encryption needs a context").at("context"))
        }
        true if !options.aad.is_empty() => Err(Error::invalid(
            "unsupported_operation",
            "convergent encryption does not take associated data",
        )),
        _ => Ok(()),
    }
}

/// Hands the key to use to `then`: the named one or, in a context, the one derived from it by HKDF-SHA-256 with no salt.
/// With convergent encryption, 32 bytes more of the same output are the key of nonces.
fn symmetric<T>(
    key: &AeadKey,
    key_type: KeyType,
    options: &Options<'_>,
    then: impl FnOnce(&AeadKey, Option<&[u8]>) -> Result<T>,
) -> Result<T> {
    let Some(context) = options.context else { return then(key, None) };
    let length = key.algorithm.key_len();
    let mut okm = Zeroizing::new(vec![0; if options.convergent { length + 32 } else { length }]);
    hash::hkdf_fill(&hash::extract(&[], key.raw.expose()), context, &mut okm);
    let (cipher, nonces) = okm.split_at(length);
    let derived =
        AeadKey::new(key_type, cipher).ok_or_else(|| Error::internal("a derived key was refused"))?;
    then(&derived, options.convergent.then_some(nonces))
}

fn convergent_nonce(key: &[u8], plaintext: &[u8]) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    let code = hmac_of(Hash::Sha2_256, key, plaintext);
    nonce.iter_mut().zip(code).for_each(|(to, from)| *to = from);
    nonce
}

/// `nonce || ciphertext || tag`.
pub(super) fn seal(key: &LessSafeKey, nonce: [u8; NONCE], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(NONCE + plaintext.len() + TAG);
    seal_onto(key, nonce, aad, plaintext, &mut out)?;
    Ok(out)
}

/// Appends nonce, ciphertext and tag to `out`, which must have room for them: a move would leave plaintext behind.
pub(super) fn seal_onto(
    key: &LessSafeKey,
    nonce: [u8; NONCE],
    aad: &[u8],
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    out.extend_from_slice(&nonce);
    let start = out.len();
    out.extend_from_slice(plaintext);
    let (_, in_place) = out.split_at_mut(start);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), GcmAad::from(aad), in_place)
        .map_err(|_| Error::too_large("plaintext_too_long", "the plaintext is too long"))?;
    out.extend_from_slice(tag.as_ref());
    Ok(())
}

/// Opens `nonce || ciphertext || tag`.
pub(super) fn open(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
    let (nonce, body) = sealed
        .split_first_chunk::<NONCE>()
        .filter(|(_, body)| body.len() >= TAG)
        .ok_or_else(|| malformed("it is too short"))?;
    let mut buffer = Zeroizing::new(body.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, GcmAad::from(aad), &mut buffer).map_err(|_| failed())?.len();
    buffer.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *buffer)))
}

fn seal_hybrid(
    world: &World,
    public: &kem::EncapsulationKey,
    key_type: KeyType,
    key: KeyRef,
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>> {
    let (carrier, secret) = ml_kem::encapsulate(public)?;
    let ready = message_key(&secret, key_type, key, &carrier, aad)?;
    let mut out = Vec::with_capacity(2 + carrier.len() + NONCE + plaintext.len() + TAG);
    out.extend([VERSION, key_type.code()]);
    out.extend_from_slice(&carrier);
    seal_onto(&ready, world.bytes(), &[], plaintext, &mut out)?;
    Ok(out)
}

fn open_hybrid(
    private: &kem::DecapsulationKey,
    key_type: KeyType,
    key: KeyRef,
    aad: &[u8],
    body: &[u8],
) -> Result<SecretBytes> {
    let (carrier, sealed) = split(key_type, body)?;
    let secret = ml_kem::decapsulate(private, carrier).ok_or_else(failed)?;
    let ready = message_key(&secret, key_type, key, carrier, aad)?;
    open(&ready, &[], sealed)
}

/// The KEM ciphertext after the header, and what comes after it.
pub(super) fn split(key_type: KeyType, body: &[u8]) -> Result<(&[u8], &[u8])> {
    let ([version, code], rest) =
        body.split_first_chunk::<2>().ok_or_else(|| malformed("it is too short"))?;
    if *version != VERSION {
        return Err(malformed("its format is of an unknown version"));
    }
    if *code != key_type.code() {
        return Err(malformed("it was made with a key of another type"));
    }
    rest.split_at_checked(ml_kem::size(key_type).ciphertext).ok_or_else(|| malformed("it is too short"))
}

/// The key of one message, which binds everything about it.
fn message_key(
    secret: &SecretBytes,
    key_type: KeyType,
    key: KeyRef,
    carrier: &[u8],
    aad: &[u8],
) -> Result<LessSafeKey> {
    let transcript = transcript(key_type, key, carrier).field(aad).finish();
    one_time_key(b"writ/encrypt/v1", secret, &transcript)
}

/// What every use of a KEM ciphertext binds: format, type, key, version, and the ciphertext itself.
pub(super) fn transcript(key_type: KeyType, key: KeyRef, carrier: &[u8]) -> Aad {
    Aad::new()
        .field(&[VERSION, key_type.code()])
        .field(key.id.as_bytes())
        .field(&key.version.to_be_bytes())
        .field(carrier)
}

/// AES-256-GCM under HKDF-SHA-256(salt = `label`, ikm = `secret`, info = SHA-256(`transcript`)). The transcript is
/// hashed because some libraries take no info beyond 1024 bytes.
pub(super) fn one_time_key(label: &[u8], secret: &SecretBytes, transcript: &[u8]) -> Result<LessSafeKey> {
    aes_256(hkdf_sha256(label, secret.expose(), &hash::sha256(transcript)).expose())
}

pub(super) fn aes_256(key: &[u8; SecretKey::LEN]) -> Result<LessSafeKey> {
    let unbound = UnboundKey::new(&AES_256_GCM, key);
    unbound.map(LessSafeKey::new).map_err(|_| Error::internal("AWS-LC refused an AES key"))
}

pub(super) fn malformed(why: &str) -> Error {
    Error::invalid("invalid_ciphertext", format!("invalid ciphertext: {why}"))
}

pub(super) fn failed() -> Error {
    Error::invalid("decryption_failed", "cipher: message authentication failed")
        .hint("it was altered, or belongs to another key, version, context or associated data")
}

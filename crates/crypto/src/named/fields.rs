//! Rows, field by field: one encapsulation for the row, one key for each field.
//!
//! A row has a *row key*, which carries what the keys of its fields are derived from, and is kept beside them or inside
//! each of them. A field opens with the named key, the row key, its own name and the row's associated data, and with
//! nothing else: it cannot be moved to another field, row or tenant.

use std::fmt;

use aws_lc_rs::{aead::LessSafeKey, hkdf::Prk};
use data_encoding::BASE64URL_NOPAD;
use writ_kernel::{Result, World};
use zeroize::Zeroizing;

use super::{
    PreparedKey,
    encrypt::{NONCE, TAG, VERSION, aes_256, failed, malformed, open, seal_onto, transcript},
    ml_kem,
    prepared::{Secret, unsupported},
    text,
};
use crate::{
    envelope::Aad,
    hash,
    secret::{SecretBytes, SecretKey},
};

const ROW_PREFIX: &str = "writ-row:v";
const FIELD_PREFIX: &str = "writ-field:v";

/// Bytes of the salt that stands for a KEM ciphertext where the key is symmetric.
const SALT: usize = 32;

/// A field that is kept beside its row key.
const BESIDE: u8 = 1;

/// A field with its row key inside.
const ALONE: u8 = 2;

/// Encrypts the fields of one row.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct RowSealer {
    row: Row,
    row_key: RowKeyText,
}

/// Decrypts fields that share a row key.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct RowOpener(Row);

struct Row {
    prk: Prk,
    transcript: Vec<u8>,
}

/// The row key as text: `writ-row:v<key version>:<base64url>`. It is not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKeyText {
    /// The version of the named key, from 1.
    pub version: u32,
    /// Format (1), type (1), KEM ciphertext or salt.
    pub bytes: Vec<u8>,
}

/// A field as text: `writ-field:v<key version>:<base64url>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldText {
    /// The version of the named key, from 1.
    pub version: u32,
    /// Layout (1); in a field that stands alone the row key; nonce (12), ciphertext, tag (16).
    pub bytes: Vec<u8>,
}

impl PreparedKey {
    /// Starts a row. `aad` says which row it is: tenant, table, id.
    ///
    /// # Errors
    /// `unsupported_operation` unless the type is symmetric or ML-KEM.
    pub fn row_sealer(&self, world: &World, aad: &[u8]) -> Result<RowSealer> {
        let (carrier, prk) = match &self.secret {
            Secret::Aead(key) => {
                let salt = world.bytes::<SALT>().to_vec();
                let prk = extract(key.raw.expose());
                (salt, prk)
            }
            Secret::Kem(_) => {
                let public = self.public_half()?.encapsulation_key();
                let public = public.ok_or_else(|| unsupported(self.key_type, "does not encrypt fields"))?;
                let (carrier, secret) = ml_kem::encapsulate(public)?;
                (carrier, extract(secret.expose()))
            }
            _ => return Err(unsupported(self.key_type, "does not encrypt fields")),
        };
        let mut bytes = vec![VERSION, self.key_type.code()];
        bytes.extend_from_slice(&carrier);
        let transcript = transcript(self.key_type, self.key, &carrier).field(aad).finish();
        let row_key = RowKeyText { version: self.key.version, bytes };
        Ok(RowSealer { row: Row { prk, transcript }, row_key })
    }

    /// Reads a row key; `aad` is that of [`PreparedKey::row_sealer`]. With ML-KEM this costs one decapsulation, so a row
    /// is opened with one of these. Whether the row key is right shows when a field is opened.
    ///
    /// # Errors
    /// `unsupported_operation`; `invalid_ciphertext`.
    pub fn row_opener(&self, aad: &[u8], row_key: &RowKeyText) -> Result<RowOpener> {
        let (carrier, rest) = self.split_row_key(&row_key.bytes)?;
        if !rest.is_empty() {
            return Err(malformed("the row key is too long"));
        }
        self.row(aad, carrier).map(RowOpener)
    }

    /// Decrypts a field that stands alone.
    ///
    /// # Errors
    /// `unsupported_operation`; `invalid_ciphertext`; `decryption_failed`.
    pub fn open_field(&self, aad: &[u8], name: &str, field: &FieldText) -> Result<SecretBytes> {
        let Some((&ALONE, rest)) = field.bytes.split_first() else {
            return Err(malformed("the field does not stand alone, its row key is needed"));
        };
        let (carrier, sealed) = self.split_row_key(rest)?;
        self.row(aad, carrier)?.open(ALONE, name, sealed)
    }

    fn row(&self, aad: &[u8], carrier: &[u8]) -> Result<Row> {
        let prk = match &self.secret {
            Secret::Aead(key) => extract(key.raw.expose()),
            Secret::Kem(private) => {
                extract(ml_kem::decapsulate(private, carrier).ok_or_else(failed)?.expose())
            }
            _ => return Err(unsupported(self.key_type, "does not encrypt fields")),
        };
        Ok(Row { prk, transcript: transcript(self.key_type, self.key, carrier).field(aad).finish() })
    }

    fn split_row_key<'a>(&self, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8])> {
        let ([version, code], rest) =
            bytes.split_first_chunk::<2>().ok_or_else(|| malformed("the row key is too short"))?;
        if *version != VERSION || *code != self.key_type.code() {
            return Err(malformed("the row key was made with another type of key or format"));
        }
        let length = if self.key_type.is_ml_kem() { ml_kem::size(self.key_type).ciphertext } else { SALT };
        rest.split_at_checked(length).ok_or_else(|| malformed("the row key is too short"))
    }
}

impl RowSealer {
    /// The row key, to be kept beside fields of [`RowSealer::seal`].
    pub fn row_key(&self) -> &RowKeyText {
        &self.row_key
    }

    /// Encrypts the field `name` compactly: it opens with the row key at hand.
    ///
    /// # Errors
    /// `plaintext_too_long`.
    pub fn seal(&self, world: &World, name: &str, plaintext: &[u8]) -> Result<FieldText> {
        self.sealed(world, BESIDE, &[], name, plaintext)
    }

    /// Encrypts the field `name` with the row key inside.
    ///
    /// # Errors
    /// `plaintext_too_long`.
    pub fn seal_alone(&self, world: &World, name: &str, plaintext: &[u8]) -> Result<FieldText> {
        self.sealed(world, ALONE, &self.row_key.bytes, name, plaintext)
    }

    fn sealed(
        &self,
        world: &World,
        layout: u8,
        inside: &[u8],
        name: &str,
        plaintext: &[u8],
    ) -> Result<FieldText> {
        let mut bytes = Vec::with_capacity(1 + inside.len() + NONCE + plaintext.len() + TAG);
        bytes.push(layout);
        bytes.extend_from_slice(inside);
        let key = self.row.key(name)?;
        seal_onto(&key, world.bytes(), &[layout], plaintext, &mut bytes)?;
        Ok(FieldText { version: self.row_key.version, bytes })
    }
}

impl RowOpener {
    /// Decrypts the field `name` that [`RowSealer::seal`] made.
    ///
    /// # Errors
    /// `invalid_ciphertext`; `decryption_failed`.
    pub fn open(&self, name: &str, field: &FieldText) -> Result<SecretBytes> {
        match field.bytes.split_first() {
            Some((&BESIDE, sealed)) => self.0.open(BESIDE, name, sealed),
            _ => Err(malformed("the field is not one that is kept beside its row key")),
        }
    }
}

impl Row {
    fn open(&self, layout: u8, name: &str, sealed: &[u8]) -> Result<SecretBytes> {
        open(&self.key(name)?, &[layout], sealed)
    }

    /// The key of one field: HKDF-Expand with SHA-256 of the row's transcript and the field's name.
    fn key(&self, name: &str) -> Result<LessSafeKey> {
        let transcript = [&self.transcript[..], &Aad::new().field(name.as_bytes()).finish()].concat();
        let mut key = Zeroizing::new([0; SecretKey::LEN]);
        hash::hkdf_fill(&self.prk, &hash::sha256(&transcript), &mut *key);
        aes_256(&key)
    }
}

impl RowKeyText {
    /// Reads the text form, strictly.
    ///
    /// # Errors
    /// `invalid_ciphertext`.
    pub fn parse(text: &str) -> Result<Self> {
        let (version, bytes) =
            text::parse("row key", "invalid_ciphertext", ROW_PREFIX, text, &BASE64URL_NOPAD)?;
        Ok(Self { version, bytes })
    }
}

impl fmt::Display for RowKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ROW_PREFIX}{}:{}", self.version, BASE64URL_NOPAD.encode(&self.bytes))
    }
}

impl FieldText {
    /// Reads the text form, strictly.
    ///
    /// # Errors
    /// `invalid_ciphertext`.
    pub fn parse(text: &str) -> Result<Self> {
        let (version, bytes) =
            text::parse("field", "invalid_ciphertext", FIELD_PREFIX, text, &BASE64URL_NOPAD)?;
        Ok(Self { version, bytes })
    }

    /// Whether `text` looks like an encrypted field, for counting what is encrypted.
    pub fn is_one(text: &str) -> bool {
        Self::parse(text).is_ok_and(|field| field.bytes.len() > NONCE + TAG)
    }

    /// Whether the row key is inside, so that [`PreparedKey::open_field`] opens it.
    pub fn stands_alone(&self) -> bool {
        self.bytes.first() == Some(&ALONE)
    }
}

impl fmt::Display for FieldText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FIELD_PREFIX}{}:{}", self.version, BASE64URL_NOPAD.encode(&self.bytes))
    }
}

fn extract(secret: &[u8]) -> Prk {
    hash::extract(b"writ/fields/v1", secret)
}

//! The text forms: `vault:v<key version>:<base64>`.

use std::fmt;

use data_encoding::{BASE64, BASE64URL_NOPAD, Encoding};
use writ_kernel::{Error, Result};

use super::Marshaling;

const PREFIX: &str = "vault:v";

/// An encrypted value as text. Nothing of it is authenticated before it is decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// The version of the key that opens it, from 1.
    pub version: u32,
    /// What [`crate::named::PreparedKey::encrypt`] made.
    pub body: Vec<u8>,
}

impl Ciphertext {
    /// Reads `vault:v<version>:<standard base64 with padding>`, strictly: no spaces, no leading zeros, no line breaks.
    ///
    /// # Errors
    /// `invalid_ciphertext`, in the words of the dialect.
    pub fn parse(text: &str) -> Result<Self> {
        let (version, body) = parse("ciphertext", "invalid_ciphertext", PREFIX, text, &BASE64)?;
        Ok(Self { version, body })
    }
}

impl fmt::Display for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}", self.version, BASE64.encode(&self.body))
    }
}

/// A signature as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The version of the key that made it, from 1.
    pub version: u32,
    /// What [`crate::named::PreparedKey::sign`] made.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// Reads `vault:v<version>:<base64>`; for [`Marshaling::Jws`] it is base64url without padding.
    ///
    /// # Errors
    /// `invalid_signature_text`.
    pub fn parse(text: &str, marshaling: Marshaling) -> Result<Self> {
        let (version, bytes) =
            parse("signature", "invalid_signature_text", PREFIX, text, &encoding(marshaling))?;
        Ok(Self { version, bytes })
    }

    /// The text form.
    pub fn to_text(&self, marshaling: Marshaling) -> String {
        format!("{PREFIX}{}:{}", self.version, encoding(marshaling).encode(&self.bytes))
    }
}

/// A message authentication code as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mac {
    /// The version of the key that made it, from 1.
    pub version: u32,
    /// What [`crate::named::PreparedKey::mac`] made.
    pub bytes: Vec<u8>,
}

impl Mac {
    /// Reads `vault:v<version>:<standard base64 with padding>`.
    ///
    /// # Errors
    /// `invalid_mac_text`.
    pub fn parse(text: &str) -> Result<Self> {
        let (version, bytes) = parse("hmac", "invalid_mac_text", PREFIX, text, &BASE64)?;
        Ok(Self { version, bytes })
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}", self.version, BASE64.encode(&self.bytes))
    }
}

fn encoding(marshaling: Marshaling) -> Encoding {
    match marshaling {
        Marshaling::Asn1 => BASE64,
        Marshaling::Jws => BASE64URL_NOPAD,
    }
}

/// Reads `<prefix><version>:<bytes>`; `noun` and `code` are for the error.
pub(super) fn parse(
    noun: &str,
    code: &'static str,
    prefix: &str,
    text: &str,
    encoding: &Encoding,
) -> Result<(u32, Vec<u8>)> {
    let invalid = |why: &str| Error::invalid(code, format!("invalid {noun}: {why}"));
    let rest = text.strip_prefix(prefix).ok_or_else(|| invalid("no prefix"))?;
    let (version, body) = rest.split_once(':').ok_or_else(|| invalid("wrong number of fields"))?;
    let version = version_of(version).ok_or_else(|| invalid("version number could not be decoded"))?;
    // The decoder would take several padded pieces, one after the other.
    let one_piece = !body.trim_end_matches('=').contains('=');
    let body = encoding.decode(body.as_bytes()).ok().filter(|_| one_piece);
    Ok((version, body.ok_or_else(|| invalid("could not decode base64"))?))
}

/// A version is 1 to 4294967295 in decimal digits without leading zeros.
fn version_of(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    canonical.then(|| text.parse().ok()).flatten()
}

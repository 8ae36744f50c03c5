//! Private keys in and out.

use writ_kernel::{Error, Result};

use super::{KeyType, Material, asn1, jwk, ml_kem, prepared};
use crate::{
    envelope::KeyRef,
    secret::{SecretBytes, ct_eq},
};

/// A form of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateFormat {
    /// The bytes of [`Material`]: key, seed or scalar. Not for RSA.
    Raw,
    /// PKCS #8 (RFC 5958), DER. Types with a public half only; ML-KEM and ML-DSA are written in the seed form.
    Pkcs8Der,
    /// PKCS #8, PEM.
    Pkcs8Pem,
    /// A JSON Web Key.
    Jwk,
}

impl Material {
    /// The private key in this form.
    ///
    /// # Errors
    /// `unsupported_operation` when the type has no such form.
    pub fn export(&self, format: PrivateFormat) -> Result<SecretBytes> {
        let key_type = self.key_type();
        let no_form = || prepared::unsupported(key_type, "has no such form");
        let public = || -> Result<Option<super::PublicKey>> {
            let nameless = KeyRef { id: uuid::Uuid::nil(), version: 1 };
            Ok(self.prepare(nameless)?.public().cloned())
        };
        let der = || -> Result<SecretBytes> {
            let public = public()?.ok_or_else(no_form)?;
            asn1::pkcs8(key_type, self.secret().expose(), public.as_raw()).ok_or_else(no_form)
        };
        match format {
            PrivateFormat::Raw if key_type.is_rsa() => Err(no_form()),
            PrivateFormat::Raw => Ok(SecretBytes::new(self.secret().expose().to_vec())),
            PrivateFormat::Pkcs8Der => der(),
            PrivateFormat::Pkcs8Pem => asn1::private_pem(der()?.expose()).ok_or_else(no_form),
            PrivateFormat::Jwk => jwk::export(self, public()?.as_ref()).ok_or_else(no_form),
        }
    }

    /// Reads a private key of a known type and form, and checks that it can be used.
    ///
    /// # Errors
    /// `malformed_private_key`; `wrong_key_type` when it is of another type; `invalid_key_size`.
    pub fn import(key_type: KeyType, format: PrivateFormat, bytes: &[u8]) -> Result<Self> {
        match format {
            PrivateFormat::Raw if key_type.is_rsa() => Err(malformed(key_type)),
            PrivateFormat::Raw => usable(key_type, SecretBytes::new(bytes.to_vec())),
            PrivateFormat::Pkcs8Der => from_pkcs8(key_type, bytes),
            PrivateFormat::Pkcs8Pem => {
                let pem = std::str::from_utf8(bytes).map_err(|_| malformed(key_type))?;
                let der = asn1::pem_to_der("PRIVATE KEY", pem).ok_or_else(|| malformed(key_type))?;
                from_pkcs8(key_type, der.expose())
            }
            PrivateFormat::Jwk => from_jwk(key_type, bytes),
        }
    }

    /// Reads a private key in the form that bytes of its type usually have: raw for symmetric types and HMAC; else PEM if
    /// it begins so, a JWK if it begins with `{`, and otherwise PKCS #8 in DER.
    ///
    /// # Errors
    /// As [`Material::import`].
    pub fn import_any(key_type: KeyType, bytes: &[u8]) -> Result<Self> {
        let format = match bytes {
            _ if !key_type.is_asymmetric() => PrivateFormat::Raw,
            [b'-', b'-', ..] => PrivateFormat::Pkcs8Pem,
            [b'{', ..] => PrivateFormat::Jwk,
            _ => PrivateFormat::Pkcs8Der,
        };
        Self::import(key_type, format, bytes)
    }
}

fn from_pkcs8(key_type: KeyType, der: &[u8]) -> Result<Material> {
    let key = asn1::parse_pkcs8(der).ok_or_else(|| malformed(key_type))?;
    expect(key_type, key.key_type)?;
    if let Some(expanded) = key.expanded {
        let grown = expand(key_type, key.secret.expose())?;
        if !ct_eq(&grown, expanded.expose()) {
            return Err(malformed(key_type).hint("its seed and its expanded form are of two keys"));
        }
    }
    agreeing(usable(key_type, key.secret)?, key.point)
}

fn from_jwk(key_type: KeyType, json: &[u8]) -> Result<Material> {
    let (found, secret, public) = jwk::import(key_type, json).ok_or_else(|| malformed(key_type))?;
    expect(key_type, found)?;
    agreeing(usable(key_type, secret)?, public)
}

/// `material`, if its public half is this one.
fn agreeing(material: Material, public: Option<Vec<u8>>) -> Result<Material> {
    let Some(public) = public else { return Ok(material) };
    let ours = material.prepare(KeyRef { id: uuid::Uuid::nil(), version: 1 })?;
    if ours.public().is_none_or(|ours| ours.as_raw() != public) {
        return Err(malformed(material.key_type()).hint("its private and its public part are of two keys"));
    }
    Ok(material)
}

fn usable(key_type: KeyType, secret: SecretBytes) -> Result<Material> {
    let material = Material::from_secret(key_type, secret)?;
    let nameless = KeyRef { id: uuid::Uuid::nil(), version: 1 };
    material.prepare(nameless).map_err(|_| malformed(key_type))?;
    Ok(material)
}

fn expand(key_type: KeyType, seed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    if key_type.is_ml_kem() {
        return ml_kem::expand_bytes(key_type, seed).map(|(expanded, _)| expanded);
    }
    prepared::ml_dsa_expanded(key_type, seed).ok_or_else(|| malformed(key_type))
}

fn expect(expected: KeyType, found: KeyType) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::invalid("wrong_key_type", format!("this is a key of type {found}, not {expected}")))
}

fn malformed(key_type: KeyType) -> Error {
    Error::invalid("malformed_private_key", format!("this is not a private key of type {key_type}"))
        .hint("ML-KEM and ML-DSA keys are read in the seed form, not in the expanded form alone")
}

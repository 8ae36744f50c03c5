//! How the root key is protected: what yields the key that seals it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use writ_crypto::{SecretBytes, SecretKey, SecretString, password, shamir};
use writ_kernel::{Error, Result, World};

use crate::device::{Hsm, Wrapped};

/// How the root key is to be protected.
#[expect(missing_debug_implementations, reason = "may hold a passphrase")]
pub enum Protection {
    /// A key file beside the data. Whoever has the disk has the keys: for development only.
    DevFile,
    /// A passphrase of at least 12 characters, stretched with Argon2id.
    Passphrase(SecretString),
    /// `threshold` of `shares` (Shamir's secret sharing).
    Shamir {
        /// 2 to `shares`.
        threshold: u8,
        /// 2 to 16.
        shares: u8,
    },
    /// The device the seal was given (see [`crate::Device`]): it unseals by itself.
    Pkcs11,
}

/// The shares of a new protection, one for each holder; empty unless it is Shamir's. Shown once.
pub type Shares = Vec<SecretString>;

/// What is stored about a protection. Nothing in it is secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Stored {
    DevFile,
    Passphrase { salt: String, params: password::Params },
    Shamir { threshold: u8, shares: u8 },
    Pkcs11(Wrapped),
}

impl Stored {
    /// `dev-file`, `passphrase`, `shamir` or `pkcs11`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::DevFile => "dev-file",
            Self::Passphrase { .. } => "passphrase",
            Self::Shamir { .. } => "shamir",
            Self::Pkcs11(_) => "pkcs11",
        }
    }
}

impl Protection {
    /// Makes the key-encryption key of this protection, what must be stored about it, and the shares to hand out. A
    /// development key file is written by [`write_dev_file`].
    pub(crate) fn establish(
        self,
        world: &World,
        cost: password::Params,
        hsm: Option<&Hsm>,
    ) -> Result<(SecretKey, Stored, Shares)> {
        match self {
            Self::DevFile => Ok((SecretKey::generate(world), Stored::DevFile, Vec::new())),
            Self::Passphrase(passphrase) => {
                if passphrase.expose().chars().count() < 12 {
                    return Err(Error::invalid("weak_passphrase", "a passphrase has at least 12 characters")
                        .at("protection.passphrase"));
                }
                let salt: [u8; 16] = world.bytes();
                let key = password::derive(&passphrase, &salt, cost)?;
                Ok((key, Stored::Passphrase { salt: HEXLOWER.encode(&salt), params: cost }, Vec::new()))
            }
            Self::Shamir { threshold, shares } => {
                if shares > 16 {
                    return Err(
                        Error::invalid("share_counts", "there are at most 16 shares").at("protection.shares")
                    );
                }
                let key = SecretKey::generate(world);
                let texts = shamir::split(world, &key, threshold, shares)?
                    .iter()
                    .map(shamir::encode)
                    .collect::<Result<Shares>>()?;
                Ok((key, Stored::Shamir { threshold, shares }, texts))
            }
            Self::Pkcs11 => {
                let key = SecretKey::generate(world);
                let wrapped = hsm.ok_or_else(no_device)?.wrap(world, &key)?;
                Ok((key, Stored::Pkcs11(wrapped), Vec::new()))
            }
        }
    }
}

pub(crate) fn no_device() -> Error {
    Error::conflict("hsm_not_configured", "no HSM is configured").hint("see `hsm` in the configuration")
}

/// The key-encryption key of a passphrase.
pub(crate) fn from_passphrase(
    passphrase: &SecretString,
    salt: &str,
    params: password::Params,
) -> Result<SecretKey> {
    let salt = HEXLOWER.decode(salt.as_bytes()).ok().and_then(|salt| salt.try_into().ok());
    let salt: [u8; 16] = salt.ok_or_else(|| Error::internal("the stored salt is malformed"))?;
    password::derive(passphrase, &salt, params)
}

/// The key-encryption key of the development key file.
pub(crate) fn from_dev_file(path: &Path) -> Result<SecretKey> {
    let text = fs::read(path).map_err(|error| {
        Error::unavailable("no_key_file", "the development key file cannot be read")
            .context(path.display().to_string())
            .because(error)
    })?;
    let text = SecretBytes::new(text);
    let text = text.expose().trim_ascii();
    // The decoder takes padding in the middle too; a key has one text.
    BASE64
        .decode(text)
        .ok()
        .map(SecretBytes::new)
        .filter(|key| SecretString::new(BASE64.encode(key.expose())).expose().as_bytes() == text)
        .and_then(|key| SecretKey::from_slice(key.expose()).ok())
        .ok_or_else(|| Error::unavailable("no_key_file", "the development key file is malformed"))
}

/// Puts the key-encryption key into the development key file.
pub(crate) fn write_dev_file(path: &Path, key: &SecretKey) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::unavailable("no_key_file", "the development key file cannot be written")
            .context(path.display().to_string())
            .because(error)
    };
    // Written beside and renamed: a crash leaves the old key file or the new one, never half of one.
    let fresh = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(failed)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(BASE64.encode(key.expose()).as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_key_file_has_one_text_and_one_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let read = |text: String| {
            fs::write(&path, text).unwrap();
            from_dev_file(&path)
        };
        let key = [7; SecretKey::LEN];
        assert!(read(BASE64.encode(&key) + "\n").unwrap().ct_eq(&key));

        let (head, tail) = key.split_at(2);
        let padded_in_the_middle = BASE64.encode(head) + &BASE64.encode(tail);
        for text in [padded_in_the_middle, BASE64.encode(tail), String::new()] {
            assert_eq!(read(text.clone()).map(|_| ()).unwrap_err().code(), "no_key_file", "{text}");
        }
    }
}

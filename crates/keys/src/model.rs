//! What is kept about keys.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;
use writ_crypto::named::KeyType;
use writ_gate::{Environment, Resource};
use writ_kernel::{Error, Id, NamedKey, Principal, Result, Timestamp};

use crate::name::KeyName;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// To encrypt and decrypt.
    Encryption,
    /// To sign and verify.
    Signing,
    /// To compute and check codes of authenticity.
    Hmac,
}

impl Purpose {
    /// The lower-case word of databases and of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encryption => "encryption",
            Self::Signing => "signing",
            Self::Hmac => "hmac",
        }
    }

    /// The purpose of that word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Encryption, Self::Signing, Self::Hmac].into_iter().find(|purpose| purpose.as_str() == text)
    }

    /// What a key of this type is for when nobody says.
    pub fn of(key_type: KeyType) -> Self {
        match key_type {
            KeyType::Hmac => Self::Hmac,
            _ if key_type.encrypts() => Self::Encryption,
            _ => Self::Signing,
        }
    }

    /// Whether a key of this type can be for this.
    pub fn suits(self, key_type: KeyType) -> bool {
        match self {
            Self::Encryption => key_type.encrypts(),
            Self::Signing => key_type.signs(),
            Self::Hmac => key_type == KeyType::Hmac,
        }
    }
}

/// The environment that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This one, by name or id.
    Named(String),
    /// The only one that the caller has a role in.
    Only,
}

/// Where a key is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In which environment.
    pub environment: Wanted,
    /// In which space of it: empty for the native surface, the path of an engine for the Vault dialect.
    pub space: Box<str>,
}

impl Place {
    /// The space of the native surface.
    pub fn native(environment: Option<String>) -> Self {
        Self { environment: environment.map_or(Wanted::Only, Wanted::Named), space: "".into() }
    }
}

/// Which key is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one with this id, in whatever environment it is.
    Id(Uuid),
    /// The one of this name.
    Named(Place, KeyName),
    /// The one that is used for this purpose when none is named.
    Default(Place, Purpose),
}

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It can.
    Active,
    /// Somebody took it out of use.
    Disabled,
    /// Its time is over.
    Expired,
    /// It will be destroyed at a stated time, and cannot be used meanwhile.
    ScheduledDeletion,
}

impl State {
    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::ScheduledDeletion => "scheduled_deletion",
        }
    }
}

/// A named key, without its secret part.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its id.
    pub id: Id<NamedKey>,
    /// The environment it belongs to.
    pub environment: Environment,
    /// The space of the environment; see [`Place`].
    pub space: Box<str>,
    /// What it is called.
    pub name: KeyName,
    /// Its algorithm.
    pub key_type: KeyType,
    /// What it is for.
    pub purpose: Purpose,
    /// What people say about it.
    pub description: Option<String>,
    /// Words to find it by.
    pub labels: Vec<String>,
    /// Names and values to find it by.
    pub tags: BTreeMap<String, String>,
    /// Whether somebody took it out of use.
    pub enabled: bool,
    /// Whether every use derives a key of its own from a context.
    pub derived: bool,
    /// Whether equal plaintexts give equal ciphertexts.
    pub convergent: bool,
    /// Whether its secret part may be taken away.
    pub exportable: bool,
    /// Whether it may be backed up in the clear, as the Vault dialect calls it.
    pub backupable: bool,
    /// Whether the Vault dialect may delete it.
    pub deletable: bool,
    /// Whether it was made elsewhere.
    pub imported: bool,
    /// Whether it is used for its purpose when none is named.
    pub is_default: bool,
    /// The newest version.
    pub latest_version: u32,
    /// The oldest version that decrypts and verifies.
    pub min_decryption_version: u32,
    /// The oldest version that may be chosen to encrypt and sign; 0 for any.
    pub min_encryption_version: u32,
    /// Older versions were trimmed.
    pub min_available_version: u32,
    /// How often a new version is made.
    pub rotate_every: Option<Duration>,
    /// When the next one is due.
    pub rotate_at: Option<Timestamp>,
    /// When the last one was made, after the first.
    pub rotated_at: Option<Timestamp>,
    /// From when on it cannot be used.
    pub expires_at: Option<Timestamp>,
    /// When it is destroyed.
    pub delete_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: Id<Principal>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something about it was changed last.
    pub updated_at: Timestamp,
}

/// A key has no more versions than this at once.
pub(crate) const MOST_VERSIONS: u32 = 100_000;
/// No version of a key has a higher number. A key that rotates every hour gets there in 100,000 years.
pub(crate) const HIGHEST_VERSION: u32 = 1_000_000_000;

impl Key {
    /// How many versions it has.
    pub(crate) fn versions(&self) -> u32 {
        self.latest_version.saturating_sub(self.min_available_version).saturating_add(1)
    }

    /// The number of the next version.
    ///
    /// # Errors
    /// `key_disabled` and the like; `too_many_versions`.
    pub(crate) fn next_version(&self, now: Timestamp) -> Result<u32> {
        self.usable(now)?;
        match self.latest_version.checked_add(1) {
            Some(next) if next <= HIGHEST_VERSION && self.versions() < MOST_VERSIONS => Ok(next),
            _ => Err(Error::conflict("too_many_versions", "the key has as many versions as a key may have")
                .hint("trim old versions")),
        }
    }

    /// The key as policy and evidence see it.
    pub(crate) fn resource(&self) -> Resource {
        Resource {
            path: Some(self.name.to_string()),
            ..Resource::one("key", self.id).named(&self.name).of(self.created_by)
        }
        .within(self.environment.clone())
    }

    /// Whether it can be used at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        if self.delete_at.is_some() {
            State::ScheduledDeletion
        } else if !self.enabled {
            State::Disabled
        } else if self.expires_at.is_some_and(|end| end <= now) {
            State::Expired
        } else {
            State::Active
        }
    }

    /// # Errors
    /// `key_revoked`, `key_disabled`, `key_expired`.
    pub(crate) fn usable(&self, now: Timestamp) -> Result<()> {
        match self.state(now) {
            State::Active => Ok(()),
            State::Disabled => Err(Error::forbidden("key_disabled", "the key is taken out of use")),
            State::Expired => Err(Error::forbidden("key_expired", "the key has expired")),
            State::ScheduledDeletion => {
                Err(Error::forbidden("key_revoked", "the key is about to be destroyed")
                    .hint("cancel its deletion to use it again"))
            }
        }
    }

    /// The version that encrypts, signs or computes a code when `wanted` is asked for.
    ///
    /// # Errors
    /// `unknown_key_version`, `key_version_below_minimum`.
    pub(crate) fn to_make(&self, wanted: Option<u32>) -> Result<u32> {
        let Some(version) = wanted.filter(|version| *version != 0) else { return Ok(self.latest_version) };
        if version > self.latest_version || version < self.min_available_version {
            return Err(unknown_version());
        }
        if version < self.min_encryption_version {
            return Err(below_minimum("encryption"));
        }
        Ok(version)
    }

    /// `version`, if it may still decrypt or verify.
    ///
    /// # Errors
    /// `unknown_key_version`, `key_version_below_minimum`.
    pub(crate) fn to_open(&self, version: u32) -> Result<u32> {
        if version < self.min_decryption_version {
            return Err(below_minimum("decryption"));
        }
        if version > self.latest_version || version < self.min_available_version {
            return Err(unknown_version());
        }
        Ok(version)
    }
}

fn unknown_version() -> Error {
    Error::invalid("unknown_key_version", "the key has no such version")
}

fn below_minimum(of: &str) -> Error {
    Error::forbidden(
        "key_version_below_minimum",
        format!("the key version is below the minimum {of} version"),
    )
    .hint("rewrap or sign anew with a newer version")
}

/// One version of a key.
#[derive(Debug, Clone)]
pub struct Version {
    /// Which one.
    pub version: u32,
    /// Its own id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
}

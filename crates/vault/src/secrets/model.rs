//! What a secret is.

use std::{collections::BTreeMap, time::Duration};

use writ_crypto::SecretBytes;
use writ_gate::{Environment, Resource};
use writ_kernel::{Error, Id, Label, Principal, Result, Secret, Timestamp};

use super::path::SecretPath;

/// The longest value, in bytes.
pub const LONGEST_VALUE: usize = 1024 * 1024;
/// As many versions are kept unless a secret says otherwise.
pub const KEPT_VERSIONS: u32 = 10;
/// The most versions a secret may ask to keep.
const MOST_VERSIONS: u32 = 1_000;
/// A secret without expiry and rotation policy is due for a new value after this long.
pub(crate) const ROTATE_EVERY: Duration = Duration::from_hours(90 * 24);

/// What the bytes of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// UTF-8 text.
    Text,
    /// A JSON document, kept byte for byte as it was sent.
    Json,
    /// Any bytes.
    Binary,
}

impl Format {
    /// The word of the database and of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Binary => "binary",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        [Self::Text, Self::Json, Self::Binary]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| Error::internal("a value of an unknown format"))
    }
}

/// A value: what is kept secret.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct Value {
    pub(crate) format: Format,
    pub(crate) bytes: SecretBytes,
}

impl Value {
    /// A value of UTF-8 text.
    ///
    /// # Errors
    /// `TooLarge` beyond [`LONGEST_VALUE`].
    pub fn text(text: String) -> Result<Self> {
        Self::new(Format::Text, SecretBytes::new(text.into_bytes()))
    }

    /// A value of any bytes. The bytes of [`Format::Text`] and [`Format::Json`] must be what they are called.
    ///
    /// # Errors
    /// `TooLarge` beyond [`LONGEST_VALUE`]; `Invalid` when the bytes are not of the format.
    pub fn new(format: Format, bytes: SecretBytes) -> Result<Self> {
        if bytes.len() > LONGEST_VALUE {
            return Err(Error::too_large("value_too_large", "a value is at most 1 MiB").at("value"));
        }
        let fits = match format {
            Format::Binary => true,
            Format::Text => std::str::from_utf8(bytes.expose()).is_ok(),
            Format::Json => serde_json::from_slice::<serde::de::IgnoredAny>(bytes.expose()).is_ok(),
        };
        fits.then_some(Self { format, bytes }).ok_or_else(|| {
            Error::invalid("malformed_value", format!("the value is not {}", format.as_str())).at("value")
        })
    }

    /// What the bytes are.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The bytes.
    pub fn bytes(&self) -> &SecretBytes {
        &self.bytes
    }
}

/// How closely a secret is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Classification {
    /// Harmless when known.
    Public,
    /// For everybody in the organisation.
    Internal,
    /// For those who need it.
    Confidential,
    /// For few, and never under a link.
    Restricted,
}

impl Classification {
    /// The lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        [Self::Public, Self::Internal, Self::Confidential, Self::Restricted]
            .into_iter()
            .find(|classification| classification.as_str() == text)
            .ok_or_else(|| {
                Error::invalid("unknown_classification", "there is no such classification")
                    .at("classification")
                    .hint("one of public, internal, confidential, restricted")
            })
    }
}

/// What must be known of every secret. `None` where a client did not say; what is assumed then is said by `assumed`.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Who answers for it.
    pub owner: Option<Id<Principal>>,
    /// What it is for.
    pub purpose: Option<Label>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// How often it is to be replaced.
    pub rotate_every: Option<Duration>,
    /// How closely it is to be kept.
    pub classification: Option<Classification>,
}

/// What is remembered beside the value.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// What sort of secret it is, in the words of clients: `password`, `api-key`, …
    pub kind: Option<String>,
    /// What to know about it.
    pub description: Option<String>,
    /// Words to find it by.
    pub labels: Option<Vec<String>>,
    /// What clients attach.
    pub custom: Option<BTreeMap<String, String>>,
    /// Whether a person marked it.
    pub favourite: Option<bool>,
}

/// How versions are kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keeping {
    /// Whether every write must name the version it replaces.
    pub cas_required: Option<bool>,
    /// How many versions are kept; 0 for [`KEPT_VERSIONS`].
    pub max_versions: Option<u32>,
    /// How long after its writing a version counts as deleted; zero for never.
    pub delete_after: Option<Duration>,
}

/// A secret, without its values.
#[derive(Debug, Clone)]
pub struct SecretRecord {
    /// Its id, the same for all versions.
    pub id: Id<Secret>,
    /// Its environment.
    pub environment: Id<writ_kernel::Environment>,
    /// Where it is.
    pub path: SecretPath,
    /// What sort of secret it is, in the words of clients.
    pub kind: Option<String>,
    /// What to know about it.
    pub description: Option<String>,
    /// What it is for.
    pub purpose: Label,
    /// How closely it is to be kept.
    pub classification: Classification,
    /// Who answers for it.
    pub owner: Id<Principal>,
    /// Words to find it by.
    pub labels: Vec<String>,
    /// What clients attach.
    pub custom: BTreeMap<String, String>,
    /// Which of owner, purpose, rotation and classification nobody stated.
    pub assumed: Vec<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// How often it is to be replaced.
    pub rotate_every: Option<Duration>,
    /// Whether every write must name the version it replaces.
    pub cas_required: bool,
    /// How many versions are kept; 0 for [`KEPT_VERSIONS`].
    pub max_versions: u32,
    /// How long after its writing a version counts as deleted; zero for never.
    pub delete_after: Duration,
    /// The newest version; 0 when nothing was written yet.
    pub current: u32,
    /// The oldest version that is kept.
    pub oldest: u32,
    /// Counts changes of the sealed details.
    pub(crate) revision: u64,
    /// Sealed: user name, notes, addresses, fields of the client's own and seeds of one-time passwords.
    pub(crate) details: Option<Vec<u8>>,
    /// Whether the details hold the seed of one-time passwords.
    pub totp: bool,
    /// Whether a person marked it.
    pub favourite: bool,
    /// Whether it is in use.
    pub active: bool,
    /// When somebody said that strangers know it, if its value has not been replaced since.
    pub exposed_at: Option<Timestamp>,
    /// Who stored it.
    pub created_by: Id<Principal>,
    /// When.
    pub created_at: Timestamp,
    /// When anything about it changed.
    pub updated_at: Timestamp,
    /// When its newest version was written.
    pub rotated_at: Timestamp,
}

impl SecretRecord {
    /// When a new value is due: the earlier of its expiry and the end of its rotation period.
    pub fn due_at(&self) -> Option<Timestamp> {
        let rotation = self.rotate_every.map(|every| self.rotated_at.plus(every));
        [self.expires_at, rotation].into_iter().flatten().min()
    }

    /// Whether it has ended.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// How many versions are kept.
    pub(crate) fn kept(&self) -> u32 {
        if self.max_versions == 0 { KEPT_VERSIONS } else { self.max_versions }
    }

    /// As policy and evidence know it.
    pub(crate) fn resource(&self, environment: Environment) -> Resource {
        let resource = Resource::one("secret", self.id).named(&self.path).within(environment).of(self.owner);
        Resource {
            classification: Some(self.classification.as_str().to_owned()),
            path: Some(self.path.to_string()),
            ..resource
        }
    }

    /// Takes over how versions are to be kept.
    pub(crate) fn keep(&mut self, keeping: Keeping) -> Result<()> {
        let out = |what, field| Err(Error::invalid("out_of_range", what).at(field));
        if keeping.max_versions.is_some_and(|most| most > MOST_VERSIONS) {
            return out("at most 1000 versions are kept", "maxVersions");
        }
        if keeping.delete_after.is_some_and(|after| after > Duration::from_hours(100 * 365 * 24)) {
            return out("a version is deleted after at most a hundred years", "deleteAfterSeconds");
        }
        self.cas_required = keeping.cas_required.unwrap_or(self.cas_required);
        self.max_versions = keeping.max_versions.unwrap_or(self.max_versions);
        self.delete_after = keeping.delete_after.unwrap_or(self.delete_after);
        Ok(())
    }
}

/// A version of a secret, without its value.
#[derive(Debug, Clone)]
pub struct VersionRecord {
    /// Counts from 1.
    pub version: u32,
    /// What the bytes of its value are.
    pub format: Format,
    /// How many bytes its value has.
    pub size: u64,
    /// The earlier version whose value this is, when it was rolled back.
    pub restored_from: Option<u32>,
    /// Who wrote it.
    pub created_by: Id<Principal>,
    /// What sort of principal that was.
    pub created_by_kind: String,
    /// When.
    pub created_at: Timestamp,
    /// From when on it counts as deleted; restoring takes that back.
    pub deleted_at: Option<Timestamp>,
    /// When its value was destroyed, for good.
    pub destroyed_at: Option<Timestamp>,
}

impl VersionRecord {
    /// Why its value cannot be had at `now`.
    pub fn absent(&self, now: Timestamp) -> Option<Absence> {
        if self.destroyed_at.is_some() {
            return Some(Absence::Destroyed);
        }
        self.deleted_at.is_some_and(|at| at <= now).then_some(Absence::Deleted)
    }
}

/// Why the value of a version cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It is deleted, and can be restored.
    Deleted,
    /// It is destroyed.
    Destroyed,
}

impl Absence {
    /// As an error of the native interface.
    pub fn error(self) -> Error {
        match self {
            Self::Deleted => {
                Error::gone("version_deleted", "this version is deleted").hint("restore it first")
            }
            Self::Destroyed => Error::gone("version_destroyed", "this version is destroyed"),
        }
    }
}

/// Which secret is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The one with this id.
    Id(Id<Secret>),
    /// The one at this path of this environment.
    Path(Id<writ_kernel::Environment>, SecretPath),
}

/// What was read: a secret, one of its versions, and its value unless it is deleted or destroyed.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct Reading {
    /// The secret.
    pub secret: SecretRecord,
    /// The version.
    pub version: VersionRecord,
    /// Its value; `Err` says why there is none.
    pub value: std::result::Result<Value, Absence>,
    /// User name, notes and the like, as a JSON object.
    pub details: Option<SecretBytes>,
}

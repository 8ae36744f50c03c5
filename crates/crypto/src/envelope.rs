//! Envelopes: sealed values that say which key opens them, and the ring of keys that does.
//!
//! Format, all integers big-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | magic `WRT1` |
//! | 1 | version, 1 |
//! | 1 | suite, see [`Suite`] |
//! | 16 | key id (UUID) |
//! | 4 | key version |
//! | rest | suite data |
//!
//! The whole header is bound into the associated data, so no field of it can be exchanged.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use uuid::Uuid;
use writ_kernel::{Error, Kind, Result, TenantId, World};

use crate::{
    aead::{DataKey, OVERHEAD},
    secret::SecretBytes,
};

/// What every format of ours begins with.
pub(crate) const MAGIC: &[u8; 4] = b"WRT1";

/// The version of the formats written here.
pub(crate) const VERSION: u8 = 1;

/// How the data after the header is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// AES-256-GCM under a data key: nonce (12), ciphertext, tag (16).
    DataKey = 1,
    /// A key wrapped to a hybrid public key; see [`crate::kem`].
    HybridWrap = 2,
}

impl Suite {
    fn from_byte(byte: u8) -> Result<Self> {
        [Self::DataKey, Self::HybridWrap]
            .into_iter()
            .find(|suite| *suite as u8 == byte)
            .ok_or_else(|| malformed("the suite is unknown"))
    }
}

/// One version of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyRef {
    /// Which key.
    pub id: Uuid,
    /// Which version of it.
    pub version: u32,
}

/// What an envelope says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// How the body is protected.
    pub suite: Suite,
    /// The key that opens it.
    pub key: KeyRef,
}

impl Header {
    /// How many bytes a header has.
    pub const LEN: usize = 26;

    /// The header as it is written.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let fields = MAGIC
            .iter()
            .copied()
            .chain([VERSION, self.suite as u8])
            .chain(*self.key.id.as_bytes())
            .chain(self.key.version.to_be_bytes());
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Reads the header at the beginning of `bytes`; also gives what comes after it.
    ///
    /// # Errors
    /// `malformed_envelope` when it is too short, not ours, or of a version or suite we do not know.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let short = || malformed("it is too short");
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let ([version, suite], rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        let (id, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
        let (key_version, body) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        if magic != MAGIC {
            return Err(malformed("it does not begin with our magic"));
        }
        if *version != VERSION {
            return Err(malformed("its version is unknown"));
        }
        let key = KeyRef { id: Uuid::from_bytes(*id), version: u32::from_be_bytes(*key_version) };
        Ok((Self { suite: Suite::from_byte(*suite)?, key }, body))
    }
}

/// A parsed envelope, still sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What it says about itself. Not yet authenticated.
    pub header: Header,
    /// The suite data.
    pub body: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads an envelope without opening it.
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        Header::parse(bytes).map(|(header, body)| Self { header, body })
    }
}

/// Data keys of one purpose, by id and version. One of them is active and seals; all of them open.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct KeyRing {
    active: (KeyRef, DataKey),
    /// How often the active key has sealed.
    seals: AtomicU64,
    retired: HashMap<KeyRef, DataKey>,
}

impl KeyRing {
    /// A key should seal no more than this often: the chance that two of its random nonces met is then below
    /// 2^-40. (SP 800-38D section 8.3 stops at 2^32 seals and 2^-32.)
    pub const ROLL_AFTER: u64 = 1 << 28;

    /// A ring of one key, the active one. `seals` is how often it sealed before, as far as known.
    pub fn new(name: KeyRef, key: DataKey, seals: u64) -> Self {
        Self { active: (name, key), seals: AtomicU64::new(seals), retired: HashMap::new() }
    }

    /// Adds a key that only opens.
    pub fn retire(&mut self, name: KeyRef, key: DataKey) {
        self.retired.insert(name, key);
    }

    /// Lets a fresh key seal from now on; the one before it only opens.
    pub fn activate(&mut self, name: KeyRef, key: DataKey) {
        let (before, old) = std::mem::replace(&mut self.active, (name, key));
        self.retired.insert(before, old);
        self.seals = AtomicU64::new(0);
    }

    /// Which key seals.
    pub fn active(&self) -> KeyRef {
        self.active.0
    }

    /// How often the active key has sealed.
    pub fn seals(&self) -> u64 {
        self.seals.load(Ordering::Relaxed)
    }

    /// Whether the active key has sealed so often that another should take over.
    pub fn needs_roll(&self) -> bool {
        self.seals() >= Self::ROLL_AFTER
    }

    /// Seals `plaintext` under the active key and binds it to `aad`; see [`Aad`].
    pub fn seal(&self, world: &World, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let (name, key) = &self.active;
        self.seals.fetch_add(1, Ordering::Relaxed);
        let header = Header { suite: Suite::DataKey, key: *name }.to_bytes();
        let mut sealed = Vec::with_capacity(Header::LEN + plaintext.len() + OVERHEAD);
        sealed.extend_from_slice(&header);
        key.seal_onto(world, &[&header, aad].concat(), plaintext, &mut sealed);
        sealed
    }

    /// Opens what [`KeyRing::seal`] made with the same `aad`, under whichever key the header names.
    ///
    /// # Errors
    /// `malformed_envelope`; `unknown_key` when the ring has no such key or version; `seal_broken` when the
    /// key, `aad` or any bit is another.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
        let Envelope { header, body } = Envelope::parse(sealed)?;
        if header.suite != Suite::DataKey {
            return Err(malformed("its suite is not that of a data key"));
        }
        let key = self.key(header.key).ok_or_else(|| unknown(header.key))?;
        key.open(&[&header.to_bytes(), aad].concat(), body)
    }

    fn key(&self, name: KeyRef) -> Option<&DataKey> {
        if self.active.0 == name { Some(&self.active.1) } else { self.retired.get(&name) }
    }
}

/// Associated data: a list of fields, each with its length (8 bytes, big-endian) before it, so that no two
/// lists have the same bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aad(Vec<u8>);

impl Aad {
    /// No fields yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where in the database a value lives: a value moved to another tenant, table, row or column, or back
    /// in from an older version of its row, does not open.
    pub fn cell(tenant: TenantId, table: &str, row: &[u8], column: &str, version: u64) -> Vec<u8> {
        Self::new()
            .field(tenant.uuid().as_bytes())
            .field(table.as_bytes())
            .field(row)
            .field(column.as_bytes())
            .field(&version.to_be_bytes())
            .finish()
    }

    /// One more field.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// All fields as bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

pub(crate) fn malformed(why: &str) -> Error {
    Error::new(Kind::Internal, "malformed_envelope", format!("this is not a sealed value: {why}"))
}

fn unknown(key: KeyRef) -> Error {
    Error::new(Kind::Internal, "unknown_key", "no key here opens this sealed value")
        .context(format!("key {} version {}", key.id, key.version))
}

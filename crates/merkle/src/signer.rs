//! Keys with names: who signs notes, how, and how a verifier knows them again.
//!
//! A type of signature fixes the algorithm and what is signed. Ed25519 (type `0x01`) signs the text of the note.
//! The cosignature types sign a checkpoint together with a time: with Ed25519 (`0x04`) and ML-DSA-44 (`0x06`) as
//! C2SP tlog-cosignature defines. No type is assigned for ML-DSA-65, so ours is private, `0xff` and
//! `writ.dev/ml-dsa-65`; it signs the same message as `0x06`.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use writ_crypto::{
    hash::sha256,
    sign::{Algorithm, SigningKey, VerifyingKey},
};

use crate::{
    Error, Head, KeyName, Result, base64,
    note::{Note, Signature},
};

/// What a signature covers, and with which algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureType {
    /// `0x01`: Ed25519 over the text of the note.
    Ed25519,
    /// `0x04`: Ed25519 over time and text (`cosignature/v1`).
    Ed25519Cosignature,
    /// `0x06`: ML-DSA-44 over time, origin, size and root (`subtree/v1`).
    MlDsa44,
    /// `0xff writ.dev/ml-dsa-65`: ML-DSA-65 over the same message as [`SignatureType::MlDsa44`].
    MlDsa65,
}

impl SignatureType {
    const ALL: [Self; 4] = [Self::Ed25519, Self::Ed25519Cosignature, Self::MlDsa44, Self::MlDsa65];

    /// The bytes that identify the type, before the public key, in key identifiers and verifier keys.
    const fn identifier(self) -> &'static [u8] {
        match self {
            Self::Ed25519 => &[0x01],
            Self::Ed25519Cosignature => &[0x04],
            Self::MlDsa44 => &[0x06],
            Self::MlDsa65 => b"\xffwrit.dev/ml-dsa-65",
        }
    }

    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Ed25519 | Self::Ed25519Cosignature => Algorithm::Ed25519,
            Self::MlDsa44 => Algorithm::MlDsa44,
            Self::MlDsa65 => Algorithm::MlDsa65,
        }
    }

    /// Whether the signature carries the time it was made at, as cosignatures do.
    pub const fn is_timed(self) -> bool {
        !matches!(self, Self::Ed25519)
    }

    /// The message a key called `name` signs for `text` at `time`.
    fn message(self, name: &KeyName, time: u64, text: &str) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Ed25519 => text.as_bytes().to_vec(),
            Self::Ed25519Cosignature => format!("cosignature/v1\ntime {time}\n{text}").into_bytes(),
            Self::MlDsa44 | Self::MlDsa65 => subtree_message(name, time, &Head::parse(text)?),
        })
    }
}

impl fmt::Display for SignatureType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::Ed25519Cosignature => "Ed25519 cosignature",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
        })
    }
}

/// The structure `cosigned_message` of tlog-cosignature, for the whole tree.
fn subtree_message(name: &KeyName, time: u64, head: &Head) -> Vec<u8> {
    let mut message = b"subtree/v1\n\0".to_vec();
    append_name(&mut message, name);
    message.extend_from_slice(&time.to_be_bytes());
    append_name(&mut message, &head.origin);
    message.extend_from_slice(&0_u64.to_be_bytes());
    message.extend_from_slice(&head.size.to_be_bytes());
    message.extend_from_slice(head.root.as_bytes());
    message
}

/// Appends `opaque name<1..2^8-1>`.
fn append_name(message: &mut Vec<u8>, name: &KeyName) {
    let name = name.as_str().as_bytes();
    message.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    message.extend_from_slice(name);
}

/// `SHA-256(name ‖ "\n" ‖ type ‖ public key)`, its first four bytes as a big-endian number.
fn key_id(name: &KeyName, kind: SignatureType, key: &[u8]) -> u32 {
    let [a, b, c, d, ..] = sha256(&[name.as_str().as_bytes(), b"\n", kind.identifier(), key].concat());
    u32::from_be_bytes([a, b, c, d])
}

/// A key that signs notes under a name.
pub struct Signer {
    name: KeyName,
    kind: SignatureType,
    id: u32,
    key: SigningKey,
}

impl Signer {
    /// The signer of a log: with Ed25519 it signs the text itself.
    ///
    /// # Errors
    /// [`Error::WrongKey`] when notes cannot be signed with this algorithm.
    pub fn log(name: KeyName, key: SigningKey) -> Result<Self> {
        Self::new(name, key, |kind| kind != SignatureType::Ed25519Cosignature)
    }

    /// A witness, who cosigns the checkpoints of others: the time is always signed along.
    ///
    /// # Errors
    /// As [`Signer::log`].
    pub fn witness(name: KeyName, key: SigningKey) -> Result<Self> {
        Self::new(name, key, SignatureType::is_timed)
    }

    fn new(name: KeyName, key: SigningKey, fits: fn(SignatureType) -> bool) -> Result<Self> {
        let mut kinds = SignatureType::ALL.into_iter().filter(|kind| fits(*kind));
        let Some(kind) = kinds.find(|kind| kind.algorithm() == key.algorithm()) else {
            return Err(Error::WrongKey { name });
        };
        let id = key_id(&name, kind, key.verifying_key().as_bytes());
        Ok(Self { name, kind, id, key })
    }

    /// Who verifies what this signs.
    ///
    /// # Errors
    /// [`Error::WrongKey`] when the public key cannot be read back.
    pub fn verifier(&self) -> Result<Verifier> {
        Verifier::new(self.name.clone(), self.kind, self.key.verifying_key().as_bytes())
    }

    /// Signs `text`, at `time` in POSIX seconds.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the type signs checkpoints and `text` is none; [`Error::Signing`] when the key
    /// cannot sign.
    pub fn sign(&self, text: &str, time: u64) -> Result<Signature> {
        let message = self.kind.message(&self.name, time, text)?;
        let signature = self
            .key
            .sign(&message)
            .map_err(|error| Error::Signing { name: self.name.clone(), source: error.into() })?;
        let time = time.to_be_bytes();
        let time = if self.kind.is_timed() { time.as_slice() } else { &[] };
        Ok(Signature { name: self.name.clone(), id: self.id, bytes: [time, &signature].concat() })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} {:08x} {})", self.name, self.id, self.kind)
    }
}

/// A public key with a name, and the type of its signatures. Text form: the verifier key (*vkey*) of C2SP
/// signed-note, `<name>+<key id in hex>+<base64 of type and public key>`.
#[derive(Clone)]
pub struct Verifier {
    name: KeyName,
    kind: SignatureType,
    id: u32,
    key: VerifyingKey,
}

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The name of the key.
    pub name: KeyName,
    /// What the signature covers.
    pub kind: SignatureType,
    /// When it was made, in POSIX seconds by the signer's clock; `None` for a type without a time.
    pub time: Option<u64>,
}

impl Verifier {
    /// The verifier for the public key `key`, in the encoding of its algorithm.
    ///
    /// # Errors
    /// [`Error::WrongKey`] when the bytes are no public key of the type's algorithm.
    pub fn new(name: KeyName, kind: SignatureType, key: &[u8]) -> Result<Self> {
        let id = key_id(&name, kind, key);
        match VerifyingKey::from_bytes(kind.algorithm(), key) {
            Ok(key) => Ok(Self { name, kind, id, key }),
            Err(_) => Err(Error::WrongKey { name }),
        }
    }

    /// The name of the key.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What its signatures cover.
    pub const fn kind(&self) -> SignatureType {
        self.kind
    }

    /// The identifier of the key in signature lines.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Verifies this key's signature of `note`; `None` when the note has none.
    ///
    /// # Errors
    /// [`Error::BadSignature`] when it is not valid, [`Error::RepeatedSignature`] when there are several.
    pub fn verify(&self, note: &Note) -> Result<Option<Signed>> {
        let mut mine = note.signatures().iter().filter(|line| line.id == self.id && line.name == self.name);
        let (first, second) = (mine.next(), mine.next());
        if second.is_some() {
            return Err(Error::RepeatedSignature { name: self.name.clone(), id: self.id });
        }
        let Some(line) = first else { return Ok(None) };
        self.valid(note.text(), &line.bytes)
            .map(Some)
            .ok_or_else(|| Error::BadSignature { name: self.name.clone(), id: self.id })
    }

    fn valid(&self, text: &str, bytes: &[u8]) -> Option<Signed> {
        let (time, signature) = if self.kind.is_timed() {
            let (time, signature) = bytes.split_first_chunk()?;
            (Some(u64::from_be_bytes(*time)).filter(|time| i64::try_from(*time).is_ok())?.into(), signature)
        } else {
            (None, bytes)
        };
        let message = self.kind.message(&self.name, time.unwrap_or(0), text).ok()?;
        self.key.verify(&message, signature).ok()?;
        Some(Signed { name: self.name.clone(), kind: self.kind, time })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [self.kind.identifier(), self.key.as_bytes()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, base64::encode(&key))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} {:08x} {})", self.name, self.id, self.kind)
    }
}

impl FromStr for Verifier {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let malformed = |why| Error::malformed("verifier key", why);
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("it is not `<name>+<key id>+<key>`"));
        };
        let id =
            HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
        let key = base64::decode(key).ok_or(malformed("the key is not base64"))?;
        let (kind, key) = SignatureType::ALL
            .into_iter()
            .find_map(|kind| Some((kind, key.strip_prefix(kind.identifier())?)))
            .ok_or(malformed("the type of signature is not known"))?;
        let verifier = Self::new(name.parse()?, kind, key)?;
        if Some(verifier.id) == id {
            Ok(verifier)
        } else {
            Err(malformed("the key id is not that of the key"))
        }
    }
}

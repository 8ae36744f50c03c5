//! Verification of an export without a server: from its files alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;
use writ_crypto::hash;
use writ_kernel::{Error, Result};
use writ_merkle::{Error as MerkleError, Head, Layer, Policy, Report, Tile, Verifier, audit, tile};

use crate::export::payloads_path;

/// What was found out about an export.
#[derive(Debug)]
pub struct Verified {
    /// About the log: its signatures, leaves, tiles and earlier promises.
    pub log: Report,
    /// How many payloads are there and are what their leaves commit to.
    pub payloads: u64,
    /// How many records the export says were erased. Their leaves are as provable as all others; that it was an
    /// erasure, and not an omission, a record of `evidence.subjects.erase` with the actor's pseudonym says.
    pub erased: u64,
    /// The records whose payload is not what the leaf commits to, or of whom the export speaks twice, by index.
    pub altered: Vec<u64>,
    /// Of how many records, in the range the export claims to have, it says nothing: neither payload nor erasure.
    pub withheld: u64,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.log.is_intact() && self.altered.is_empty() && self.withheld == 0
    }
}

/// One line of `payloads/<bundle>.jsonl`.
#[derive(Deserialize)]
struct Line {
    index: u64,
    id: Uuid,
    erased: bool,
    payload: Option<Value>,
}

/// The members of `about.json` that say whose payloads came along: from `from` to before `to`.
#[derive(Deserialize)]
struct About {
    from: Option<u64>,
    to: Option<u64>,
}

impl About {
    fn parse(bytes: Option<&[u8]>) -> Result<Self> {
        let Some(bytes) = bytes else { return Ok(Self { from: None, to: None }) };
        serde_json::from_slice(bytes)
            .map_err(|error| Error::invalid("malformed_about", "`about.json` is malformed").because(error))
    }
}

/// Verifies an unpacked export, whose files `read` gives by path (`None` for one that is not there). `verifiers` come
/// from elsewhere than from the export: whoever forges an export forges its file `keys` as well.
///
/// `known` is what an earlier, verified checkpoint said; see [`writ_merkle::audit()`].
///
/// # Errors
/// Only those of `read`, and `Invalid` when a file of payloads or `about.json` is not of the form of one.
pub fn verify(
    read: impl Fn(&str) -> std::io::Result<Option<Vec<u8>>>,
    verifiers: &[Verifier],
    policy: &Policy,
    known: Option<&Head>,
) -> Result<Verified> {
    let unreadable =
        |error: std::io::Error| Error::invalid("unreadable", "the export cannot be read").because(error);
    let files = |path: &str| {
        read(path).map_err(|error| MerkleError::Read { path: path.to_owned(), source: error.into() })
    };
    let log = audit(files, verifiers, policy, known);
    let log =
        log.map_err(|error| Error::invalid("unreadable", "the export cannot be read").because(error))?;
    let mut verified = Verified { log, payloads: 0, erased: 0, altered: Vec::new(), withheld: 0 };
    let size = verified.log.head.as_ref().map_or(0, |head| head.size);
    let about = About::parse(read("about.json").map_err(unreadable)?.as_deref())?;
    let wanted = about.from.unwrap_or(0)..about.to.unwrap_or(size).min(size);
    for first in (0..size).step_by(tile::WIDTH.into()) {
        let Some(bundle) = Tile::holding(Layer::Entries, first, size) else { break };
        let lines = read(&payloads_path(bundle.index())).map_err(unreadable)?.unwrap_or_default();
        let entries = read(&bundle.to_string()).map_err(unreadable)?.unwrap_or_default();
        let entries = tile::decode_entries(&entries, bundle.width()).unwrap_or_default();
        let leaves: BTreeMap<u64, &[u8]> = (first..).zip(entries).collect();
        let end = first + u64::from(bundle.width());
        verified.bundle(&lines, &leaves, wanted.start.max(first)..wanted.end.min(end))?;
    }
    Ok(verified)
}

impl Verified {
    fn bundle(&mut self, lines: &[u8], leaves: &BTreeMap<u64, &[u8]>, wanted: Range<u64>) -> Result<()> {
        let mut seen = BTreeSet::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                Error::invalid("malformed_payloads", "a file of payloads is malformed").because(error)
            })?;
            let leaf = leaves.get(&line.index).copied().unwrap_or_default();
            let first = seen.insert(line.index);
            match line.payload {
                Some(payload) if first && is_committed(leaf, line.id, &payload) => self.payloads += 1,
                None if first && line.erased && id(leaf) == Some(line.id) => self.erased += 1,
                _ => self.altered.push(line.index),
            }
        }
        for index in wanted {
            self.withheld += u64::from(!seen.contains(&index));
        }
        Ok(())
    }
}

/// The id in a leaf.
fn id(leaf: &[u8]) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Identified {
        id: Uuid,
    }
    serde_json::from_slice(leaf).ok().map(|leaf: Identified| leaf.id)
}

/// The members of a leaf that commit to its payload.
#[derive(Deserialize)]
struct Commitments {
    id: Uuid,
    pc: String,
    dec: String,
}

/// Whether `payload` is what `leaf`, the one with this `id`, commits to: the HMAC-SHA-256 of its canonical form
/// (RFC 8785) without `commitmentKey`, under that key; and the same for its member `decision`.
pub fn is_committed(leaf: &[u8], id: Uuid, payload: &Value) -> bool {
    committed(leaf, payload) == Some(id)
}

/// The id in the leaf, if its commitments are kept.
fn committed(leaf: &[u8], payload: &Value) -> Option<Uuid> {
    let commitments: Commitments = serde_json::from_slice(leaf).ok()?;
    let mut body = payload.clone();
    let key = body.as_object_mut()?.remove("commitmentKey")?;
    let key = HEXLOWER.decode(key.as_str()?.as_bytes()).ok()?;
    let mac = |label: &[u8], value: &Value| {
        let text = serde_json_canonicalizer::to_string(value).ok()?;
        Some(format!("hmac-sha256:{}", hash::hex(&hash::hmac_sha256(&key, &[label, text.as_bytes()]))))
    };
    let kept = mac(b"writ/payload/v1\0", &body)? == commitments.pc
        && mac(b"writ/decision/v1\0", body.get("decision")?)? == commitments.dec;
    kept.then_some(commitments.id)
}

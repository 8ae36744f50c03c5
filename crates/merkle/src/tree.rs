//! The hash tree of RFC 6962 and RFC 9162, section 2.1, over SHA-256.
//!
//! A tree of `size` leaves is held as its right edge only ([`Frontier`]): at most 63 hashes, enough to append
//! and to know the root. The hashes of completed subtrees are handed out as they come into being, for whoever
//! stores them.

use std::{fmt, str::FromStr};

use writ_crypto::hash::Sha256;

use crate::{Error, Result, base64};

/// The largest tree, in leaves: sizes and indices fit a signed 64-bit column and the spec's timestamps alike.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// The hash of a leaf, a node or a whole tree: SHA-256, 32 bytes. Text form: standard base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Self::LENGTH]);

impl Hash {
    /// The length of a hash in bytes.
    pub const LENGTH: usize = 32;

    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        base64::decode(text)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(Error::malformed("hash", "it is not the base64 of 32 bytes"))
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = Error;
    fn try_from(bytes: &[u8]) -> Result<Self> {
        bytes.try_into().map(Self).map_err(|_| Error::malformed("hash", "it is not 32 bytes"))
    }
}

/// The hash of a leaf: `SHA-256(0x00 ‖ data)`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(&[0x00]);
    hasher.update(data);
    Hash(hasher.finish())
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(&[0x01]);
    hasher.update(&left.0);
    hasher.update(&right.0);
    Hash(hasher.finish())
}

/// The root of the tree without leaves: the hash of nothing.
pub fn empty_root() -> Hash {
    Hash(Sha256::new().finish())
}

/// The root of the perfect subtrees `peaks`, largest first; that of the empty tree for none.
pub(crate) fn fold_peaks(peaks: &[Hash]) -> Hash {
    let mut peaks = peaks.iter().rev();
    let Some(last) = peaks.next() else { return empty_root() };
    peaks.fold(*last, |right, left| node_hash(left, &right))
}

/// The root of a perfect subtree: all `2^level` leaves from `index · 2^level` on are in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The level, counted from the leaves, which are level 0.
    pub level: u8,
    /// The index within the level.
    pub index: u64,
    /// The root hash of the subtree.
    pub hash: Hash,
}

/// The right edge of a growing tree.
///
/// INVARIANT: `peaks` has one hash for each bit set in `size`, that of the highest bit first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees that make up the tree, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        fold_peaks(&self.peaks)
    }

    /// Appends a leaf, and returns the perfect subtrees it completes: the leaf itself, then upwards.
    pub fn append(&mut self, leaf: Hash) -> Vec<Node> {
        let mut node = Node { level: 0, index: self.size, hash: leaf };
        let mut completed = vec![node];
        while node.index % 2 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            node = Node { level: node.level + 1, index: node.index / 2, hash: node_hash(&left, &node.hash) };
            completed.push(node);
        }
        self.peaks.push(node.hash);
        self.size += 1;
        completed
    }

    /// The bytes of the frontier: the size as 8 big-endian bytes, then the peaks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        self.peaks.iter().for_each(|peak| bytes.extend_from_slice(&peak.0));
        bytes
    }

    /// Reads what [`Frontier::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the number of hashes is not the one the size demands, or the size is above
    /// [`MAX_SIZE`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (size, hashes) =
            bytes.split_first_chunk().ok_or(Error::malformed("frontier", "it is shorter than a size"))?;
        let size = u64::from_be_bytes(*size);
        let (hashes, rest) = hashes.as_chunks::<{ Hash::LENGTH }>();
        if size > MAX_SIZE || !rest.is_empty() || hashes.len() != size.count_ones() as usize {
            return Err(Error::malformed("frontier", "the hashes do not fit the size"));
        }
        Ok(Self { size, peaks: hashes.iter().copied().map(Hash).collect() })
    }
}

impl FromIterator<Hash> for Frontier {
    /// The tree with these leaf hashes.
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut frontier = Self::new();
        leaves.into_iter().for_each(|leaf| {
            frontier.append(leaf);
        });
        frontier
    }
}

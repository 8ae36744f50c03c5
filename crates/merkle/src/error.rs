//! What can be wrong with a proof, a tile, a note or a checkpoint.

use crate::{Hash, KeyName};

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong, said so that it can be shown to whoever asked. Nothing in it is secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The leaf asked for is not in the tree.
    #[error("leaf {index} is not in a tree of {size}")]
    IndexBeyondTree {
        /// The index of the leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A consistency proof was asked for between sizes in the wrong order, or from the empty tree.
    #[error("a tree of {old} is no earlier state of a tree of {new} that a proof could show")]
    SizesOutOfOrder {
        /// The size of the earlier tree.
        old: u64,
        /// The size of the later tree.
        new: u64,
    },
    /// The proof ends before the root is reached.
    #[error("the proof has too few hashes")]
    ProofTooShort,
    /// The proof goes on after the root is reached.
    #[error("the proof has too many hashes")]
    ProofTooLong,
    /// The proof leads elsewhere: the leaf, the index, the size, the root or the proof was altered.
    #[error("the proof leads to the root `{computed}`, not to `{expected}`")]
    RootMismatch {
        /// The root the proof leads to.
        computed: Hash,
        /// The root it should lead to.
        expected: Hash,
    },
    /// The consistency proof does not contain the earlier tree.
    #[error("the proof begins at a tree with the root `{computed}`, not `{expected}`")]
    OldRootMismatch {
        /// The earlier root the proof shows.
        computed: Hash,
        /// The earlier root it should show.
        expected: Hash,
    },
    /// A hash needed to build a proof is not there.
    #[error("the hash at level {level}, index {index} is not there")]
    MissingHash {
        /// The level, counted from the leaves.
        level: u8,
        /// The index within the level.
        index: u64,
    },
    /// A text or byte string does not have the form its specification demands.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// The thing, like `signed note` or `tile path`.
        what: &'static str,
        /// The rule it breaks.
        why: &'static str,
    },
    /// An entry does not fit the 16-bit length of an entry bundle.
    #[error("an entry of {length} bytes is longer than 65535")]
    EntryTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A key and a type of signature that do not go together.
    #[error("the key of `{name}` cannot make signatures of this type")]
    WrongKey {
        /// The name of the key.
        name: KeyName,
    },
    /// The key could not sign.
    #[error("the key of `{name}` cannot sign")]
    Signing {
        /// The name of the key.
        name: KeyName,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A signature by a known key is not that key's signature of this text.
    #[error("the signature by `{name}` (key {id:08x}) is not valid")]
    BadSignature {
        /// The name of the key.
        name: KeyName,
        /// The identifier of the key.
        id: u32,
    },
    /// One key signed twice, so that it is unclear which signature counts.
    #[error("more than one signature by `{name}` (key {id:08x})")]
    RepeatedSignature {
        /// The name of the key.
        name: KeyName,
        /// The identifier of the key.
        id: u32,
    },
    /// The signatures are valid, but not the ones the policy demands.
    #[error("the signatures do not satisfy the policy: {missing}")]
    PolicyUnmet {
        /// What is missing.
        missing: String,
    },
    /// The caller's reader failed.
    #[error("`{path}` cannot be read")]
    Read {
        /// What was being read.
        path: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The `what` is malformed because of `why`.
    pub(crate) const fn malformed(what: &'static str, why: &'static str) -> Self {
        Self::Malformed { what, why }
    }
}

//! What an audit can find.

use std::fmt;

use crate::Head;

/// Something that is wrong with a log, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Finding {
    /// A leaf is not the one that was logged.
    FlippedLeaf {
        /// Its index.
        index: u64,
    },
    /// A hash tile does not hold the hashes of the logged leaves.
    BadTile {
        /// Its path.
        path: String,
    },
    /// The checkpoint is not signed as the policy demands.
    BadSignature {
        /// What is wrong with the signatures.
        reason: String,
    },
    /// The newest leaves are gone.
    Truncated {
        /// How many leaves the checkpoint speaks of.
        expected: u64,
        /// How many there are before the end.
        found: u64,
    },
    /// History was rewritten: the log's tree of this size is not the one that was signed.
    Fork {
        /// The size of the earliest tree that is known to differ.
        size: u64,
    },
    /// The log is smaller than it once was.
    RolledBack {
        /// The size it had.
        known: u64,
        /// The size it has.
        found: u64,
    },
    /// The checkpoint is that of another log than the known one.
    OtherLog {
        /// The origin of the known checkpoint.
        known: String,
        /// The origin of the checkpoint found.
        found: String,
    },
    /// A file that must exist does not.
    Missing {
        /// Its path.
        path: String,
    },
    /// A file does not have the form it must have.
    Malformed {
        /// Its path.
        path: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlippedLeaf { index } => write!(f, "leaf {index} was altered"),
            Self::BadTile { path } => write!(f, "tile `{path}` was altered"),
            Self::BadSignature { reason } => write!(f, "the checkpoint is not validly signed: {reason}"),
            Self::Truncated { expected, found } => {
                write!(f, "the log ends after {found} of {expected} leaves")
            }
            Self::Fork { size } => write!(f, "the tree of {size} leaves is not the one that was signed"),
            Self::RolledBack { known, found } => write!(f, "the log had {known} leaves and now has {found}"),
            Self::OtherLog { known, found } => write!(f, "this is the log `{found}`, not `{known}`"),
            Self::Missing { path } => write!(f, "`{path}` is missing"),
            Self::Malformed { path } => write!(f, "`{path}` is malformed"),
        }
    }
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the checkpoint says; `None` when it cannot be read. Believable only if there are no findings.
    pub head: Option<Head>,
    /// How many leaves were read and hashed.
    pub leaves: u64,
    /// What is wrong, in the order of discovery; nothing when the log is intact.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether the log is intact: complete, consistent and signed.
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }
}

//! Logs, and what is kept of them.

use uuid::Uuid;
use writ_gate::tenancy::PLATFORM;
use writ_kernel::{Error, Result, TenantId};
use writ_merkle::{Frontier, Head, KeyName};

/// The name of the log of logs, where a tenant's log has its opaque one.
pub(crate) const META: &str = "meta";

/// Which log: a tenant's own, or the log of logs, which the platform tenant keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogName {
    pub(crate) tenant: TenantId,
    pub(crate) log: String,
}

impl LogName {
    /// The log of logs.
    pub(crate) fn meta() -> Self {
        Self { tenant: PLATFORM, log: META.to_owned() }
    }

    pub(crate) fn is_meta(&self) -> bool {
        self.log == META
    }

    /// What the log is called in checkpoints, when it begins on `host`. It keeps that name for ever.
    pub(crate) fn origin(&self, host: &str) -> String {
        format!("{host}/evidence/{}", self.log)
    }

    /// Where its files are, relative to the server.
    pub(crate) fn path(&self) -> String {
        format!("/log/{}/", self.log)
    }
}

/// A log as of now.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) origin: KeyName,
    pub(crate) frontier: Frontier,
    /// The newest signed checkpoint, and the size it speaks of; none and 0 before the first.
    pub(crate) checkpoint: Option<String>,
    pub(crate) signed_size: u64,
}

impl Log {
    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// What a checkpoint of now says.
    pub(crate) fn head(&self) -> Head {
        Head { origin: self.origin.clone(), size: self.size(), root: self.frontier.root() }
    }
}

/// A record, by its row.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: Uuid,
    pub(crate) at: i64,
    pub(crate) action: String,
    pub(crate) outcome: String,
    pub(crate) index: Option<u64>,
    pub(crate) leaf: String,
    pub(crate) leaf_hash: Vec<u8>,
    pub(crate) key: Uuid,
    pub(crate) payload: Vec<u8>,
    /// Whether the payload's key is gone.
    pub(crate) erased: bool,
}

/// What the mathematics refuses is our own fault: nothing of it came from a caller.
pub(crate) fn internal(error: writ_merkle::Error) -> Error {
    Error::internal("the log").because(error)
}

/// A size or index as the database keeps it.
pub(crate) fn to_row(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::internal("a log is too large for the database"))
}

/// A size or index from the database.
pub(crate) fn from_row(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::internal("a log in the database has a negative size"))
}

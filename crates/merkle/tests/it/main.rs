//! The behaviour of the log, read as a specification.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod audit;
mod checkpoint;
mod log;
mod note;
mod proof;
mod signer;
mod tile;
mod tlog_proof;
mod tree;

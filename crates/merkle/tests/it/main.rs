//! The behaviour of the log, read as a specification.

mod audit;
mod checkpoint;
mod log;
mod note;
mod proof;
mod signer;
mod tile;
mod tlog_proof;
mod tree;

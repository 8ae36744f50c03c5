#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod audit;
mod base64;
pub mod checkpoint;
mod error;
mod finding;
pub mod note;
pub mod proof;
pub mod signer;
pub mod tile;
pub mod tlog_proof;
pub mod tree;

pub use audit::audit;
pub use checkpoint::{Checkpoint, Head, Policy};
pub use error::{Error, Result};
pub use finding::{Finding, Report};
pub use note::{KeyName, Note};
pub use signer::{SignatureType, Signed, Signer, Verifier};
pub use tile::{Layer, Tile};
pub use tlog_proof::TlogProof;
pub use tree::{Frontier, Hash, Node, leaf_hash};

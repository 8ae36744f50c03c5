#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod audit;
mod erasures;
mod export;
mod http;
mod job;
mod keys;
mod model;
pub mod offline;
mod proofs;
mod records;
mod sql;
mod tree;

pub use http::{Evidence, routes};
pub use job::{Progress, Sequencer, pending};

//! The runner, from the outside.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod borrowing;
mod cloud;
mod common;
mod credentials;
mod errands;
#[path = "../../../../tests/fakes/sts/mod.rs"]
mod fake_sts;
mod moto;
mod plane;
mod process;
mod protocol;
mod run;
mod sandbox;
mod session_policy;
mod sigv4;
mod static_gate;
mod sts;
mod tool;
mod workspace;

//! The Vault dialect, as its clients see it, on both engines.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bao;
mod beginning;
mod clients;
mod mounts;
mod paths;
mod policies;
mod stage;
mod tokens;
mod walls;
mod wrapping;

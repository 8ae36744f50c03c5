//! The vault, as clients see it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bindings;
mod care;
mod leases;
mod listing;
mod secrets;
mod sharing;
mod stage;
mod walls;

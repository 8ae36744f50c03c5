//! The vault, as clients see it.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod leases;
mod listing;
mod secrets;
mod stage;
mod walls;

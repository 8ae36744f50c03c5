//! Targets, tried against real ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod postgres;

//! The gate, as everything behind it relies on it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cast;
mod policies;
mod schema;
mod table;

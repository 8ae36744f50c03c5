//! The gate, as everything behind it relies on it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod approvals;
mod cast;
mod door;
mod leaves;
mod policies;
mod schema;
mod table;

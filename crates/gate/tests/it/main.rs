//! The gate, as everything behind it relies on it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod approvals;
mod cast;
mod door;
mod leaves;
mod policies;
mod reading;
mod schema;
mod table;

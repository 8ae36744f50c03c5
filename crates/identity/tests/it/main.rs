//! The identity room, as clients see it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod credentials;
mod login;
mod policies;
mod roles;
mod stage;
mod walls;

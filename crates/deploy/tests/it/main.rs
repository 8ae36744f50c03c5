//! The deploy room, driven from outside: through its API, and by a runner that says what a test tells it to.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod approving;
mod configurations;
mod connections;
mod deciding;
mod deployments;
mod ending;
mod errands;
mod running;
mod stage;

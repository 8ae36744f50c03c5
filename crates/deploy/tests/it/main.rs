//! The deploy room, driven from outside: through its API, and by a runner that says what a test tells it to.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod approving;
mod configurations;
mod connections;
mod deciding;
mod deployments;
mod ending;
mod running;
mod stage;

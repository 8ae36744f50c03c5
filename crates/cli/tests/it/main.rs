//! The built binary, as it is typed in a terminal.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod agreement;
mod cases;
mod errands;
mod house;
mod keys;
mod log;
mod seal;
mod session;
mod terminal;
mod typing;
mod usage;
mod vault;
mod verify;

//! The client against a real server of `writ-web`.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod calls;
mod house;
mod retries;
mod secrets;
mod trust;

//! How the manners of HTTP look from outside.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod callers;
mod connections;
mod document;
mod log;
mod requests;
mod tls;
mod world;

//! The daemon from outside: over TLS, on both engines.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

mod beginning;
mod ground;
mod hsm;
mod operating;
mod operations;
mod sealing;
mod silence;
mod sweeps;
mod traces;
mod transport;

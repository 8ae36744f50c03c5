//! Real deployments, end to end: the product's own binary as server, runner and launcher, the real tool, real signals.
//!
//! Each test has a server of its own. `WRIT_TOOL` names the tool, else it is on the path.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod approvals;
mod aws;
mod crashes;
mod disk;
mod errands;
mod hostile;
mod house;
mod path;
mod postgres;
mod processes;
mod secrets;

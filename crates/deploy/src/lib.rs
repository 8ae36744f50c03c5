#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod approvals;
mod archive;
mod census;
mod circumstances;
mod configurations;
mod connections;
mod decision;
mod deployments;
mod errands;
mod http;
mod job;
mod locks;
mod model;
pub mod ports;
mod preflight;
mod references;
mod runs;
mod sql;
mod tokens;

pub use census::{Census, census};
pub use http::routes;
pub use job::{Scheduler, Terms};
pub use model::Deploy;
pub use runs::http::routes as runner_routes;

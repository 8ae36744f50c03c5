#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod config;
mod entropy;
mod house;
mod launch;
mod lent;
pub mod logging;
mod metrics;
mod process;
mod status;
mod sys;
mod telemetry;
mod unsealing;

pub use config::Config;
pub use house::{Ready, openapi, serve};

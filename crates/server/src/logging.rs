//! Structured logs on standard error.

use tracing_subscriber::{EnvFilter, fmt};
use writ_kernel::{Error, Result};

use crate::config::Log;

/// Starts logging for the whole process. Fields are what code chose to log, and code logs no secrets: no headers, no
/// bodies, no query strings.
///
/// # Errors
/// `Invalid` when the filter is malformed or logging was started before.
pub fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| {
        Error::invalid("configuration", format!("the log filter is malformed: {error}")).at("log.filter")
    })?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true);
    let started = if log.json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
    started.map_err(|error| Error::invalid("logging", format!("logging cannot be started: {error}")))
}

//! Structured logs on standard error.

use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::filter_fn,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use writ_kernel::{Error, Result};

use crate::config::Log;

/// Starts logging for the whole process, on standard error. Fields are what code chose to log, and code logs no
/// secrets: no headers, no bodies, no query strings.
///
/// # Errors
/// `Invalid` when the filter is malformed or logging was started before.
pub fn start(log: &Log) -> Result<()> {
    start_to(log, std::io::stderr)
}

/// [`start`], to somewhere else.
///
/// # Errors
/// As [`start`].
pub fn start_to<W>(log: &Log, to: W) -> Result<()>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| {
        Error::invalid("configuration", format!("the log filter is malformed: {error}")).at("log.filter")
    })?;
    let text = fmt::layer().with_writer(to);
    let layer = if log.json { text.json().boxed() } else { text.with_ansi(false).boxed() };
    // What others log below this may quote headers and bodies, whatever an operator in search of a fault asks for.
    let ours = filter_fn(|it| it.target().starts_with("writ") || *it.level() <= Level::INFO);
    tracing_subscriber::registry()
        .with(layer.with_filter(ours))
        .with(filter)
        .try_init()
        .map_err(|error| Error::invalid("logging", format!("logging cannot be started: {error}")))
}

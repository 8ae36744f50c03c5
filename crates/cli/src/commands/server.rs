//! The server and its configuration.

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use writ_server::Config;

use crate::{
    args::{ConfigCommand, Server},
    output::{Failure, Output, print},
};

/// The configuration, as the file and the environment say.
pub(super) fn load(options: &Server) -> Result<Config, Failure> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Config::load(options.config.as_deref(), environment)?)
}

/// Serves until it is told to stop, then drains.
pub(crate) async fn serve(options: Server) -> Result<(), Failure> {
    let config = load(&options)?;
    writ_server::logging::start(&config.log)?;
    let ready = |ready: writ_server::Ready| {
        print(&json!({ "address": format!("https://{}", ready.address), "pin": ready.pin }).to_string());
    };
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::internal("signals", &error))?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    Ok(writ_server::serve(config, ready, stop).await?)
}

pub(crate) fn config(command: ConfigCommand, output: Output) -> Result<(), Failure> {
    match command {
        ConfigCommand::Schema => schema(),
        ConfigCommand::Check(options) => {
            let config = load(&options)?;
            output.result(&config, |config| {
                format!("the configuration is well-formed; data is kept in `{}`", config.data_dir.display())
            });
        }
    }
    Ok(())
}

pub(crate) fn schema() {
    print(&serde_json::to_string_pretty(&Config::schema()).unwrap_or_default());
}

pub(crate) async fn openapi() -> Result<(), Failure> {
    print(writ_server::openapi().await?.trim_end());
    Ok(())
}

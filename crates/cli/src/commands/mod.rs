//! One module for each noun.

mod server;

use std::process::ExitCode;

use crate::{
    args::{Args, Command},
    demo,
    output::{Failure, Output},
};

/// Does what was typed.
pub(crate) async fn run(args: Args, output: &Output) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Demo(options) => demo::run(options, *output).await?,
        Command::Server(options) => server::serve(options).await?,
        Command::Config(command) => server::config(command, *output)?,
        Command::Runner => return Err(Failure::usage("not there yet")),
        Command::OpenApi => server::openapi().await?,
        Command::ConfigSchema => server::schema(),
    }
    Ok(ExitCode::SUCCESS)
}

//! The binary `writ`: the operator's hand, the server, the runner, and the verifier that needs no server.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod connect;
mod demo;
mod deploy;
mod input;
mod listing;
mod output;
mod verify;
mod world;

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use writ_crypto::Entropy;
use writ_kernel::{SystemClock, World};

use crate::{
    args::Args,
    output::{Failure, Output},
};

fn main() -> ExitCode {
    // The launcher must stay a process of one thread, so it is told apart before anything else begins.
    if std::env::args_os().nth(1).is_some_and(|arg| arg == "__exec") {
        return writ_runner::sandbox::launcher_main(std::env::args_os().skip(2));
    }
    // So must the runner be until it has made its private mounts.
    if std::env::args_os().nth(1).is_some_and(|arg| arg == "runner") {
        let world = World::new(Arc::new(SystemClock), Arc::new(Entropy::os()));
        return writ_runner::run::runner_main(std::io::stdin().lock(), world);
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return misused(&error),
    };
    let output = Output::new(args.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.fail(&Failure::internal("cannot start the runtime", &error)),
    };
    match runtime.block_on(commands::run(args, &output)) {
        Ok(code) => code,
        Err(failure) => output.fail(&failure),
    }
}

/// Says what is wrong with what was typed; or shows the help that was asked for.
fn misused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let message = line.strip_prefix("error: ").unwrap_or(line);
        return Output::new(true).fail(&Failure::usage(message).hint("see `writ --help`"));
    }
    error.exit()
}

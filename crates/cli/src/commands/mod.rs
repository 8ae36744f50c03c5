//! One module for each noun.

pub(crate) mod approval;
pub(crate) mod connection;
pub(crate) mod crypt;
pub(crate) mod database;
pub(crate) mod deploy;
pub(crate) mod deployment;
pub(crate) mod environment;
pub(crate) mod errand;
pub(crate) mod evidence;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod person;
pub(crate) mod policy;
pub(crate) mod role;
pub(crate) mod run;
mod server;
pub(crate) mod service;
pub(crate) mod session;
pub(crate) mod shell;
pub(crate) mod state;
pub(crate) mod sys;
pub(crate) mod tenant;
pub(crate) mod vault;

use std::process::ExitCode;

use writ_client::Client;

use crate::{
    args::{Args, Command, Connection},
    connect, demo,
    output::{Failure, Output},
};

/// What a command that speaks with a server needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) connection: Connection,
    pub(crate) output: Output,
}

impl Context {
    /// A client of the server that is meant.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        connect::client(&self.connection)
    }
}

/// Does what was typed.
pub(crate) async fn run(args: Args, output: &Output) -> Result<ExitCode, Failure> {
    let output = *output;
    let context = Context { connection: args.connection, output };
    match args.command {
        Command::Deploy(options) => return deploy::run(&context, options).await,
        Command::Deployment(command) => return deployment::run(&context, command).await,
        Command::Connection(command) => return connection::run(&context, command).await,
        Command::State(command) => return state::run(&context, command).await,
        Command::Errand(command) => return errand::run(&context, command).await,
        Command::Evidence(command) => return evidence::run(&context, command).await,
        Command::Run(options) => return run::run(&context, options).await,
        Command::Policy(command) => return policy::run(&context, command).await,
        Command::Status => return sys::status(&context).await,
        // The runner is told apart in `main`, before there are threads.
        Command::Runner => return Err(Failure::usage("a runner is started by the server")),
        Command::Demo(options) => demo::run(options, output).await?,
        Command::Login(options) => login::log_in(&context, options).await?,
        Command::Logout => login::log_out(&context).await?,
        Command::Whoami => login::who_am_i(&context).await?,
        Command::Approval(command) => approval::run(&context, command).await?,
        Command::Tenant(command) => tenant::run(&context, command).await?,
        Command::Env(command) => environment::run(&context, command).await?,
        Command::Person(command) => person::run(&context, command).await?,
        Command::Service(command) => service::run(&context, command).await?,
        Command::Role(command) => role::run(&context, command).await?,
        Command::Keys(command) => keys::run(&context, command).await?,
        Command::Encrypt(options) => crypt::encrypt(&context, options).await?,
        Command::Decrypt(options) => crypt::decrypt(&context, options).await?,
        Command::Sign(options) => crypt::sign(&context, options).await?,
        Command::Verify(options) => crypt::verify(&context, options).await?,
        Command::Vault(command) => vault::run(&context, command).await?,
        Command::Key(command) => key::run(&context, command).await?,
        Command::Session(command) => session::run(&context, command).await?,
        Command::Init(options) => sys::init(&context, options).await?,
        Command::Unseal(options) => sys::unseal(&context, options).await?,
        Command::Seal => sys::seal(&context).await?,
        Command::Rekey(options) => sys::rekey(&context, options).await?,
        Command::RotateRoot => sys::rotate_root(&context).await?,
        Command::Server(options) => server::serve(options).await?,
        Command::Config(command) => server::config(command, output)?,
        Command::Migrate(options) => database::migrate(options, output).await?,
        Command::Backup(options) => database::backup(options, output).await?,
        Command::Restore(options) => database::restore(options, output).await?,
        Command::Completion(options) => shell::completion(&options),
        Command::OpenApi => server::openapi().await?,
        Command::ConfigSchema => server::schema(),
        Command::CliReference => shell::reference(),
    }
    Ok(ExitCode::SUCCESS)
}

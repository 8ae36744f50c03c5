//! What can be typed.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand};

/// Nobody holds standing power: deployments, secrets and quantum jobs under borrowed authority, with evidence.
#[derive(Debug, Parser)]
#[command(name = "writ", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Args {
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which server to talk to, and as whom. What is not given comes from `writ login`.
#[derive(Debug, Group)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The server, like `https://writ.example:8443`.
    #[arg(long, global = true, env = "WRIT_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The SHA-256 of the server's certificate, hex.
    #[arg(long, global = true, env = "WRIT_PIN", value_name = "HEX")]
    pub(crate) pin: Option<String>,
    /// The authority that vouches for the server's certificate, in PEM.
    #[arg(long, global = true, env = "WRIT_AUTHORITY", value_name = "FILE")]
    pub(crate) authority: Option<PathBuf>,
    /// An API key or session token. Prefer the environment: arguments are visible to others.
    #[arg(long, global = true, env = "WRIT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole path in a minute, in a temporary directory.
    Demo(Demo),
    /// Run the server.
    Server(Server),
    /// Check or describe the server's configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    #[command(hide = true)]
    Runner,
    #[command(name = "__openapi", hide = true)]
    OpenApi,
    #[command(name = "__config-schema", hide = true)]
    ConfigSchema,
}

/// The demonstration.
#[derive(Debug, Group)]
pub(crate) struct Demo {
    /// The OpenTofu or Terraform to use; the first one on the path unless told.
    #[arg(long, value_name = "FILE")]
    pub(crate) tool: Option<PathBuf>,
    /// Leave the server running at the end.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// The server.
#[derive(Debug, Group)]
pub(crate) struct Server {
    /// The configuration, in TOML. `WRIT_…` variables win over it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// About the server's configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether it is well-formed, and what it means.
    Check(Server),
    /// Print its JSON Schema.
    Schema,
}

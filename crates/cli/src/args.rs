//! What can be typed.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{
    Args as Group, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::commands::{
    approval, connection, crypt, database, deploy, deployment, environment, errand, evidence, key, keys,
    login, person, policy, role, run, service, session, shell, state, sys, tenant, vault,
};

/// Nobody holds standing power: deployments, secrets and quantum jobs under borrowed authority, with evidence.
///
/// Exit codes: 0 done, 1 refused or failed, 2 wrong usage or input, 3 the server cannot be reached or trusted,
/// 4 evidence does not verify, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "writ", version, max_term_width = 110, arg_required_else_help = true)]
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

    /// Sign in, and keep the session for the commands that follow.
    Login(login::Login),
    /// End the kept session and forget it.
    Logout,
    /// Say who you are, what you hold and what your credential is good for.
    Whoami,

    /// Change infrastructure: pack a configuration, upload it, plan it, and apply it once others agreed.
    Deploy(deploy::Deploy),
    /// Look at deployments, stop them, go back to earlier ones.
    #[command(subcommand)]
    Deployment(deployment::Command),
    /// Agree to changes of others, or refuse them.
    #[command(subcommand)]
    Approval(approval::Command),
    /// Cloud connections: references, never credentials.
    #[command(subcommand)]
    Connection(connection::Command),
    /// States of deployment targets: release a lock that nobody holds any more.
    #[command(subcommand)]
    State(state::Command),
    /// Validations of connections and releases of locks: look at them, stop them.
    #[command(subcommand)]
    Errand(errand::Command),
    /// Read, prove, export and verify what happened.
    #[command(subcommand)]
    Evidence(evidence::Command),

    /// Secrets: versions at paths, read on record.
    #[command(subcommand)]
    Vault(vault::Command),
    Run(run::Run),
    /// Named keys: they encrypt and sign, and never leave the server unless made to.
    #[command(subcommand)]
    Keys(keys::Command),
    Encrypt(crypt::Encrypt),
    /// Decrypt what `writ encrypt` printed.
    Decrypt(crypt::Encrypt),
    /// Sign a file or standard input.
    Sign(crypt::With),
    Verify(crypt::Verify),

    /// The tenants of the server.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Environments and their guard rails.
    #[command(subcommand)]
    Env(environment::Command),
    /// People.
    #[command(subcommand)]
    Person(person::Command),
    /// Service accounts.
    #[command(subcommand)]
    Service(service::Command),
    /// Who holds which role.
    #[command(subcommand)]
    Role(role::Command),
    /// API keys.
    #[command(subcommand, name = "api-key", alias = "key")]
    Key(key::Command),
    /// Sessions.
    #[command(subcommand)]
    Session(session::Command),
    /// The tenant's policies.
    #[command(subcommand)]
    Policy(policy::Command),

    /// Initialise a new server. What it prints is shown once.
    Init(sys::Init),
    /// Open a sealed server with the passphrase or with shares, which are typed or come in on standard input.
    Unseal(sys::Unseal),
    /// Say whether the server answers and holds its keys. Exits with 1 while it does not.
    Status,
    /// Close the server: it forgets every key until it is unsealed.
    Seal,
    /// Protect the same root key in another way. What it prints is shown once.
    Rekey(sys::Rekey),
    /// Replace the root key while serving.
    RotateRoot,

    /// Run the server.
    Server(Server),
    /// Check or describe the server's configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Bring the database up to date.
    Migrate(Server),
    /// Copy the database to a file, while it is in use.
    Backup(database::Backup),
    /// Make a database out of a backup, where there is none yet.
    Restore(database::Restore),
    /// Print a completion script for a shell.
    Completion(shell::Completion),

    #[command(hide = true)]
    Runner,
    #[command(name = "__openapi", hide = true)]
    OpenApi,
    #[command(name = "__config-schema", hide = true)]
    ConfigSchema,
    #[command(name = "__cli-reference", hide = true)]
    CliReference,
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

/// Reads a word of the house, and says what is wrong with it in the house's words.
pub(crate) fn parsed<T: FromStr<Err = writ_kernel::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: writ_kernel::Error| match error.advice() {
        Some(advice) => format!("{} ({advice})", error.public()),
        None => error.public().to_owned(),
    })
}

/// One of `words`, as the API spells them.
pub(crate) fn one_of<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(Value::String(word)))
}

/// A stretch of time: a whole number with a unit, like `90s`, `45m`, `8h`, `30d` or `2w`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let malformed = || "a duration is a whole number with a unit, like `45m`, `8h` or `30d`".to_owned();
    let unit = text.chars().last().ok_or_else(malformed)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(malformed()),
    };
    let number: u64 = text.strip_suffix(unit).and_then(|digits| digits.parse().ok()).ok_or_else(malformed)?;
    let seconds = number.checked_mul(seconds).filter(|seconds| (1..=10 * 366 * 86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "a duration is 1 second to 10 years".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn commands_do_not_contradict_themselves() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2w"), Ok(Duration::from_hours(14 * 24)));
        for text in ["", "d", "0d", "-1d", "1", "1y", "1.5h", "99999999999w", "1 d", "é"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }
}

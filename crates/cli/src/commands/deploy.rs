//! `writ deploy`: from files to the end of a deployment.

use std::{collections::BTreeMap, io::IsTerminal as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args as Group;
use serde_json::Value;
use writ_client::{Body, Client};
use writ_kernel::{Label, Name};
use writ_wire::{
    configurations::Configuration,
    connections::Connection,
    deployments::{CreateDeployment, Deployment, Mode},
};

use crate::{
    args::{duration, parsed},
    commands::Context,
    deploy::{
        follow,
        source::{self, Packed},
    },
    input,
    listing::{self, Handle, handle},
    output::{Failure, details},
    world::world,
};

/// Change infrastructure.
///
/// Exits with 0 when the deployment succeeded and with 1 when it failed, was refused, cancelled or lost. Ctrl-C stops
/// the following, not the deployment. With --json and --follow every line is one event.
#[derive(Debug, Group)]
pub(crate) struct Deploy {
    /// A directory, a `.tar.gz` archive, or `git+<URL or path>#<ref>[:<directory>]`.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The connection to use, by name or id; it names the environment.
    #[arg(long, value_name = "CONNECTION", value_parser = handle)]
    connection: Handle,
    /// What is deployed: names the state, so that the next deployment of the same target changes the same things.
    #[arg(long, value_name = "NAME", value_parser = parsed::<Name>)]
    target: Name,
    /// An input variable, as text; repeat for more. Not for secrets: values are kept with the deployment.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// A JSON object of input variables; later files win over earlier ones, and --var over all.
    #[arg(long = "var-file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only plan.
    #[arg(long, conflicts_with = "destroy")]
    plan_only: bool,
    /// Remove everything that is in the state.
    #[arg(long)]
    destroy: bool,
    /// How long one run may take, like `45m`: 1 minute to 4 hours, 1 hour unless told.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Why, or a ticket.
    #[arg(long, value_name = "TEXT", value_parser = parsed::<Label>)]
    reason: Option<Label>,
    /// Asking again under the same key begins nothing new; a fresh one unless told.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Follow until it ends, also without a terminal.
    #[arg(long, conflicts_with = "detach")]
    follow: bool,
    /// Do not follow.
    #[arg(long)]
    detach: bool,
}

/// Reads one `--var`. The tool itself turns text into numbers and booleans where a variable has such a type.
fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a variable is `name=value`")?;
    let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !begins || !name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c)) {
        return Err("a variable's name is letters, digits, `_` and `-`, and begins with a letter".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) async fn run(context: &Context, options: Deploy) -> Result<ExitCode, Failure> {
    let output = context.output;
    // Everything that can be wrong on this side comes before the first call.
    let source = source::parse(&options.source)?;
    let variables = variables(&options)?;
    let timeout_seconds = options.timeout.map(seconds).transpose()?;
    let client = context.client()?;
    let connection = listing::id::<Connection>(&client, &options.connection).await?;

    let packed = source::packed(&source).await?;
    let configuration = upload(context, &client, packed).await?;
    let mode = match (options.plan_only, options.destroy) {
        (true, _) => Mode::Plan,
        (_, true) => Mode::Destroy,
        _ => Mode::Apply,
    };
    let wanted = CreateDeployment {
        target: options.target.to_string(),
        connection,
        configuration: configuration.id,
        mode,
        variables,
        timeout_seconds,
        reason: options.reason.as_ref().map(ToString::to_string),
    };
    let key = options.idempotency_key.clone().unwrap_or_else(|| world().uuid().to_string());
    let deployment: Deployment = client.post_once("/api/v1/deployments", &key, &wanted).await?;

    let watched = std::io::stdout().is_terminal() && !output.is_json();
    if options.follow || (watched && !options.detach) {
        output.note(format!("deployment {}", deployment.id));
        return follow::follow(&client, output, deployment.id, 0).await;
    }
    output.result(&deployment, |deployment| {
        details(&[
            ("deployment", deployment.id.to_string()),
            ("state", deployment.state.as_str().to_owned()),
            ("follow it", format!("writ deployment output {} --follow", deployment.id)),
        ])
    });
    Ok(ExitCode::SUCCESS)
}

async fn upload(context: &Context, client: &Client, packed: Packed) -> Result<Configuration, Failure> {
    let files = match packed.files {
        Some(1) => "1 file, ".to_owned(),
        Some(files) => format!("{files} files, "),
        None => String::new(),
    };
    context.output.note(format!("uploading {} ({files}{} bytes packed)", packed.origin, packed.bytes.len()));
    let path = listing::with_query("/api/v1/configurations", &[("origin", packed.origin)])?;
    let configuration: Configuration =
        client.upload(&path, "application/gzip", Body::from(packed.bytes)).await?;
    context.output.note(format!("configuration {} {}", configuration.id, configuration.digest));
    Ok(configuration)
}

fn variables(options: &Deploy) -> Result<BTreeMap<String, Value>, Failure> {
    let mut variables = BTreeMap::new();
    for file in &options.files {
        variables.extend(input::json::<BTreeMap<String, Value>>(file)?);
    }
    variables
        .extend(options.variables.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
    Ok(variables)
}

fn seconds(timeout: Duration) -> Result<u32, Failure> {
    let seconds = u32::try_from(timeout.as_secs()).ok().filter(|seconds| (60..=14_400).contains(seconds));
    seconds
        .ok_or_else(|| Failure::usage("a run may take 1 minute to 4 hours").hint("give --timeout like `45m`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_variable_is_all_that_follows_the_first_equals_sign() {
        assert_eq!(variable("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("version="), Ok(("version".to_owned(), String::new())));
        for text in ["a", "=b", "1a=b", "a b=c", "-a=b"] {
            assert!(variable(text).is_err(), "{text}");
        }
    }
}

//! Environments.

use clap::{Args as Group, Subcommand};
use writ_kernel::Name;
use writ_wire::{
    page::Page,
    tenancy::{CreateEnvironment, Environment, EnvironmentKind, IsolationLevel, UpdateEnvironment},
};

use crate::{
    args::{one_of, parsed},
    commands::Context,
    listing::{self, Handle, handle},
    output::{Failure, details, when},
};

const KINDS: &[&str] = &["dev", "research", "staging", "prod"];
const LEVELS: &[&str] = &["none", "partial", "full"];

/// Environments and their guard rails.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create one.
    Create {
        /// Its name.
        #[arg(value_parser = parsed::<Name>)]
        name: Name,
        /// What it is for.
        #[arg(long, value_parser = one_of::<EnvironmentKind>(KINDS))]
        kind: EnvironmentKind,
        #[command(flatten)]
        rails: Rails,
    },
    /// List them.
    List,
    /// Change the guard rails of one; what is not given stays.
    Update {
        /// Its name or id.
        #[arg(value_parser = handle)]
        environment: Handle,
        #[command(flatten)]
        rails: Rails,
    },
}

/// Guard rails.
#[derive(Debug, Group)]
pub(crate) struct Rails {
    /// How many people other than the author must approve an apply, 0 to 9.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    required_approvals: Option<u8>,
    /// How well a runner must be isolated to work here.
    #[arg(long, value_name = "LEVEL", value_parser = one_of::<IsolationLevel>(LEVELS))]
    minimum_isolation: Option<IsolationLevel>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Create { name, kind, rails } => {
            let wanted = CreateEnvironment {
                name: name.to_string(),
                kind,
                required_approvals: rails.required_approvals.unwrap_or(0),
                minimum_isolation: rails.minimum_isolation.unwrap_or_default(),
            };
            let made: Environment = client.post("/api/v1/environments", &wanted).await?;
            context.output.result(&made, shown);
        }
        Command::List => {
            let page: Page<Environment> = client.get("/api/v1/environments").await?;
            let heading = ["NAME", "KIND", "APPROVALS", "ISOLATION", "ID"];
            listing::show(context.output, &page, &heading, |environment| {
                vec![
                    environment.name.clone(),
                    environment.kind.as_str().to_owned(),
                    environment.required_approvals.to_string(),
                    isolation(environment.minimum_isolation).to_owned(),
                    environment.id.to_string(),
                ]
            });
        }
        Command::Update { environment, rails } => {
            let Rails { required_approvals, minimum_isolation } = rails;
            if required_approvals.is_none() && minimum_isolation.is_none() {
                let failure = Failure::usage("nothing says what to change");
                return Err(failure.hint("give --required-approvals or --minimum-isolation"));
            }
            let id = listing::id::<Environment>(&client, &environment).await?;
            let wanted = UpdateEnvironment { required_approvals, minimum_isolation };
            let now: Environment = client.patch(&format!("/api/v1/environments/{id}"), &wanted).await?;
            context.output.result(&now, shown);
        }
    }
    Ok(())
}

fn shown(environment: &Environment) -> String {
    details(&[
        ("environment", environment.name.clone()),
        ("id", environment.id.to_string()),
        ("kind", environment.kind.as_str().to_owned()),
        ("required approvals", environment.required_approvals.to_string()),
        ("minimum isolation", isolation(environment.minimum_isolation).to_owned()),
        ("created", when(environment.created_at)),
    ])
}

const fn isolation(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::None => "none",
        IsolationLevel::Partial => "partial",
        IsolationLevel::Full => "full",
    }
}

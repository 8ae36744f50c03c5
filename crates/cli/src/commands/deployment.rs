//! Deployments: looked at, stopped, gone back to.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Subcommand;
use uuid::Uuid;
use writ_client::Client;
use writ_kernel::{Label, Name};
use writ_wire::{
    connections::Connection,
    deployments::{Deployment, Output as Stretch, OutputLine, Rollback},
    tenancy::Environment,
};

use crate::{
    args::parsed,
    commands::Context,
    deploy::{follow, plan},
    listing::{self, Handle, Listing, every, handle},
    output::{Failure, Output, details, when},
    world::world,
};

/// Deployments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them, newest first.
    List {
        /// Only of this environment, by name or id.
        #[arg(long, value_name = "ENVIRONMENT", value_parser = handle)]
        env: Option<Handle>,
        /// Only of this target.
        #[arg(long, value_name = "NAME", value_parser = parsed::<Name>)]
        target: Option<Name>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one, with its plan and outcome.
    Show {
        /// Its id.
        deployment: Uuid,
    },
    /// Print the redacted output of one.
    Output {
        /// Its id.
        deployment: Uuid,
        /// Go on until it ends; exits as the deployment does.
        #[arg(long)]
        follow: bool,
        /// Only what came after this line.
        #[arg(long, value_name = "LINE", default_value_t = 0)]
        after: u64,
    },
    /// Stop one: at once when nobody works on it, else as soon as its runner hears of it.
    Cancel {
        /// Its id.
        deployment: Uuid,
    },
    /// Deploy the configuration and variables of an earlier, successful deployment again.
    Rollback {
        /// The id of the earlier deployment.
        deployment: Uuid,
        /// Why, or a ticket.
        #[arg(long, value_name = "TEXT", value_parser = parsed::<Label>)]
        reason: Option<Label>,
        /// Follow until it ends.
        #[arg(long)]
        follow: bool,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        Command::List { env, target, listing } => {
            let mut filter = Vec::new();
            if let Some(id) = listing::optional_id::<Environment>(&client, env.as_ref()).await? {
                filter.push(("environment", id.to_string()));
            }
            filter.extend(target.map(|target| ("target", target.to_string())));
            list(&client, output, &filter, &listing).await?;
        }
        Command::Show { deployment } => {
            let deployment: Deployment = client.get(&format!("/api/v1/deployments/{deployment}")).await?;
            output.result(&deployment, shown);
        }
        Command::Output { deployment, follow: true, after } => {
            return follow::follow(&client, output, deployment, after).await;
        }
        Command::Output { deployment, follow: false, after } => {
            so_far(&client, output, deployment, after).await?;
        }
        Command::Cancel { deployment } => {
            let path = format!("/api/v1/deployments/{deployment}/cancel");
            let deployment: Deployment = client.post(&path, &()).await?;
            output.result(&deployment, |deployment| {
                if deployment.state.is_final() {
                    "cancelled".to_owned()
                } else {
                    format!("its runner is told to stop; it is still {}", deployment.state.as_str())
                }
            });
        }
        Command::Rollback { deployment, reason, follow } => {
            let wanted = Rollback { reason: reason.map(|reason| reason.to_string()) };
            let path = format!("/api/v1/deployments/{deployment}/rollback");
            let made: Deployment = client.post_once(&path, &world().uuid().to_string(), &wanted).await?;
            if follow {
                output.note(format!("deployment {}", made.id));
                return follow::follow(&client, output, made.id, 0).await;
            }
            output.result(&made, |made| format!("deployment {} is {}", made.id, made.state.as_str()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(
    client: &Client,
    output: Output,
    filter: &[(&str, String)],
    listing: &Listing,
) -> Result<(), Failure> {
    let page = listing::page::<Deployment>(client, "/api/v1/deployments", filter, listing).await?;
    let names: BTreeMap<Uuid, String> = if output.is_json() || page.items.is_empty() {
        BTreeMap::new()
    } else {
        every::<Environment>(client).await?.into_iter().map(|place| (place.id, place.name)).collect()
    };
    let heading = ["TARGET", "ENVIRONMENT", "MODE", "STATE", "CREATED", "REASON", "ID"];
    listing::show(output, &page, &heading, |deployment| {
        let environment = deployment.environment;
        vec![
            deployment.target.clone(),
            names.get(&environment).cloned().unwrap_or_else(|| environment.to_string()),
            deployment.mode.as_str().to_owned(),
            deployment.state.as_str().to_owned(),
            when(deployment.created_at),
            deployment.reason.clone().unwrap_or_else(|| "-".to_owned()),
            deployment.id.to_string(),
        ]
    });
    Ok(())
}

/// All output there is until now.
async fn so_far(client: &Client, output: Output, id: Uuid, mut after: u64) -> Result<(), Failure> {
    let mut all: Vec<OutputLine> = Vec::new();
    loop {
        let stretch: Stretch =
            client.get(&format!("/api/v1/deployments/{id}/output?after={after}&wait=0")).await?;
        if stretch.lines.is_empty() {
            let whole = Stretch { lines: all, next: stretch.next, state: stretch.state };
            if output.is_json() || !whole.lines.is_empty() {
                output.result(&whole, |whole| {
                    whole.lines.iter().map(follow::shown).collect::<Vec<_>>().join("\n")
                });
            }
            return Ok(());
        }
        after = stretch.next;
        all.extend(stretch.lines);
    }
}

fn shown(deployment: &Deployment) -> String {
    let mut rows = vec![
        ("deployment", deployment.id.to_string()),
        ("target", deployment.target.clone()),
        ("mode", deployment.mode.as_str().to_owned()),
        ("state", deployment.state.as_str().to_owned()),
        (<Environment as listing::Named>::NOUN, deployment.environment.to_string()),
        (<Connection as listing::Named>::NOUN, deployment.connection.to_string()),
        ("configuration", deployment.configuration.to_string()),
        ("author", deployment.author.to_string()),
        ("created", when(deployment.created_at)),
        ("changed", when(deployment.updated_at)),
    ];
    rows.extend(deployment.reason.clone().map(|reason| ("reason", reason)));
    rows.extend(deployment.approval.map(|approval| ("approval", approval.to_string())));
    let mut parts = vec![details(&rows)];
    parts.extend(
        deployment.plan.iter().map(|plan| format!("{}\n\n{}", plan::changes(plan), plan::bound(plan))),
    );
    if deployment.state.is_final() {
        parts.push(follow::ended(deployment));
    }
    parts.join("\n\n")
}

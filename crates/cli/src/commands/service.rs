//! Service accounts.

use clap::Subcommand;
use writ_kernel::{Label, Name};
use writ_wire::identity::{CreateService, Person, Service};

use crate::{
    args::parsed,
    commands::Context,
    listing::{self, Handle, Listing, handle},
    output::{Failure, details},
};

/// Service accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add one. It has no credential until one is made with `writ api-key create --service`.
    Add {
        /// Its name.
        #[arg(value_parser = parsed::<Name>)]
        name: Name,
        /// The person who answers for it, by name or id.
        #[arg(long, value_name = "PERSON", value_parser = handle)]
        owner: Handle,
        /// What it is for.
        #[arg(long, value_name = "TEXT", value_parser = parsed::<Label>)]
        purpose: Label,
    },
    /// List them.
    List(Listing),
    /// Retire one: its keys end at once.
    Retire {
        /// Its name or id.
        #[arg(value_parser = handle)]
        service: Handle,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Add { name, owner, purpose } => {
            let owner = listing::id::<Person>(&client, &owner).await?;
            let wanted = CreateService { name: name.to_string(), owner, purpose: purpose.to_string() };
            let made: Service = client.post("/api/v1/services", &wanted).await?;
            context.output.result(&made, |service| {
                details(&[
                    ("service", service.name.clone()),
                    ("id", service.id.to_string()),
                    ("owner", service.owner.to_string()),
                    ("purpose", service.purpose.clone()),
                ])
            });
        }
        Command::List(listing) => {
            let page = listing::page::<Service>(&client, "/api/v1/services", &[], &listing).await?;
            let heading = ["NAME", "PURPOSE", "ACTIVE", "OWNER", "ID"];
            listing::show(context.output, &page, &heading, |service| {
                vec![
                    service.name.clone(),
                    service.purpose.clone(),
                    if service.active { "yes" } else { "no" }.to_owned(),
                    service.owner.to_string(),
                    service.id.to_string(),
                ]
            });
        }
        Command::Retire { service } => {
            let id = listing::id::<Service>(&client, &service).await?;
            client.post::<_, ()>(&format!("/api/v1/services/{id}/retire"), &()).await?;
            context.output.done("retired; its keys are over");
        }
    }
    Ok(())
}

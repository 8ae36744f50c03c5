//! Roles.

use std::{collections::BTreeMap, time::Duration};

use clap::Subcommand;
use uuid::Uuid;
use writ_client::Client;
use writ_kernel::Name;
use writ_wire::{
    identity::{BindRole, Person, RoleBinding, Service},
    page::Page,
    tenancy::Environment,
};

use crate::{
    args::{duration, parsed},
    commands::Context,
    listing::{self, Handle, Listing, Principal, every, handle, principal, principal_id},
    output::{Failure, details, when_or_never},
    world::world,
};

/// Who holds which role.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give somebody a role.
    Bind {
        /// `viewer`, `developer`, `operator`, `auditor`, `admin`, `approver` or a role of your own policies.
        #[arg(value_parser = parsed::<Name>)]
        role: Name,
        /// A name, an id, `person/<name>` or `service/<name>`.
        #[arg(value_parser = principal)]
        principal: Principal,
        /// The only environment it holds in, by name or id; all unless told.
        #[arg(long, value_name = "ENVIRONMENT", value_parser = handle)]
        env: Option<Handle>,
        /// When it ends, like `8h` or `30d`; no end unless told.
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires_in: Option<Duration>,
    },
    /// List who holds what.
    List(Listing),
    /// Take a role away.
    Unbind {
        /// The binding's id, as `writ role list` shows it.
        binding: Uuid,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Bind { role, principal, env, expires_in } => {
            let wanted = BindRole {
                principal: principal_id(&client, &principal).await?,
                role: role.to_string(),
                environment: listing::optional_id::<Environment>(&client, env.as_ref()).await?,
                expires_at: expires_in.map(|length| world().now().plus(length)),
            };
            let made: RoleBinding = client.post("/api/v1/role-bindings", &wanted).await?;
            context.output.result(&made, |binding| {
                let everywhere = || "all".to_owned();
                details(&[
                    ("binding", binding.id.to_string()),
                    ("role", binding.role.clone()),
                    ("principal", binding.principal.to_string()),
                    ("environment", binding.environment.map_or_else(everywhere, |id| id.to_string())),
                    ("ends", when_or_never(binding.expires_at)),
                ])
            });
        }
        Command::List(listing) => {
            let page = listing::page::<RoleBinding>(&client, "/api/v1/role-bindings", &[], &listing).await?;
            list(context, &client, &page).await?;
        }
        Command::Unbind { binding } => {
            client.delete::<()>(&format!("/api/v1/role-bindings/{binding}")).await?;
            context.output.done("the role is taken away");
        }
    }
    Ok(())
}

async fn list(context: &Context, client: &Client, page: &Page<RoleBinding>) -> Result<(), Failure> {
    // Whoever may list bindings may list these too; programs join by id themselves.
    let names = if context.output.is_json() { BTreeMap::new() } else { names(client).await? };
    let name = |id: &Uuid| names.get(id).cloned().unwrap_or_else(|| id.to_string());
    listing::show(context.output, page, &["ROLE", "PRINCIPAL", "ENVIRONMENT", "ENDS", "ID"], |binding| {
        vec![
            binding.role.clone(),
            name(&binding.principal),
            binding.environment.as_ref().map_or_else(|| "all".to_owned(), name),
            when_or_never(binding.expires_at),
            binding.id.to_string(),
        ]
    });
    Ok(())
}

async fn names(client: &Client) -> Result<BTreeMap<Uuid, String>, Failure> {
    let people = every::<Person>(client).await?.into_iter().map(|person| (person.id, person.name));
    let services = every::<Service>(client).await?.into_iter().map(|service| (service.id, service.name));
    let environments = every::<Environment>(client).await?.into_iter().map(|place| (place.id, place.name));
    Ok(people.chain(services).chain(environments).collect())
}

//! API keys.

use std::time::Duration;

use clap::Subcommand;
use uuid::Uuid;
use writ_kernel::{Label, Scope};
use writ_wire::identity::{ApiKey, CreateApiKey, CreatedApiKey, Service};

use crate::{
    args::{duration, parsed},
    commands::Context,
    listing::{self, Handle, Listing, Principal, handle, principal, principal_id},
    output::{Failure, when, when_or_never},
    world::world,
};

/// API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create one, for yourself or a service account. It is printed once.
    Create {
        /// What it is for.
        #[arg(value_name = "LABEL", value_parser = parsed::<Label>)]
        label: Label,
        /// What it may be used for: `area.resource.verb`, `area.resource.*`, `area.*` or `*`; repeat for more.
        #[arg(long, value_name = "SCOPE", required = true, value_parser = parsed::<Scope>)]
        scope: Vec<Scope>,
        /// When it ends, like `30d`; at most 366 days ahead.
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires_in: Duration,
        /// The service account it belongs to, by name or id; you unless told.
        #[arg(long, value_name = "SERVICE", value_parser = handle)]
        service: Option<Handle>,
    },
    /// List them, without their texts.
    List {
        /// Only those of this person or service account.
        #[arg(long, value_parser = principal)]
        principal: Option<Principal>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Revoke one.
    Revoke {
        /// Its id.
        key: Uuid,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Create { label, scope, expires_in, service } => {
            let wanted = CreateApiKey {
                label: label.to_string(),
                service: listing::optional_id::<Service>(&client, service.as_ref()).await?,
                scopes: scope.iter().map(|scope| scope.as_str().to_owned()).collect(),
                expires_at: world().now().plus(expires_in),
            };
            let made: CreatedApiKey = client.post("/api/v1/api-keys", &wanted).await?;
            let (id, end) = (made.key.id, when(made.key.expires_at));
            context.output.note(format!("the key {id} is good until {end}, and is shown this once:"));
            context.output.result(&made, |made| made.secret.clone());
        }
        Command::List { principal, listing } => {
            let mut filter = Vec::new();
            if let Some(principal) = principal {
                filter.push(("principal", principal_id(&client, &principal).await?.to_string()));
            }
            let page = listing::page::<ApiKey>(&client, "/api/v1/api-keys", &filter, &listing).await?;
            let heading = ["LABEL", "SCOPES", "ENDS", "LAST USED", "REVOKED", "ID"];
            listing::show(context.output, &page, &heading, |key| {
                vec![
                    key.label.clone(),
                    key.scopes.join(" "),
                    when(key.expires_at),
                    when_or_never(key.last_used_at),
                    when_or_never(key.revoked_at),
                    key.id.to_string(),
                ]
            });
        }
        Command::Revoke { key } => {
            client.delete::<()>(&format!("/api/v1/api-keys/{key}")).await?;
            context.output.done("revoked");
        }
    }
    Ok(())
}

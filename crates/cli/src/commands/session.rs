//! Sessions.

use clap::Subcommand;
use uuid::Uuid;
use writ_wire::identity::Session;

use crate::{
    commands::Context,
    listing::{self, Listing, Principal, principal, principal_id},
    output::{Failure, when, when_or_never},
};

/// Sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them.
    List {
        /// Only those of this person.
        #[arg(long, value_parser = principal)]
        principal: Option<Principal>,
        #[command(flatten)]
        listing: Listing,
    },
    /// End one.
    Revoke {
        /// Its id.
        session: Uuid,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List { principal, listing } => {
            let mut filter = Vec::new();
            if let Some(principal) = principal {
                filter.push(("principal", principal_id(&client, &principal).await?.to_string()));
            }
            let page = listing::page::<Session>(&client, "/api/v1/sessions", &filter, &listing).await?;
            let heading = ["WHERE", "BEGAN", "ENDS", "ENDED", "ID"];
            listing::show(context.output, &page, &heading, |session| {
                vec![
                    session.label.clone().unwrap_or_else(|| "-".to_owned()),
                    when(session.created_at),
                    when(session.expires_at),
                    when_or_never(session.revoked_at),
                    session.id.to_string(),
                ]
            });
        }
        Command::Revoke { session } => {
            client.delete::<()>(&format!("/api/v1/sessions/{session}")).await?;
            context.output.done("the session is over");
        }
    }
    Ok(())
}

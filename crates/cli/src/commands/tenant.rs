//! Tenants.

use clap::Subcommand;
use writ_kernel::Name;
use writ_wire::tenancy::{CreateTenant, CreatedTenant, Tenant};

use crate::{
    args::parsed,
    commands::Context,
    listing::{self, Listing},
    output::{Failure, when},
};

/// The tenants of the server. For administrators of the platform.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a tenant and its first administrator, whose enrolment token is printed once.
    Create {
        /// Its name.
        #[arg(value_parser = parsed::<Name>)]
        name: Name,
        /// The name of its first administrator.
        #[arg(long, value_name = "NAME", value_parser = parsed::<Name>)]
        admin: Name,
    },
    /// List them.
    List(Listing),
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Create { name, admin } => {
            let wanted = CreateTenant { name: name.to_string(), admin: admin.to_string() };
            let made: CreatedTenant = client.post("/api/v1/tenants", &wanted).await?;
            context.output.note(format!(
                "tenant {} ({}); its administrator {} signs in with this token, once, within a day:",
                made.tenant.name, made.tenant.id, made.admin.name
            ));
            context.output.result(&made, |made| made.enrolment_token.clone());
        }
        Command::List(listing) => {
            let page = listing::page::<Tenant>(&client, "/api/v1/tenants", &[], &listing).await?;
            listing::show(context.output, &page, &["NAME", "ID", "CREATED"], |tenant| {
                vec![tenant.name.clone(), tenant.id.to_string(), when(tenant.created_at)]
            });
        }
    }
    Ok(())
}

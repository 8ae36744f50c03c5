//! People.

use clap::Subcommand;
use writ_kernel::{Label, Name};
use writ_wire::identity::{CreatePerson, CreatedPerson, Person};

use crate::{
    args::parsed,
    commands::Context,
    listing::{self, Handle, Listing, handle},
    output::{Failure, details, when},
};

/// People.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add one. Their enrolment token is printed once.
    Add {
        /// How they sign in.
        #[arg(value_parser = parsed::<Name>)]
        name: Name,
        /// What to call them.
        #[arg(long, value_name = "TEXT", value_parser = parsed::<Label>)]
        display_name: Option<Label>,
    },
    /// List them.
    List(Listing),
    /// Show one.
    Show {
        /// Their name or id.
        #[arg(value_parser = handle)]
        person: Handle,
    },
    /// Disable one: their sessions and keys end at once.
    Disable {
        /// Their name or id.
        #[arg(value_parser = handle)]
        person: Handle,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Add { name, display_name } => {
            let display_name = display_name.map(|label| label.to_string());
            let wanted = CreatePerson { name: name.to_string(), display_name };
            let made: CreatedPerson = client.post("/api/v1/people", &wanted).await?;
            let (name, id) = (&made.person.name, made.person.id);
            context.output.note(format!("{name} ({id}) signs in with this token, once, within a day:"));
            context.output.result(&made, |made| made.enrolment_token.clone());
        }
        Command::List(listing) => {
            let page = listing::page::<Person>(&client, "/api/v1/people", &[], &listing).await?;
            let heading = ["NAME", "CALLED", "ACTIVE", "ADDED", "ID"];
            listing::show(context.output, &page, &heading, |person| {
                vec![
                    person.name.clone(),
                    person.display_name.clone().unwrap_or_else(|| "-".to_owned()),
                    if person.active { "yes" } else { "no" }.to_owned(),
                    when(person.created_at),
                    person.id.to_string(),
                ]
            });
        }
        Command::Show { person } => {
            let id = listing::id::<Person>(&client, &person).await?;
            let person: Person = client.get(&format!("/api/v1/people/{id}")).await?;
            context.output.result(&person, |person| {
                details(&[
                    ("person", person.name.clone()),
                    ("called", person.display_name.clone().unwrap_or_else(|| "-".to_owned())),
                    ("id", person.id.to_string()),
                    ("active", if person.active { "yes" } else { "no" }.to_owned()),
                    ("added", when(person.created_at)),
                ])
            });
        }
        Command::Disable { person } => {
            let id = listing::id::<Person>(&client, &person).await?;
            client.post::<_, ()>(&format!("/api/v1/people/{id}/disable"), &()).await?;
            context.output.done("disabled; their sessions and keys are over");
        }
    }
    Ok(())
}

//! Errands: validations of connections, and releases of state locks.

use std::process::ExitCode;

use clap::Subcommand;
use uuid::Uuid;
use writ_client::Client;
use writ_wire::{
    connections::{Connection, PreflightCheck},
    errands::{Errand, ErrandKind, ErrandState},
};

use crate::{
    commands::Context,
    listing::{self, Handle, Listing, handle},
    output::{Failure, details, plain, table, when},
};

/// What a disposable runner does beside deployments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them, newest first.
    List {
        /// Only of this connection, by name or id.
        #[arg(long, value_name = "CONNECTION", value_parser = handle)]
        connection: Option<Handle>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one, with what was found out.
    Show {
        /// Its id.
        errand: Uuid,
    },
    /// Stop one: at once when nobody is at it, else as soon as its runner hears of it.
    Cancel {
        /// Its id.
        errand: Uuid,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        Command::List { connection, listing } => {
            let id = listing::optional_id::<Connection>(&client, connection.as_ref()).await?;
            let filter: Vec<_> = id.iter().map(|id| ("connection", id.to_string())).collect();
            let page = listing::page::<Errand>(&client, "/api/v1/errands", &filter, &listing).await?;
            listing::show(output, &page, &["KIND", "STATE", "CREATED", "CONNECTION", "ID"], |errand| {
                vec![
                    kind(errand).to_owned(),
                    errand.state.as_str().to_owned(),
                    when(errand.created_at),
                    errand.connection.to_string(),
                    errand.id.to_string(),
                ]
            });
        }
        Command::Show { errand } => {
            let errand: Errand = client.get(&format!("/api/v1/errands/{errand}")).await?;
            output.result(&errand, shown);
        }
        Command::Cancel { errand } => {
            let errand: Errand = client.post(&format!("/api/v1/errands/{errand}/cancel"), &()).await?;
            output.result(&errand, |errand| {
                if errand.state.is_final() { "cancelled" } else { "its runner is told to stop" }.to_owned()
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for the end of an errand; its runner has a limit in time, and so has the wait for one.
pub(crate) async fn wait(client: &Client, id: Uuid) -> Result<Errand, Failure> {
    loop {
        let errand: Errand = client.get(&format!("/api/v1/errands/{id}?wait=20")).await?;
        if errand.state.is_final() {
            return Ok(errand);
        }
    }
}

/// Success only for what succeeded.
pub(crate) fn exit(state: ErrandState) -> ExitCode {
    if state == ErrandState::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const fn kind(errand: &Errand) -> &'static str {
    match errand.kind {
        ErrandKind::Validation => "validation",
        ErrandKind::Unlock => "unlock",
    }
}

/// An errand, as people read it.
pub(crate) fn shown(errand: &Errand) -> String {
    let mut rows = vec![
        ("errand", errand.id.to_string()),
        ("kind", kind(errand).to_owned()),
        ("connection", errand.connection.to_string()),
        ("state", errand.state.as_str().to_owned()),
        ("author", errand.author.to_string()),
        ("created", when(errand.created_at)),
        ("changed", when(errand.updated_at)),
    ];
    if let Some(release) = &errand.release {
        rows.push(("target", release.target.clone()));
        rows.push(("lock", release.lock.clone()));
        rows.extend(release.holder.clone().map(|holder| ("holder", plain(&holder))));
        rows.push(("reason", plain(&release.reason)));
    }
    if let Some(outcome) = &errand.outcome {
        rows.push(("outcome", plain(&format!("{}: {}", outcome.code, outcome.detail))));
        rows.extend(outcome.hint.clone().map(|hint| ("hint", plain(&hint))));
    }
    let mut parts = vec![details(&rows)];
    if !errand.report.is_empty() {
        parts.push(checks(&errand.report));
    }
    parts.join("\n\n")
}

/// Rows of a report, and what to do about those that fail.
pub(crate) fn checks(checks: &[PreflightCheck]) -> String {
    let heading = ["STATUS", "CHECK", "FOUND"].map(str::to_owned).to_vec();
    let rows =
        checks.iter().map(|check| vec![check.status.clone(), check.check.clone(), plain(&check.detail)]);
    let mut lines = vec![table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())];
    let failed = checks.iter().filter(|check| check.status == "fail");
    lines.extend(
        failed
            .filter_map(|check| check.fix.as_ref().map(|fix| plain(&format!("fix {}: {fix}", check.check)))),
    );
    lines.join("\n")
}

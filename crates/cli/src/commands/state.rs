//! States of deployment targets.

use std::process::ExitCode;

use clap::{Args as Group, Subcommand};
use writ_kernel::{Label, Name};
use writ_wire::{
    connections::Connection,
    errands::{Errand, ReleaseLock},
};

use crate::{
    args::parsed,
    commands::{Context, errand},
    listing::{self, Handle, handle},
    output::Failure,
};

/// States of deployment targets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Release a lock that nobody holds any more. A disposable runner looks who holds it before it lets go.
    Unlock(Unlock),
}

/// Which lock, and why.
#[derive(Debug, Group)]
pub(crate) struct Unlock {
    /// The connection of the deployments, by name or id.
    #[arg(long, value_name = "CONNECTION", value_parser = handle)]
    connection: Handle,
    /// The deployment target whose state is locked.
    #[arg(long, value_name = "NAME", value_parser = parsed::<Name>)]
    target: Name,
    /// The lock's id, as the deployment that found it told.
    #[arg(long, value_name = "ID")]
    lock_id: String,
    /// Who holds it, as it was shown: a lock of anybody else is left alone.
    #[arg(long, value_name = "USER@HOST")]
    holder: Option<String>,
    /// Why it may be released, or a ticket.
    #[arg(long, value_name = "TEXT", value_parser = parsed::<Label>)]
    reason: Label,
    /// Do not wait for the end.
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    let Command::Unlock(options) = command;
    let (client, output) = (context.client()?, context.output);
    let connection = listing::id::<Connection>(&client, &options.connection).await?;
    let wanted = ReleaseLock {
        target: options.target.to_string(),
        lock: options.lock_id,
        holder: options.holder,
        reason: options.reason.to_string(),
    };
    let path = format!("/api/v1/connections/{connection}/unlocks");
    let asked: Errand = client.post(&path, &wanted).await?;
    if options.no_wait {
        output.result(&asked, errand::shown);
        return Ok(ExitCode::SUCCESS);
    }
    output.note(format!("unlock {}: a runner looks who holds the lock", asked.id));
    let ended = errand::wait(&client, asked.id).await?;
    output.result(&ended, errand::shown);
    Ok(errand::exit(ended.state))
}

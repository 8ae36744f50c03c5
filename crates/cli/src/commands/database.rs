//! The database: migration, backup and restore, on the machine of the server.

use std::path::PathBuf;

use clap::Args as Group;
use serde_json::json;

use crate::{
    args::Server,
    commands::server::load,
    output::{Failure, Output},
    world::world,
};

/// Copy the database to a file.
#[derive(Debug, Group)]
pub(crate) struct Backup {
    #[command(flatten)]
    server: Server,
    /// The new file.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Make a database out of a backup.
#[derive(Debug, Group)]
pub(crate) struct Restore {
    #[command(flatten)]
    server: Server,
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

pub(crate) async fn migrate(options: Server, output: Output) -> Result<(), Failure> {
    let config = load(&options)?;
    let applied = writ_store::migrate(&config.database_of_owner()?, &world()).await?;
    output.result(&json!({ "applied": applied }), |_| match applied.as_slice() {
        [] => "the database is up to date".to_owned(),
        applied => format!("applied {}", applied.join(", ")),
    });
    Ok(())
}

pub(crate) async fn backup(options: Backup, output: Output) -> Result<(), Failure> {
    let config = load(&options.server)?;
    output.note("copying the database; it stays in use meanwhile");
    writ_store::backup(&config.database()?, &options.to).await?;
    let bytes = std::fs::metadata(&options.to).map(|file| file.len()).unwrap_or_default();
    output.result(&json!({ "file": options.to, "bytes": bytes }), |_| {
        format!(
            "`{}` holds {bytes} bytes; what was sealed is sealed in it, and it holds no root key",
            options.to.display()
        )
    });
    Ok(())
}

pub(crate) async fn restore(options: Restore, output: Output) -> Result<(), Failure> {
    let config = load(&options.server)?;
    writ_store::restore(&config.database_of_owner()?, &options.from).await?;
    output.result(&json!({ "restored": options.from }), |_| {
        "restored; start the server and unseal it with the key of the time of the backup".to_owned()
    });
    Ok(())
}

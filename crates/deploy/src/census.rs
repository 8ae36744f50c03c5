//! How many there are, for operators: numbers of the whole server, and nothing of anybody.

use writ_kernel::Result;
use writ_store::Db;

use crate::{runs, sql};

/// How many deployments and runs of all tenants are in each state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Deployments, by the word of their state.
    pub deployments: Vec<(String, i64)>,
    /// Runs, by the word of their state: starting, claimed, finished, lost.
    pub runs: Vec<(String, i64)>,
}

/// Counts deployments and runs.
///
/// # Errors
/// When the database fails.
pub async fn census(db: &Db) -> Result<Census> {
    let mut tx = db.system_read().await?;
    Ok(Census {
        deployments: sql::count_by_state(&mut tx).await?,
        runs: runs::sql::count_by_state(&mut tx).await?,
    })
}

//! Whether anything is in a folder.

use writ_kernel::{Environment, Id, Result};
use writ_store::Tx;

use super::{path::Folder, sql};
use crate::Vault;

impl Vault {
    /// Whether there is any secret in `folder` or below it: for what decides only whether something else may be put
    /// there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holds(&self, tx: &mut Tx, environment: Id<Environment>, folder: &Folder) -> Result<bool> {
        let prefix = folder.prefix();
        Ok(!sql::paths(tx, environment, &prefix, &prefix, 1).await?.is_empty())
    }
}

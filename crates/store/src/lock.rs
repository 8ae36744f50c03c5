//! One server per database file.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use writ_kernel::{Error, Result};

/// An advisory lock on `<database>.lock`, held until dropped or until the process dies.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file is what unlocks it")] File);

impl Lock {
    pub(crate) fn take(database: &Path) -> Result<Self> {
        let path = beside(database, ".lock");
        let failed = |cause| {
            Error::unavailable("storage_failed", format!("cannot lock `{}`", path.display())).because(cause)
        };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::conflict(
                "database_in_use",
                format!("`{}` is open in another process", database.display()),
            )
            .hint("one server at a time may use a database file; stop the other one")),
            Err(TryLockError::Error(cause)) => Err(failed(cause)),
        }
    }
}

/// `path` with `suffix` appended to its last component.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

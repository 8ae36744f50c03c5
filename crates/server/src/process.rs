//! The process and the disk it stands on.

use std::path::Path;

use rustix::{
    fs::{Mode, statvfs},
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask},
};
use writ_kernel::{Error, Result};

/// Closes the process against its neighbours, for good: no core dumps, no debugger of the same user, and files that
/// only this user reads. Keys are in memory from now on.
///
/// # Errors
/// `Unavailable` when the kernel refuses.
pub(crate) fn harden() -> Result<()> {
    let refused = |error: rustix::io::Errno| {
        Error::unavailable("hardening", "the kernel refuses to protect this process's memory").because(error)
    };
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(refused)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused)?;
    umask(Mode::RWXG | Mode::RWXO);
    Ok(())
}

/// Bytes that we may still write where `directory` is.
///
/// # Errors
/// `Unavailable` when the file system does not tell.
pub(crate) fn disk_free(directory: &Path) -> Result<u64> {
    let told = statvfs(directory).map_err(|error| {
        Error::unavailable("data_dir", "the data directory cannot be looked at").because(error)
    })?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

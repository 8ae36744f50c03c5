//! A user identity that belongs to one run.

use std::{
    ops::Range,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Gid, Uid},
    thread::CapabilitySet,
};
use writ_kernel::{Error, Result};

/// Where the users of runs come from unless configured: far above what systems hand out, and below the
/// sub-identifier ranges of containers.
pub const ACCOUNTS: Range<u32> = 200_000..265_536;

/// A user and group identifier no other run on this machine has while this value lives. It is claimed by
/// holding an abstract socket of that name, which the kernel gives back when the process dies, however it
/// dies.
#[derive(Debug)]
pub struct Account {
    uid: u32,
    _claim: UnixListener,
}

impl Account {
    /// Claims an identifier out of `range`. `None` when this process may not change identities, so that a
    /// program has to run as the runner's own user.
    pub fn claim(range: Range<u32>) -> Result<Option<Self>> {
        if !may_change_identity() {
            return Ok(None);
        }
        let length = range.end.saturating_sub(range.start);
        let first = std::process::id().checked_rem(length).unwrap_or(0);
        (first..length)
            .chain(0..first)
            .map(|offset| range.start + offset)
            .find_map(|uid| Some(Self { uid, _claim: hold(uid)? }))
            .map(Some)
            .ok_or_else(|| {
                Error::unavailable("no_account", "every user identity of the configured range is in use")
                    .hint("end other runs, or configure a larger range")
            })
    }

    /// The user and group identifier.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Gives `root` and everything below it to this user. Follows no symbolic link, and leaves alone files
    /// with more than one name, since one of the names may be elsewhere.
    pub fn take_over(&self, root: &Path) -> Result<()> {
        let failed = |path: &Path, error: std::io::Error| {
            Error::internal(format!("give `{}` to user {}", path.display(), self.uid)).because(error)
        };
        let mut pending = vec![root.to_owned()];
        while let Some(path) = pending.pop() {
            let stat = rustix::fs::lstat(&path).map_err(|error| failed(&path, error.into()))?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            if kind == FileType::Directory {
                for entry in std::fs::read_dir(&path).map_err(|error| failed(&path, error))? {
                    pending.push(entry.map_err(|error| failed(&path, error))?.path());
                }
            } else if stat.st_nlink > 1 {
                continue;
            }
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.uid));
            rustix::fs::chownat(CWD, &path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed(&path, error.into()))?;
        }
        Ok(())
    }
}

fn hold(uid: u32) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("writ-runner-account-{uid}")).ok()?;
    UnixListener::bind_addr(&name).ok()
}

fn may_change_identity() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::CHOWN;
    rustix::thread::capabilities(None).is_ok_and(|held| held.effective.contains(needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_never_share_a_user() {
        if !may_change_identity() {
            return;
        }
        let range = 300_000..300_002;
        let first = Account::claim(range.clone()).unwrap().unwrap();
        let second = Account::claim(range.clone()).unwrap().unwrap();
        assert_ne!(first.uid(), second.uid());
        assert_eq!(Account::claim(range.clone()).unwrap_err().code(), "no_account");
        let freed = first.uid();
        drop(first);
        assert_eq!(Account::claim(range).unwrap().unwrap().uid(), freed);
    }
}

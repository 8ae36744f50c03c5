//! Workspaces that runners left behind which were killed: found by their names, and wiped by the next runner.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::wipe;

/// How the name of every workspace begins.
const PREFIX: &str = "writ-run-";

/// How the names of this process's workspaces begin: `writ-run-<namespace>-<process id>-<start>-`, in hexadecimal. An id
/// is used again, an id with the time of its start is not, and both mean something in one process namespace only.
pub(super) fn prefix() -> String {
    match (namespace(), start_of(std::process::id())) {
        (Some(namespace), Some(start)) => {
            format!("{PREFIX}{namespace:x}-{:x}-{start:x}-", std::process::id())
        }
        // Nobody will know whose it was, so nobody but its owner wipes it.
        _ => PREFIX.to_owned(),
    }
}

/// Wipes the workspaces in `place` whose runner is certainly dead. Only those that belong to this user and are closed to
/// all others: nobody can exchange anything in them meanwhile. What cannot be wiped is left and told.
pub(super) fn sweep(place: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let abandoned = name.to_str().is_some_and(is_abandoned);
        let ours = fs::symlink_metadata(entry.path())
            .is_ok_and(|found| found.is_dir() && found.uid() == own && found.mode() & 0o7777 == 0o700);
        if !abandoned || !ours {
            continue;
        }
        match wipe::empty(&entry.path()).and_then(|()| fs::remove_dir(entry.path())) {
            Ok(()) => tracing::warn!(workspace = ?name, "wiped what a killed runner left behind"),
            Err(error) => {
                tracing::error!(%error, workspace = ?name, "what a killed runner left cannot be wiped");
            }
        }
    }
}

/// Whether a workspace of this name belonged to a process of this namespace that runs no more.
fn is_abandoned(name: &str) -> bool {
    let mut parts = name.strip_prefix(PREFIX).unwrap_or_default().split('-');
    let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
    let (Some(space), Some(process), Some(start)) = (number(), number(), number()) else { return false };
    let Ok(process) = u32::try_from(process) else { return false };
    namespace() == Some(space) && start_of(process) != Some(start)
}

/// The process namespace of this process, by its inode (`pid_namespaces(7)`).
fn namespace() -> Option<u64> {
    fs::metadata("/proc/self/ns/pid").ok().map(|namespace| namespace.ino())
}

/// When a process started, in clock ticks since boot (`proc_pid_stat(5)`); `None` when there is none.
fn start_of(process: u32) -> Option<u64> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything; what follows it are plain words.
    let mut words = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = words.next()?;
    let start = words.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| start.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn make(place: &Path, name: &str) -> std::path::PathBuf {
        let path = place.join(name);
        fs::create_dir_all(path.join("control/deep")).unwrap();
        fs::write(path.join("control/deep/plan"), "secret").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        path
    }

    #[test]
    fn what_a_dead_process_left_is_wiped_and_what_may_live_is_not() {
        let place = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (space, id) = (namespace().unwrap(), child.id());
        let start = start_of(id).unwrap();
        let living = make(place.path(), &format!("writ-run-{space:x}-{id:x}-{start:x}-a"));
        let own = make(place.path(), &format!("{}b", prefix()));
        let elsewhere = make(place.path(), &format!("writ-run-{:x}-{id:x}-{:x}-c", space + 1, start + 1));
        let nameless = make(place.path(), "writ-run-abcdef");
        let open = make(place.path(), &format!("writ-run-{space:x}-{id:x}-{:x}-d", start + 1));
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        let reused = make(place.path(), &format!("writ-run-{space:x}-{id:x}-{:x}-e", start + 1));
        sweep(place.path());
        for kept in [&living, &own, &elsewhere, &nameless, &open] {
            assert!(kept.join("control/deep/plan").exists(), "{}", kept.display());
        }
        assert!(!reused.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        sweep(place.path());
        assert!(!living.exists());
        assert!(own.exists());
    }
}

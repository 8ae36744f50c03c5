//! What was asked of the kernel, and what it granted.

use serde::{Deserialize, Serialize};

/// How far a program was shut in; policy can demand a minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// Less than [`Level::Partial`]: treat the program as if it ran beside the runner.
    #[default]
    None,
    /// No new privileges, system call filter and limits, and one wall around the files or the identity.
    Partial,
    /// All of it: own identity or user namespace, own processes and mounts, Landlock for files and ports, system call
    /// filter, limits.
    Full,
}

/// The walls that stand around a launched program, as found out by the launcher itself just before it
/// became that program. This is evidence: it says what was reached, not what was wished.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Isolation {
    /// `PR_SET_NO_NEW_PRIVS`: setuid programs and file capabilities gain nothing.
    pub no_new_privs: bool,
    /// The program runs as a user nobody else on the machine runs as.
    pub own_uid: bool,
    /// The program runs in a user namespace of its own.
    pub user_namespace: bool,
    /// The program is the first process of its own process namespace: when it ends, all of it ends.
    pub pid_namespace: bool,
    /// The program has its own mounts and sees only its own processes in `/proc`.
    pub mount_namespace: bool,
    /// The version of Landlock in force; 0 when there is none.
    pub landlock_abi: u32,
    /// A seccomp filter refuses the system calls no deployment needs.
    pub seccomp: bool,
    /// Resource limits are set.
    pub limits: bool,
    /// The workspace is on a file system in memory.
    pub private_tmpfs: bool,
}

impl Isolation {
    /// The first Landlock version that also guards truncation, without which a file outside could be emptied.
    const LANDLOCK_FILES: u32 = 3;
    /// The first Landlock version that also guards the ports connections go to.
    const LANDLOCK_PORTS: u32 = 4;

    /// The level these walls add up to.
    pub fn level(&self) -> Level {
        let base = self.no_new_privs && self.seccomp && self.limits;
        let identity = self.own_uid || self.user_namespace;
        let files = self.landlock_abi >= Self::LANDLOCK_FILES;
        let ports = self.landlock_abi >= Self::LANDLOCK_PORTS;
        let alone = self.pid_namespace && self.mount_namespace;
        match (base, identity, files, ports && alone) {
            (true, true, true, true) => Level::Full,
            (true, true, ..) | (true, _, true, _) => Level::Partial,
            _ => Level::None,
        }
    }
}

/// Ceilings for a launched program and everything it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Processes and threads of its user together. A Go program has about twenty threads.
    pub processes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// Bytes of the largest file it can write.
    pub file_size: u64,
    /// Bytes of address space of each process. Go programs reserve far more than they use.
    pub address_space: u64,
    /// Seconds of processor time of each process, when there is a ceiling.
    pub cpu_seconds: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 1024,
            open_files: 4096,
            file_size: 4 << 30,
            address_space: 64 << 30,
            cpu_seconds: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Isolation {
        Isolation {
            no_new_privs: true,
            own_uid: true,
            user_namespace: false,
            pid_namespace: true,
            mount_namespace: true,
            landlock_abi: 7,
            seccomp: true,
            limits: true,
            private_tmpfs: true,
        }
    }

    #[test]
    fn all_walls_are_full() {
        assert_eq!(all().level(), Level::Full);
        assert_eq!(Isolation { own_uid: false, user_namespace: true, ..all() }.level(), Level::Full);
        assert_eq!(Isolation { landlock_abi: 4, ..all() }.level(), Level::Full);
    }

    #[test]
    fn one_wall_of_files_or_identity_is_partial() {
        assert_eq!(Isolation { pid_namespace: false, ..all() }.level(), Level::Partial);
        assert_eq!(Isolation { mount_namespace: false, ..all() }.level(), Level::Partial);
        assert_eq!(Isolation { landlock_abi: 3, ..all() }.level(), Level::Partial);
        assert_eq!(Isolation { landlock_abi: 2, ..all() }.level(), Level::Partial);
        assert_eq!(Isolation { own_uid: false, ..all() }.level(), Level::Partial);
    }

    #[test]
    fn without_the_base_there_is_nothing() {
        assert_eq!(Isolation { seccomp: false, ..all() }.level(), Level::None);
        assert_eq!(Isolation { no_new_privs: false, ..all() }.level(), Level::None);
        assert_eq!(Isolation { own_uid: false, landlock_abi: 0, ..all() }.level(), Level::None);
    }
}

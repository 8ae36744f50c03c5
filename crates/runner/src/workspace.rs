//! The private directory of one run: made for it, in memory where possible, and wiped at its end.

mod sweep;
mod unpack;
mod wipe;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    mount::{MountFlags, MountPropagationFlags, UnmountFlags},
    thread::UnshareFlags,
};
use tempfile::TempDir;
use writ_kernel::{Error, Result};

pub use unpack::{ArchiveLimits, Unpacked};

/// Where shared memory is mounted by convention (`shm_open(3)`).
const SHARED_MEMORY: &str = "/dev/shm";

/// The least free space of a file system in memory that a run is put on, in bytes.
const ENOUGH: u64 = 256 << 20;

/// `f_type` of a tmpfs (`statfs(2)`).
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Proof that this process has mounts of its own: a file system mounted now is seen by nobody else, and
/// vanishes with the process, however it dies.
#[derive(Debug)]
pub struct PrivateMounts(());

impl PrivateMounts {
    /// Takes mounts of its own for this process. Call it before the first thread is made: a thread keeps
    /// the mounts it was born with. `None` when the process may not.
    pub fn enter() -> Option<Self> {
        #[expect(deprecated, reason = "its one unsafe flag, which unshares descriptors, is not used")]
        rustix::thread::unshare(UnshareFlags::NEWNS).ok()?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).ok()?;
        Some(Self(()))
    }
}

/// A directory only the run can enter, with a place for each thing a run needs. Wiped when dropped.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    in_memory: bool,
    mounted: bool,
    // Removes the emptied directory itself.
    dir: Option<TempDir>,
}

impl Workspace {
    /// Makes one below `parent`, or where it is best: on a file system of its own in memory with `mounts`
    /// and room for `size` bytes, else in shared memory, else among the temporary files. What runners left there that
    /// were killed is wiped first.
    pub fn create(parent: Option<&Path>, mounts: Option<&PrivateMounts>, size: u64) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::unavailable("no_workspace", "the workspace of the run cannot be made")
                .hint("check that the workspace directory exists, is writable and not full")
                .because(error)
        };
        let base = parent.map_or_else(usual_place, Path::to_owned);
        sweep::sweep(&base);
        let dir = tempfile::Builder::new()
            .prefix(&sweep::prefix())
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base)
            .map_err(failed)?;
        let root = dir.path().to_owned();
        let mounted = mounts.is_some() && mount_memory(&root, size);
        let workspace =
            Self { in_memory: mounted || free_memory(&root).is_some(), root, mounted, dir: Some(dir) };
        for place in [workspace.config(), workspace.home(), workspace.temporary(), workspace.control()] {
            DirBuilder::new().mode(0o700).create(place).map_err(failed)?;
        }
        Ok(workspace)
    }

    /// All of it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration, and the tool's working directory.
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// `HOME` of the tool.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// `TMPDIR` of the tool.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// What the runner writes for the tool: its own configuration, variables, the saved plan.
    pub fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    /// Whether it is on a file system in memory, so that nothing of it ever reaches a disk (but for swap).
    pub fn in_memory(&self) -> bool {
        self.in_memory
    }

    /// Unpacks an uploaded configuration, a gzip-compressed tar archive, into [`Workspace::config`]. All or
    /// an error: what was written before a refusal is only good to be wiped.
    pub fn unpack(&self, archive: &[u8], limits: &ArchiveLimits) -> Result<Unpacked> {
        unpack::unpack(archive, &self.config(), limits)
    }

    /// Writes `bytes` to a new or emptied file `name` in [`Workspace::control`], readable by its owner only.
    pub fn write_control(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.control().join(name);
        write_private(&path, bytes)
            .map_err(|error| Error::internal(format!("write `{}`", path.display())).because(error))?;
        Ok(path)
    }

    /// Removes everything, whatever modes or depths the tool has left. Doing it again is nothing. There is
    /// no overwriting: what lies in memory is gone, and on modern disks overwriting proves nothing.
    pub fn wipe(&mut self) -> Result<()> {
        let Some(dir) = self.dir.take() else { return Ok(()) };
        let failed = |error: std::io::Error| {
            Error::internal(format!("wipe the workspace `{}`", self.root.display())).because(error)
        };
        if self.mounted {
            rustix::mount::unmount(&self.root, UnmountFlags::DETACH).map_err(|error| failed(error.into()))?;
        }
        let emptied = wipe::empty(&self.root);
        drop(dir);
        emptied.map_err(failed)?;
        match fs::symlink_metadata(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(_) => Err(Error::internal(format!("`{}` is still there after wiping", self.root.display()))),
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = self.wipe() {
            tracing::error!(%error, "a workspace could not be wiped");
        }
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

fn usual_place() -> PathBuf {
    let shared = Path::new(SHARED_MEMORY);
    if free_memory(shared).is_some_and(|free| free >= ENOUGH) {
        shared.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Free bytes, when `path` is on a file system in memory.
fn free_memory(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statfs(path).ok()?;
    let kind = u64::try_from(stat.f_type).ok()?;
    (kind == TMPFS_MAGIC).then(|| stat.f_bavail.saturating_mul(u64::try_from(stat.f_bsize).unwrap_or(0)))
}

fn mount_memory(at: &Path, size: u64) -> bool {
    let Ok(options) = std::ffi::CString::new(format!("mode=0700,size={size}")) else { return false };
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("writ-run", at, "tmpfs", flags, options.as_c_str()).is_ok()
}

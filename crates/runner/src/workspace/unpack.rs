//! Unpacking an archive that a stranger has made.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};
use writ_kernel::{Error, Kind, Result};

/// How large a configuration may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Bytes of the unpacked archive, headers included.
    pub total: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Files and directories.
    pub entries: u64,
    /// Bytes of one path.
    pub path: usize,
    /// Components of one path.
    pub depth: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { total: 64 << 20, file: 16 << 20, entries: 10_000, path: 512, depth: 32 }
    }
}

/// What an archive held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Regular files.
    pub files: u64,
    /// Bytes of their contents.
    pub bytes: u64,
}

/// Unpacks a gzip-compressed tar `archive` into the existing, empty directory `into`. Takes directories and
/// regular files with relative paths and nothing else; never follows a link, since it never makes one.
pub(super) fn unpack(archive: &[u8], into: &Path, limits: &ArchiveLimits) -> Result<Unpacked> {
    let stream = Bounded { inner: GzDecoder::new(archive), left: limits.total };
    let mut archive = Archive::new(stream);
    let mut unpacked = Unpacked::default();
    let mut entries: u64 = 0;
    for entry in archive.entries().map_err(|error| unreadable(error, limits))? {
        let mut entry = entry.map_err(|error| unreadable(error, limits))?;
        entries += 1;
        if entries > limits.entries {
            return Err(too_large(format!("the configuration has more than {} files", limits.entries)));
        }
        match entry.header().entry_type() {
            // The commit a `git archive` was made from.
            EntryType::XGlobalHeader => {}
            EntryType::Directory => make_directory(into, &safe_path(&entry, limits)?)?,
            EntryType::Regular | EntryType::Continuous => {
                let path = safe_path(&entry, limits)?;
                unpacked.files += 1;
                unpacked.bytes += write_file(&mut entry, into, &path, limits)?;
            }
            _ => {
                return Err(Error::invalid(
                    "unsafe_archive",
                    format!("`{}` is neither a file nor a directory", lossy(&entry)),
                )
                .hint("replace links in the configuration by what they point to"));
            }
        }
    }
    Ok(unpacked)
}

fn safe_path(entry: &Entry<'_, impl Read>, limits: &ArchiveLimits) -> Result<PathBuf> {
    let refuse = |why: &str| Error::invalid("unsafe_archive", format!("the path `{}` {why}", lossy(entry)));
    let raw = entry.path_bytes();
    let text = std::str::from_utf8(&raw).map_err(|_| refuse("is not UTF-8"))?;
    if text.len() > limits.path {
        return Err(refuse("is too long"));
    }
    if text.chars().any(char::is_control) {
        return Err(refuse("has a control character"));
    }
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if name == ".terraform" => {
                return Err(
                    refuse("is the tool's own directory").hint("leave `.terraform` out of the archive")
                );
            }
            Component::Normal(name) => path.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(refuse("leaves the archive"));
            }
        }
    }
    if path.components().count() > limits.depth {
        return Err(refuse("is too deep"));
    }
    Ok(path)
}

fn lossy(entry: &Entry<'_, impl Read>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).chars().filter(|c| !c.is_control()).take(200).collect()
}

fn make_directory(into: &Path, path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(into.join(path)).map_err(|error| clash(path, error))
}

fn write_file<R: Read>(
    entry: &mut Entry<'_, R>,
    into: &Path,
    path: &Path,
    limits: &ArchiveLimits,
) -> Result<u64> {
    if entry.size() > limits.file {
        return Err(too_large(format!("`{}` is larger than {} bytes", path.display(), limits.file)));
    }
    make_directory(into, path.parent().unwrap_or(Path::new("")))?;
    let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if executable { 0o700 } else { 0o600 })
        .open(into.join(path))
        .map_err(|error| clash(path, error))?;
    let written = io::copy(entry, &mut file).map_err(|error| unreadable(error, limits))?;
    if written == entry.size() { Ok(written) } else { Err(malformed()) }
}

/// Ends with an error where the stream grows past its bound, however small it was when compressed.
struct Bounded<R> {
    inner: R,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the archive unpacks to more than its bound")]
struct OverBound;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(OverBound))?;
        Ok(read)
    }
}

fn unreadable(error: io::Error, limits: &ArchiveLimits) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(inner) = cause {
        if inner.is::<OverBound>() {
            return too_large(format!("the configuration unpacks to more than {} bytes", limits.total));
        }
        cause = match inner.downcast_ref::<io::Error>() {
            Some(nested) => nested.get_ref().map(|inner| inner as _),
            None => inner.source(),
        };
    }
    if error.kind() == io::ErrorKind::StorageFull {
        return Error::unavailable("disk_full", "the workspace of the run is full").because(error);
    }
    malformed().because(error)
}

fn malformed() -> Error {
    Error::invalid("malformed_archive", "the configuration is not a whole gzip-compressed tar archive")
}

fn clash(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Error::invalid("unsafe_archive", format!("the path `{}` appears twice", path.display()))
        }
        io::ErrorKind::StorageFull => {
            Error::unavailable("disk_full", "the workspace of the run is full").because(error)
        }
        io::ErrorKind::InvalidFilename => Error::invalid(
            "unsafe_archive",
            format!("the path `{}` has a name that is too long", path.display()),
        ),
        _ => Error::internal(format!("unpack `{}`", path.display())).because(error),
    }
}

fn too_large(public: String) -> Error {
    Error::new(Kind::TooLarge, "configuration_too_large", public)
        .hint("leave out what the tool does not read")
}

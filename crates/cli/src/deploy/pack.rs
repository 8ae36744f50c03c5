//! Packing configurations: the same files make the same archive, byte for byte, on every machine and at every time.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::output::Failure;

/// The most bytes a packed configuration may have.
pub(crate) const PACKED: usize = 8 * 1024 * 1024;
/// The most bytes its files may have together.
const UNPACKED: u64 = 64 * 1024 * 1024;
/// The most files it may have.
const FILES: usize = 4_000;

/// The content of files by their relative paths.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Reads the files of a directory, without what is no part of a configuration: `.git`, `.terraform`, states, plans and
/// credentials.
pub(crate) fn directory(root: &Path) -> Result<Files, Failure> {
    let root = fs::canonicalize(root).map_err(|error| unreadable(root, &error))?;
    let mut found = Found::default();
    let mut places = vec![PathBuf::new()];
    while let Some(place) = places.pop() {
        let directory = root.join(&place);
        for entry in fs::read_dir(&directory).map_err(|error| unreadable(&directory, &error))? {
            let entry = entry.map_err(|error| unreadable(&directory, &error))?;
            let path = place.join(entry.file_name());
            let name = relative(&path)?;
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if is_left_out(&name) {
                continue;
            }
            if kind.is_dir() {
                places.push(path);
            } else {
                found.add(name.clone(), file(&root, &path, &name, found.room())?)?;
            }
        }
    }
    found.all(&root.display().to_string())
}

/// Reads the files of a tar archive, without what is no part of a configuration.
pub(crate) fn archive(bytes: &[u8], what: &str) -> Result<Files, Failure> {
    let broken = |error: std::io::Error| Failure::usage(format!("`{what}` is no tar archive: {error}"));
    let mut found = Found::default();
    for entry in tar::Archive::new(bytes).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let name = relative(&path)?;
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            _ if is_left_out(&name) => continue,
            EntryType::Regular => {}
            _ => return Err(odd(&name)),
        }
        let mut content = Vec::new();
        entry.by_ref().take(found.room() + 1).read_to_end(&mut content).map_err(broken)?;
        found.add(name, content)?;
    }
    found.all(what)
}

/// Packs files as a gzipped tar archive that says nothing of times, owners or modes.
pub(crate) fn pack(files: &Files) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::internal("the configuration cannot be packed", &error);
    let mut archive = Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::default()));
    for (path, content) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_slice()).map_err(failed)?;
    }
    let packed = archive.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(failed)?;
    if packed.len() > PACKED {
        return Err(too_large(files));
    }
    Ok(packed)
}

/// What tools keep beside a configuration: caches, credentials and settings of their own.
const LEFT_OUT: [&str; 11] = [
    ".git",
    ".terraform",
    ".terraform.d",
    ".terraformrc",
    ".aws",
    ".azure",
    ".gcloud",
    ".kube",
    ".ssh",
    ".netrc",
    ".env",
];

/// Whether a path is no part of a configuration. The lock file `.terraform.lock.hcl` is one.
fn is_left_out(path: &str) -> bool {
    path.split('/').any(|part| LEFT_OUT.contains(&part) || part.starts_with(".env."))
        || path.rsplit('/').next().is_some_and(|name| {
            name.contains(".tfstate")
                || name.strip_suffix(".tfplan").is_some()
                || (name.starts_with("crash") && name.strip_suffix(".log").is_some())
        })
}

/// Files, within bounds.
#[derive(Default)]
struct Found {
    files: Files,
    size: u64,
}

impl Found {
    /// How many bytes more there may be.
    fn room(&self) -> u64 {
        UNPACKED.saturating_sub(self.size)
    }

    fn add(&mut self, name: String, content: Vec<u8>) -> Result<(), Failure> {
        self.size += content.len() as u64;
        self.files.insert(name, content);
        if self.size > UNPACKED || self.files.len() > FILES {
            return Err(too_large(&self.files));
        }
        Ok(())
    }

    fn all(self, what: &str) -> Result<Files, Failure> {
        if self.files.is_empty() {
            return Err(Failure::usage(format!("`{what}` holds no file")));
        }
        Ok(self.files)
    }
}

/// The content of one file; a symbolic link is followed as long as it stays inside.
fn file(root: &Path, path: &Path, name: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    let real = fs::canonicalize(root.join(path)).map_err(|error| unreadable(path, &error))?;
    if !real.starts_with(root) {
        let failure = Failure::usage(format!("`{name}` is a link that leads outside of the configuration"));
        return Err(failure.hint("put a copy in its place"));
    }
    if real.strip_prefix(root).is_ok_and(|target| target.to_str().is_none_or(is_left_out)) {
        let failure = Failure::usage(format!("`{name}` is a link to what is no part of a configuration"));
        return Err(failure.hint("remove it, or put a copy in its place"));
    }
    if !real.is_file() {
        return Err(odd(name));
    }
    let mut content = Vec::new();
    let opened = fs::File::open(&real).and_then(|file| file.take(limit + 1).read_to_end(&mut content));
    opened.map_err(|error| unreadable(path, &error))?;
    Ok(content)
}

/// A path as it stands in the archive.
fn relative(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control) && !text.contains('\\'));
    let text =
        text.ok_or_else(|| Failure::usage(format!("`{}` has odd characters in its name", path.display())))?;
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if text.starts_with('/') || parts.contains(&"..") {
        return Err(Failure::usage(format!("`{text}` leads outside of the configuration")));
    }
    Ok(parts.join("/"))
}

fn odd(name: &str) -> Failure {
    Failure::usage(format!("`{name}` is neither a file nor a directory"))
        .hint("put a copy in its place, or remove it")
}

fn too_large(files: &Files) -> Failure {
    let mut largest: Vec<_> = files.iter().collect();
    largest.sort_by_key(|(_, content)| std::cmp::Reverse(content.len()));
    let largest: Vec<_> = largest
        .iter()
        .take(3)
        .map(|(path, content)| format!("`{path}` ({} KiB)", content.len() / 1024))
        .collect();
    Failure::usage("a configuration has at most 4000 files, 64 MiB, and 8 MiB packed")
        .hint(format!("leave out what the tool does not read; the largest: {}", largest.join(", ")))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("`{}` cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn the_same_files_make_the_same_archive() {
        let one = tree(&[("main.tf", "a"), ("modules/x/main.tf", "b")]);
        let other = tree(&[("modules/x/main.tf", "b"), ("main.tf", "a")]);
        let earlier = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        fs::File::options()
            .write(true)
            .open(other.path().join("main.tf"))
            .unwrap()
            .set_times(earlier)
            .unwrap();
        let packed = |root: &tempfile::TempDir| pack(&directory(root.path()).unwrap()).unwrap();
        assert_eq!(packed(&one), packed(&other));
    }

    #[test]
    fn states_and_caches_stay_behind_and_the_lock_file_does_not() {
        let root = tree(&[
            ("main.tf", ""),
            (".terraform.lock.hcl", ""),
            (".terraform/providers/x", ""),
            (".git/config", ""),
            ("terraform.tfstate", ""),
            ("terraform.tfstate.backup", ""),
            ("sub/.terraform.tfstate.lock.info", ""),
            (".aws/credentials", ""),
            ("sub/.env.local", ""),
            ("next.tfplan", ""),
            ("crash.1.log", ""),
        ]);
        let files = directory(root.path()).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), [".terraform.lock.hcl", "main.tf"]);
    }

    #[test]
    fn a_link_is_followed_inside_and_refused_outside() {
        let root = tree(&[("main.tf", "a")]);
        std::os::unix::fs::symlink("main.tf", root.path().join("inside.tf")).unwrap();
        assert_eq!(directory(root.path()).unwrap().get("inside.tf").unwrap(), b"a");
        fs::write(root.path().join(".env"), "SECRET=1").unwrap();
        std::os::unix::fs::symlink(".env", root.path().join("env.tf")).unwrap();
        assert!(directory(root.path()).unwrap_err().message.contains("`env.tf`"));
        fs::remove_file(root.path().join("env.tf")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.path().join("outside.tf")).unwrap();
        assert!(directory(root.path()).unwrap_err().message.contains("`outside.tf`"));
    }

    #[test]
    fn an_archive_cannot_lead_outside() {
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(0);
        header.as_gnu_mut().unwrap().name[..9].copy_from_slice(b"../a/b.tf");
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
        assert_eq!(archive(&builder.into_inner().unwrap(), "x.tar").unwrap_err().exit, 2);
    }

    #[test]
    fn long_paths_survive_packing() {
        let long = format!("{}/main.tf", ["a".repeat(60), "b".repeat(60)].join("/"));
        let packed = pack(&Files::from([(long.clone(), b"x".to_vec())])).unwrap();
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut tar).unwrap();
        assert_eq!(archive(&tar, "x").unwrap(), Files::from([(long, b"x".to_vec())]));
    }
}

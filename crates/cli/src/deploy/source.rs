//! Where a configuration comes from.

use std::path::{Path, PathBuf};

use crate::{
    deploy::{
        git::{self, GitSource},
        pack,
    },
    output::Failure,
};

/// The longest origin, in characters.
const LONGEST_ORIGIN: usize = 200;

/// Where a configuration comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Directory(PathBuf),
    Archive(PathBuf),
    Git(GitSource),
}

/// A configuration, ready for upload.
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    /// Where it came from, for people.
    pub(crate) origin: String,
    /// How many files there are; not known of an archive, which is sent as it is.
    pub(crate) files: Option<usize>,
}

/// Tells what is meant by what was typed.
pub(crate) fn parse(text: &str) -> Result<Source, Failure> {
    if let Some(source) = text.strip_prefix("git+") {
        return git::parse(source).map(Source::Git);
    }
    let path = PathBuf::from(text);
    let lower = text.to_ascii_lowercase();
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => Ok(Source::Directory(path)),
        Ok(_) if [".tar.gz", ".tgz"].iter().any(|end| lower.ends_with(end)) => Ok(Source::Archive(path)),
        Ok(_) => Err(Failure::usage(format!("`{text}` is neither a directory nor a `.tar.gz` archive"))
            .hint("name the directory the configuration is in")),
        Err(error) => Err(Failure::usage(format!("`{text}` cannot be read: {error}"))),
    }
}

/// Packs a configuration.
pub(crate) async fn packed(source: &Source) -> Result<Packed, Failure> {
    match source {
        Source::Directory(path) => {
            let files = pack::directory(path)?;
            Ok(Packed {
                bytes: pack::pack(&files)?,
                origin: called("directory", path),
                files: Some(files.len()),
            })
        }
        Source::Archive(path) => {
            let unreadable = |error| Failure::usage(format!("`{}` cannot be read: {error}", path.display()));
            let length = std::fs::metadata(path).map_err(unreadable)?.len();
            if length > pack::PACKED as u64 {
                return Err(Failure::usage("a packed configuration has at most 8 MiB"));
            }
            let bytes = std::fs::read(path).map_err(unreadable)?;
            Ok(Packed { bytes, origin: called("archive", path), files: None })
        }
        Source::Git(source) => {
            let commit = git::fetch(source).await?;
            let files = pack::archive(&commit.archive, &commit.origin)?;
            let origin = commit.origin.chars().rev().take(LONGEST_ORIGIN).collect::<Vec<_>>();
            let origin = origin.into_iter().rev().collect();
            Ok(Packed { bytes: pack::pack(&files)?, origin, files: Some(files.len()) })
        }
    }
}

/// What a path is called, without where it is: that is nobody else's business.
fn called(kind: &str, path: &Path) -> String {
    let name = std::fs::canonicalize(path)
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    let name = crate::output::plain(&name.unwrap_or_default());
    format!("{kind} {name}").trim_end().chars().take(LONGEST_ORIGIN).collect()
}

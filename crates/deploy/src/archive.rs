//! Looks into an uploaded archive without unpacking it to disk.

use std::{collections::BTreeMap, io::Read as _};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};
use writ_crypto::hash;
use writ_kernel::{Error, Result};

/// The most bytes a packed configuration may have.
pub(crate) const PACKED: usize = 8 * 1024 * 1024;
const UNPACKED: u64 = 64 * 1024 * 1024;
const FILES: usize = 4_000;
const PATH: usize = 240;

/// What is in an archive.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) digest: String,
    pub(crate) files: Vec<String>,
    pub(crate) size: u64,
}

/// Reads a gzipped tar archive: only regular files and directories, with relative paths of plain components, within
/// bounds, no path twice.
///
/// # Errors
/// `Invalid` or `TooLarge`, naming the entry.
pub(crate) fn read(packed: &[u8]) -> Result<Contents> {
    let broken = |error: std::io::Error| {
        Error::invalid("malformed_archive", "the body is not a gzipped tar archive").because(error)
    };
    // One byte more than allowed, so that a bomb is noticed and not inflated.
    let mut archive = Archive::new(GzDecoder::new(packed).take(UNPACKED + FILES as u64 * 2_048));
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut size = 0;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = plain_path(&entry.path_bytes())?;
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            _ => {
                return Err(Error::invalid(
                    "archive_entry",
                    format!("`{path}` is neither a file nor a directory"),
                ));
            }
        }
        size += entry.size();
        if size > UNPACKED || files.len() >= FILES {
            return Err(Error::too_large(
                "configuration_too_large",
                "a configuration has at most 4000 files and 64 MiB",
            )
            .hint("leave out what the tool does not read, like `.terraform`"));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        if files.insert(path.clone(), content).is_some() {
            return Err(Error::invalid("archive_entry", format!("`{path}` is there twice")));
        }
    }
    if files.is_empty() {
        return Err(Error::invalid("empty_configuration", "the archive holds no file"));
    }
    let tree = files.iter().map(|(path, content)| (path.as_str(), content.as_slice()));
    let digest = format!("sha256:{}", hash::hex(&hash::file_tree(tree)));
    Ok(Contents { digest, files: files.into_keys().collect(), size })
}

/// A relative path of plain components, without `.` parts.
fn plain_path(bytes: &[u8]) -> Result<String> {
    let refused = |why: &str| Error::invalid("archive_entry", format!("a path in the archive {why}"));
    let text = std::str::from_utf8(bytes).map_err(|_| refused("is not UTF-8"))?;
    if text.len() > PATH || text.chars().any(char::is_control) || text.contains('\\') || text.starts_with('/')
    {
        return Err(refused("is too long, absolute, or has odd characters"));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(refused("leads outside of it"));
    }
    Ok(parts.join("/"))
}

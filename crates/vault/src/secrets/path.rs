//! Where a secret is: a path inside an environment.

use std::{fmt, str::FromStr};

use unicode_normalization::is_nfkc;
use unicode_security::MixedScript as _;
use writ_kernel::{Error, Result};

/// The longest path, in bytes of UTF-8.
const LONGEST: usize = 1024;
/// The longest segment, in bytes of UTF-8.
const LONGEST_SEGMENT: usize = 255;
/// The deepest path, in segments.
const DEEPEST: usize = 32;

/// The path of a secret, like `billing/database`: 1 to 32 segments between slashes, each 1 to 255 bytes of printable
/// text, 1024 bytes in all. Two paths that look alike are the same path: what is not in Unicode's normal form NFKC, what
/// mixes scripts within a segment and what cannot be seen is refused. So is what other programs might take for another
/// path: `.` and `..`, backslashes, encoded slashes and dots, spaces at an end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretPath(Box<str>);

/// The beginning of paths that a listing is about: empty, or a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder(Option<SecretPath>);

impl SecretPath {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretPath {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(refused("a path is 1 to 1024 bytes long"));
        }
        if text.split('/').count() > DEEPEST {
            return Err(refused("a path has at most 32 segments"));
        }
        text.split('/').try_for_each(check)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for Folder {
    type Err = Error;
    /// A path with or without a slash at its end; nothing for the root.
    fn from_str(text: &str) -> Result<Self> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() && text.len() <= 1 {
            return Ok(Self(None));
        }
        path.parse().map(|path| Self(Some(path)))
    }
}

impl Folder {
    /// What every path in it begins with: nothing, or a path with its slash.
    pub(crate) fn prefix(&self) -> String {
        self.0.as_ref().map(|path| format!("{path}/")).unwrap_or_default()
    }
}

fn check(segment: &str) -> Result<()> {
    if segment.is_empty() {
        return Err(refused("a segment of a path is empty"));
    }
    if segment.len() > LONGEST_SEGMENT {
        return Err(refused("a segment of a path is at most 255 bytes long"));
    }
    if matches!(segment, "." | "..") {
        return Err(refused("`.` and `..` are no segments of a path"));
    }
    if segment.trim() != segment {
        return Err(refused("a segment of a path begins or ends with a space"));
    }
    if !segment.chars().all(shows) {
        return Err(refused("a path holds what cannot be seen or does not belong there"));
    }
    let lower = segment.to_ascii_lowercase();
    if ["%2f", "%2e", "%5c", "%00"].iter().any(|encoded| lower.contains(encoded)) {
        return Err(refused("a path is encoded once, and not in itself"));
    }
    if segment.is_ascii() {
        return Ok(());
    }
    if !is_nfkc(segment) {
        return Err(refused("a path is written in Unicode's normal form NFKC"));
    }
    segment.is_single_script().then_some(()).ok_or_else(|| refused("a segment of a path mixes scripts"))
}

/// ASCII that prints, and beyond it letters and digits only.
fn shows(c: char) -> bool {
    if c.is_ascii() { (' '..='~').contains(&c) && c != '\\' } else { c.is_alphanumeric() }
}

fn refused(why: &'static str) -> Error {
    Error::invalid("malformed_path", why).at("name")
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_accepted_as_they_are() {
        for text in ["database", "billing/eu/database", "My login (work) #1", "a.b/..c", "größe/数据", "50%"]
        {
            assert_eq!(text.parse::<SecretPath>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_do_not_exist() {
        for text in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a%2fb", "a%2E%2e/b", "%5Cx"]
        {
            assert!(text.parse::<SecretPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn look_alikes_do_not_exist() {
        // A Cyrillic letter among Latin ones, full width, a ligature, a combining mark, and what cannot be seen.
        for text in [
            "p\u{430}yments",
            "\u{ff41}b",
            "of\u{fb01}ce",
            "e\u{301}",
            "a\u{200b}b",
            "a\u{202e}b",
            "a\u{a0}b",
            "a\0",
        ] {
            assert!(text.parse::<SecretPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn length_and_depth_are_bounded() {
        assert!("a".repeat(255).parse::<SecretPath>().is_ok());
        assert!("a".repeat(256).parse::<SecretPath>().is_err());
        assert!(["a"; 32].join("/").parse::<SecretPath>().is_ok());
        assert!(["a"; 33].join("/").parse::<SecretPath>().is_err());
    }

    #[test]
    fn a_folder_is_named_with_and_without_its_slash() {
        for (text, prefix) in [("", ""), ("/", ""), ("a", "a/"), ("a/b/", "a/b/")] {
            assert_eq!(text.parse::<Folder>().unwrap().prefix(), prefix);
        }
        assert!("a//".parse::<Folder>().is_err() && "//".parse::<Folder>().is_err());
    }
}

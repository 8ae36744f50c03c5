//! Finding the tool, and knowing which one it is.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{process::Command, task::spawn_blocking, time::timeout};
use writ_crypto::hash::{Sha256, hex};
use writ_kernel::{Error, Result};

/// How long the tool may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which of the two tools it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// OpenTofu, `tofu`.
    OpenTofu,
    /// Terraform, `terraform`.
    Terraform,
}

impl Flavour {
    /// The name of its binary.
    pub fn binary(self) -> &'static str {
        match self {
            Self::OpenTofu => "tofu",
            Self::Terraform => "terraform",
        }
    }

    /// The name people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenTofu => "OpenTofu",
            Self::Terraform => "Terraform",
        }
    }

    /// The first version driven; the second major version of either is not known yet.
    pub fn oldest(self) -> Version {
        match self {
            Self::OpenTofu => Version { major: 1, minor: 6, patch: 0 },
            Self::Terraform => Version { major: 1, minor: 3, patch: 0 },
        }
    }
}

/// A released version; the part after a hyphen does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Incompatible changes.
    pub major: u32,
    /// Additions.
    pub minor: u32,
    /// Corrections.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Which tool to look for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Preference {
    /// OpenTofu, else Terraform.
    #[default]
    Any,
    /// OpenTofu only.
    OpenTofu,
    /// Terraform only.
    Terraform,
    /// The binary at this path, whichever it is.
    Path(PathBuf),
}

/// A tool that was found, ran and told who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Absolute path of the binary, symbolic links resolved.
    pub path: PathBuf,
    /// Which of the two it is.
    pub flavour: Flavour,
    /// Its version.
    pub version: Version,
    /// SHA-256 of the binary, in lower-case hexadecimal.
    pub sha256: String,
}

impl Tool {
    /// Finds the preferred tool in the directories of `search` (the form of `PATH`). `missing_tool` when
    /// there is none, `wrong_tool_version` when it is older or newer than what is supported.
    pub async fn find(preference: &Preference, search: &OsStr) -> Result<Self> {
        let path = match preference {
            Preference::Any => first(search, &[Flavour::OpenTofu, Flavour::Terraform]),
            Preference::OpenTofu => first(search, &[Flavour::OpenTofu]),
            Preference::Terraform => first(search, &[Flavour::Terraform]),
            Preference::Path(path) => executable(path),
        };
        let path = path.ok_or_else(|| missing(preference))?;
        let binary = path.clone();
        let (told, hashed) = tokio::join!(ask(&path), spawn_blocking(move || digest(&binary)));
        let (flavour, version) = told?;
        if version < flavour.oldest() || version.major > flavour.oldest().major {
            return Err(wrong_version(flavour, version));
        }
        let unreadable = || Error::internal(format!("read `{}`", path.display()));
        let hashed = hashed.map_err(|error| unreadable().because(error))?;
        let sha256 = hashed.map_err(|error| unreadable().because(error))?;
        Ok(Self { path, flavour, version, sha256 })
    }
}

fn first(search: &OsStr, flavours: &[Flavour]) -> Option<PathBuf> {
    flavours
        .iter()
        .flat_map(|flavour| std::env::split_paths(search).map(|dir| dir.join(flavour.binary())))
        .filter(|path| path.is_absolute())
        .find_map(|path| executable(&path))
}

fn executable(path: &Path) -> Option<PathBuf> {
    let path = fs::canonicalize(path).ok()?;
    let stat = fs::metadata(&path).ok()?;
    (stat.is_file() && stat.permissions().mode() & 0o111 != 0).then_some(path)
}

fn missing(preference: &Preference) -> Error {
    let what = match preference {
        Preference::Any => "neither OpenTofu nor Terraform was found".to_owned(),
        Preference::OpenTofu => "OpenTofu was not found".to_owned(),
        Preference::Terraform => "Terraform was not found".to_owned(),
        Preference::Path(path) => format!("there is no program at `{}`", path.display()),
    };
    Error::unavailable("missing_tool", what)
        .hint("install OpenTofu on the runner's PATH, or configure its path")
}

fn wrong_version(flavour: Flavour, version: Version) -> Error {
    let oldest = flavour.oldest();
    Error::unavailable("wrong_tool_version", format!("{} {version} is not supported", flavour.name()))
        .hint(format!("use version {oldest} or newer, below {}.0.0", oldest.major + 1))
}

/// The tool is run outside the sandbox for this: it is the operator's choice, and given nothing.
async fn ask(path: &Path) -> Result<(Flavour, Version)> {
    let unknown = || {
        Error::unavailable("unknown_tool", format!("`{}` is neither OpenTofu nor Terraform", path.display()))
            .hint("configure the path of an OpenTofu or Terraform binary")
    };
    let run = Command::new(path)
        .arg("version")
        .env_clear()
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, run)
        .await
        .map_err(|_| unknown().context("it did not tell its version in time"))?
        .map_err(|error| unknown().because(error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(parse).ok_or_else(unknown)
}

/// `Terraform v1.11.4` or `OpenTofu v1.10.0-rc1`.
fn parse(line: &str) -> Option<(Flavour, Version)> {
    let (name, version) = line.trim().split_once(" v")?;
    let flavour =
        [Flavour::OpenTofu, Flavour::Terraform].into_iter().find(|flavour| flavour.name() == name)?;
    let number = version.split(['-', '+', ' ']).next()?;
    let mut parts = number.split('.').map(|part| part.parse::<u32>().ok());
    let version = Version { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
    parts.next().is_none().then_some((flavour, version))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            Some(bytes) if read > 0 => hash.update(bytes),
            _ => return Ok(hex(&hash.finish())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_are_known_by_their_first_line() {
        let version = |major, minor, patch| Version { major, minor, patch };
        assert_eq!(parse("Terraform v1.11.4"), Some((Flavour::Terraform, version(1, 11, 4))));
        assert_eq!(parse("OpenTofu v1.10.0-rc1"), Some((Flavour::OpenTofu, version(1, 10, 0))));
        assert_eq!(parse("Packer v1.9.0"), None);
        assert_eq!(parse("Terraform v1.11"), None);
        assert_eq!(parse("Terraform v1.11.4.5"), None);
    }
}

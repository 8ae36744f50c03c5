//! The offline verifier: from files alone. It remembers nothing and asks nobody.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use serde::Serialize;
use tempfile::TempDir;
use writ_evidence::offline::{self, Verified};
use writ_merkle::{Checkpoint, Head, Policy, TlogProof, Verifier, audit::CHECKPOINT_PATH, checkpoint};

use crate::{
    input,
    output::{Failure, details},
};

/// The most bytes a file of an export may have.
const LARGEST: u64 = 64 << 20;
/// The most bytes an export may have, unpacked.
const ALL: u64 = 4 << 30;
/// The most entries the archive of an export may have.
const ENTRIES: usize = 1_000_000;
/// The file of an export that holds the keys it was signed with.
const KEYS: &str = "keys";
/// What is to be said of an export that only its own keys vouch for.
const SELF_ASSERTED: &str = "consistent with itself; whose log it is was not verified: give --key";

/// What was found out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    /// Whether nothing is wrong, and whose log it is was verified too.
    pub(crate) verified: bool,
    /// Which log it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// How many leaves the checkpoint speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The signed root.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    /// How many leaves were hashed.
    leaves: u64,
    /// How many payloads are what their leaves commit to.
    payloads: u64,
    /// How many payloads are gone, as the export says by erasure.
    erased: u64,
    /// Of how many records the export says nothing, though it should.
    withheld: u64,
    /// Whether the keys came with what they are to vouch for: then only its inner consistency is shown.
    self_asserted: bool,
    /// What the log is known to have been before.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<u64>,
    /// What is wrong, a line each.
    findings: Vec<String>,
}

impl Verdict {
    fn of(verified: &Verified, known: Option<u64>) -> Self {
        let head = verified.log.head.as_ref();
        Self {
            verified: verified.is_intact() && head.is_some(),
            origin: head.map(|head| head.origin.to_string()),
            size: head.map(|head| head.size),
            root: head.map(|head| head.root.to_string()),
            leaves: verified.log.leaves,
            payloads: verified.payloads,
            erased: verified.erased,
            withheld: verified.withheld,
            self_asserted: false,
            known,
            findings: findings(verified),
        }
    }

    /// The verdict for people.
    pub(crate) fn shown(&self) -> String {
        let payloads =
            format!("{} as committed, {} erased, {} withheld", self.payloads, self.erased, self.withheld);
        let absent = || "-".to_owned();
        let mut rows = vec![
            ("origin", self.origin.clone().unwrap_or_else(absent)),
            ("size", self.size.map_or_else(absent, |size| size.to_string())),
            ("root", self.root.clone().unwrap_or_else(absent)),
            ("leaves", format!("{} hashed", self.leaves)),
            ("payloads", payloads),
        ];
        if self.verified {
            rows.push(("signatures", "Ed25519 and a post-quantum one hold".to_owned()));
        }
        rows.extend(self.known.map(|size| ("known", format!("compared with the tree of {size} leaves"))));
        let mut lines = vec![details(&rows)];
        lines.extend(self.findings.iter().map(|finding| format!("WRONG: {}", crate::output::plain(finding))));
        let last = match (self.verified, self.findings.is_empty() && self.self_asserted) {
            (true, _) => "evidence verified",
            (false, true) => SELF_ASSERTED,
            (false, false) => "EVIDENCE DOES NOT VERIFY",
        };
        lines.push(last.to_owned());
        lines.join("\n")
    }
}

/// Verifies an export with `keys`; what is wrong with it is a failure.
pub(crate) fn export(path: &Path, keys: &[String], known: Option<&Head>) -> Result<Verified, Failure> {
    let verified = verified(&Files::open(path)?, &self::keys(keys)?, known)?;
    match findings(&verified).into_iter().next() {
        Some(finding) => Err(broken(finding)),
        None => Ok(verified),
    }
}

/// What was found good, a line each.
pub(crate) fn told(verified: &Verified) -> Vec<String> {
    Verdict::of(verified, None).shown().lines().map(str::to_owned).collect()
}

/// Verifies an exported log, packed as a gzipped tar archive or unpacked as a directory. Without `keys`, those in the
/// export are used; then it counts as verified only if they are trusted (`trust_own`).
pub(crate) fn log(
    path: &Path,
    keys: &[Verifier],
    trust_own: bool,
    known: Option<&Path>,
) -> Result<Verdict, Failure> {
    let files = Files::open(path)?;
    let own = if keys.is_empty() { files.keys()? } else { Vec::new() };
    let used = if keys.is_empty() { own.as_slice() } else { keys };
    let known = known.map(|path| head(path, used)).transpose()?;
    let verified = verified(&files, used, known.as_ref())?;
    let verdict = Verdict::of(&verified, known.map(|head| head.size));
    let self_asserted = keys.is_empty();
    Ok(Verdict { verified: verdict.verified && (trust_own || !self_asserted), self_asserted, ..verdict })
}

fn verified(files: &Files, keys: &[Verifier], known: Option<&Head>) -> Result<Verified, Failure> {
    // Whatever cannot be read as what it should be does not verify; nobody typed it.
    offline::verify(|name| files.read(name), keys, &Policy::default(), known)
        .map_err(|error| broken(error.public()))
}

fn findings(verified: &Verified) -> Vec<String> {
    let log = verified.log.findings.iter().map(ToString::to_string);
    let altered = verified
        .altered
        .iter()
        .map(|index| format!("the payload of leaf {index} is not the one it commits to"));
    let withheld = (verified.withheld > 0).then(|| {
        format!("{} withheld: the export says nothing of what these records say", verified.withheld)
    });
    log.chain(altered).chain(withheld).collect()
}

/// Verifies that one leaf is in a log of `keys`, by a proof that travels alone.
pub(crate) fn leaf(leaf: &Path, proof: &Path, keys: &[Verifier]) -> Result<Verdict, Failure> {
    let bytes = |path: &Path| {
        fs::read(path)
            .map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", path.display())))
    };
    let (leaf, proof) = (bytes(leaf)?, bytes(proof)?);
    let checked =
        TlogProof::from_bytes(&proof).and_then(|proof| proof.verify(&leaf, keys, &Policy::default()));
    let head = checked.as_ref().ok().map(Checkpoint::head);
    Ok(Verdict {
        verified: checked.is_ok(),
        origin: head.map(|head| head.origin.to_string()),
        size: head.map(|head| head.size),
        root: head.map(|head| head.root.to_string()),
        leaves: 1,
        payloads: 0,
        erased: 0,
        withheld: 0,
        self_asserted: false,
        known: None,
        findings: checked.err().map(|error| error.to_string()).into_iter().collect(),
    })
}

/// Verifier keys: each is one itself, or a file with one on each line.
pub(crate) fn keys(given: &[String]) -> Result<Vec<Verifier>, Failure> {
    let mut keys = Vec::new();
    for text in given {
        match text.parse() {
            Ok(key) => keys.push(key),
            Err(_) => keys.extend(parsed(&input::text(Path::new(text))?, text)?),
        }
    }
    Ok(keys)
}

fn parsed(text: &str, name: &str) -> Result<Vec<Verifier>, Failure> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let malformed =
        |error: writ_merkle::Error| Failure::usage(format!("`{name}` holds no verifier keys: {error}"));
    lines.map(|line| line.parse().map_err(malformed)).collect()
}

/// What an earlier checkpoint said, once its own signatures are verified.
fn head(path: &Path, keys: &[Verifier]) -> Result<Head, Failure> {
    let bytes = fs::read(path)
        .map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", path.display())))?;
    let opened = checkpoint::open(&bytes, keys, &Policy::default());
    opened
        .map(|checkpoint| checkpoint.head().clone())
        .map_err(|error| broken(format!("the known checkpoint `{}` does not hold: {error}", path.display())))
}

/// An export that lies in a directory.
struct Files {
    root: PathBuf,
    /// Removes it again, when it was unpacked for this.
    _unpacked: Option<TempDir>,
}

impl Files {
    fn open(path: &Path) -> Result<Self, Failure> {
        if !path.exists() {
            return Err(Failure::usage(format!("there is no `{}`", path.display())));
        }
        let unpacked = if path.is_dir() { None } else { Some(unpacked(path)?) };
        let root = unpacked.as_ref().map_or(path, TempDir::path);
        // A log alone may lie beside its keys.
        let inner = root.join("log");
        let root = if inner.join(CHECKPOINT_PATH).is_file() { inner } else { root.to_owned() };
        Ok(Self { root, _unpacked: unpacked })
    }

    /// The file at a path of the log's own making, which is relative and plain.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.root.join(path);
        let about = match fs::metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !about.is_file() || about.len() > LARGEST {
            let what = format!("`{}` is no file of at most 64 MiB", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        fs::read(path).map(Some)
    }

    fn keys(&self) -> Result<Vec<Verifier>, Failure> {
        let failed = |error: io::Error| Failure::internal("the export cannot be read", &error);
        let Some(bytes) = self.read(KEYS).map_err(failed)? else {
            let failure = broken("the export holds no keys, and none were given");
            return Err(failure.hint("give --key with the log's verifier keys"));
        };
        parsed(&String::from_utf8_lossy(&bytes), KEYS)
    }
}

fn unpacked(archive: &Path) -> Result<TempDir, Failure> {
    let root = tempfile::Builder::new().prefix("writ-verify-").tempdir();
    let root = root.map_err(|error| Failure::internal("a temporary directory cannot be made", &error))?;
    unpack(archive, root.path())?;
    Ok(root)
}

/// Unpacks an export into a directory. Nothing in it can land outside.
pub(crate) fn unpack(archive: &Path, to: &Path) -> Result<(), Failure> {
    let name = archive.display();
    let malformed = |error: io::Error| {
        Failure::new(4, "malformed_export", format!("`{name}` is no gzipped tar archive: {error}"))
    };
    let failed = |error: io::Error| Failure::usage(format!("`{name}` cannot be unpacked: {error}"));
    fs::create_dir_all(to).map_err(failed)?;
    let file = fs::File::open(archive).map_err(failed)?;
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut size = 0_u64;
    for (number, entry) in archive.entries().map_err(malformed)?.enumerate() {
        let mut entry = entry.map_err(malformed)?;
        if number >= ENTRIES {
            return Err(too_large(format!("`{name}` has more than {ENTRIES} entries")));
        }
        size = size.saturating_add(entry.size());
        if size > ALL {
            return Err(too_large(format!("`{name}` has more than 4 GiB, unpacked")));
        }
        let path = entry.path().map_err(malformed)?.into_owned();
        if !entry.header().entry_type().is_file() || !is_of_an_export(&path) {
            continue;
        }
        if entry.size() > LARGEST {
            return Err(too_large(format!("`{}` in `{name}` has more than 64 MiB", path.display())));
        }
        entry.unpack_in(to).map_err(malformed)?;
    }
    Ok(())
}

/// Whether a path in an archive is one of an export's, which may lie in a directory `log`.
fn is_of_an_export(path: &Path) -> bool {
    let path = path.strip_prefix(".").unwrap_or(path);
    let path = path.strip_prefix("log").unwrap_or(path);
    let is = |name: &str| path == Path::new(name);
    is(CHECKPOINT_PATH)
        || is(KEYS)
        || is("about.json")
        || path.starts_with("tile")
        || path.starts_with("payloads")
}

fn too_large(why: String) -> Failure {
    Failure::new(4, "export_too_large", why)
}

fn broken(why: impl Into<String>) -> Failure {
    Failure::new(4, "not_verified", why)
}

//! What an approval binds, as hashes: the plan, the lock file, the programs.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use data_encoding::BASE64;
use hcl_edit::{expr::Expression, parser, structure::Body};
use rustix::fs::{FileType, Mode, OFlags};
use serde_json::Value;
use writ_crypto::hash::{Sha256, file_tree, hex, sha256};
use writ_kernel::{Error, Result};

/// The tool's dependency lock file.
pub const LOCK_FILE: &str = ".terraform.lock.hcl";
/// A lock file is at most this many bytes.
const LOCK_FILE_BYTES: u64 = 4 << 20;

/// Members of a plan that differ each time the same thing is planned.
const VOLATILE: &[&str] = &["timestamp"];
/// Lists of a plan whose order means nothing.
const UNORDERED: &[&str] = &["relevant_attributes", "resource_changes", "resource_drift", "checks"];

/// Salted SHA-256 of a plan's canonical content, `sha256:<hex>`: the salt, then the plan document as canonical JSON
/// (RFC 8785) without what is volatile and with lists that have no order put in one. Two plans that would do the
/// same have the same digest; without the salt nobody can try values against it.
///
/// Whole numbers are hashed by all their digits, where RFC 8785 would round them beyond 2^53.
///
/// # Errors
/// `Internal` when the salt is not hexadecimal.
pub fn plan_digest(salt: &str, plan: &Value) -> Result<String> {
    let mut plan = plan.clone();
    if let Some(members) = plan.as_object_mut() {
        members.retain(|name, _| !VOLATILE.contains(&name.as_str()));
        for name in UNORDERED {
            if let Some(items) = members.get_mut(*name).and_then(Value::as_array_mut) {
                items.sort_by_cached_key(Value::to_string);
            }
        }
    }
    exact(&mut plan);
    let canonical = serde_json_canonicalizer::to_vec(&plan)
        .map_err(|_| Error::internal("the plan has no canonical form"))?;
    salted(salt, &canonical)
}

/// SHA-256 of the salt, given in hexadecimal, and `content`: `sha256:<hex>`.
///
/// # Errors
/// `Internal` when the salt is not hexadecimal.
pub fn salted(salt: &str, content: &[u8]) -> Result<String> {
    let salt = data_encoding::HEXLOWER_PERMISSIVE
        .decode(salt.as_bytes())
        .map_err(|_| Error::internal("the salt of the plan is not hexadecimal"))?;
    let mut hash = Sha256::new();
    hash.update(&salt);
    hash.update(content);
    Ok(written(&hash.finish()))
}

/// `sha256:<hex>`.
pub fn written(hash: &[u8; 32]) -> String {
    format!("sha256:{}", hex(hash))
}

/// Replaces whole numbers that a double cannot hold by a text no plan has at that place.
fn exact(value: &mut Value) {
    const LIMIT: u64 = 1 << 53;
    match value {
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if whole.is_some_and(|whole| whole > LIMIT) {
                *value = serde_json::json!({ "\u{0}number": number.to_string() });
            }
        }
        Value::Array(items) => items.iter_mut().for_each(exact),
        Value::Object(members) => members.values_mut().for_each(exact),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// SHA-256 of the files below `root`, as [`writ_crypto::hash::file_tree`] has it: `sha256:<hex>`.
///
/// # Errors
/// `Internal` when they cannot be read.
pub fn tree_digest(root: &Path) -> Result<String> {
    let failed = |error: io::Error| Error::internal("read the unpacked configuration").because(error);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            if entry.file_type().map_err(failed)?.is_dir() {
                pending.push(path);
                continue;
            }
            // Unpacking takes paths in UTF-8 only.
            let name = path.strip_prefix(root).ok().and_then(Path::to_str).unwrap_or_default().to_owned();
            files.push((name, std::fs::read(&path).map_err(failed)?));
        }
    }
    let tree = files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
    Ok(written(&file_tree(tree)))
}

/// A dependency lock file: what providers the configuration was planned with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// SHA-256 of the file: `sha256:<hex>`.
    pub digest: String,
    /// The hashes of each provider.
    pub providers: BTreeMap<String, Vec<String>>,
}

impl LockFile {
    /// The lock file in the configuration directory `dir`; `None` when there is none, as with only built-in
    /// providers. The tool could write there, so nothing but a regular file of bounded size is read.
    ///
    /// # Errors
    /// `Invalid` when it is not one.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let malformed = || Error::invalid("malformed_lock_file", format!("`{LOCK_FILE}` cannot be read"));
        match read_plain(&dir.join(LOCK_FILE), LOCK_FILE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(malformed().because(error)),
            Ok(bytes) => Self::parse(&bytes).map(Some),
        }
    }

    /// Reads the content of a lock file. Names and hashes that are not of the form the tool writes are passed over:
    /// they leave the machine as they are, and must not carry anything else.
    ///
    /// # Errors
    /// `Invalid` when it is not one.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let malformed = || Error::invalid("malformed_lock_file", format!("`{LOCK_FILE}` is malformed"));
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let body = parser::parse_body(text).map_err(|error| malformed().because(error))?;
        let mut providers = BTreeMap::new();
        for block in body.get_blocks("provider") {
            let name = block.labels.first().map(|label| label.as_str().to_owned()).ok_or_else(malformed)?;
            if is_address(&name) {
                providers.insert(name, hashes(&block.body));
            }
        }
        Ok(Self { digest: written(&sha256(bytes)), providers })
    }
}

fn hashes(provider: &Body) -> Vec<String> {
    let listed = provider.get_attribute("hashes").and_then(|attribute| attribute.value.as_array());
    let mut hashes: Vec<String> = listed
        .into_iter()
        .flat_map(|list| list.iter().filter_map(Expression::as_str))
        .filter(|hash| is_hash(hash))
        .map(str::to_owned)
        .collect();
    hashes.sort();
    hashes
}

/// `host/namespace/name`.
fn is_address(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let part = |part: &str| !part.is_empty() && part.bytes().all(plain);
    name.split('/').count() == 3 && name.split('/').all(part)
}

/// `h1:` and a SHA-256 in Base64, or `zh:` and one in hexadecimal.
fn is_hash(hash: &str) -> bool {
    match hash.split_once(':') {
        Some(("h1", sum)) => BASE64.decode(sum.as_bytes()).is_ok_and(|sum| sum.len() == 32),
        Some(("zh", sum)) => sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()),
        _ => false,
    }
}

/// The bytes of a regular file, at most `limit` of them; follows no link and waits for no pipe.
fn read_plain(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other("too large"));
    }
    Ok(bytes)
}

/// SHA-256 of this very program: `sha256:<hex>`.
///
/// # Errors
/// `Internal` when it cannot be read.
pub fn own_digest() -> Result<String> {
    let failed = |error: io::Error| Error::internal("read the runner's own binary").because(error);
    let mut file = File::open("/proc/self/exe").map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        match buffer.get(..read) {
            Some(bytes) if read > 0 => hash.update(bytes),
            _ => return Ok(written(&hash.finish())),
        }
    }
}

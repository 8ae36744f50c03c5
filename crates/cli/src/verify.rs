//! The offline verifier: from files alone.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path};

use flate2::read::GzDecoder;
use writ_merkle::{Policy, Verifier, audit};

use crate::output::Failure;

/// The most bytes an export may have, unpacked.
const LARGEST: u64 = 4 << 30;

/// Verifies an exported log, packed as a gzipped tar archive or unpacked as a directory. Returns what was found good,
/// a line each.
pub(crate) fn export(path: &Path) -> Result<Vec<String>, Failure> {
    let files = if path.is_dir() { directory(path)? } else { archive(path)? };
    let keys: Vec<Verifier> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".vkey"))
        .map(|(name, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            text.trim().parse().map_err(|_| broken(format!("`{name}` is no verifier key")))
        })
        .collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(broken("the export has no verifier keys (`*.vkey`)"));
    }
    let read = |name: &str| Ok(files.get(name).or_else(|| files.get(&format!("log/{name}"))).cloned());
    let report = audit(read, &keys, &Policy::default(), None).map_err(|error| broken(error.to_string()))?;
    if let Some(finding) = report.findings.first() {
        return Err(broken(finding.to_string()));
    }
    let head = report.head.ok_or_else(|| broken("there is no checkpoint"))?;
    Ok(vec![
        format!("origin      {}", head.origin),
        format!("signatures  Ed25519 and a post-quantum one hold ({} keys)", keys.len()),
        format!("inclusion   {} of {} leaves hash to the signed root", report.leaves, head.size),
        format!("root        {}", head.root),
    ])
}

fn archive(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| Failure::internal("the export cannot be read", &error);
    let file = fs::File::open(path).map_err(failed)?;
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(LARGEST));
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = entry.path().map_err(failed)?.to_string_lossy().trim_start_matches("./").to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        files.insert(name, bytes);
    }
    Ok(files)
}

fn directory(root: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| Failure::internal("the export cannot be read", &error);
    let mut files = BTreeMap::new();
    let mut places = vec![root.to_path_buf()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                places.push(path);
            } else if let Ok(name) = path.strip_prefix(root) {
                files.insert(name.to_string_lossy().into_owned(), fs::read(&path).map_err(failed)?);
            }
        }
    }
    Ok(files)
}

fn broken(why: impl Into<String>) -> Failure {
    Failure::new(4, "not_verified", why)
}

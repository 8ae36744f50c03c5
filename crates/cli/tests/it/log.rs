//! Logs in files, as an export holds them: written the plain way by the tests of `merkle`.

use std::{fs, path::Path};

use flate2::{Compression, write::GzEncoder};

#[expect(dead_code, reason = "the tests of `merkle` use the rest of it")]
#[path = "../../../merkle/tests/it/log.rs"]
mod plain;

pub(crate) use plain::Log;

/// What an export without payloads says of itself.
const ABOUT: &str = r#"{"from":0,"to":0}"#;

/// Writes the log as an unpacked export.
pub(crate) fn write(log: &Log, directory: &Path) {
    for (path, bytes) in &log.files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::write(directory.join("keys"), keys()).unwrap();
    fs::write(directory.join("about.json"), ABOUT).unwrap();
}

/// Writes the log as a packed export.
pub(crate) fn pack(log: &Log, file: &Path) {
    let mut archive = tar::Builder::new(GzEncoder::new(fs::File::create(file).unwrap(), Compression::fast()));
    let beside =
        [("keys".to_owned(), keys().into_bytes()), ("about.json".to_owned(), ABOUT.as_bytes().to_vec())];
    for (path, bytes) in log.files.iter().map(|(path, bytes)| (path.clone(), bytes.clone())).chain(beside) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
}

/// The keys the log is signed with, one a line.
pub(crate) fn keys() -> String {
    let keys: Vec<_> = plain::log_verifiers().unwrap().iter().map(ToString::to_string).collect();
    keys.join("\n") + "\n"
}

//! Writes a log of throw-away leaves to a directory, for independent verifiers to be pointed at.
//!
//! `write_log <directory> <old size> <size>` publishes the log at both sizes and leaves:
//! - `log/`: the files of the log, as a server would serve them;
//! - `old.checkpoint`: the checkpoint of the old size;
//! - `ed25519.vkey`, `ml-dsa-44.vkey`, `ml-dsa-65.vkey`: the keys it is signed with;
//! - `<index>.leaf` and `<index>.tlog-proof` for the first, the middle and the last leaf.
//!
//! Keys and times are fixed; nothing here protects anything.

use std::{env, error::Error, fs, path::Path};

use writ_merkle::{SignatureType, audit::CHECKPOINT_PATH};

use crate::log::Log;

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/log.rs"]
mod log;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [directory, old, size] = arguments.as_slice() else {
        return Err("usage: write_log <directory> <old size> <size>".into());
    };
    let directory = Path::new(directory);
    let mut log = Log::new(old.parse()?)?;
    write(&directory.join("old.checkpoint"), log.read(CHECKPOINT_PATH).unwrap_or_default())?;
    log.grow(size.parse()?)?;
    for (path, bytes) in &log.files {
        write(&directory.join("log").join(path), bytes)?;
    }
    for verifier in log::log_verifiers()? {
        let name = match verifier.kind() {
            SignatureType::MlDsa44 => "ml-dsa-44.vkey",
            SignatureType::MlDsa65 => "ml-dsa-65.vkey",
            _ => "ed25519.vkey",
        };
        write(&directory.join(name), format!("{verifier}\n"))?;
    }
    for index in [0, log.size() / 2, log.size().saturating_sub(1)] {
        write(&directory.join(format!("{index}.tlog-proof")), log.proof(index)?.to_string())?;
        write(&directory.join(format!("{index}.leaf")), format!("leaf {index}"))?;
    }
    Ok(())
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(path.parent().ok_or("a file needs a directory")?)?;
    Ok(fs::write(path, bytes)?)
}

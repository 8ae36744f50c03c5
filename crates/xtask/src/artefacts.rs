//! Committed files that the program makes: the OpenAPI document, the configuration schema, the command reference.

use std::{env, fs, path::Path, process::Command};

use crate::Problem;

/// A committed file and the hidden command of `writ` that prints it.
const ARTEFACTS: [(&str, &str); 3] = [
    ("openapi.json", "__openapi"),
    ("config.schema.json", "__config-schema"),
    ("docs/cli.md", "__cli-reference"),
];

/// Writes every artefact anew.
pub(crate) fn write(root: &Path) -> Result<bool, Problem> {
    for (path, command) in ARTEFACTS {
        let target = root.join(path);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&target, printed(root, command)?)?;
        println!("gen: wrote {path}");
    }
    Ok(true)
}

/// Compares every artefact with what the program prints; true when all are equal.
pub(crate) fn check(root: &Path) -> Result<bool, Problem> {
    let mut clean = true;
    for (path, command) in ARTEFACTS {
        let fresh = printed(root, command)?;
        let committed = fs::read_to_string(root.join(path)).unwrap_or_default();
        if let Some(line) = first_difference(&committed, &fresh) {
            clean = false;
            println!(
                "{path}:{line}: is not what the program makes: run `cargo xtask gen` and look at the difference"
            );
        }
    }
    if clean {
        println!("gen: {} artefacts are what the program makes", ARTEFACTS.len());
    }
    Ok(clean)
}

/// What the program prints for a hidden command.
fn printed(root: &Path, command: &str) -> Result<String, Problem> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "--locked", "--package", "writ-cli", "--bin", "writ", "--", command])
        .current_dir(root)
        .output()?;
    if !output.status.success() || output.stdout.is_empty() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`writ {command}` printed no artefact: {}", reason.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The first line, from 1, in which two texts differ.
fn first_difference(committed: &str, fresh: &str) -> Option<usize> {
    let same = committed.split('\n').zip(fresh.split('\n')).take_while(|(a, b)| a == b).count();
    (committed != fresh).then_some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_line_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("", "a\n"), Some(1));
        assert_eq!(first_difference("a", "a\n"), Some(2));
    }
}

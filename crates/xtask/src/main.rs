#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal of a developer")]

mod artefacts;
mod house;
mod metadata;
mod rules;
mod tokens;

use std::{path::PathBuf, process::ExitCode};

use crate::{house::House, metadata::Graph};

/// What went wrong with the errand itself, in words for the developer.
type Problem = Box<dyn std::error::Error>;

const USAGE: &str = "usage: cargo xtask tidy [rule…] | cargo xtask gen [--check]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy", names @ ..] => tidy(names),
        ["gen"] => artefacts::write(&root()),
        ["gen", "--check"] => artefacts::check(&root()),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

/// The top of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the named rules, or all; true when nothing was found.
fn tidy(names: &[&str]) -> Result<bool, Problem> {
    let chosen = rules::chosen(names)?;
    let house = House::load(&root(), Graph::load(&root())?)?;
    let mut findings = 0;
    for rule in &chosen {
        for finding in (rule.check)(&house) {
            findings += 1;
            println!("{finding} [{}]", rule.name);
        }
    }
    match findings {
        0 => println!("tidy: {} rules hold over {} files", chosen.len(), house.files.len()),
        _ => println!("tidy: {findings} findings"),
    }
    Ok(findings == 0)
}

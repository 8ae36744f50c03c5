//! What comes in beside the arguments: secrets, confirmations, files.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    path::Path,
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use serde::de::DeserializeOwned;

use crate::output::{Failure, ask};

/// The byte that Ctrl-C types.
const INTERRUPT: u8 = 3;
/// No file that is read whole is longer, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// A secret: typed on the terminal, unseen, or one line of standard input. Never an argument, which others can see.
pub(crate) fn secret(what: &str) -> Result<String, Failure> {
    let hint = format!("type the {what}, or pipe it in on standard input");
    line_of_secret(what)?.ok_or_else(|| Failure::usage(format!("no {what} was given")).hint(hint))
}

/// The same; `None` for an empty line, or at the end of standard input.
pub(crate) fn line_of_secret(what: &str) -> Result<Option<String>, Failure> {
    let stdin = io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        let unseen = Unseen::begin()?;
        ask(&format!("{what}: "));
        let read = typed(stdin.lock());
        drop(unseen);
        ask("\n");
        line = read?;
    } else {
        let bounded = stdin.lock().take(LONGEST).read_line(&mut line);
        bounded.map_err(|error| Failure::internal("standard input cannot be read", &error))?;
    }
    line.truncate(line.trim_end_matches(['\n', '\r']).len());
    Ok((!line.is_empty()).then_some(line))
}

/// What is typed until the end of the line.
fn typed(terminal: impl io::BufRead) -> Result<String, Failure> {
    let mut line = Vec::new();
    for byte in terminal.bytes() {
        match byte.map_err(|error| Failure::internal("the terminal cannot be read", &error))? {
            INTERRUPT => return Err(Failure::new(130, "interrupted", "interrupted")),
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(|_| Failure::usage("what was typed is not UTF-8"))
}

/// A new secret: typed twice on a terminal, because nobody sees a slip.
pub(crate) fn new_secret(what: &str) -> Result<String, Failure> {
    let first = secret(what)?;
    if io::stdin().is_terminal() && secret(&format!("{what}, again"))? != first {
        return Err(Failure::usage(format!("the two {what}s differ")));
    }
    Ok(first)
}

/// Whether somebody at the terminal types `yes`. Without a terminal nobody can: that is an error with `hint`.
pub(crate) fn confirm(question: &str, hint: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is there to confirm").hint(hint));
    }
    ask(&format!("{question} Type `yes` to go on: "));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::internal("the terminal cannot be read", &error))?;
    Ok(line.trim() == "yes")
}

/// The text of a file, or of standard input for `-`.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let named = |why: String| Failure::usage(format!("`{}` {why}", path.display()));
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::File::open(path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(LONGEST + 1).read_to_end(&mut bytes).map(|_| bytes)
        })
    };
    let bytes = bytes.map_err(|error| named(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LONGEST {
        return Err(named("is longer than 16 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| named("is not UTF-8".to_owned()))
}

/// A JSON file, or standard input for `-`.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    serde_json::from_str(&text(path)?)
        .map_err(|error| Failure::usage(format!("`{}` is not what it should be: {error}", path.display())))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> Result<Self, Failure> {
        let failed = |error: rustix::io::Errno| Failure::internal("the terminal cannot be silenced", &error);
        let before = tcgetattr(io::stdin()).map_err(failed)?;
        let mut silent = before.clone();
        // Ctrl-C must not end the process while the terminal is silent, or it stays so: it ends the line instead.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

//! What the runner and its launcher say to each other: lines of JSON over a socket pair that is the
//! launcher's standard input, so that nothing of it is in an argument vector or an environment.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::isolation::{Isolation, Level, Limits};

/// No message is longer than this many bytes.
pub(super) const MAX_MESSAGE: u64 = 1 << 20;

/// The byte by which the runner asks for a graceful end: SIGTERM to the program alone.
pub(super) const TERMINATE: u8 = b'T';
/// The byte by which the runner asks for the end of everything, as does closing the socket.
pub(super) const KILL: u8 = b'K';

/// The program to become, and the walls to build around it first. Its environment can hold the token of
/// the run's credential endpoint, hence no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LaunchSpec {
    /// Absolute path of the program.
    pub(super) program: PathBuf,
    /// Its arguments, without its name.
    pub(super) args: Vec<String>,
    /// Its whole environment.
    pub(super) env: BTreeMap<String, String>,
    /// Its working directory.
    pub(super) dir: PathBuf,
    /// Files and directories it may read and execute besides the system's.
    pub(super) readable: Vec<PathBuf>,
    /// Directories it may do anything in.
    pub(super) writable: Vec<PathBuf>,
    /// The user and group to become, when the runner may choose.
    pub(super) uid: Option<u32>,
    /// The TCP ports it may connect to, when restricted.
    pub(super) connect: Option<Vec<u16>>,
    /// Ceilings.
    pub(super) limits: Limits,
    /// The level below which it must not start.
    pub(super) minimum: Level,
    /// Arguments by which the launcher's binary enters its second stage.
    pub(super) reenter: Vec<String>,
    /// What the runner and the first stage already know to hold.
    pub(super) known: Isolation,
}

/// What the launcher answers before it becomes the program.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Report {
    /// The walls stand; the next thing it does is to become the program.
    Ready(Isolation),
    /// It will not start.
    Refused(Refusal),
}

/// Why a program was not started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) cause: Cause,
    /// For our log; names paths and system errors, never the environment.
    pub(super) detail: String,
}

/// The kinds of refusal, each an error of its own to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Cause {
    /// The walls are lower than demanded.
    TooWeak,
    /// The program or its directory cannot be reached by the user it would run as.
    Unreachable,
    /// Something in the launcher itself failed.
    Launcher,
}

impl Refusal {
    /// The launcher failed at `step`.
    pub(super) fn at(step: &str, error: impl std::fmt::Display) -> Self {
        Self { cause: Cause::Launcher, detail: format!("{step}: {error}") }
    }
}

/// How the program ended, by its first stage, after everything it had started was dead too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// It ended by itself with code 0.
    pub fn clean(self) -> bool {
        self.code == Some(0)
    }
}

/// Writes `message` as one line.
pub(super) fn send(mut to: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Reads one line. Reads no byte past it, so that the socket can be handed on.
pub(super) fn receive<T: DeserializeOwned>(from: &UnixStream) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::with_capacity(1, from).take(MAX_MESSAGE).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

//! The runner's side of a launch.

use std::{
    collections::BTreeMap,
    fmt,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};
use writ_kernel::{Error, Result};

use super::{
    Account, Isolation, Level, Limits,
    message::{Cause, Exit, KILL, LaunchSpec, MAX_MESSAGE, Refusal, Report, TERMINATE},
};
use crate::workspace::Workspace;

/// How long the launcher may take to build its walls.
const PATIENCE: Duration = Duration::from_secs(20);

/// How this binary is started again as a launcher: it must reach [`super::launcher_main`] before it makes a
/// thread.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The binary, usually the one running.
    pub program: PathBuf,
    /// The arguments that lead to the launcher.
    pub args: Vec<String>,
}

/// The walls for every program of one run.
#[derive(Debug)]
pub struct Sandbox {
    /// How to start the launcher.
    pub launcher: Launcher,
    /// The identity to take, when the runner may change identities.
    pub account: Option<Account>,
    /// Ceilings for each program.
    pub limits: Limits,
    /// The only TCP ports it may connect to; all when `None`. Landlock knows ports, not hosts.
    pub connect: Option<Vec<u16>>,
    /// The level below which a program is not started.
    pub minimum: Level,
}

/// A program to start. It sees exactly this environment; a value may be a credential of this run, hence no
/// `Debug` of it.
pub struct Job {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments; anyone on the machine may see them.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Its working directory, inside a writable one.
    pub dir: PathBuf,
    /// Files and directories it may read and execute besides the system's.
    pub readable: Vec<PathBuf>,
    /// Directories it may do anything in besides the workspace.
    pub writable: Vec<PathBuf>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("program", &self.program)
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

/// A running program. Dropping it kills the program and everything it started.
#[derive(Debug)]
pub struct Process {
    isolation: Isolation,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    ask: OwnedWriteHalf,
    hear: BufReader<OwnedReadHalf>,
    // What was heard of a line so far, so that hearing can be cancelled and taken up again.
    heard: Vec<u8>,
    warden: Child,
}

impl Sandbox {
    /// Gives `path` and everything below it to the identity programs run as; nothing to do when that is the
    /// runner's own.
    pub fn hand_over(&self, path: &Path) -> Result<()> {
        self.account.as_ref().map_or(Ok(()), |account| account.take_over(path))
    }

    /// Starts `job` in `workspace`. `too_weak` when the walls reached are lower than the minimum,
    /// `unreachable_program` when the program or its directory is closed to its identity.
    pub async fn launch(&self, job: Job, workspace: &Workspace) -> Result<Process> {
        let failed = |error: std::io::Error| Error::internal("start the launcher").because(error);
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut warden = Command::new(&self.launcher.program)
            .args(&self.launcher.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (hear, ask) = UnixStream::from_std(ours).map_err(failed)?.into_split();
        let (stdout, stderr) = (warden.stdout.take(), warden.stderr.take());
        let mut process = Process {
            isolation: Isolation::default(),
            stdout,
            stderr,
            ask,
            hear: BufReader::new(hear),
            heard: Vec::new(),
            warden,
        };
        let spec = self.spec(job, workspace);
        process.isolation = timeout(PATIENCE, process.start(&spec))
            .await
            .map_err(|_| Error::timeout("launcher_stuck", "the sandbox was not ready in time"))??;
        Ok(process)
    }

    fn spec(&self, job: Job, workspace: &Workspace) -> LaunchSpec {
        let Job { program, args, env, dir, readable, mut writable } = job;
        writable.push(workspace.root().to_owned());
        LaunchSpec {
            program,
            args,
            env,
            dir,
            readable,
            writable,
            uid: self.account.as_ref().map(Account::uid),
            connect: self.connect.clone(),
            limits: self.limits,
            minimum: self.minimum,
            reenter: self.launcher.args.clone(),
            known: Isolation { private_tmpfs: workspace.in_memory(), ..Isolation::default() },
        }
    }
}

impl Process {
    /// The walls around it.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// Its output pipes, the first time it is asked. They end when everything it started is dead.
    pub fn take_output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.stdout.take(), self.stderr.take())
    }

    /// Asks the program to end, by SIGTERM to it alone: it is left to it to stop what it started.
    pub async fn terminate(&mut self) {
        // When the launcher does not listen any more, the program is dead.
        let _ = self.ask.write_all(&[TERMINATE]).await;
    }

    /// Kills the program and everything it started.
    pub async fn kill(&mut self) {
        let _ = self.ask.write_all(&[KILL]).await;
    }

    /// Kills the launcher too, when it does not answer; the kernel then kills the program.
    pub(crate) fn abandon(&mut self) {
        let _ = self.warden.start_kill();
    }

    /// Waits until the program and everything it started is dead. Safe to call again after it was cancelled.
    /// `launcher_lost` when the launcher was killed, and with it the program.
    pub async fn ended(&mut self) -> Result<Exit> {
        match self.hear().await {
            Ok(Said::Exit(exit)) => {
                let _ = self.warden.wait().await;
                Ok(exit)
            }
            Ok(Said::Report(Report::Refused(refusal))) => Err(refused(refusal)),
            Ok(Said::Report(Report::Ready(_))) | Err(_) => {
                Err(Error::unavailable("launcher_lost", "the process that watches over the tool was lost"))
            }
        }
    }

    async fn start(&mut self, spec: &LaunchSpec) -> Result<Isolation> {
        let mut line = serde_json::to_vec(spec)
            .map_err(|error| Error::internal("write the launch request").because(error))?;
        line.push(b'\n');
        if line.len() as u64 > MAX_MESSAGE {
            return Err(Error::too_large(
                "launch_too_large",
                "the tool's arguments and environment are too large",
            ));
        }
        self.ask.write_all(&line).await.map_err(lost)?;
        match self.hear().await? {
            Said::Report(Report::Ready(isolation)) => Ok(isolation),
            Said::Report(Report::Refused(refusal)) => Err(refused(refusal)),
            Said::Exit(_) => Err(Error::internal("the launcher reported an end before a start")),
        }
    }

    async fn hear(&mut self) -> Result<Said> {
        (&mut self.hear).take(MAX_MESSAGE).read_until(b'\n', &mut self.heard).await.map_err(lost)?;
        serde_json::from_slice(&std::mem::take(&mut self.heard)).map_err(|error| lost(error.into()))
    }
}

/// Anything the launcher says.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Said {
    Report(Report),
    Exit(Exit),
}

fn lost(error: std::io::Error) -> Error {
    Error::unavailable("launcher_lost", "the process that watches over the tool was lost").because(error)
}

fn refused(refusal: Refusal) -> Error {
    let Refusal { cause, detail } = refusal;
    match cause {
        Cause::TooWeak => Error::unavailable(
            "isolation_too_weak",
            "this machine cannot isolate the tool as far as policy demands",
        )
        .hint("run it on a newer kernel or as root, or lower the demanded isolation for this environment"),
        Cause::Unreachable => Error::unavailable("unreachable_program", "the tool cannot be started")
            .hint("the tool, its provider mirror and the workspace must be readable by other users"),
        Cause::Launcher => Error::unavailable("launcher_failed", "the sandbox could not be built"),
    }
    .context(detail)
}

//! What every test of this crate stands on.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use writ_runner::{
    sandbox::{ACCOUNTS, Account, Exit, Isolation, Job, Launcher, Level, Limits, Process, Sandbox},
    workspace::{ArchiveLimits, Workspace},
};

/// Names the launcher where it is not beside this test program.
pub(crate) const LAUNCHER: &str = "WRIT_TEST_LAUNCHER";

/// The launcher.
pub(crate) fn launcher() -> PathBuf {
    std::env::var_os(LAUNCHER).map_or_else(|| example("launcher"), PathBuf::from)
}

/// An example of this crate: cargo builds them with the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples").join(name)
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox {
        launcher: Launcher { program: launcher(), args: Vec::new() },
        account: Account::claim(ACCOUNTS).unwrap(),
        limits: Limits::default(),
        connect: None,
        minimum: Level::Partial,
    }
}

pub(crate) fn workspace() -> Workspace {
    let parent = std::env::var_os("TMPDIR").map(PathBuf::from);
    Workspace::create(parent.as_deref(), None, 0).unwrap()
}

/// Starts `/bin/sh -c script` with nothing in its environment but `PATH`.
pub(crate) async fn start(sandbox: &Sandbox, workspace: &Workspace, script: &str) -> Process {
    start_program(sandbox, workspace, "/bin/sh", script).await
}

pub(crate) async fn start_program(
    sandbox: &Sandbox,
    workspace: &Workspace,
    program: &str,
    script: &str,
) -> Process {
    sandbox.hand_over(workspace.root()).unwrap();
    let job = Job {
        program: program.into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        dir: workspace.config(),
        readable: Vec::new(),
        writable: Vec::new(),
    };
    sandbox.launch(job, workspace).await.unwrap()
}

/// What a script printed, on both streams, and how it ended.
pub(crate) struct Run {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) exit: Exit,
    pub(crate) isolation: Isolation,
}

pub(crate) async fn sh(script: &str) -> Run {
    run(&sandbox(), &workspace(), script).await
}

pub(crate) async fn run(sandbox: &Sandbox, workspace: &Workspace, script: &str) -> Run {
    finish(start(sandbox, workspace, script).await).await
}

pub(crate) async fn finish(mut process: Process) -> Run {
    let (out, err) = process.take_output();
    let (out, err) = tokio::join!(text(out.unwrap()), text(err.unwrap()));
    Run { out, err, exit: process.ended().await.unwrap(), isolation: process.isolation().clone() }
}

pub(crate) async fn text(mut from: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).await.unwrap();
    text
}

/// A number for `sleep` that no other process of this machine has, by which to find it again.
pub(crate) fn marker(number: u32) -> String {
    format!("8{number:02}{:07}", std::process::id())
}

/// The processes of this machine that have `marker` in their command line.
pub(crate) fn processes(marker: &str) -> Vec<Pid> {
    let has = |dir: &Path| {
        fs::read(dir.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(marker))
    };
    let entries = fs::read_dir("/proc").unwrap().flatten().filter(|entry| has(&entry.path()));
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// How many there are.
pub(crate) fn alive(marker: &str) -> usize {
    processes(marker).len()
}

/// A gzip-compressed tar archive of these files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A workspace that holds this `main.tf`.
pub(crate) fn configured(main: &str) -> Workspace {
    let workspace = workspace();
    workspace.unpack(&archive(&[("main.tf", main)]), &ArchiveLimits::default()).unwrap();
    workspace
}

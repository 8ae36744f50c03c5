//! The processes of this machine, as `/proc` shows them.

use std::{fs, os::unix::fs::MetadataExt as _};

use rustix::process::{Pid, Signal};

/// A process that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) uid: u32,
    pub(crate) args: Vec<String>,
}

/// Every process that is no zombie.
pub(crate) fn all() -> Vec<Seen> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(see).collect()
}

fn see(pid: i32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, a parenthesis too; what follows the last one is numbers.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    if state == "Z" || state == "X" {
        return None;
    }
    let uid = fs::metadata(format!("/proc/{pid}/task")).ok()?.uid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let told = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse();
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let args = line.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
    Some(Seen { pid, parent, uid: told.unwrap_or(uid), args })
}

/// The processes below `ancestor`.
pub(crate) fn below(ancestor: i32) -> Vec<Seen> {
    let all = all();
    let mut family = vec![ancestor];
    let mut found: Vec<Seen> = Vec::new();
    while let Some(parent) = family.pop() {
        for child in all.iter().filter(|seen| seen.parent == parent) {
            family.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

/// The runners that `server` has started.
pub(crate) fn runners_of(server: Option<u32>) -> Vec<i32> {
    let Some(server) = server.and_then(|pid| i32::try_from(pid).ok()) else { return Vec::new() };
    let is_runner = |seen: &Seen| seen.args.get(1).is_some_and(|arg| arg == "runner");
    below(server).into_iter().filter(is_runner).map(|seen| seen.pid).collect()
}

/// The tool at work on `step`, below `ancestor`.
pub(crate) fn tool_at(ancestor: i32, step: &str) -> Option<Seen> {
    let is_tool = |seen: &Seen| {
        seen.args.first().is_some_and(|arg| !arg.ends_with("__exec") && !arg.contains("writ"))
            && seen.args.get(1).is_some_and(|arg| arg == step)
    };
    below(ancestor).into_iter().find(is_tool)
}

/// The processes that have `marker` in their arguments.
pub(crate) fn marked(marker: &str) -> Vec<Seen> {
    all().into_iter().filter(|seen| seen.args.iter().any(|arg| arg.contains(marker))).collect()
}

/// The processes of a user.
pub(crate) fn of_user(uid: u32) -> Vec<Seen> {
    all().into_iter().filter(|seen| seen.uid == uid).collect()
}

/// A number for `sleep` that no other process of this machine has, by which to find it again.
pub(crate) fn marker(number: u32) -> String {
    format!("7{number:02}{:07}", std::process::id())
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

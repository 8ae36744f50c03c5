//! Every process a run has started, however it hid: found by parentage, which a subreaper cannot lose.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use rustix::process::{Pid, Signal, WaitOptions};

/// How often to look again for processes born while the others were being killed. With the ceiling on
/// processes in force a handful is enough.
const ROUNDS: usize = 200;

/// Kills all descendants of this process, which must be a subreaper, until none is left alive. The dead
/// stay to be waited for.
pub(super) fn kill() {
    for _ in 0..ROUNDS {
        let alive = living();
        if alive.is_empty() {
            return;
        }
        for pid in alive {
            // It may have ended by itself since.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::yield_now();
    }
}

/// Collects adopted processes that have ended.
pub(super) fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

fn living() -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let mut dead = HashSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some((state, parent)) =
            fs::read_to_string(entry.path().join("stat")).ok().and_then(|s| parse(&s))
        else {
            continue;
        };
        children.entry(parent).or_default().push(pid);
        if matches!(state, 'Z' | 'X') {
            dead.insert(pid);
        }
    }
    let mut found = Vec::new();
    let mut pending = vec![rustix::process::getpid().as_raw_nonzero().get()];
    while let Some(parent) = pending.pop() {
        for pid in children.remove(&parent).unwrap_or_default() {
            pending.push(pid);
            if !dead.contains(&pid) {
                found.extend(Pid::from_raw(pid));
            }
        }
    }
    found
}

/// State and parent out of `/proc/PID/stat` (`proc_pid_stat(5)`); the name before them can hold anything.
fn parse(stat: &str) -> Option<(char, i32)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_mislead() {
        assert_eq!(parse("12 (a) R 1) S 34 12 12 0"), Some(('S', 34)));
        assert_eq!(parse("12 (sh"), None);
    }
}

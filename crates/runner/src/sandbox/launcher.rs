//! The two stages of the re-executed launcher: single-threaded processes that are allowed to do what a
//! multi-threaded program cannot do safely between fork and exec.
//!
//! The first stage, the *warden*, makes the namespaces, starts the second stage and stays until everything
//! the program started is dead. The second stage builds the walls around itself and becomes the program.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags},
    mount::MountPropagationFlags,
    process::{Pid, PidfdFlags, Signal},
    thread::{CapabilitySet, CapabilitySets, UnshareFlags},
};

use super::{
    confine, descendants,
    message::{self, Exit, KILL, LaunchSpec, Refusal, Report, TERMINATE},
};

/// The argument that tells the second stage from the first.
const SECOND: &str = "second";

/// What the program's binary calls for its hidden launcher command, as the first thing `main` does, before
/// any thread exists. `args` are the arguments after that command. Returns only when the run is over, with
/// the code to exit with; nothing about the run is in that code.
///
/// Standard input must be the socket the runner holds the other end of; started by hand it does nothing.
pub fn launcher_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let second = args.into_iter().any(|arg| arg == SECOND);
    let Ok(control) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    let outcome = if second { confine::become_program(&control) } else { watch(&control) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // When the runner is gone there is nobody left to tell.
            let _ = message::send(&control, &Report::Refused(refusal));
            ExitCode::FAILURE
        }
    }
}

/// The first stage.
fn watch(control: &UnixStream) -> Result<(), Refusal> {
    let mut spec: LaunchSpec =
        message::receive(control).map_err(|error| Refusal::at("read the request", error))?;
    rustix::process::setsid().map_err(|error| Refusal::at("start a session", error))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| Refusal::at("adopt orphans", error))?;
    separate(&mut spec);
    let (ours, theirs) = UnixStream::pair().map_err(|error| Refusal::at("make a socket", error))?;
    let mut child =
        second_stage(&spec, theirs).map_err(|error| Refusal::at("start the second stage", error))?;
    let report = message::send(&ours, &spec)
        .and_then(|()| message::receive::<Report>(&ours))
        .map_err(|error| Refusal::at("hear from the second stage", error))?;
    let ready = matches!(report, Report::Ready(_));
    // When the runner is gone, the loop below sees it too.
    let _ = message::send(control, &report);
    let alone = spec.known.pid_namespace;
    let status = if ready { stand_by(control, &mut child, alone) } else { child.wait() }
        .map_err(|error| Refusal::at("watch the program", error))?;
    // A second report means that becoming the program failed; success has closed the socket.
    if let Ok(Report::Refused(refusal)) = message::receive(&ours) {
        return Err(refusal);
    }
    let _ = ready.then(|| message::send(control, &Exit { code: status.code(), signal: status.signal() }));
    Ok(())
}

/// Makes the namespaces this process may make. Without any the launch goes on: the level reached is
/// reported, and whether it is enough is decided on that.
fn separate(spec: &mut LaunchSpec) {
    let spaces = UnshareFlags::NEWPID | UnshareFlags::NEWNS | UnshareFlags::NEWIPC;
    if unshare(spaces) {
        spec.known.pid_namespace = true;
        spec.known.mount_namespace = detach_mounts();
        return;
    }
    // Inside, the system calls answer for the new namespace.
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if spec.uid.is_none() && unshare(spaces | UnshareFlags::NEWUSER) {
        spec.known.user_namespace = keep_own_name(uid, gid).is_ok();
        spec.known.pid_namespace = true;
        // The second stage mounts its own `/proc`, then gives this up.
        spec.known.mount_namespace = detach_mounts() && lend(CapabilitySet::SYS_ADMIN).is_ok();
    }
}

/// Keeps what is mounted from here on to this namespace.
fn detach_mounts() -> bool {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).is_ok()
}

#[expect(deprecated, reason = "its one unsafe flag, which unshares descriptors between threads, is not used")]
fn unshare(spaces: UnshareFlags) -> bool {
    rustix::thread::unshare(spaces).is_ok()
}

/// In a new user namespace, stays who it was outside (`user_namespaces(7)`).
fn keep_own_name(uid: u32, gid: u32) -> io::Result<()> {
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Lets the second stage keep `capability` across its exec.
fn lend(capability: CapabilitySet) -> io::Result<()> {
    let held = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(None, CapabilitySets { inheritable: capability, ..held })?;
    Ok(rustix::thread::configure_capability_in_ambient_set(capability, true)?)
}

fn second_stage(spec: &LaunchSpec, control: UnixStream) -> io::Result<Child> {
    let child = Command::new("/proc/self/exe")
        .args(&spec.reenter)
        .arg(SECOND)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(control)))
        .spawn()?;
    // From here on only the program can write to the pipes the runner reads.
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(child)
}

/// Waits for the program's end, doing what the runner asks meanwhile. When it returns, nothing the program
/// started is alive: in a process namespace of its own (`alone`) the kernel sees to it when the program
/// ends, else they are looked for.
fn stand_by(mut control: &UnixStream, child: &mut Child, alone: bool) -> io::Result<ExitStatus> {
    let leader = Pid::from_child(child);
    let ended = rustix::process::pidfd_open(leader, PidfdFlags::empty())?;
    loop {
        let mut watched = [PollFd::new(&ended, PollFlags::IN), PollFd::new(control, PollFlags::IN)];
        match rustix::event::poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let [program, runner] = &watched;
        if !program.revents().is_empty() {
            break;
        }
        if runner.revents().is_empty() {
            continue;
        }
        let mut asked = [KILL];
        let heard = control.read(&mut asked).unwrap_or(0);
        if heard == 1 && asked == [TERMINATE] {
            let _ = rustix::process::kill_process(leader, Signal::TERM);
        } else {
            // Asked to kill, or the runner is gone.
            child.kill()?;
            break;
        }
    }
    if !alone {
        descendants::kill();
    }
    let status = child.wait()?;
    descendants::reap();
    Ok(status)
}

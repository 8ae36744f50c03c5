//! The second stage: builds the walls around itself, then becomes the program.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::Command,
};

use rustix::{
    fs::{Gid, Mode, OFlags, Uid},
    mount::MountFlags,
    process::{Resource, Rlimit, Signal},
    thread::{CapabilitySet, CapabilitySets},
};

use super::{
    files,
    isolation::{Isolation, Limits},
    message::{self, Cause, LaunchSpec, Refusal, Report},
    seccomp,
};

/// Reads what to become, and becomes it. Returns only on failure; the success type is there for symmetry
/// with the first stage.
pub(super) fn become_program(control: &UnixStream) -> Result<(), Refusal> {
    let spec: LaunchSpec =
        message::receive(control).map_err(|error| Refusal::at("read the request", error))?;
    rustix::process::setsid().map_err(|error| Refusal::at("start a session", error))?;
    let mut walls = spec.known.clone();
    walls.mount_namespace = walls.mount_namespace && own_proc().is_ok();
    walls.limits = limit(spec.limits).is_ok();
    let program = open_program(&spec.program)?;
    let ruleset = files::prepare(&spec).map_err(|error| Refusal::at("prepare the file rules", error))?;
    let null = File::open("/dev/null").map_err(|error| Refusal::at("open /dev/null", error))?;
    walls.own_uid = drop_identity(spec.uid)?;
    check_directory(&spec.dir)?;
    // After the change of identity, which would clear it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Refusal::at("tie the program to its warden", error))?;
    walls.no_new_privs = rustix::thread::set_no_new_privs(true).is_ok();
    walls.landlock_abi = files::enforce(ruleset).unwrap_or(0);
    walls.seccomp = walls.no_new_privs && seccomp::apply().is_ok();
    close_fds::set_fds_cloexec(3, &[]);
    if walls.level() < spec.minimum {
        return Err(Refusal { cause: Cause::TooWeak, detail: describe(&walls) });
    }
    message::send(control, &Report::Ready(walls)).map_err(|error| Refusal::at("report", error))?;
    rustix::stdio::dup2_stdin(&null).map_err(|error| Refusal::at("close standard input", error))?;
    Err(Refusal { cause: Cause::Unreachable, detail: execute(&spec, &program).to_string() })
}

/// A `/proc` that shows this namespace only.
fn own_proc() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("proc", "/proc", "proc", flags, None)?)
}

fn limit(limits: Limits) -> io::Result<()> {
    let ceilings = [
        (Resource::Core, Some(0)),
        (Resource::Nproc, Some(limits.processes)),
        (Resource::Nofile, Some(limits.open_files)),
        (Resource::Fsize, Some(limits.file_size)),
        (Resource::As, Some(limits.address_space)),
        (Resource::Memlock, Some(0)),
        (Resource::Cpu, limits.cpu_seconds),
    ];
    for (resource, ceiling) in ceilings {
        if let Some(wanted) = ceiling {
            // What is already lower stays: raising it would need a privilege, and is not ours to do.
            let held = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let ceiling = Some(wanted.min(held));
            rustix::process::setrlimit(resource, Rlimit { current: ceiling, maximum: ceiling })?;
        }
    }
    Ok(())
}

/// The program by descriptor, opened while every directory on the way can still be passed.
fn open_program(path: &Path) -> Result<OwnedFd, Refusal> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|error| Refusal {
        cause: Cause::Unreachable,
        detail: format!("{}: {error}", path.display()),
    })
}

/// Becomes `uid`, with no groups and no capabilities. Whether the user changed.
fn drop_identity(uid: Option<u32>) -> Result<bool, Refusal> {
    let failed = |error| Refusal::at("change identity", error);
    if let Some(id) = uid {
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        rustix::thread::set_thread_groups(&[]).map_err(failed)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed)?;
    }
    // An ambient set may not exist on this kernel, and then holds nothing.
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let nothing = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, nothing)
        .map_err(|error| Refusal::at("drop capabilities", error))?;
    Ok(uid.is_some())
}

fn check_directory(dir: &Path) -> Result<(), Refusal> {
    std::env::set_current_dir(dir)
        .and_then(|()| std::fs::read_dir(dir).map(drop))
        .map_err(|error| Refusal { cause: Cause::Unreachable, detail: format!("{}: {error}", dir.display()) })
}

/// Replaces this process. The path is tried first, since an interpreter script needs it; the descriptor
/// serves when a directory on the way is closed to the new identity.
fn execute(spec: &LaunchSpec, program: &OwnedFd) -> io::Error {
    let name = spec.program.file_name().unwrap_or(spec.program.as_os_str());
    let attempt =
        |path: &Path| Command::new(path).arg0(name).args(&spec.args).env_clear().envs(&spec.env).exec();
    let error = attempt(&spec.program);
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    attempt(Path::new(&format!("/proc/self/fd/{}", program.as_raw_fd())))
}

fn describe(walls: &Isolation) -> String {
    serde_json::to_string(walls).unwrap_or_default()
}

//! What a program in the sandbox cannot do, and that nothing of it survives.

use std::{
    io::BufRead,
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use tokio::io::{AsyncBufReadExt, BufReader};
use writ_runner::sandbox::{Exit, Job, Level, Limits, Sandbox};

use crate::common::{
    LAUNCHER, alive, finish, launcher, marker, processes, run, sandbox, sh, start, start_program, text,
    workspace,
};

#[tokio::test]
async fn the_kernel_confirms_what_the_launcher_reports() {
    let sandbox = sandbox();
    let run = run(&sandbox, &workspace(), "cat /proc/self/status; ulimit -c; ulimit -n").await;
    let field = |name: &str| {
        let line = run.out.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(run.isolation.no_new_privs, field("NoNewPrivs:") == "1");
    assert_eq!(run.isolation.seccomp, field("Seccomp:") == "2");
    assert_eq!(field("CapEff:").trim_start_matches('0'), "");
    assert_eq!(
        run.isolation.own_uid,
        sandbox.account.as_ref().is_some_and(|a| field("Uid:") == a.uid().to_string())
    );
    assert!(run.out.ends_with("0\n4096\n"), "{}", run.out);
    assert_eq!(run.exit.code, Some(0));
}

#[tokio::test]
async fn the_first_process_of_its_namespace_sees_no_other() {
    let run = sh("echo $$; ls /proc").await;
    if run.isolation.pid_namespace && run.isolation.mount_namespace {
        assert_eq!(run.out.lines().next(), Some("1"));
        let processes = run.out.lines().skip(1).filter(|name| name.parse::<u32>().is_ok()).count();
        assert_eq!(processes, 2, "the shell and ls");
    } else {
        assert!(run.isolation.level() < Level::Full);
    }
}

#[tokio::test]
async fn files_outside_are_closed_and_the_workspace_is_open() {
    let run = sh("cat /etc/shadow /root/.bashrc /var/log/dpkg.log; ls /root /home /tmp /var; \
        echo x > /tmp/writ-escape; echo x > /dev/shm/writ-escape; mkdir /var/tmp/writ-escape; \
        echo inside > file && cat file; echo inside > ../tmp/file && mv ../tmp/file moved && cat moved")
    .await;
    assert_eq!(run.out, "inside\ninside\n", "{}", run.err);
    for path in ["/tmp/writ-escape", "/dev/shm/writ-escape", "/var/tmp/writ-escape"] {
        assert!(!std::path::Path::new(path).exists());
    }
}

#[tokio::test]
async fn the_environment_is_the_given_one_and_the_runners_is_out_of_reach() {
    let own = std::process::id();
    let run = sh(&format!("env; cat /proc/{own}/environ; cat /proc/{own}/mem")).await;
    let lines: Vec<&str> = run.out.lines().filter(|line| !line.starts_with("PWD=")).collect();
    assert_eq!(lines, ["PATH=/usr/bin:/bin"]);
}

#[tokio::test]
async fn descriptors_of_the_runner_are_not_inherited() {
    let file = std::fs::File::open("/etc/services").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let run = sh("ls -l /proc/self/fd").await;
    assert!(run.out.contains("pipe:"));
    assert!(!run.out.contains("/etc/services"), "{}", run.out);
    assert!(!run.out.contains("socket:"), "the launcher's own socket is closed: {}", run.out);
}

#[tokio::test]
async fn namespaces_and_mounts_are_refused() {
    let run = sh("unshare --user true && echo made; unshare --mount true && echo made; \
        mount -t tmpfs none . && echo mounted; true")
    .await;
    assert_eq!(run.out, "");
    assert!(run.err.contains("Operation not permitted"), "{}", run.err);
}

#[tokio::test]
async fn connections_go_only_to_allowed_ports_when_restricted() {
    let (open, closed) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let sandbox = Sandbox { connect: Some(vec![port(&open)]), ..sandbox() };
    let script = format!(
        "(exec 3<>/dev/tcp/127.0.0.1/{}) && echo open; (exec 3<>/dev/tcp/127.0.0.1/{}) && echo closed; true",
        port(&open),
        port(&closed)
    );
    let run = finish(start_program(&sandbox, &workspace(), "/bin/bash", &script).await).await;
    if run.isolation.landlock_abi >= 4 {
        assert_eq!(run.out, "open\n", "{}", run.err);
    }
}

#[tokio::test]
async fn no_other_kind_of_connection_passes_the_wall_around_ports() {
    let (open, closed) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let sandbox = Sandbox { connect: Some(vec![port(&open)]), ..sandbox() };
    let script = format!(
        r#"
import socket
def attempt(name, work):
    try:
        work()
        print(name, "passed")
    except OSError as error:
        print(name, error.errno)
open, closed, fast = ("127.0.0.1", {}), ("127.0.0.1", {}), 0x20000000
tcp = lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)
attempt("plain", lambda: tcp().connect(open))
attempt("mptcp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(closed))
attempt("smc", lambda: socket.socket(43, socket.SOCK_STREAM, 0))
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM, 0))
attempt("sendto", lambda: tcp().sendto(b"x", fast, closed))
attempt("sendmsg", lambda: tcp().sendmsg([b"x"], [], fast, closed))
"#,
        port(&open),
        port(&closed)
    );
    let run = finish(start_program(&sandbox, &workspace(), "/usr/bin/python3", &script).await).await;
    let expected = "plain passed\nmptcp 1\nsmc 1\nvsock 1\nsendto 1\nsendmsg 1\n";
    assert_eq!(run.out, expected, "{}", run.err);
}

#[tokio::test]
async fn processes_left_behind_die_with_the_program() {
    let sleep = format!("sleep {}", marker(1));
    let run = sh(&format!("setsid {sleep} >/dev/null 2>&1 & (setsid {sleep} &) ; echo started")).await;
    assert_eq!(run.out, "started\n");
    assert_eq!(alive(&marker(1)), 0);
}

#[tokio::test]
async fn killing_ends_everything_it_started() {
    let sleep = format!("sleep {}", marker(2));
    let script = format!("trap '' TERM; setsid {sleep} & {sleep} & echo up; wait");
    let mut process = start(&sandbox(), &workspace(), &script).await;
    let (out, _err) = process.take_output();
    let mut lines = BufReader::new(out.unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("up"));
    process.kill().await;
    assert_eq!(process.ended().await.unwrap().signal, Some(9));
    assert_eq!(alive(&marker(2)), 0);
}

#[tokio::test]
async fn dropping_the_process_ends_everything_it_started() {
    let mut process =
        start(&sandbox(), &workspace(), &format!("setsid sleep {} & echo up; wait", marker(3))).await;
    let (out, _err) = process.take_output();
    let mut out = BufReader::new(out.unwrap());
    let mut line = String::new();
    out.read_line(&mut line).await.unwrap();
    drop(process);
    // The stream ends when the last process that holds it has ended.
    assert_eq!(text(out).await, "");
    assert_eq!(alive(&marker(3)), 0);
}

/// Kills `victim` and waits until every process with `marker` has ended of it.
fn all_end_with(victim: Pid, marker: &str) {
    let bystanders = processes(marker);
    assert!(!bystanders.is_empty());
    let ends: Vec<_> =
        bystanders.iter().filter_map(|pid| pidfd_open(*pid, PidfdFlags::empty()).ok()).collect();
    kill_process(victim, Signal::KILL).unwrap();
    for end in &ends {
        let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
        let ended = retry_on_intr(|| poll(&mut [PollFd::new(end, PollFlags::IN)], Some(&patience)));
        assert_eq!(ended.unwrap(), 1, "it lives on");
    }
}

/// Not a test: what the next one kills.
#[tokio::test]
#[ignore = "runs until it is killed"]
async fn a_runner_at_work() {
    let script = format!("sleep {} & echo up; wait", std::env::var(MARKER).unwrap());
    let mut process = start(&sandbox(), &workspace(), &script).await;
    let (out, _err) = process.take_output();
    println!("{:?}", BufReader::new(out.unwrap()).lines().next_line().await.unwrap());
    process.ended().await.unwrap();
}

const MARKER: &str = "WRIT_TEST_MARKER";

#[test]
fn a_runner_that_is_killed_takes_everything_with_it() {
    let parent = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sandbox::a_runner_at_work", "--ignored", "--nocapture"])
        .env(MARKER, marker(5))
        .env("TMPDIR", parent.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(runner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("up")));
    all_end_with(Pid::from_child(&runner), &marker(5));
    runner.wait().unwrap();
}

#[tokio::test]
async fn a_launcher_that_is_killed_takes_the_program_with_it() {
    let mut process = start(&sandbox(), &workspace(), &format!("echo up; exec sleep {}", marker(6))).await;
    let (out, _err) = process.take_output();
    let mut lines = BufReader::new(out.unwrap()).lines();
    lines.next_line().await.unwrap();
    while processes(&format!("sleep\0{}", marker(6))).is_empty() {
        tokio::task::yield_now().await;
    }
    let program = processes(&marker(6))[0];
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.as_raw_nonzero())).unwrap();
    let warden = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
    all_end_with(Pid::from_raw(warden).unwrap(), &marker(6));
    assert_eq!(process.ended().await.unwrap_err().code(), "launcher_lost");
}

#[tokio::test]
async fn terminating_asks_the_program_alone() {
    let script =
        "trap 'echo asked; exit 7' TERM; (trap 'echo child asked' TERM; echo up; sleep 99) & wait; wait";
    let mut process = start(&sandbox(), &workspace(), script).await;
    let (out, _err) = process.take_output();
    let mut out = BufReader::new(out.unwrap());
    let mut line = String::new();
    out.read_line(&mut line).await.unwrap();
    process.terminate().await;
    assert_eq!(process.ended().await.unwrap(), Exit { code: Some(7), signal: None });
    assert_eq!(text(out).await, "asked\n");
}

#[tokio::test]
async fn a_fork_bomb_meets_its_ceiling_and_is_killed() {
    const CEILING: u64 = 80;
    let limits = Limits { processes: CEILING, ..Limits::default() };
    let sandbox = Sandbox { limits, ..sandbox() };
    let script = format!("bomb() {{ : {}; bomb | bomb & bomb; }}; bomb", marker(4));
    let mut process = start(&sandbox, &workspace(), &script).await;
    let (_out, err) = process.take_output();
    // The first complaint is that the ceiling is reached.
    let mut complaint = Vec::new();
    BufReader::new(err.unwrap()).read_until(b'k', &mut complaint).await.unwrap();
    assert!(String::from_utf8_lossy(&complaint).contains("fork"));
    assert!(alive(&marker(4)) as u64 <= CEILING);
    process.kill().await;
    process.ended().await.unwrap();
    assert_eq!(alive(&marker(4)), 0);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_typed_error() {
    let workspace = workspace();
    let sandbox = sandbox();
    sandbox.hand_over(workspace.root()).unwrap();
    let job = |program: &str| Job {
        program: program.into(),
        args: Vec::new(),
        env: std::collections::BTreeMap::new(),
        dir: workspace.config(),
        readable: Vec::new(),
        writable: Vec::new(),
    };
    let missing = sandbox.launch(job("/usr/bin/no-such-program"), &workspace).await.unwrap_err();
    assert_eq!(missing.code(), "unreachable_program");
    // A file that is no program passes the walls, and fails at the last step.
    let mut refused = sandbox.launch(job("/etc/passwd"), &workspace).await.unwrap();
    assert_eq!(refused.ended().await.unwrap_err().code(), "unreachable_program");
}

/// The same tests where no namespace can be made, inside a sandbox that refuses them: what a program leaves
/// behind is then found and killed one by one.
#[tokio::test]
async fn everything_holds_without_namespaces() {
    if std::env::var_os(LAUNCHER).is_some() {
        return;
    }
    let (sandbox, workspace) = (sandbox(), workspace());
    let (tests, launcher) = (workspace.home().join("tests"), workspace.home().join("launcher"));
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    std::fs::copy(crate::common::launcher(), &launcher).unwrap();
    let script = format!(
        "TMPDIR={} {LAUNCHER}={} exec {} sandbox:: --test-threads=2",
        workspace.temporary().display(),
        launcher.display(),
        tests.display()
    );
    let run = run(&sandbox, &workspace, &script).await;
    assert_eq!(run.exit.code, Some(0), "{}{}", run.out, run.err);
}

/// The same tests without the rights of root, where a user namespace takes the place of an own user.
#[test]
fn everything_holds_for_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let place = |from: &std::path::Path, name: &str| {
        let to = dir.path().join(name);
        std::fs::copy(from, &to).unwrap();
        to
    };
    let tests = place(&std::env::current_exe().unwrap(), "tests");
    let launcher = place(&launcher(), "launcher");
    std::os::unix::fs::chown(dir.path(), Some(65_534), Some(65_534)).unwrap();
    let output = Command::new(tests)
        .args(["sandbox::", "--test-threads=2"])
        .env_clear()
        .env(LAUNCHER, launcher)
        .uid(65_534)
        .gid(65_534)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

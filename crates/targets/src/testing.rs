//! A PostgreSQL server that a test may stop and start: on a port of this machine, with passwords checked.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "test support: a broken environment must fail the test"
)]

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use writ_crypto::SecretString;

use crate::postgres::{Postgres, Server, Tls};

/// The password of the server's superuser `postgres`.
pub const PASSWORD: &str = "the superuser's own";

/// A server of its own; it ends and vanishes when dropped.
#[derive(Debug)]
pub struct Target {
    directory: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Target {
    /// A running server.
    pub async fn start() -> Self {
        let directory = TempDir::with_prefix("writ-target-").expect("a temporary directory");
        // The server may have to run as another user, who must get in.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("permissions");
        let password = directory.path().join("password");
        fs::write(&password, PASSWORD).expect("a password file");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let target = Self { programs: programs(), directory, port };
        let made = target
            .command("initdb")
            .args([
                "--no-sync",
                "--no-instructions",
                "--auth=scram-sha-256",
                "--username=postgres",
                "--pwfile",
            ])
            .arg(&password)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        target.resume().await;
        target
    }

    /// Whom to work there as: its superuser.
    pub fn superuser(&self) -> Postgres {
        self.login("postgres", PASSWORD)
    }

    /// The server, with another role.
    pub fn login(&self, username: &str, password: &str) -> Postgres {
        Postgres {
            server: Server {
                host: "127.0.0.1".to_owned(),
                port: self.port,
                database: "postgres".to_owned(),
                tls: Tls::Prefer,
                ca: None,
            },
            username: username.to_owned(),
            password: SecretString::new(password.to_owned()),
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server: nobody answers any more.
    pub fn stop(&self) {
        let stopped =
            self.command("pg_ctl").args(["stop", "--mode=immediate"]).output().expect("pg_ctl runs");
        assert!(stopped.status.success(), "pg_ctl failed: {}", String::from_utf8_lossy(&stopped.stderr));
    }

    /// Starts the server again, and returns once it lets its superuser in.
    pub async fn resume(&self) {
        let options = format!(
            "-p {} -k '' -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off",
            self.port
        );
        let started = self
            .command("pg_ctl")
            .args(["start", "--wait", "--silent", "-o", &options, "-l"])
            .arg(self.directory.path().join("log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("pg_ctl runs");
        assert!(started.success(), "PostgreSQL did not start:\n{}", self.log());
        for _ in 0..100 {
            if self.superuser().log_in().await.is_ok() {
                return;
            }
            // After a crash it recovers first; it has no other way to tell that it is ready.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("PostgreSQL lets nobody in:\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// PostgreSQL refuses to run as root, so root runs it as `postgres`.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let id = Command::new("id").arg("-u").output().expect("id runs").stdout;
        let mut command = if id.trim_ascii() == b"0" {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("-D").arg(self.directory.path().join("data")).current_dir(self.directory.path());
        command
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        drop(self.command("pg_ctl").args(["stop", "--mode=immediate"]).output());
    }
}

fn programs() -> PathBuf {
    if let Some(directory) = std::env::var_os("WRIT_POSTGRES_BIN") {
        return directory.into();
    }
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut newest_first: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    newest_first.sort();
    newest_first.reverse();
    let found = newest_first.into_iter().find(|bin: &PathBuf| Path::exists(&bin.join("initdb")));
    found.expect("these tests need PostgreSQL: install it, or set WRIT_POSTGRES_BIN")
}

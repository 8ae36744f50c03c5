//! One PostgreSQL cluster per test process.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use super::Time;
use crate::{Config, migrate};

/// Runs until its standard input ends, that is until the test process is gone; then removes every trace.
const KEEPER: &str = r#"
trap '' INT TERM HUP
dir=$1; shift
"$@" </dev/null >"$dir/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server"; wait "$server"; rm -rf "$dir"
"#;

const ROLES: &str = "
DO $$ BEGIN
  CREATE ROLE writ_test_owner LOGIN PASSWORD 'writ' CREATEROLE;
  CREATE ROLE writ_app NOLOGIN;
  CREATE ROLE writ_test_server LOGIN PASSWORD 'writ' IN ROLE writ_app;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$";

/// In a private cluster, a migrated database that others are copied from, which is quicker than migrating each.
const TEMPLATE: &str = "writ_test_template";

/// A database of its own in the cluster; dropped with the value.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// A database without any table of ours.
    pub(crate) fn empty() -> Self {
        Self::create("template1")
    }

    /// A database that may be migrated already.
    pub(crate) fn migrated() -> Self {
        Self::create(if cluster().keeper.is_some() { TEMPLATE } else { "template1" })
    }

    fn create(template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("writ_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        as_superuser(&format!("CREATE DATABASE {name} OWNER writ_test_owner TEMPLATE {template}"));
        Self { name }
    }

    /// This database, as `role`.
    pub(crate) fn config(&self, role: &str) -> Config {
        as_role(&cluster().options, role, &self.name)
    }

    pub(crate) fn superuser(&self) -> Config {
        config(&cluster().options.clone().database(&self.name))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        as_superuser(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn as_role(superuser: &PgConnectOptions, role: &str, database: &str) -> Config {
    config(&superuser.clone().username(role).password("writ").database(database))
}

fn config(options: &PgConnectOptions) -> Config {
    Config::Postgres {
        url: options.to_url_lossy().to_string(),
        max_connections: 8,
        app_role: "writ_app".to_owned(),
    }
}

struct Cluster {
    /// How its superuser connects.
    options: PgConnectOptions,
    /// For a private cluster. Dropped never: the end of its standard input at exit is what stops the server.
    keeper: Option<Child>,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = match env::var("WRIT_TEST_POSTGRES_URL") {
            Ok(url) => Cluster { options: url.parse().expect("WRIT_TEST_POSTGRES_URL"), keeper: None },
            Err(_) => start(),
        };
        run_sql(&cluster.options, ROLES);
        if cluster.keeper.is_some() {
            run_sql(&cluster.options, &format!("CREATE DATABASE {TEMPLATE} OWNER writ_test_owner"));
            let owner = as_role(&cluster.options, "writ_test_owner", TEMPLATE);
            block_on(migrate(&owner, &Time::default().world())).expect("migrations");
        }
        cluster
    })
}

fn start() -> Cluster {
    let bin = binaries();
    let dir = TempDir::with_prefix("writ-pg-").expect("a temporary directory").keep();
    // The server may have to run as another user, who must get in.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("permissions");
    let data = dir.join("data");
    let made = unprivileged(&bin.join("initdb"))
        .args([
            "--no-sync",
            "--no-instructions",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "-D",
        ])
        .arg(&data)
        .current_dir(&dir)
        .output()
        .expect("initdb runs");
    assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
    let server = unprivileged(&bin.join("postgres"));
    let keeper = Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(&dir)
        .arg(server.get_program())
        .args(server.get_args())
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&dir)
        .args([
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "full_page_writes=off",
            "-c",
            "max_connections=200",
        ])
        .current_dir(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs");
    let options =
        PgConnectOptions::new_without_pgpass().socket(&dir).username("postgres").database("postgres");
    await_answer(&options, &dir);
    Cluster { options, keeper: Some(keeper) }
}

/// Polls until the server answers: it has no other way to tell that it is ready.
fn await_answer(options: &PgConnectOptions, dir: &Path) {
    for _ in 0..600 {
        if block_on(async { PgConnection::connect_with(options).await?.close().await }).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
    panic!("PostgreSQL did not start:\n{log}");
}

fn binaries() -> PathBuf {
    let installed =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|it| it.path().join("bin"));
    let mut newest_first: Vec<PathBuf> = installed.collect();
    newest_first.sort();
    newest_first.reverse();
    let path = env::var_os("PATH").unwrap_or_default();
    newest_first
        .into_iter()
        .chain(env::split_paths(&path))
        .find(|bin| bin.join("initdb").exists())
        .unwrap_or_else(|| {
            panic!(
                "these tests need PostgreSQL: install it (Debian: `apt install postgresql`), \
             or set WRIT_TEST_POSTGRES_URL to a superuser's connection URI"
            )
        })
}

/// PostgreSQL refuses to run as root, so root runs it as `postgres`.
fn unprivileged(program: &Path) -> Command {
    let id = Command::new("id").arg("-u").output().expect("id runs").stdout;
    if id.trim_ascii() != b"0" {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
        .arg(OsString::from(program));
    command
}

fn as_superuser(sql: &str) {
    run_sql(&cluster().options, sql);
}

fn run_sql(options: &PgConnectOptions, sql: &str) {
    block_on(async {
        let mut conn = PgConnection::connect_with(options).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await?;
        conn.close().await
    })
    .expect("a statement of the test's superuser");
}

/// Runs `act` on a thread and runtime of its own, since the caller may be inside one.
fn block_on<T: Send>(act: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(act)
    };
    thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
}

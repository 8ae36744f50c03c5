//! What was acknowledged survives the death of the process.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use writ_kernel::Id;
use writ_store::{Config, Db, migrate, testing::Time};

use crate::{add_durably, all_keys};

const CHILD: &str = "WRIT_TEST_CRASH_DATABASE";

#[tokio::test]
async fn acknowledged_rows_survive_sigkill() {
    let files = tempfile::tempdir().unwrap();
    let config = Config::Sqlite { path: files.path().join("writ.db") };
    let world = Time::default().world();
    migrate(&config, &world).await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_writes_until_killed", "--nocapture", "--include-ignored"])
        .env(CHILD, files.path().join("writ.db"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let acknowledged: Vec<String> = output
        .lines()
        .map(Result::unwrap)
        .filter_map(|line| line.strip_prefix("acknowledged ").map(str::to_owned))
        .take(50)
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let keys = all_keys(&Db::open(&config, world).await.unwrap()).await;
    assert_eq!(acknowledged.len(), 50);
    for key in acknowledged {
        assert!(keys.contains(&key), "{key} was acknowledged and is lost");
    }
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it in a process of its own"]
async fn child_writes_until_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let world = Time::default().world();
    let db = Db::open(&Config::Sqlite { path: path.into() }, world).await.unwrap();
    for n in 0..100_000 {
        add_durably(&db, Id::from_uuid(uuid::Uuid::nil()), &n.to_string()).await.unwrap();
        println!("acknowledged {n}");
    }
}

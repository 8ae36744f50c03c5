//! A disk that fills up.

use std::{fs, path::Path};

use rustix::mount::{MountFlags, UnmountFlags};
use writ_wire::{configurations::Configuration, deployments::State, sys::Health};

use crate::house::{House, Tenant, Wanted, archive};

const SIMPLE: &str = r#"resource "terraform_data" "a" { input = "a" }"#;

/// A small file system of its own.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Self {
        let place = tempfile::tempdir().unwrap();
        let options = c"size=12m,mode=0755";
        rustix::mount::mount("tmpfs", place.path(), "tmpfs", MountFlags::empty(), Some(options)).unwrap();
        Self(place)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

/// Takes all the room there is.
fn fill(place: &Path) {
    let mut file = fs::File::create(place.join("ballast")).unwrap();
    for size in [1 << 16, 1 << 10, 1] {
        let block = vec![7; size];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_nothing_acknowledged_is_lost() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: no small file system can be mounted, so this shows nothing");
        return;
    }
    let small = Small::mount();
    let data = small.0.path().join("data");
    let mut house = House::with(Wanted { data: Some(data), ..Wanted::default() }).await;
    let tenant = Tenant::found(&house).await;
    let dev = tenant.workbench("dev", 0).await;
    let before = tenant.deploy_main(&dev, SIMPLE).await.must(State::Succeeded, "applied");

    fill(small.0.path());
    let (mut kept, mut refused) = (Vec::new(), None);
    for number in 0..200_u64 {
        // What does not compress, so that each takes its room.
        let numbers = (0..400_u64).map(|i| ((number * 7919 + i * 104_729) * 48_271 % 65_537).to_string());
        let noise = numbers.collect::<String>();
        let packed = archive(&[("main.tf", SIMPLE), ("noise.txt", &noise)]);
        let sent = tenant.alice.post_bytes("/api/v1/configurations", "application/gzip", packed.into()).await;
        match sent {
            Ok::<Configuration, _>(configuration) => kept.push(configuration.id),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let refused = refused.expect("a full disk takes no more");
    let problem = refused.problem().expect("it is told");
    assert!([503, 507].contains(&problem.status), "{problem:?}");
    assert_ne!(problem.code, "internal", "{problem:?}");
    house.client(None).get::<Health>("/healthz").await.unwrap();

    fs::remove_file(small.0.path().join("ballast")).unwrap();
    for _ in 0..2 {
        for id in &kept {
            tenant.alice.get::<Configuration>(&format!("/api/v1/configurations/{id}")).await.unwrap();
        }
        assert_eq!(tenant.look(before.id()).await.state, State::Succeeded);
        let changed = tenant.deploy_main(&dev, SIMPLE).await;
        changed.must(State::Succeeded, "no_changes");
        house.kill().await;
        house.restart().await;
    }
}

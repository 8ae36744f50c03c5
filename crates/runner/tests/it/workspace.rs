//! Archives that mean harm, and workspaces that leave nothing.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use proptest::prelude::*;
use writ_runner::workspace::{ArchiveLimits, PrivateMounts, Unpacked, Workspace};

use crate::common::{archive, gzip, workspace};

/// An archive with one entry of this type and, byte for byte, this path.
fn entry(kind: tar::EntryType, path: &[u8], link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_link_name_literal(link).unwrap();
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, content).unwrap();
    gzip(&tar.into_inner().unwrap())
}

fn refusal(archive: &[u8], limits: &ArchiveLimits) -> &'static str {
    workspace().unpack(archive, limits).unwrap_err().code()
}

#[test]
fn a_configuration_is_unpacked() {
    let workspace = workspace();
    let archive = archive(&[("main.tf", "locals {}"), ("modules/a/main.tf", "")]);
    let unpacked = workspace.unpack(&archive, &ArchiveLimits::default()).unwrap();
    assert_eq!(unpacked, Unpacked { files: 2, bytes: 9 });
    assert_eq!(fs::read_to_string(workspace.config().join("main.tf")).unwrap(), "locals {}");
    assert!(workspace.config().join("modules/a/main.tf").is_file());
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["../escape", "/etc/escape", "a/../../escape", "a\nb", ".terraform/providers/x"] {
        let archive = entry(tar::EntryType::Regular, path.as_bytes(), "", b"x");
        assert_eq!(refusal(&archive, &ArchiveLimits::default()), "unsafe_archive", "{path:?}");
    }
    let archive = entry(tar::EntryType::Regular, b"\xff\xfe", "", b"x");
    assert_eq!(refusal(&archive, &ArchiveLimits::default()), "unsafe_archive");
}

#[test]
fn links_and_devices_are_refused() {
    use tar::EntryType::{Block, Char, Fifo, GNUSparse, Link, Symlink};
    for kind in [Symlink, Link, Char, Block, Fifo, GNUSparse] {
        let archive = entry(kind, b"main.tf", "/etc/passwd", b"");
        let code = refusal(&archive, &ArchiveLimits::default());
        assert!(matches!(code, "unsafe_archive" | "malformed_archive"), "{kind:?} gives {code}");
    }
}

#[test]
fn a_path_that_appears_twice_is_refused() {
    let archive = archive(&[("main.tf", "a"), ("main.tf", "b")]);
    assert_eq!(refusal(&archive, &ArchiveLimits::default()), "unsafe_archive");
    let archive = self::archive(&[("main.tf", "a"), ("main.tf/x", "b")]);
    assert_eq!(refusal(&archive, &ArchiveLimits::default()), "unsafe_archive");
}

#[test]
fn every_bound_is_kept() {
    let limits = ArchiveLimits { total: 1 << 20, file: 64 << 10, entries: 3, path: 20, depth: 3 };
    let large = "x".repeat(65 << 10);
    let cases = [
        (vec![("a", large.as_str())], "configuration_too_large"),
        (vec![("a", ""), ("b", ""), ("c", ""), ("d", "")], "configuration_too_large"),
        (vec![("a-name-of-21-letters.", "")], "unsafe_archive"),
        (vec![("a/b/c/d", "")], "unsafe_archive"),
    ];
    for (files, code) in cases {
        assert_eq!(refusal(&archive(&files), &limits), code);
    }
}

#[test]
fn a_bomb_is_refused_before_it_unfolds() {
    let limits = ArchiveLimits { file: 1 << 30, total: 1 << 20, ..ArchiveLimits::default() };
    let bomb = entry(tar::EntryType::Regular, b"zeros", "", &vec![0; 32 << 20]);
    assert!(bomb.len() < 1 << 20, "it is small when compressed");
    let workspace = workspace();
    assert_eq!(workspace.unpack(&bomb, &limits).unwrap_err().code(), "configuration_too_large");
    assert!(fs::metadata(workspace.config().join("zeros")).unwrap().len() <= 1 << 20);
    // The same in the length of a name, which archives carry in an entry of its own.
    let bomb = entry(tar::EntryType::GNULongName, b"././@LongLink", "", &vec![b'a'; 32 << 20]);
    assert_eq!(refusal(&bomb, &limits), "configuration_too_large");
}

#[test]
fn a_torn_archive_is_refused() {
    let whole = archive(&[("main.tf", &"locals {}\n".repeat(500))]);
    assert_eq!(refusal(&whole[..whole.len() / 2], &ArchiveLimits::default()), "malformed_archive");
    assert_eq!(refusal(b"not an archive", &ArchiveLimits::default()), "malformed_archive");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_paths_nothing_is_written_outside(
        paths in prop::collection::vec("[./a~\\\\ -]{1,24}", 1..6),
    ) {
        let parent = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(Some(parent.path()), None, 0).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        for path in &paths {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(1);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, b"x".as_slice()).unwrap();
        }
        let _ = workspace.unpack(&gzip(&tar.into_inner().unwrap()), &ArchiveLimits::default());
        prop_assert_eq!(names(parent.path()), vec![workspace.root().file_name().unwrap().to_owned()]);
        prop_assert_eq!(names(workspace.root()), ["config", "control", "home", "tmp"]);
        prop_assert!(!Path::new("/a").exists());
    }

    #[test]
    fn whatever_the_bytes_unpacking_ends_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = workspace().unpack(&gzip(&bytes), &ArchiveLimits::default());
        let _ = workspace().unpack(&bytes, &ArchiveLimits::default());
    }
}

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_workspace_is_private_and_wiped_once_for_all() {
    let mut workspace = workspace();
    let root = workspace.root().to_owned();
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o7777, 0o700);
    let secret = workspace.write_control("secret", b"x").unwrap();
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o7777, 0o600);
    workspace.wipe().unwrap();
    assert!(!root.exists());
    workspace.wipe().unwrap();
}

#[test]
fn closed_and_deep_directories_are_wiped_and_links_are_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("kept"), "").unwrap();
    let mut workspace = workspace();
    let root = workspace.root().to_owned();
    std::os::unix::fs::symlink(outside.path(), workspace.config().join("link")).unwrap();
    let closed = workspace.config().join("closed");
    fs::create_dir_all(closed.join("inner")).unwrap();
    fs::write(closed.join("inner/file"), "").unwrap();
    fs::set_permissions(closed.join("inner"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    // Deeper than a path can be long: grown from the inside out.
    let mut tree = workspace.temporary().join("t0");
    fs::create_dir(&tree).unwrap();
    for depth in 1..1500 {
        let above = workspace.temporary().join(format!("t{depth}"));
        fs::create_dir(&above).unwrap();
        fs::rename(&tree, above.join("down")).unwrap();
        tree = above;
    }
    workspace.wipe().unwrap();
    assert!(!root.exists());
    assert!(outside.path().join("kept").exists());
}

#[test]
fn dropping_a_workspace_wipes_it() {
    let workspace = workspace();
    let root = workspace.root().to_owned();
    drop(workspace);
    assert!(!root.exists());
}

#[test]
fn with_mounts_of_its_own_a_workspace_is_bounded_and_seen_by_nobody_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let size = 4 << 20;
    // Mounts belong to a thread; this one has its own from here to its end.
    let inside = std::thread::spawn(move || {
        let mounts = PrivateMounts::enter().unwrap();
        let workspace = Workspace::create(None, Some(&mounts), size).unwrap();
        assert!(workspace.in_memory());
        assert!(workspace.write_control("small", &vec![0; 1 << 20]).is_ok());
        assert!(workspace.write_control("large", &vec![0; 8 << 20]).is_err());
        workspace
    });
    let mut workspace = inside.join().unwrap();
    assert_eq!(names(workspace.root()), Vec::<std::ffi::OsString>::new());
    let root = workspace.root().to_owned();
    workspace.wipe().unwrap_err();
    assert!(!root.exists());
}

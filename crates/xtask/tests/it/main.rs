//! The law holds over this very repository.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::process::Command;

fn tidy(rule: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_writ-xtask")).args(["tidy", rule]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_control_plane_links_no_cloud_sdk_and_nothing_of_the_runner() {
    tidy("clouds");
}

#[test]
fn arrows_between_crates_point_down() {
    tidy("arrows");
}

#[test]
fn an_unknown_rule_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_writ-xtask")).args(["tidy", "nothing"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

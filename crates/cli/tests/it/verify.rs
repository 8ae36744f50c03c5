//! `writ evidence verify`: from files alone.

use std::fs;

use serde_json::json;

use crate::{
    log::{Log, keys, pack, write},
    terminal::{Said, Terminal},
};

/// A terminal in whose home lie an export of 300 leaves, its keys, and the checkpoint of its first 260.
fn exported() -> Terminal {
    let terminal = Terminal::new();
    let mut log = Log::new(260).unwrap();
    terminal.file("earlier", log.read("checkpoint").unwrap());
    log.grow(300).unwrap();
    write(&log, &terminal.home().join("export"));
    pack(&log, &terminal.home().join("export.tar.gz"));
    terminal.file("log.keys", keys());
    terminal
}

fn findings(said: &Said) -> serde_json::Value {
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    let verdict = said.json();
    assert_eq!(verdict["verified"], false);
    verdict["findings"].clone()
}

#[test]
fn an_untouched_export_verifies_as_directory_and_as_archive() {
    let terminal = exported();
    for export in ["export", "export.tar.gz"] {
        let said = terminal.run(&format!("evidence verify {export} --key log.keys")).well();
        assert!(said.out.ends_with("evidence verified\n"), "{}", said.out);
        assert!(said.out.contains("300 hashed") && said.err.is_empty(), "{}{}", said.out, said.err);
    }
}

#[test]
fn keys_that_came_with_the_export_do_not_verify_it() {
    let terminal = exported();
    let said = terminal.run("evidence verify export");
    let last = "consistent with itself; whose log it is was not verified: give --key\n";
    assert!(said.code == 4 && said.out.ends_with(last), "{} {}{}", said.code, said.out, said.err);
    let said = terminal.run("--json evidence verify export");
    assert_eq!(findings(&said), json!([]));
    assert_eq!(said.json()["selfAsserted"], true);
    let said = terminal.run("evidence verify export --trust-own-keys").well();
    assert!(said.out.ends_with("evidence verified\n"), "{}", said.out);
}

#[test]
fn withheld_payloads_are_counted() {
    let terminal = exported();
    terminal.file("export/about.json", r#"{"from":250,"to":260}"#);
    let said = terminal.run("evidence verify export --key log.keys");
    assert!(said.code == 4 && said.out.contains("WRONG: 10 withheld"), "{} {}", said.code, said.out);
}

#[test]
fn an_altered_leaf_is_named() {
    let terminal = exported();
    let path = terminal.home().join("export/tile/entries/000");
    let mut bundle = fs::read(&path).unwrap();
    let place = bundle.windows(6).position(|window| window == b"leaf 7").unwrap();
    bundle[place + 5] = b'8';
    fs::write(path, bundle).unwrap();
    let said = terminal.run("--json evidence verify export --key log.keys");
    assert_eq!(findings(&said), json!(["leaf 7 was altered"]));
    let said = terminal.run("evidence verify export --key log.keys");
    assert!(said.out.contains("WRONG: leaf 7 was altered\nEVIDENCE DOES NOT VERIFY"), "{}", said.out);
}

#[test]
fn a_missing_file_is_named() {
    let terminal = exported();
    fs::remove_file(terminal.home().join("export/tile/0/000")).unwrap();
    let said = terminal.run("--json evidence verify export --key log.keys");
    assert_eq!(findings(&said), json!(["`tile/0/000` is missing"]));
}

#[test]
fn a_log_continues_what_was_known_of_it() {
    let said = exported().run("--json evidence verify export --key log.keys --known earlier").well();
    assert_eq!(said.json()["known"], 260);
}

#[test]
fn a_log_that_was_rolled_back_is_told_by_what_was_known_of_it() {
    let terminal = exported();
    terminal.file("newest", fs::read(terminal.home().join("export/checkpoint")).unwrap());
    write(&Log::new(280).unwrap(), &terminal.home().join("older"));
    let said = terminal.run("--json evidence verify older --key log.keys --known newest");
    assert_eq!(findings(&said), json!(["the log had 300 leaves and now has 280"]));
}

#[test]
fn a_rewritten_and_newly_signed_log_is_told_by_what_was_known_of_it() {
    let terminal = exported();
    let mut log = Log::new(300).unwrap();
    log.leaves[3] = b"another history".to_vec();
    log.publish(0).unwrap();
    write(&log, &terminal.home().join("rewritten"));
    terminal.run("evidence verify rewritten --key log.keys").well();
    let said = terminal.run("--json evidence verify rewritten --key log.keys --known earlier");
    assert_eq!(findings(&said), json!(["the tree of 260 leaves is not the one that was signed"]));
}

#[test]
fn a_known_checkpoint_must_be_signed_itself() {
    let terminal = exported();
    let forged = String::from_utf8(fs::read(terminal.home().join("earlier")).unwrap()).unwrap();
    terminal.file("forged", forged.replacen("\n260\n", "\n259\n", 1));
    terminal.run("evidence verify export --key log.keys --known forged").badly(4, "`forged` does not hold");
}

#[test]
fn foreign_keys_do_not_vouch_for_a_log() {
    let terminal = exported();
    let first = keys().lines().next().unwrap().to_owned();
    let said = terminal.exec("", &["--json", "evidence", "verify", "export", "--key", &first]);
    let findings = findings(&said).to_string();
    assert!(
        findings.contains("the checkpoint is not validly signed"),
        "one key of three is not enough: {findings}"
    );
}

#[test]
fn one_leaf_is_proved_by_three_files() {
    let terminal = exported();
    let log = Log::new(300).unwrap();
    terminal.file("7.leaf", "leaf 7");
    terminal.file("7.tlog-proof", log.proof(7).unwrap().to_string());
    let line = "evidence verify --leaf 7.leaf --proof 7.tlog-proof --key log.keys";
    assert!(terminal.run(line).well().out.ends_with("evidence verified\n"));
    terminal.file("7.leaf", "leaf 8");
    assert_eq!(terminal.run(line).code, 4);
    terminal.run("evidence verify --leaf 7.leaf --proof 7.tlog-proof").badly(2, "--key");
}

#[test]
fn a_file_larger_than_an_export_has_is_refused() {
    let terminal = exported();
    let checkpoint = fs::File::options().write(true).open(terminal.home().join("export/checkpoint")).unwrap();
    checkpoint.set_len((64 << 20) + 1).unwrap();
    assert_eq!(terminal.run("evidence verify export --key log.keys").code, 4);

    let mut header = tar::Header::new_gnu();
    header.set_path("tile/0/000").unwrap();
    header.set_size((64 << 20) + 1);
    header.set_cksum();
    let file = fs::File::create(terminal.home().join("large.tar.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, header.as_bytes()).unwrap();
    packed.finish().unwrap();
    terminal.run("evidence verify large.tar.gz --key log.keys").badly(4, "has more than 64 MiB");
}

#[test]
fn what_is_no_export_is_refused() {
    let terminal = exported();
    terminal.file("export.tar.gz", "not an archive");
    terminal.run("evidence verify export.tar.gz --key log.keys").badly(4, "is no gzipped tar archive");
    terminal.run("evidence verify absent --key log.keys").badly(2, "there is no `absent`");
    terminal.run("evidence verify export --key absent.keys").badly(2, "`absent.keys` cannot be read");
    terminal.run("evidence verify").badly(2, "EXPORT");
}

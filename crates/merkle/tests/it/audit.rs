//! The tamper matrix: whatever is done to a log, an audit notices and names it.

use writ_merkle::{Error, Finding, Head, Policy, Report, audit, checkpoint};

use crate::log::{Log, TIME, log_signers, log_verifiers};

fn run(log: &Log, known: Option<&Head>) -> Report {
    audit(|path| Ok(log.read(path)), &log_verifiers().unwrap(), &Policy::default(), known).unwrap()
}

fn findings(log: &Log) -> Vec<Finding> {
    run(log, None).findings
}

fn log(size: u64) -> Log {
    Log::new(size).unwrap()
}

fn flip(log: &mut Log, path: &str, place: usize) {
    log.files.get_mut(path).unwrap()[place] ^= 1;
}

fn bad_tile(path: &str) -> Finding {
    Finding::BadTile { path: path.to_owned() }
}

fn missing(path: &str) -> Finding {
    Finding::Missing { path: path.to_owned() }
}

fn malformed(path: &str) -> Finding {
    Finding::Malformed { path: path.to_owned() }
}

/// Signs whatever the log now is, as the holder of its keys can.
fn sign_anew(log: &mut Log) {
    log.files.clear();
    log.publish(0).unwrap();
}

/// Where leaf `index` begins in its bundle, after its length.
fn leaf_place(index: usize) -> usize {
    let first = index / 256 * 256;
    (first..index).map(|index| 2 + format!("leaf {index}").len()).sum::<usize>() + 2
}

#[test]
fn an_intact_log_of_any_shape_has_no_findings() {
    for size in [0, 1, 2, 255, 256, 257, 300, 511, 512, 513, 1000] {
        let log = log(size);
        let report = run(&log, None);
        assert_eq!(report, Report { head: Some(log.head().unwrap()), leaves: size, findings: vec![] });
    }
}

#[test]
fn a_log_of_three_levels_is_intact_after_growing_in_steps() {
    let mut log = log(1);
    let mut heads = Vec::new();
    for size in [200, 65_535, 65_800] {
        heads.push(log.head().unwrap());
        log.grow(size).unwrap();
    }
    assert_eq!(findings(&log), []);
    for head in &heads[1..] {
        assert_eq!(run(&log, Some(head)).findings, [], "{head}");
    }
}

#[test]
fn partial_tiles_may_be_deleted_once_full_ones_exist() {
    let mut log = log(300);
    log.files.retain(|path, _| path != "tile/0/001.p/44" && path != "tile/entries/001.p/44");
    let larger = Log::new(512).unwrap();
    for path in ["tile/0/001", "tile/entries/001"] {
        log.files.insert(path.to_owned(), larger.read(path).unwrap());
    }
    assert_eq!(findings(&log), []);
}

#[test]
fn a_flipped_byte_in_a_leaf_names_the_leaf() {
    for (size, path, index) in
        [(300, "tile/entries/000", 7), (300, "tile/entries/000", 255), (300, "tile/entries/001.p/44", 299)]
    {
        let mut log = log(size);
        flip(&mut log, path, leaf_place(index));
        assert_eq!(findings(&log), [Finding::FlippedLeaf { index: index as u64 }]);
    }
}

#[test]
fn every_flipped_leaf_is_named() {
    let mut log = log(300);
    for index in [3, 200, 280] {
        let path = if index < 256 { "tile/entries/000" } else { "tile/entries/001.p/44" };
        flip(&mut log, path, leaf_place(index));
    }
    assert_eq!(findings(&log), [3, 200, 280].map(|index| Finding::FlippedLeaf { index }));
}

#[test]
fn a_flipped_byte_in_a_length_makes_the_bundle_malformed() {
    let mut log = log(300);
    flip(&mut log, "tile/entries/000", leaf_place(7) - 1);
    assert_eq!(findings(&log), [malformed("tile/entries/000")]);
}

#[test]
fn a_flipped_byte_in_a_tile_of_any_level_names_the_tile() {
    for path in ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"] {
        let mut log = log(300);
        flip(&mut log, path, 5);
        assert_eq!(findings(&log), [bad_tile(path)]);
    }
    let mut log = log(66_000);
    flip(&mut log, "tile/2/000.p/1", 31);
    flip(&mut log, "tile/1/000", 31);
    assert_eq!(findings(&log), [bad_tile("tile/1/000"), bad_tile("tile/2/000.p/1")]);
}

#[test]
fn leaf_and_tile_altered_in_different_places_are_both_named() {
    let mut log = log(600);
    flip(&mut log, "tile/entries/000", leaf_place(7));
    flip(&mut log, "tile/0/001", 5);
    assert_eq!(findings(&log), [Finding::FlippedLeaf { index: 7 }, bad_tile("tile/0/001")]);
}

#[test]
fn leaf_and_tile_altered_alike_are_found_by_the_tile_above() {
    let mut log = log(600);
    log.leaves[7] = b"another leaf".to_vec();
    let forged = {
        let mut forged = Log { leaves: log.leaves.clone(), ..Log::default() };
        sign_anew(&mut forged);
        forged
    };
    for path in ["tile/entries/000", "tile/0/000"] {
        log.files.insert(path.to_owned(), forged.read(path).unwrap());
    }
    assert_eq!(findings(&log), [bad_tile("tile/entries/000"), bad_tile("tile/0/000")]);
}

#[test]
fn a_flipped_byte_in_the_note_is_a_bad_signature() {
    let signed = String::from_utf8(log(300).read("checkpoint").unwrap()).unwrap();
    for line in 0..3 {
        let mut lines: Vec<_> = signed.lines().map(str::to_owned).collect();
        // The tenth character of the base64 is well within the signature and its time.
        let line = &mut lines[4 + line];
        let place = line.rfind(' ').unwrap() + 30;
        let other = if line.as_bytes()[place] == b'A' { "B" } else { "A" };
        line.replace_range(place..=place, other);
        let mut log = log(300);
        log.files.insert("checkpoint".to_owned(), (lines.join("\n") + "\n").into_bytes());
        assert!(
            matches!(&findings(&log)[..], [Finding::BadSignature { reason }] if reason.contains("log.example/evidence/t1"))
        );
    }
}

#[test]
fn an_altered_root_is_a_bad_signature_and_a_tree_nobody_signed() {
    let mut log = log(300);
    let other = Log::new(299).unwrap().head().unwrap().root.to_string();
    let text = String::from_utf8(log.read("checkpoint").unwrap()).unwrap();
    let text = text.replace(&log.head().unwrap().root.to_string(), &other);
    log.files.insert("checkpoint".to_owned(), text.into_bytes());
    assert!(matches!(&findings(&log)[..], [Finding::BadSignature { .. }, Finding::Fork { size: 300 }]));
}

#[test]
fn a_checkpoint_signed_by_strangers_is_a_bad_signature() {
    let report = audit(|path| Ok(log(10).read(path)), &[], &Policy::default(), None).unwrap();
    assert!(matches!(&report.findings[..], [Finding::BadSignature { .. }]));
}

#[test]
fn a_cut_off_tail_is_a_truncation() {
    // The last bundle cut within, gone, replaced by an older one; everything gone but the checkpoint.
    let mut cut = log(300);
    cut.files.get_mut("tile/entries/001.p/44").unwrap().truncate(leaf_place(280) + 3);
    assert_eq!(findings(&cut), [Finding::Truncated { expected: 300, found: 280 }]);

    let mut gone = log(300);
    gone.files.remove("tile/entries/001.p/44");
    assert_eq!(findings(&gone), [Finding::Truncated { expected: 300, found: 256 }]);

    let mut older = log(270);
    let checkpoint = log(300).read("checkpoint").unwrap();
    older.files.insert("checkpoint".to_owned(), checkpoint.clone());
    assert_eq!(findings(&older), [Finding::Truncated { expected: 300, found: 270 }]);

    let mut all = log(0);
    all.files.insert("checkpoint".to_owned(), checkpoint);
    assert_eq!(findings(&all), [Finding::Truncated { expected: 300, found: 0 }]);
}

#[test]
fn a_claimed_size_beyond_all_reading_ends_the_audit_at_once() {
    let mut log = log(10);
    let head = Head { size: i64::MAX as u64, ..log.head().unwrap() };
    let note = checkpoint::sign(&head, TIME, &log_signers().unwrap()).unwrap();
    log.files.insert("checkpoint".to_owned(), note.to_string().into_bytes());
    assert_eq!(findings(&log), [Finding::Truncated { expected: i64::MAX as u64, found: 10 }]);
}

#[test]
fn rewritten_history_signed_anew_is_a_fork_for_whoever_remembers() {
    let known = log(300).head().unwrap();
    let mut rewritten = log(400);
    rewritten.leaves[7] = b"another leaf".to_vec();
    sign_anew(&mut rewritten);
    assert_eq!(findings(&rewritten), [], "without a memory it looks honest");
    assert_eq!(run(&rewritten, Some(&known)).findings, [Finding::Fork { size: 300 }]);

    let mut same_size = log(300);
    same_size.leaves[299] = b"another leaf".to_vec();
    sign_anew(&mut same_size);
    assert_eq!(run(&same_size, Some(&known)).findings, [Finding::Fork { size: 300 }]);
}

#[test]
fn a_fork_at_the_known_size_is_seen_even_when_leaves_are_gone() {
    let known = Head { root: log(299).head().unwrap().root, ..log(300).head().unwrap() };
    let mut log = log(300);
    log.files.remove("tile/entries/001.p/44");
    let truncated = Finding::Truncated { expected: 300, found: 256 };
    assert_eq!(run(&log, Some(&known)).findings, [Finding::Fork { size: 300 }, truncated]);
}

#[test]
fn a_change_after_the_known_tree_is_no_fork() {
    let known = log(300).head().unwrap();
    let mut grown = log(400);
    grown.leaves[300] = b"another leaf".to_vec();
    sign_anew(&mut grown);
    assert_eq!(run(&grown, Some(&known)).findings, []);
}

#[test]
fn a_tree_that_was_rewritten_but_not_signed_is_a_fork() {
    let mut log = log(300);
    let checkpoint = log.read("checkpoint").unwrap();
    log.leaves[280] = b"another leaf".to_vec();
    sign_anew(&mut log);
    log.files.insert("checkpoint".to_owned(), checkpoint);
    assert_eq!(findings(&log), [Finding::Fork { size: 300 }]);
}

#[test]
fn a_restored_old_database_is_a_roll_back() {
    let known = log(400).head().unwrap();
    assert_eq!(run(&log(300), Some(&known)).findings, [Finding::RolledBack { known: 400, found: 300 }]);
}

#[test]
fn a_rolled_back_log_that_grew_again_is_a_fork() {
    let known = log(400).head().unwrap();
    let mut regrown = log(300);
    regrown.leaves.extend((300..500).map(|index| format!("new leaf {index}").into_bytes()));
    sign_anew(&mut regrown);
    assert_eq!(run(&regrown, Some(&known)).findings, [Finding::Fork { size: 400 }]);
}

#[test]
fn another_log_in_the_place_of_the_known_one_is_named() {
    let known = Head { origin: "log.example/evidence/t2".parse().unwrap(), ..log(300).head().unwrap() };
    let other =
        Finding::OtherLog { known: known.origin.to_string(), found: "log.example/evidence/t1".to_owned() };
    assert_eq!(run(&log(300), Some(&known)).findings, [other]);
}

#[test]
fn a_missing_file_is_named() {
    for path in ["checkpoint", "tile/entries/000", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"] {
        let mut log = log(300);
        log.files.remove(path).unwrap();
        assert_eq!(findings(&log), [missing(path)]);
    }
}

#[test]
fn a_file_of_the_wrong_length_is_malformed() {
    for path in ["checkpoint", "tile/entries/000", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"] {
        let mut log = log(300);
        let bytes = log.files.get_mut(path).unwrap();
        bytes.pop();
        assert_eq!(findings(&log), [malformed(path)]);
    }
    let mut log = log(300);
    log.files.get_mut("tile/entries/001.p/44").unwrap().push(0);
    assert_eq!(findings(&log), [malformed("tile/entries/001.p/44")]);
}

#[test]
fn a_reader_that_fails_fails_the_audit() {
    let failing = |path: &str| Err(Error::Read { path: path.to_owned(), source: "disk on fire".into() });
    let result = audit(failing, &log_verifiers().unwrap(), &Policy::default(), None);
    assert!(matches!(result, Err(Error::Read { path, .. }) if path == "checkpoint"));
}

#[test]
fn any_flipped_byte_in_any_file_is_found() {
    // A flipped byte in the name of a signature makes it a stranger's, which the default policy may do without.
    let strict = Policy::requiring(log_verifiers().unwrap().iter().map(|verifier| vec![verifier.kind()]));
    let intact = log(260);
    for (path, bytes) in &intact.files {
        let step = if path == "checkpoint" { 97 } else { 61 };
        for place in (0..bytes.len()).step_by(step) {
            let mut log = log(260);
            flip(&mut log, path, place);
            let report = audit(|path| Ok(log.read(path)), &log_verifiers().unwrap(), &strict, None).unwrap();
            assert!(!report.is_intact(), "{path} at {place}");
        }
    }
}

#[test]
fn no_more_than_a_thousand_faults_are_named() {
    let mut log = log(1024);
    for index in 0..1024 {
        flip(&mut log, &format!("tile/entries/{:03}", index / 256), leaf_place(index));
    }
    assert_eq!(run(&log, None).findings.len(), 1000);
}

#[test]
fn findings_are_said_in_one_line() {
    for (finding, line) in [
        (Finding::FlippedLeaf { index: 7 }, "leaf 7 was altered"),
        (bad_tile("tile/0/000"), "tile `tile/0/000` was altered"),
        (Finding::Truncated { expected: 300, found: 256 }, "the log ends after 256 of 300 leaves"),
        (Finding::RolledBack { known: 400, found: 300 }, "the log had 400 leaves and now has 300"),
        (Finding::Fork { size: 300 }, "the tree of 300 leaves is not the one that was signed"),
    ] {
        assert_eq!(finding.to_string(), line);
    }
}

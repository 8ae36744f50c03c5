//! A log taken away, and what becomes of it.

use std::collections::HashSet;

use uuid::Uuid;
use writ_merkle::{Finding, Head, Note};
use writ_store::{SystemTx, execute, on, on_both, testing::TestDb};

use crate::{Files, Log, Office, verify};

/// An export of a log of several hundred leaves, and how to verify it.
async fn exported(db: &TestDb) -> (Office, Log, Files) {
    let office = Office::open(db).await;
    for _ in 0..300 {
        office.act(&office.bob).await;
    }
    office.sequence().await;
    let log = office.log().await;
    let files = office.export("").await;
    (office, log, files)
}

fn head(files: &Files) -> Head {
    Head::parse(Note::parse(&files["checkpoint"]).unwrap().text()).unwrap()
}

fn flip(files: &Files, path: &str, at: usize) -> Files {
    let mut files = files.clone();
    files.get_mut(path).unwrap()[at] ^= 1;
    files
}

fn findings(files: &Files, log: &Log, known: Option<&Head>) -> Vec<Finding> {
    verify(files, log, known).log.findings
}

on_both! {
    async fn an_export_is_verified_from_its_files_alone(db: &TestDb) {
        let (_office, log, files) = exported(db).await;
        let verified = verify(&files, &log, Some(&head(&files)));
        assert!(verified.is_intact(), "{verified:?}");
        assert_eq!((verified.log.leaves, verified.payloads), (head(&files).size, head(&files).size));
        let keys: Vec<_> = log.keys.iter().map(ToString::to_string).collect();
        assert_eq!(String::from_utf8(files["keys"].clone()).unwrap().lines().collect::<Vec<_>>(), keys);
    }

    async fn a_range_limits_the_payloads_and_not_the_tree(db: &TestDb) {
        let (office, log, files) = exported(db).await;
        let verified = verify(&office.export("?from=250&to=260").await, &log, Some(&head(&files)));
        assert!(verified.is_intact(), "{verified:?}");
        assert_eq!(verified.payloads, 10);
        let answer = office.app.get(&office.auditor, "/api/v1/evidence/export?from=5&to=4").await;
        assert_eq!(answer.status, 400);
    }

    async fn whatever_is_altered_is_named(db: &TestDb) {
        let (_office, log, files) = exported(db).await;
        let size = head(&files).size;
        let tail = format!("tile/entries/001.p/{}", size - 256);
        assert!(files.contains_key(&tail), "{:?}", files.keys());

        // A byte of the first leaf, after its length.
        assert_eq!(findings(&flip(&files, "tile/entries/000", 12), &log, None), [Finding::FlippedLeaf { index: 0 }]);
        let path = "tile/0/000".to_owned();
        assert_eq!(findings(&flip(&files, &path, 40), &log, None), [Finding::BadTile { path }]);
        let path = "tile/1/000.p/1".to_owned();
        assert_eq!(findings(&flip(&files, &path, 3), &log, None), [Finding::BadTile { path }]);
        // A character of the last signature becomes another one of its alphabet.
        let (mut forged, at) = (files.clone(), files["checkpoint"].len() - 40);
        let sign = &mut forged.get_mut("checkpoint").unwrap()[at];
        *sign = if *sign == b'A' { b'B' } else { b'A' };
        let note = findings(&forged, &log, None);
        assert!(matches!(note.as_slice(), [Finding::BadSignature { .. }]), "{note:?}");

        let mut shorter = files.clone();
        shorter.remove(&tail);
        assert_eq!(findings(&shorter, &log, None), [Finding::Truncated { expected: size, found: 256 }]);
        let mut holed = files.clone();
        holed.remove("tile/entries/000");
        assert_eq!(findings(&holed, &log, None), [Finding::Missing { path: "tile/entries/000".to_owned() }]);
    }

    async fn an_altered_payload_is_named_by_its_record(db: &TestDb) {
        let (_office, log, files) = exported(db).await;
        let path = "payloads/000000000001.jsonl";
        let text = String::from_utf8(files[path].clone()).unwrap();
        let mut forged = files.clone();
        forged.insert(path.to_owned(), text.replacen("\"allow\":true", "\"allow\":false", 1).into_bytes());
        assert_ne!(forged, files);
        let verified = verify(&forged, &log, None);
        assert_eq!(verified.altered, [256]);
        assert!(verified.log.is_intact());
    }

    async fn a_payload_left_out_is_withheld_and_one_told_twice_is_altered(db: &TestDb) {
        let (_office, log, files) = exported(db).await;
        let path = "payloads/000000000001.jsonl";
        let text = String::from_utf8(files[path].clone()).unwrap();
        let with = |text: String| {
            let mut files = files.clone();
            files.insert(path.to_owned(), text.into_bytes());
            let verified = verify(&files, &log, None);
            assert!(verified.log.is_intact() && !verified.is_intact());
            (verified.withheld, verified.altered)
        };
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(with(rest.to_owned()), (1, vec![]));
        assert_eq!(with(format!("{first}\n{text}")), (0, vec![256]));
        let nobody = Uuid::nil();
        let erased = format!("{{\"index\":256,\"id\":\"{nobody}\",\"erased\":true,\"payload\":null}}\n{rest}");
        assert_eq!(with(erased), (0, vec![256]), "an erasure of another record");

        let mut none = files.clone();
        none.retain(|path, _| !path.starts_with("payloads/"));
        assert_eq!(verify(&none, &log, None).withheld, head(&files).size);
    }

    async fn keys_of_another_log_do_not_vouch_for_it(db: &TestDb) {
        let (_office, log, files) = exported(db).await;
        let other = Log { keys: log.meta_keys.clone(), ..log };
        let found = findings(&files, &other, None);
        assert!(matches!(found.as_slice(), [Finding::BadSignature { .. }]), "{found:?}");
    }

    async fn a_database_rolled_back_is_seen_by_who_remembers(db: &TestDb) {
        let (office, log, before) = exported(db).await;
        let backup = Backup::take(db).await;
        for _ in 0..20 {
            office.act(&office.bob).await;
        }
        office.sequence().await;
        let known = office.checkpoint(&log).await.head().clone();

        backup.restore(db).await;
        let (size, found) = (known.size, head(&before).size);
        assert_eq!(findings(&before, &log, Some(&known)), [Finding::RolledBack { known: size, found }]);

        // It goes on as if nothing had been: true in itself, and a fork to who remembers.
        for _ in 0..60 {
            office.act(&office.bob).await;
        }
        office.sequence().await;
        let files = office.export("").await;
        assert!(head(&files).size > size);
        assert_eq!(findings(&files, &log, None), []);
        assert_eq!(findings(&files, &log, Some(&known)), [Finding::Fork { size }]);
    }
}

/// What a backup would bring back of the tenants' logs: their state, their tiles, and which leaves there were.
struct Backup {
    logs: Vec<(Uuid, i64, Vec<u8>, String, i64)>,
    tiles: Vec<(Uuid, String, i64, i64, Vec<u8>)>,
    leaves: HashSet<Uuid>,
}

impl Backup {
    async fn take(db: &TestDb) -> Self {
        let mut tx = db.db.system_read().await.unwrap();
        let logs = "SELECT tenant_id, size, frontier, checkpoint, signed_size FROM evidence_logs WHERE log <> 'meta'";
        let logs = on!(&mut tx, |conn| sqlx::query_as(logs).fetch_all(conn)).unwrap();
        let tiles = "SELECT tenant_id, log, level, tile, hashes FROM evidence_tiles WHERE log <> 'meta'";
        let tiles = on!(&mut tx, |conn| sqlx::query_as(tiles).fetch_all(conn)).unwrap();
        Self { logs, tiles, leaves: leaves(&mut tx).await }
    }

    async fn restore(&self, db: &TestDb) {
        let mut tx = db.db.system_tx().await.unwrap();
        for leaf in leaves(&mut tx).await.difference(&self.leaves) {
            let sql = "DELETE FROM evidence_leaves WHERE leaf_id = $1";
            execute!(&mut tx, |conn| sqlx::query(sql).bind(leaf).execute(conn)).unwrap();
        }
        let sql = "DELETE FROM evidence_tiles WHERE log <> 'meta'";
        execute!(&mut tx, |conn| sqlx::query(sql).execute(conn)).unwrap();
        for (tenant, log, level, tile, hashes) in &self.tiles {
            let sql = "INSERT INTO evidence_tiles (tenant_id, log, level, tile, hashes) VALUES ($1, $2, $3, $4, $5)";
            execute!(&mut tx, |conn| {
                sqlx::query(sql).bind(tenant).bind(log).bind(level).bind(tile).bind(hashes).execute(conn)
            })
            .unwrap();
        }
        for (tenant, size, frontier, checkpoint, signed_size) in &self.logs {
            let sql = "UPDATE evidence_leaves SET position = NULL WHERE tenant_id = $1 AND position >= $2";
            execute!(&mut tx, |conn| sqlx::query(sql).bind(tenant).bind(size).execute(conn)).unwrap();
            let sql = "UPDATE evidence_logs SET size = $2, frontier = $3, checkpoint = $4, signed_size = $5
                       WHERE tenant_id = $1 AND log <> 'meta'";
            execute!(&mut tx, |conn| {
                sqlx::query(sql)
                    .bind(tenant)
                    .bind(size)
                    .bind(frontier)
                    .bind(checkpoint)
                    .bind(signed_size)
                    .execute(conn)
            })
            .unwrap();
        }
        tx.commit().await.unwrap();
    }
}

async fn leaves(tx: &mut SystemTx) -> HashSet<Uuid> {
    let leaves = "SELECT leaf_id FROM evidence_leaves";
    let leaves: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(leaves).fetch_all(conn)).unwrap();
    leaves.into_iter().collect()
}

//! How leaves become a log.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use writ_merkle::{Layer, Policy, Tile, TlogProof, checkpoint, proof::verify_consistency, tile};
use writ_store::{execute, on, on_both, testing::TestDb};

use crate::{Log, Office, verify};

/// Every record of the tenant, newest first.
async fn records(office: &Office) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page =
            office.app.get(&office.auditor, &format!("/api/v1/evidence?limit=200{after}")).await.json();
        all.extend(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

/// The bytes of every leaf of the exported log.
fn entries(files: &crate::Files, size: u64) -> Vec<Vec<u8>> {
    let bundles = (0..size).step_by(256).map(|first| Tile::holding(Layer::Entries, first, size).unwrap());
    let leaves = bundles.flat_map(|bundle| {
        let bytes = &files[&bundle.to_string()];
        let leaves = tile::decode_entries(bytes, bundle.width()).unwrap();
        leaves.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    });
    leaves.collect()
}

async fn consistent(office: &Office, log: &Log, old: &writ_merkle::Head, new: &writ_merkle::Head) {
    let mut tiles = HashMap::new();
    for wanted in tile::for_consistency(old.size, new.size).unwrap() {
        tiles.insert(wanted, tile::decode(&office.tile(log, wanted).await, wanted.width()).unwrap());
    }
    let proof = tile::consistency(old.size, new.size, |tile| Ok(tiles[&tile].clone())).unwrap();
    verify_consistency(old.size, &old.root, new.size, &new.root, &proof).unwrap();
}

on_both! {
    async fn every_leaf_has_a_place_and_a_proof(db: &TestDb) {
        let office = Office::open(db).await;
        for _ in 0..270 {
            office.act(&office.bob).await;
        }
        office.sequence().await;
        let log = office.log().await;
        let all = records(&office).await;
        let placed: Vec<_> = all.iter().filter(|record| !record["index"].is_null()).collect();
        assert!(placed.len() > 270);
        let mut indices: Vec<_> = placed.iter().map(|record| record["index"].as_u64().unwrap()).collect();
        indices.sort_unstable();
        assert_eq!(indices, (0..placed.len() as u64).collect::<Vec<_>>());
        for record in placed {
            let path = format!("/api/v1/evidence/{}/proof", record["id"].as_str().unwrap());
            let proof = TlogProof::from_bytes(&office.app.get(&office.auditor, &path).await.body).unwrap();
            assert_eq!(record["index"], proof.index);
            proof.verify(record["leaf"].as_str().unwrap().as_bytes(), &log.keys, &Policy::default()).unwrap();
        }
    }

    async fn a_log_is_called_after_the_host_and_an_opaque_name(db: &TestDb) {
        let office = Office::open(db).await;
        office.sequence().await;
        let log = office.log().await;
        assert!(log.origin.starts_with("writ.example/evidence/") && !log.origin.contains("acme"), "{}", log.origin);
        let head = office.checkpoint(&log).await.head().clone();
        assert_eq!(head.origin.as_str(), log.origin);
        assert_eq!(log.keys.len(), 3);
    }

    async fn each_checkpoint_continues_the_one_before(db: &TestDb) {
        let office = Office::open(db).await;
        office.sequence().await;
        let log = office.log().await;
        let mut before = office.checkpoint(&log).await.head().clone();
        for count in [1, 3, 250, 5, 300] {
            for _ in 0..count {
                office.act(&office.bob).await;
            }
            office.sequence().await;
            let now = office.checkpoint(&log).await.head().clone();
            assert!(now.size >= before.size + count);
            consistent(&office, &log, &before, &now).await;
            before = now;
        }
    }

    async fn nothing_is_signed_when_nothing_grew(db: &TestDb) {
        let office = Office::open(db).await;
        let mut sequencer = office.sequencer();
        let first = sequencer.tick().await.unwrap();
        assert!(first.integrated > 0);
        assert_eq!(first.signed, 3, "the platform's log, the tenant's and the log of logs");
        assert_eq!(sequencer.tick().await.unwrap(), writ_evidence::Progress::default());
    }

    async fn one_sequencer_leads_and_another_waits_its_turn(db: &TestDb) {
        let office = Office::open(db).await;
        let (mut one, mut other) = (office.sequencer(), office.sequencer());
        assert!(one.tick().await.unwrap().integrated > 0);
        office.act(&office.bob).await;
        assert_eq!(other.tick().await.unwrap().integrated, 0);
        office.house.advance(Duration::from_mins(1));
        assert_eq!(other.tick().await.unwrap().integrated, 1);
    }

    async fn an_overtaken_sequencer_changes_nothing(db: &TestDb) {
        let office = Office::open(db).await;
        let mut sequencer = office.sequencer();
        sequencer.tick().await.unwrap();
        office.act(&office.bob).await;
        let mut tx = db.db.system_tx().await.unwrap();
        let overtake = "UPDATE evidence_logs SET epoch = 99";
        execute!(&mut tx, |conn| sqlx::query(overtake).execute(conn)).unwrap();
        tx.commit().await.unwrap();
        let before = state(db).await;
        assert_eq!(sequencer.tick().await.unwrap_err().code(), "lease_lost");
        assert_eq!(state(db).await, before);
    }

    async fn sequencers_that_take_turns_never_fork(db: &TestDb) {
        let office = Office::open(db).await;
        let mut sequencers = [office.sequencer(), office.sequencer(), office.sequencer()];
        office.sequencer_of(&mut sequencers[0]).await;
        let log = office.log().await;
        let mut before = office.checkpoint(&log).await.head().clone();
        for round in 1..12 {
            for _ in 0..round * 7 {
                office.act(&office.bob).await;
            }
            office.sequencer_of(&mut sequencers[round % 3]).await;
            let now = office.checkpoint(&log).await.head().clone();
            consistent(&office, &log, &before, &now).await;
            before = now;
        }
    }

    async fn appending_while_sequencing_loses_nothing(db: &TestDb) {
        let office = Office::open(db).await;
        let (mut one, mut other) = (office.sequencer(), office.sequencer());
        let busy = async {
            let acts = (0..8).map(|_| async {
                let mut receipts = Vec::new();
                for _ in 0..40 {
                    receipts.push(office.act(&office.bob).await);
                }
                receipts
            });
            futures_util::future::join_all(acts).await.concat()
        };
        let sequencing = async {
            loop {
                // Losing the lead on the way is what must do no harm.
                let _ = one.tick().await;
                office.house.advance(Duration::from_secs(16));
                let _ = other.tick().await;
                office.house.advance(Duration::from_secs(16));
            }
        };
        let receipts = tokio::select! {
            receipts = busy => receipts,
            () = sequencing => unreachable!(),
        };
        office.sequence().await;
        let log = office.log().await;
        let files = office.export("").await;
        let verified = verify(&files, &log, None);
        assert!(verified.is_intact(), "{verified:?}");
        let size = verified.log.head.unwrap().size;
        let hashes: std::collections::HashSet<_> =
            entries(&files, size).iter().map(|leaf| *writ_merkle::leaf_hash(leaf).as_bytes()).collect();
        assert_eq!(receipts.len(), 320);
        assert!(receipts.iter().all(|receipt| hashes.contains(&receipt.hash)));
        assert_eq!(u64::try_from(hashes.len()).unwrap(), size, "no leaf has two places");
    }

    async fn more_than_one_batch_is_sequenced_in_one_round(db: &TestDb) {
        let office = Office::open(db).await;
        office.sequence().await;
        let mut tx = db.db.tx(office.bob.tenant()).await.unwrap();
        for number in 0..4_321_u128 {
            let id = uuid::Uuid::from_u128(u128::MAX - number);
            let leaf = format!("{{\"id\":\"{id}\"}}");
            let hash = writ_merkle::leaf_hash(leaf.as_bytes());
            let insert = "INSERT INTO evidence_leaves
                (tenant_id, leaf_id, at, action, outcome, trace, leaf, leaf_hash, key_id, payload)
                VALUES ($1, $2, 0, 'a', 'allow', 't', $3, $4, $2, $4)";
            execute!(&mut tx, |conn, tenant| sqlx::query(insert)
                .bind(tenant)
                .bind(id)
                .bind(&leaf)
                .bind(hash.as_bytes().as_slice())
                .execute(conn))
            .unwrap();
        }
        tx.commit().await.unwrap();
        office.house.advance(Duration::from_secs(20));
        let progress = office.sequencer().tick().await.unwrap();
        assert_eq!(progress.integrated, 4_321);
        let log = office.log().await;
        let verified = verify(&office.export("?to=0").await, &log, None);
        assert!(verified.log.is_intact(), "{verified:?}");
    }

    async fn the_log_of_logs_has_the_checkpoints_of_all_and_is_public(db: &TestDb) {
        let office = Office::open(db).await;
        office.sequence().await;
        let log = office.log().await;
        let newest = office.app.get(&office.auditor, &format!("{}checkpoint", log.path)).await;
        let public = async |path: &str| {
            let path = format!("/log/meta/{path}");
            office.app.ask(None, http::Method::GET, &path, axum::body::Body::empty()).await
        };
        let meta = public("checkpoint").await;
        let meta = checkpoint::open(&meta.body, &log.meta_keys, &Policy::default()).unwrap();
        assert_eq!(meta.head().origin.as_str(), "writ.example/evidence/meta");
        assert_eq!(meta.head().size, 2);
        let bundle = public("tile/entries/000.p/2").await;
        assert_eq!(bundle.header("cache-control"), "public, max-age=31536000, immutable");
        let leaves = tile::decode_entries(&bundle.body, 2).unwrap();
        let hashes: Vec<_> = leaves.iter().map(|leaf| writ_merkle::leaf_hash(leaf)).collect();
        assert_eq!(tile::encode(&hashes), public("tile/0/000.p/2").await.body);
        assert_eq!(hashes.into_iter().collect::<writ_merkle::Frontier>().root(), meta.head().root);
        let digest = format!("sha256:{}", writ_crypto::hash::hex(&writ_crypto::hash::sha256(&newest.body)));
        let entered = leaves.iter().map(|leaf| serde_json::from_slice::<Value>(leaf).unwrap());
        let entered: Vec<_> = entered.filter(|leaf| leaf["origin"] == log.origin.as_str()).collect();
        assert_eq!(entered.len(), 1);
        assert_eq!(entered[0]["checkpoint"], digest.as_str());
        assert_eq!(public("tile/entries/000.p/3").await.status, 404);
    }

    async fn a_sealed_server_sequences_nothing_and_catches_up(db: &TestDb) {
        let office = Office::open(db).await;
        let mut sequencer = office.sequencer();
        office.house.gate.seal().close();
        assert_eq!(sequencer.tick().await.unwrap(), writ_evidence::Progress::default());
        office.house.gate.seal().unseal(None).await.unwrap();
        assert!(sequencer.tick().await.unwrap().integrated > 0);
    }
}

/// What must not change: sizes, checkpoints and places.
async fn state(db: &TestDb) -> (Vec<(i64, i64, Option<String>)>, i64) {
    let mut tx = db.db.system_read().await.unwrap();
    let logs = "SELECT size, signed_size, checkpoint FROM evidence_logs ORDER BY origin";
    let logs = on!(&mut tx, |conn| sqlx::query_as(logs).fetch_all(conn)).unwrap();
    let placed = "SELECT count(*) FROM evidence_leaves WHERE position IS NOT NULL";
    (logs, on!(&mut tx, |conn| sqlx::query_scalar(placed).fetch_one(conn)).unwrap())
}

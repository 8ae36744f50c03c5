//! The evidence room, on both engines, through the gate and the routes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod erasure;
mod export;
mod reading;
mod sequencing;

use std::{collections::BTreeMap, io::Read as _};

use writ_evidence::{Evidence, Sequencer};
use writ_gate::{Done, Receipt, Resource};
use writ_kernel::Action;
use writ_merkle::{Checkpoint, Head, Policy, Tile, Verifier, checkpoint};
use writ_store::testing::TestDb;
use writ_testkit::{App, House, Someone};

const HOST: &str = "writ.example";

/// A house with an evidence room, and a tenant with people in it.
struct Office {
    house: House,
    room: Evidence,
    app: App,
    admin: Someone,
    auditor: Someone,
    bob: Someone,
}

impl Office {
    async fn open(db: &TestDb) -> Self {
        let house = House::over(db).await;
        let room = Evidence::new(house.gate.clone(), HOST).unwrap();
        let app = house.app([writ_evidence::routes(room.clone())]);
        let admin = house.tenant("acme").await;
        let auditor = house.person(&admin, "ann", &["auditor"]).await;
        let bob = house.person(&admin, "bob", &["viewer"]).await;
        Self { house, room, app, admin, auditor, bob }
    }

    fn sequencer(&self) -> Sequencer {
        Sequencer::new(&self.room)
    }

    /// Brings every log up to date.
    async fn sequence(&self) {
        self.sequencer_of(&mut self.sequencer()).await;
    }

    /// One round of a sequencer that takes the lead.
    async fn sequencer_of(&self, sequencer: &mut Sequencer) {
        self.house.advance(std::time::Duration::from_secs(20));
        sequencer.tick().await.unwrap();
    }

    /// Something `who` may do, which leaves a leaf.
    async fn act(&self, who: &Someone) -> Receipt {
        let resource = Resource::all("environment");
        let grant = self.house.gate.grant(&who.caller, Action::EnvironmentRead, resource).await.unwrap();
        grant.commit(Done::plain()).await.unwrap()
    }

    async fn log(&self) -> Log {
        let answer = self.app.get(&self.auditor, "/api/v1/evidence/log").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let info: writ_wire::evidence::LogInfo = serde_json::from_slice(&answer.body).unwrap();
        let keys = |keys: &[String]| keys.iter().map(|key| key.parse().unwrap()).collect();
        Log { keys: keys(&info.keys), meta_keys: keys(&info.meta.keys), path: info.path, origin: info.origin }
    }

    async fn checkpoint(&self, log: &Log) -> Checkpoint {
        let answer = self.app.get(&self.auditor, &format!("{}checkpoint", log.path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        checkpoint::open(&answer.body, &log.keys, &Policy::default()).unwrap()
    }

    async fn tile(&self, log: &Log, tile: Tile) -> Vec<u8> {
        let answer = self.app.get(&self.auditor, &format!("{}{tile}", log.path)).await;
        assert_eq!(answer.status, 200, "{tile}: {answer:?}");
        answer.body.to_vec()
    }

    async fn export(&self, query: &str) -> Files {
        let answer = self.app.get(&self.auditor, &format!("/api/v1/evidence/export{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut files = Files::new();
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(&answer.body[..])).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        files
    }
}

/// What a verifier knows of a log beforehand.
struct Log {
    origin: String,
    path: String,
    keys: Vec<Verifier>,
    meta_keys: Vec<Verifier>,
}

/// An unpacked export.
type Files = BTreeMap<String, Vec<u8>>;

fn verify(files: &Files, log: &Log, known: Option<&Head>) -> writ_evidence::offline::Verified {
    let read = |path: &str| Ok(files.get(path).cloned());
    writ_evidence::offline::verify(read, &log.keys, &Policy::default(), known).unwrap()
}

//! What is on disk gives nothing away: the whole database is searched, byte for byte.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use writ_crypto::{hash, password};
use writ_kernel::{Chance, World};
use writ_seal::{Protection, Seal};
use writ_store::{Config, execute, testing::TestDb};

use crate::{AAD, passphrase};

/// Randomness that remembers what it gave, so that it can be looked for.
#[derive(Clone, Default)]
struct Remembering(Arc<Mutex<Vec<Vec<u8>>>>);

impl Chance for Remembering {
    fn fill(&self, bytes: &mut [u8]) {
        let mut given = self.0.lock().unwrap();
        for (block, chunk) in bytes.chunks_mut(32).enumerate() {
            let random = hash::sha256(format!("{} {block}", given.len()).as_bytes());
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        given.push(bytes.to_vec());
    }
}

/// Every file beside the database, its write-ahead log included.
fn files(db: &TestDb) -> Vec<u8> {
    let Config::Sqlite { path } = &db.config else { unreachable!("SQLite") };
    let directory = path.parent().unwrap().read_dir().unwrap();
    directory.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// As bytes, hexadecimal digits and base64.
fn spellings(secret: &[u8]) -> [Vec<u8>; 3] {
    [secret.to_vec(), hash::hex(secret).into_bytes(), data_encoding::BASE64_NOPAD.encode(secret).into_bytes()]
}

async fn live(db: &TestDb, world: &World, key_file: &Path, protection: Protection) -> Vec<Vec<u8>> {
    let cost = password::Params::DANGEROUSLY_CHEAP;
    let seal = Seal::new(db.db.clone(), world.clone(), key_file.to_owned(), cost);
    let shares = seal.init(protection).await.unwrap();
    let tenant = world.id();
    let mut tx = db.db.tx(tenant).await.unwrap();
    seal.create_tenant(&mut tx).await.unwrap();
    let keys = seal.tenant(&mut tx).await.unwrap();
    let value = keys.seal(world, AAD, b"marker of a plaintext");
    execute!(tx, |conn, tenant| {
        sqlx::query("INSERT INTO data_keys (tenant_id, key_id, version, wrapped, created_at) VALUES ($1, $2, 99, $3, 0)")
            .bind(tenant)
            .bind(world.uuid())
            .bind(value)
            .execute(conn)
    })
    .unwrap();
    tx.commit().await.unwrap();
    shares.iter().map(|share| share.expose().as_bytes().to_vec()).collect()
}

async fn nothing_leaks(protection: Protection, also: &[&str]) {
    let (db, files_of_keys, chance) =
        (TestDb::sqlite().await, TempDir::new().unwrap(), Remembering::default());
    let world = World::new(Arc::new(db.time.clone()), Arc::new(chance.clone()));
    let shares = live(&db, &world, &files_of_keys.path().join("root.key"), protection).await;
    let disk = files(&db);
    assert!(contains(&disk, b"data_keys"), "the search looks at the right bytes");
    // Nonces, salts and identifiers are shorter than a key, and public.
    let given = chance.0.lock().unwrap().clone();
    let keys: Vec<_> = given.into_iter().filter(|bytes| bytes.len() >= 32).collect();
    assert!(keys.len() >= 4, "a root key, a tenant's seed, a data key and an ephemeral one");
    let texts = also.iter().map(|text| text.as_bytes().to_vec()).chain([b"marker of a plaintext".to_vec()]);
    for secret in keys.into_iter().chain(shares).chain(texts) {
        for spelling in spellings(&secret) {
            assert!(!contains(&disk, &spelling), "{}", String::from_utf8_lossy(&spelling));
        }
    }
}

#[tokio::test]
async fn behind_a_key_file_no_key_and_no_plaintext_is_in_the_database() {
    nothing_leaks(Protection::DevFile, &[]).await;
}

#[tokio::test]
async fn behind_a_passphrase_no_key_and_no_plaintext_is_in_the_database() {
    nothing_leaks(passphrase("correct horse battery"), &["correct horse battery"]).await;
}

#[tokio::test]
async fn behind_shares_no_key_no_share_and_no_plaintext_is_in_the_database() {
    nothing_leaks(crate::SHAMIR, &[]).await;
}

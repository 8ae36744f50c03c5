//! The seal, on both engines.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod device;
mod opening;
mod rekeying;
mod rotation;
mod secrecy;
mod tenants;

use std::path::PathBuf;

use tempfile::TempDir;
use writ_crypto::{SecretBytes, SecretString, password};
use writ_kernel::{Id, TenantId};
use writ_seal::{Protection, Seal, Shares};
use writ_store::testing::TestDb;

/// A seal over a database, and where its key file lives.
struct Vault<'a> {
    db: &'a TestDb,
    seal: Seal,
    files: TempDir,
}

impl<'a> Vault<'a> {
    /// Not initialised yet.
    fn empty(db: &'a TestDb) -> Self {
        let files = TempDir::new().unwrap();
        let seal = seal(db, files.path().join("root.key"));
        Self { db, seal, files }
    }

    /// Initialised and open.
    async fn new(db: &'a TestDb, protection: Protection) -> (Self, Shares) {
        let vault = Self::empty(db);
        let shares = vault.seal.init(protection).await.unwrap();
        (vault, shares)
    }

    fn key_file(&self) -> PathBuf {
        self.files.path().join("root.key")
    }

    /// The same seal after the server was started again: closed.
    fn restarted(&self) -> Seal {
        seal(self.db, self.key_file())
    }

    /// A tenant with keys.
    async fn tenant(&self) -> TenantId {
        let tenant = self.db.db.world().id();
        let mut tx = self.db.db.tx(tenant).await.unwrap();
        self.seal.create_tenant(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        tenant
    }

    /// Protects the root key in another way.
    async fn rekey(&self, protection: Protection) -> writ_kernel::Result<Shares> {
        let prepared = self.seal.prepare(protection).await?;
        let mut tx = self.db.db.tx(Id::from_uuid(uuid::Uuid::nil())).await?;
        let shares = self.seal.rekey(&mut tx, prepared).await?;
        tx.commit().await?;
        Ok(shares)
    }
}

fn seal(db: &TestDb, key_file: PathBuf) -> Seal {
    Seal::new(db.db.clone(), db.time.world(), key_file, password::Params::DANGEROUSLY_CHEAP)
}

const AAD: &[u8] = b"here";

async fn sealed(seal: &Seal, db: &TestDb, tenant: TenantId, text: &str) -> Vec<u8> {
    let keys = seal.tenant(&mut db.db.read(tenant).await.unwrap()).await.unwrap();
    keys.seal(&db.time.world(), AAD, text.as_bytes())
}

async fn opened(
    seal: &Seal,
    db: &TestDb,
    tenant: TenantId,
    bytes: &[u8],
) -> writ_kernel::Result<SecretBytes> {
    let keys = seal.tenant(&mut db.db.read(tenant).await?).await?;
    keys.open(AAD, bytes)
}

fn passphrase(text: &str) -> Protection {
    Protection::Passphrase(secret(text))
}

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

const SHAMIR: Protection = Protection::Shamir { threshold: 2, shares: 3 };

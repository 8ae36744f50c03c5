//! The keys that sign checkpoints: one set for the whole server, each log signing under its own name.

use writ_crypto::{
    Aad, SecretKey,
    sign::{Algorithm, SigningKey},
};
use writ_gate::{Gate, tenancy::PLATFORM};
use writ_kernel::Result;
use writ_merkle::{KeyName, Signer, Verifier};
use writ_store::Tx;

use crate::{model::internal, sql};

/// The signing keys, open. Held for as long as something is being signed, and not longer.
pub(crate) struct Keys(Vec<(Algorithm, SecretKey)>);

impl Keys {
    /// Opens the keys, and makes them when there are none. Must not be called while a transaction is under way.
    pub(crate) async fn open(gate: &Gate) -> Result<Self> {
        let keys = read(gate, &mut gate.db().read(PLATFORM).await?).await?;
        if keys.len() == Algorithm::ALL.len() {
            return Ok(Self(keys));
        }
        let (mut tx, world) = (gate.db().tx(PLATFORM).await?, gate.world());
        let tenant = gate.seal().tenant(&mut tx).await?;
        for algorithm in Algorithm::ALL {
            let sealed = tenant.seal(world, &place(algorithm), SecretKey::generate(world).expose());
            sql::insert_log_key(&mut tx, algorithm.as_str(), &sealed, world.now()).await?;
        }
        let keys = read(gate, &mut tx).await?;
        tx.commit().await?;
        Ok(Self(keys))
    }

    /// The signers of the log `origin`.
    pub(crate) fn signers(&self, origin: &KeyName) -> Result<Vec<Signer>> {
        let signer = |(algorithm, seed): &(Algorithm, SecretKey)| {
            let key = SigningKey::from_seed(*algorithm, SecretKey::new(*seed.expose()))?;
            Signer::log(origin.clone(), key).map_err(internal)
        };
        self.0.iter().map(signer).collect()
    }

    /// Who verifies what the log `origin` signs.
    pub(crate) fn verifiers(&self, origin: &KeyName) -> Result<Vec<Verifier>> {
        self.signers(origin)?.iter().map(|signer| signer.verifier().map_err(internal)).collect()
    }
}

async fn read(gate: &Gate, tx: &mut Tx) -> Result<Vec<(Algorithm, SecretKey)>> {
    let tenant = gate.seal().tenant(tx).await?;
    let open = |(algorithm, sealed): (String, Vec<u8>)| {
        let algorithm = algorithm.parse()?;
        let seed = SecretKey::from_slice(tenant.open(&place(algorithm), &sealed)?.expose())?;
        Ok((algorithm, seed))
    };
    sql::log_keys(tx).await?.into_iter().map(open).collect()
}

fn place(algorithm: Algorithm) -> Vec<u8> {
    Aad::cell(PLATFORM, "log_keys", algorithm.as_str().as_bytes(), "sealed", 1)
}

//! A whole log in memory, written the plain way: everything recomputed from the leaves.

use std::collections::BTreeMap;

use writ_crypto::{
    secret::SecretKey,
    sign::{Algorithm, SigningKey},
};
use writ_merkle::{
    Error, Frontier, Hash, Head, Result, SignatureType, Signer, Tile, TlogProof, Verifier,
    audit::CHECKPOINT_PATH, checkpoint, leaf_hash, tile, tile::Layer,
};

pub(crate) const ORIGIN: &str = "log.example/evidence/t1";

/// When the checkpoints are signed, in POSIX seconds.
pub(crate) const TIME: u64 = 1_795_319_400;

/// A log: its leaves, and its files by path.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) leaves: Vec<Vec<u8>>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Log {
    /// A log with the leaves `leaf 0` to `leaf <size - 1>`, published at that size.
    pub(crate) fn new(size: u64) -> Result<Self> {
        let mut log = Self::default();
        log.grow(size)?;
        Ok(log)
    }

    /// Appends leaves up to `size` and publishes.
    pub(crate) fn grow(&mut self, size: u64) -> Result<()> {
        let old = self.size();
        self.leaves.extend((old..size).map(|index| format!("leaf {index}").into_bytes()));
        self.publish(old)
    }

    /// Writes the files that are new since `old`, and a checkpoint.
    pub(crate) fn publish(&mut self, old: u64) -> Result<()> {
        for tile in tile::published(old, self.size()) {
            let bytes = match tile.layer() {
                Layer::Entries => tile::encode_entries(self.span(tile, 1).iter().map(Vec::as_slice))?,
                Layer::Hashes(level) => self.hash_tile(tile, 256_usize.pow(level.into())),
            };
            self.files.insert(tile.to_string(), bytes);
        }
        let note = checkpoint::sign(&self.head()?, TIME, &log_signers()?)?;
        self.files.insert(CHECKPOINT_PATH.to_owned(), note.to_string().into_bytes());
        Ok(())
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub(crate) fn head(&self) -> Result<Head> {
        Ok(Head { origin: ORIGIN.parse()?, size: self.size(), root: root(&self.leaves) })
    }

    /// The file at `path`.
    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.files.get(path).cloned()
    }

    /// The hashes of a tile, out of its file.
    pub(crate) fn tile(&self, tile: Tile) -> Result<Vec<Hash>> {
        let missing = Error::Malformed { what: "tile", why: "it is not there" };
        tile::decode(&self.read(&tile.to_string()).ok_or(missing)?, tile.width())
    }

    /// The proof that travels alone for leaf `index`, built from the published files.
    pub(crate) fn proof(&self, index: u64) -> Result<TlogProof> {
        let hashes = tile::inclusion(index, self.size(), |tile| self.tile(tile))?;
        let checkpoint =
            String::from_utf8(self.read(CHECKPOINT_PATH).unwrap_or_default()).unwrap_or_default();
        Ok(TlogProof { index, extra: None, hashes, checkpoint })
    }

    fn hash_tile(&self, tile: Tile, span: usize) -> Vec<u8> {
        let hashes: Vec<_> = self.span(tile, span).chunks(span).map(root).collect();
        tile::encode(&hashes)
    }

    /// The leaves below `tile`, each of whose items spans `span` leaves.
    fn span(&self, tile: Tile, span: usize) -> &[Vec<u8>] {
        let first = usize::try_from(tile.first()).unwrap_or(usize::MAX) * span;
        self.leaves.get(first..first + usize::from(tile.width()) * span).unwrap_or_default()
    }
}

/// The root of the tree over `leaves`.
pub(crate) fn root(leaves: &[Vec<u8>]) -> Hash {
    leaves.iter().map(|leaf| leaf_hash(leaf)).collect::<Frontier>().root()
}

/// The three keys of the log, grown from fixed seeds.
pub(crate) fn log_signers() -> Result<Vec<Signer>> {
    [Algorithm::Ed25519, Algorithm::MlDsa44, Algorithm::MlDsa65]
        .into_iter()
        .map(|algorithm| Signer::log(ORIGIN.parse()?, key(algorithm, 1)?))
        .collect()
}

pub(crate) fn log_verifiers() -> Result<Vec<Verifier>> {
    log_signers()?.iter().map(Signer::verifier).collect()
}

/// The verifier of one type only.
pub(crate) fn log_verifier(kind: SignatureType) -> Result<Vec<Verifier>> {
    Ok(log_verifiers()?.into_iter().filter(|verifier| verifier.kind() == kind).collect())
}

/// The key grown from a seed of this one byte.
pub(crate) fn key(algorithm: Algorithm, seed: u8) -> Result<SigningKey> {
    SigningKey::from_seed(algorithm, SecretKey::new([seed; SecretKey::LEN]))
        .map_err(|_| Error::Malformed { what: "seed", why: "no key grows from it" })
}

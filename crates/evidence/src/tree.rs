//! The tree of a log, as rows.

use std::collections::{BTreeMap, HashMap};

use writ_kernel::{Error, Result};
use writ_merkle::{Frontier, Hash, Layer, Tile, tile};
use writ_store::{Transactional, Tx, leader::Epoch};

use crate::{
    model::{Log, LogName, internal},
    sql,
};

/// Appends leaves to a log that this transaction holds: the tiles they complete, and the right edge.
pub(crate) async fn append(
    tx: &mut impl Transactional,
    name: &LogName,
    epoch: Epoch,
    held: &Log,
    leaves: &[Hash],
) -> Result<()> {
    let mut frontier = held.frontier.clone();
    for ((level, index), (kept, hashes)) in grown(&mut frontier, leaves) {
        let mut bytes = match kept {
            0 => Vec::new(),
            _ => sql::tile(tx, name, level, index).await?.unwrap_or_default(),
        };
        if bytes.len() != kept * Hash::LENGTH {
            return Err(Error::internal(format!(
                "tile {level}/{index} of log {} is not as wide as its tree",
                name.log
            )));
        }
        bytes.extend(tile::encode(&hashes));
        sql::put_tile(tx, name, level, index, &bytes).await?;
    }
    sql::advance_log(tx, name, epoch, held.size(), &frontier).await
}

/// What `leaves` add to which tile (level and index), after how many hashes that it has already.
fn grown(frontier: &mut Frontier, leaves: &[Hash]) -> BTreeMap<(u8, u64), (usize, Vec<Hash>)> {
    let width = u64::from(tile::WIDTH);
    let mut grown = BTreeMap::new();
    for node in leaves.iter().flat_map(|leaf| frontier.append(*leaf)).filter(|node| node.level % 8 == 0) {
        let kept = usize::try_from(node.index % width).unwrap_or(usize::MAX);
        let (_, hashes) = grown.entry((node.level / 8, node.index / width)).or_insert((kept, Vec::new()));
        hashes.push(node.hash);
    }
    grown
}

/// The bytes of a tile file of a log of `size` leaves; `None` when that log has no such file. A narrower tile than
/// the tree has by now is the beginning of the one that is there.
pub(crate) async fn file(tx: &mut Tx, name: &LogName, size: u64, wanted: Tile) -> Result<Option<Vec<u8>>> {
    let end = wanted.first() + u64::from(wanted.width());
    if Tile::holding(wanted.layer(), end - 1, size).is_none() {
        return Ok(None);
    }
    match wanted.layer() {
        Layer::Hashes(level) => {
            let length = usize::from(wanted.width()) * Hash::LENGTH;
            let bytes = sql::tile(tx, name, level, wanted.index()).await?;
            Ok(bytes.and_then(|bytes| bytes.get(..length).map(<[u8]>::to_vec)))
        }
        Layer::Entries => {
            let leaves = sql::entries(tx, name, wanted.first(), end).await?;
            let whole = leaves.len() == usize::from(wanted.width());
            let bundle = || tile::encode_entries(leaves.iter().map(String::as_bytes)).map_err(internal);
            whole.then(bundle).transpose()
        }
    }
}

/// The proof that leaf `index` is in the tree of `size`, from the stored tiles.
pub(crate) async fn inclusion(tx: &mut Tx, name: &LogName, index: u64, size: u64) -> Result<Vec<Hash>> {
    let mut tiles = HashMap::new();
    for wanted in tile::for_inclusion(index, size).map_err(internal)? {
        let missing = || Error::internal(format!("`{wanted}` of log {} is missing", name.log));
        let bytes = file(tx, name, size, wanted).await?.ok_or_else(missing)?;
        tiles.insert(wanted, tile::decode(&bytes, wanted.width()).map_err(internal)?);
    }
    tile::inclusion(index, size, |wanted| Ok(tiles.get(&wanted).cloned().unwrap_or_default()))
        .map_err(internal)
}

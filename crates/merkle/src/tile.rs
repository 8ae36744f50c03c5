//! Tiles: the files a log is served as (C2SP tlog-tiles).
//!
//! A hash tile at level `l` holds up to 256 hashes of the tree's level `8·l`; an entry bundle holds the up to 256
//! leaves below one tile of level 0. Files of full width never change; a narrower, *partial* one is replaced by
//! a wider one under another name.

use std::{cell::RefCell, collections::BTreeSet, fmt, str::FromStr};

use crate::{
    Error, Hash, Result, proof,
    tree::{MAX_SIZE, node_hash},
};

/// The number of hashes, or entries, in a full tile.
pub const WIDTH: u16 = 256;

/// The highest level a tile can have: the tile above would need more than 2^64 leaves.
const MAX_LEVEL: u8 = 7;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The leaves themselves.
    Entries,
    /// Hashes of tree level `8 · level`.
    Hashes(u8),
}

/// The name of one tile file. Text form: its path, like `tile/1/x001/x234/067.p/112` or `tile/entries/000`.
///
/// INVARIANT: the width is 1 to 256, and every leaf below the tile has an index of at most [`MAX_SIZE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    layer: Layer,
    index: u64,
    width: u16,
}

impl Tile {
    /// The tile of `layer` at `index` with `width` hashes or entries.
    ///
    /// # Errors
    /// [`Error::Malformed`] when no tree has such a tile.
    pub fn new(layer: Layer, index: u64, width: u16) -> Result<Self> {
        let bits = 8 * (u32::from(layer.level()) + 1);
        if layer.level() > MAX_LEVEL || index > MAX_SIZE.checked_shr(bits).unwrap_or(0) {
            return Err(Error::malformed("tile", "no tree is large enough to have it"));
        }
        if !(1..=WIDTH).contains(&width) {
            return Err(Error::malformed("tile", "its width is not 1 to 256"));
        }
        Ok(Self { layer, index, width })
    }

    /// What it holds.
    pub const fn layer(&self) -> Layer {
        self.layer
    }

    /// Its index within the layer.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it may still grow.
    pub const fn is_partial(&self) -> bool {
        self.width < WIDTH
    }

    /// The full tile in the same place: once it exists, a log may delete the partial ones.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: WIDTH, ..self }
    }

    /// The index of its first hash or entry within the layer.
    pub fn first(&self) -> u64 {
        self.index * u64::from(WIDTH)
    }

    /// The tile of `layer` that holds hash or entry `item`, as wide as it is in a tree of `size`; `None` when
    /// that tree does not have the item.
    pub fn holding(layer: Layer, item: u64, size: u64) -> Option<Self> {
        let items = layer.items(size);
        let index = item / u64::from(WIDTH);
        let width = items.checked_sub(index * u64::from(WIDTH))?.min(u64::from(WIDTH));
        (item < items).then(|| Self { layer, index, width: u16::try_from(width).unwrap_or(WIDTH) })
    }
}

impl Layer {
    const fn level(self) -> u8 {
        match self {
            Self::Entries => 0,
            Self::Hashes(level) => level,
        }
    }

    /// How many hashes or entries the layer has in a tree of `size`.
    fn items(self, size: u64) -> u64 {
        size.checked_shr(8 * u32::from(self.level())).unwrap_or(0)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Layer::Entries => f.write_str("tile/entries/")?,
            Layer::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut power = 1;
        while self.index / power >= 1000 {
            power *= 1000;
        }
        while power > 1 {
            write!(f, "x{:03}/", self.index / power % 1000)?;
            power /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for Tile {
    type Err = Error;

    /// Reads a path as far as it is the one and only path of a tile: no other spelling, so no `..`, is accepted.
    fn from_str(path: &str) -> Result<Self> {
        let malformed =
            Error::malformed("tile path", "it is not `tile/<level or entries>/<index>[.p/<width>]`");
        parse_path(path).and_then(Result::ok).filter(|tile| tile.to_string() == path).ok_or(malformed)
    }
}

/// A path read leniently: the caller compares what came of it with the path.
fn parse_path(path: &str) -> Option<Result<Tile>> {
    let (layer, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let layer = if layer == "entries" { Layer::Entries } else { Layer::Hashes(layer.parse().ok()?) };
    let (index, width) = rest.split_once(".p/").unwrap_or((rest, "256"));
    let index = index.split('/').try_fold(0_u64, |index, group| {
        let group: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        index.checked_mul(1000)?.checked_add(group)
    })?;
    Some(Tile::new(layer, index, width.parse().ok()?))
}

/// The tiles a log has to publish when it grows from `old` to `new` leaves, entry bundles first, each layer from
/// left to right. Partial tiles are those of the size `new`.
pub fn published(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let layers = std::iter::once(Layer::Entries).chain((0..=MAX_LEVEL).map(Layer::Hashes));
    layers.filter(move |layer| layer.items(new) > layer.items(old)).flat_map(move |layer| {
        let (width, items) = (u64::from(WIDTH), layer.items(new));
        (layer.items(old) / width..items.div_ceil(width))
            .filter_map(move |index| Tile::holding(layer, index * width, new))
    })
}

/// The bytes of a hash tile.
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(Hash::as_bytes).copied().collect()
}

/// The hashes of a hash tile, which must be `width`.
///
/// # Errors
/// [`Error::Malformed`] when the length is not that of `width` hashes.
pub fn decode(bytes: &[u8], width: u16) -> Result<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<{ Hash::LENGTH }>();
    if !rest.is_empty() || hashes.len() != usize::from(width) {
        return Err(Error::malformed("tile", "its length is not that of its hashes"));
    }
    Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
}

/// The bytes of an entry bundle: each entry after its length as two big-endian bytes.
///
/// # Errors
/// [`Error::EntryTooLong`] for an entry above 65,535 bytes.
pub fn encode_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| Error::EntryTooLong { length: entry.len() })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of an entry bundle, which must be `width`.
///
/// # Errors
/// [`Error::Malformed`] when there are more or fewer, or the last one is cut off.
pub fn decode_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>> {
    let (entries, rest) = whole_entries(bytes, width);
    if !rest.is_empty() || entries.len() != usize::from(width) {
        return Err(Error::malformed("entry bundle", "it does not hold the entries it should"));
    }
    Ok(entries)
}

/// The first entries of a bundle, at most `limit`, as far as they are whole, and the bytes after them.
pub(crate) fn whole_entries(bytes: &[u8], limit: u16) -> (Vec<&[u8]>, &[u8]) {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while entries.len() < usize::from(limit) {
        let Some((length, tail)) = rest.split_first_chunk() else { break };
        let Some((entry, tail)) = tail.split_at_checked(u16::from_be_bytes(*length).into()) else { break };
        entries.push(entry);
        rest = tail;
    }
    (entries, rest)
}

/// The root of the perfect subtree at `level` and `index` in a tree of `size`, computed out of one tile.
/// `read` gives the hashes of the tile it is asked for, or of the full tile in that place.
///
/// # Errors
/// [`Error::MissingHash`] when the subtree is not in the tree or the tile too short, and whatever `read`
/// fails with.
pub fn subtree(
    level: u8,
    index: u64,
    size: u64,
    read: impl FnOnce(Tile) -> Result<Vec<Hash>>,
) -> Result<Hash> {
    let missing = Error::MissingHash { level, index };
    let (layer, height) = (Layer::Hashes(level / 8), level % 8);
    let last = index.checked_add(1).and_then(|next| next.checked_mul(1 << height)).map(|end| end - 1);
    let Some(tile) = last.and_then(|last| Tile::holding(layer, last, size)) else { return Err(missing) };
    let hashes = read(tile)?;
    let begin = usize::try_from((index << height) - tile.first()).unwrap_or(usize::MAX);
    hashes.get(begin..begin.saturating_add(1 << height)).map(perfect_root).ok_or(missing)
}

/// The inclusion proof of leaf `index` in a tree of `size` out of its tiles; `read` is as for [`subtree`].
///
/// # Errors
/// As [`proof::inclusion`].
pub fn inclusion(index: u64, size: u64, read: impl Fn(Tile) -> Result<Vec<Hash>>) -> Result<Vec<Hash>> {
    proof::inclusion(index, size, |level, index| subtree(level, index, size, &read))
}

/// The consistency proof from `old` to `new` out of the tiles of the tree of `new`; `read` is as for [`subtree`].
///
/// # Errors
/// As [`proof::consistency`].
pub fn consistency(old: u64, new: u64, read: impl Fn(Tile) -> Result<Vec<Hash>>) -> Result<Vec<Hash>> {
    proof::consistency(old, new, |level, index| subtree(level, index, new, &read))
}

/// The tiles [`inclusion`] will read: for callers that must fetch them beforehand, all at once.
///
/// # Errors
/// [`Error::IndexBeyondTree`].
pub fn for_inclusion(index: u64, size: u64) -> Result<BTreeSet<Tile>> {
    recorded(|read| inclusion(index, size, read))
}

/// The tiles [`consistency`] will read.
///
/// # Errors
/// [`Error::SizesOutOfOrder`].
pub fn for_consistency(old: u64, new: u64) -> Result<BTreeSet<Tile>> {
    recorded(|read| consistency(old, new, read))
}

/// The tiles that `work` reads: it is given blank ones.
fn recorded(
    work: impl FnOnce(&dyn Fn(Tile) -> Result<Vec<Hash>>) -> Result<Vec<Hash>>,
) -> Result<BTreeSet<Tile>> {
    let tiles = RefCell::new(BTreeSet::new());
    work(&|tile| {
        tiles.borrow_mut().insert(tile);
        Ok(vec![Hash::from_bytes([0; Hash::LENGTH]); WIDTH.into()])
    })?;
    Ok(tiles.into_inner())
}

/// The root over a power of two of hashes.
fn perfect_root(hashes: &[Hash]) -> Hash {
    if let [hash] = hashes {
        return *hash;
    }
    let (left, right) = hashes.split_at(hashes.len() / 2);
    node_hash(&perfect_root(left), &perfect_root(right))
}

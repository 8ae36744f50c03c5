//! Offline verification of a whole log: every signature, leaf, tile and earlier promise, from its files alone.
//!
//! Leaf hashes are recomputed from the entry bundles, the whole tree from the leaves. Where bundles and tiles
//! disagree, the signed root (or, failing that, the tile above) says which of them was altered, so that a finding
//! names the culprit and not merely the contradiction.

use crate::{
    Error, Hash, Head, Policy, Result, Verifier, checkpoint,
    finding::{Finding, Report},
    note::Note,
    proof::verify_consistency,
    tile::{self, Layer, Tile, WIDTH},
    tree::{Frontier, fold_peaks, leaf_hash},
};

/// Where the checkpoint lies in a log's directory.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// The most findings reported: a log with more is beyond naming each fault.
const MAX_FINDINGS: usize = 1000;

/// Audits the log whose files `read` gives by path (`checkpoint`, `tile/…`; `None` for a file that is not there).
///
/// `known` is what an earlier, verified checkpoint said, if the caller remembers one: without it, a log that was
/// rewritten or rolled back *and signed anew* cannot be told from an honest one.
///
/// At most 1,000 findings are reported. Needs memory for one hash per 256 leaves. Logs pruned at the front are not supported: their leaves are missing.
///
/// # Errors
/// Only those of `read`; whatever is wrong with the log is a [`Finding`].
pub fn audit(
    read: impl Fn(&str) -> Result<Option<Vec<u8>>>,
    verifiers: &[Verifier],
    policy: &Policy,
    known: Option<&Head>,
) -> Result<Report> {
    let mut auditor = Auditor { read, findings: Vec::new(), leaves: 0 };
    let head = auditor.checkpoint(verifiers, policy)?;
    if let Some(head) = &head
        && auditor.continues(known, head)
    {
        auditor.tree(head, known)?;
    }
    auditor.findings.truncate(MAX_FINDINGS);
    Ok(Report { head, leaves: auditor.leaves, findings: auditor.findings })
}

/// The up to 256 leaves of one entry bundle, as told by two witnesses: the bundle and the tile of level 0.
#[derive(Default)]
struct Group {
    /// By the bundle; `None` when it cannot be read.
    leaves: Option<Tally>,
    /// By the tile; `None` when it cannot be read.
    stored: Option<Tally>,
    /// The leaves about which the two disagree.
    disputed: Vec<u64>,
}

/// What is kept of the leaves of a group: enough to compute roots.
#[derive(Clone, PartialEq, Eq)]
struct Tally {
    /// The peaks of all its leaves.
    peaks: Vec<Hash>,
    /// The peaks of those leaves that were in the known tree, when that ended within this group.
    known: Vec<Hash>,
}

impl Tally {
    /// Of `hashes`, of which the first `known` were in the known tree.
    fn of(hashes: &[Hash], known: usize) -> Self {
        let peaks = |hashes: &[Hash]| hashes.iter().copied().collect::<Frontier>().peaks().to_vec();
        let all = peaks(hashes);
        Self { known: hashes.get(..known).map_or_else(|| all.clone(), peaks), peaks: all }
    }
}

struct Auditor<R> {
    read: R,
    findings: Vec<Finding>,
    leaves: u64,
}

impl<R: Fn(&str) -> Result<Option<Vec<u8>>>> Auditor<R> {
    /// Reads the checkpoint; its head is returned even when the signatures are bad, so the tree can be looked at.
    fn checkpoint(&mut self, verifiers: &[Verifier], policy: &Policy) -> Result<Option<Head>> {
        let path = CHECKPOINT_PATH.to_owned();
        let Some(bytes) = (self.read)(&path)? else {
            self.findings.push(Finding::Missing { path });
            return Ok(None);
        };
        let unverified = Note::parse(&bytes).and_then(|note| Head::parse(note.text()));
        let Ok(head) = unverified else {
            self.findings.push(Finding::Malformed { path });
            return Ok(None);
        };
        if let Err(error) = checkpoint::open(&bytes, verifiers, policy) {
            self.findings.push(Finding::BadSignature { reason: error.to_string() });
        }
        Ok(Some(head))
    }

    /// Whether `head` is of the known log, so that its tree is worth a look; notes what is wrong at first sight.
    fn continues(&mut self, known: Option<&Head>, head: &Head) -> bool {
        let Some(known) = known else { return true };
        if known.origin != head.origin {
            let (known, found) = (known.origin.to_string(), head.origin.to_string());
            self.findings.push(Finding::OtherLog { known, found });
            return false;
        }
        if known.size > head.size {
            self.findings.push(Finding::RolledBack { known: known.size, found: head.size });
        } else if known.size == head.size && known.root != head.root {
            self.findings.push(Finding::Fork { size: known.size });
        }
        true
    }

    fn tree(&mut self, head: &Head, known: Option<&Head>) -> Result<()> {
        let known = known.filter(|known| known.size < head.size);
        let Some(groups) = self.groups(head.size, known.map_or(0, |known| known.size))? else {
            return Ok(());
        };
        let Some(settled) = self.settle(&groups, head) else { return Ok(()) };
        let known_root = known.map(|known| root_at(&settled, known.size, |tally| &tally.known));
        if root_at(&settled, head.size, |tally| &tally.peaks) != head.root {
            self.rewritten(&settled, head);
            return Ok(());
        }
        self.upper_tiles(&settled, head.size)?;
        if let (Some(known), Some(root)) = (known, known_root)
            && (root != known.root || !self.proves(known, head)?)
        {
            self.findings.push(Finding::Fork { size: known.size });
        }
        Ok(())
    }

    /// Reads all leaves and level-0 tiles; `None` when the audit cannot go on because leaves are missing.
    fn groups(&mut self, size: u64, known: u64) -> Result<Option<Vec<Group>>> {
        let mut groups = Vec::new();
        for first in (0..size).step_by(WIDTH.into()) {
            let Some(bundle) = Tile::holding(Layer::Entries, first, size) else { break };
            let Some(group) = self.group(bundle, size, known)? else { return Ok(None) };
            groups.push(group);
            if self.findings.len() >= MAX_FINDINGS {
                return Ok(None);
            }
        }
        Ok(Some(groups))
    }

    /// Reads one bundle and its tile; `None` when the log ends here although it should not.
    fn group(&mut self, bundle: Tile, size: u64, known: u64) -> Result<Option<Group>> {
        let in_known = usize::try_from(known.saturating_sub(bundle.first())).unwrap_or(usize::MAX);
        let Some((path, bytes)) = self.file(bundle)? else {
            return self.absent(bundle, size, in_known);
        };
        let (entries, rest) = tile::whole_entries(&bytes, bundle.width());
        let hashes: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        self.leaves += hashes.len() as u64;
        let ends_here = bundle.first() + u64::from(bundle.width()) == size;
        if hashes.len() < bundle.width().into() && ends_here {
            let found = bundle.first() + hashes.len() as u64;
            self.findings.push(Finding::Truncated { expected: size, found });
            return Ok(None);
        }
        let stored = self.hashes(Layer::Hashes(0), bundle.first(), size)?;
        let whole = hashes.len() == usize::from(bundle.width()) && (rest.is_empty() || !path.is_exact);
        if !whole {
            self.findings.push(Finding::Malformed { path: path.name });
            return Ok(Some(Group {
                stored: stored.map(|hashes| Tally::of(&hashes, in_known)),
                ..Group::default()
            }));
        }
        let disputed = stored.iter().flat_map(|stored| (bundle.first()..).zip(hashes.iter().zip(stored)));
        Ok(Some(Group {
            disputed: disputed.filter(|(_, (leaf, stored))| leaf != stored).map(|(index, _)| index).collect(),
            leaves: Some(Tally::of(&hashes, in_known)),
            stored: stored.map(|stored| Tally::of(&stored, in_known)),
        }))
    }

    /// A bundle is not there: either one is missing among others, or the log was cut off.
    fn absent(&mut self, bundle: Tile, size: u64, in_known: usize) -> Result<Option<Group>> {
        let last =
            Tile::holding(Layer::Entries, size - 1, size).filter(|last| last.index() != bundle.index());
        let goes_on = match last {
            Some(last) => self.file(last)?.is_some(),
            None => false,
        };
        if goes_on {
            self.findings.push(Finding::Missing { path: bundle.to_string() });
            let stored = self.hashes(Layer::Hashes(0), bundle.first(), size)?;
            return Ok(Some(Group {
                stored: stored.map(|hashes| Tally::of(&hashes, in_known)),
                ..Group::default()
            }));
        }
        let found = bundle.first() + u64::from(self.widest_remnant(bundle)?);
        self.leaves = found;
        self.findings.push(Finding::Truncated { expected: size, found });
        Ok(None)
    }

    /// How many entries the widest older version of `bundle` holds.
    fn widest_remnant(&self, bundle: Tile) -> Result<u16> {
        for width in (1..bundle.width()).rev() {
            let Ok(older) = Tile::new(bundle.layer(), bundle.index(), width) else { continue };
            if let Some(bytes) = (self.read)(&older.to_string())? {
                let (entries, _) = tile::whole_entries(&bytes, width);
                return Ok(u16::try_from(entries.len()).unwrap_or(width));
            }
        }
        Ok(0)
    }

    /// Decides for each group which of its two tellings is the logged one, and names the other; `None` when a
    /// group has neither.
    fn settle(&mut self, groups: &[Group], head: &Head) -> Option<Vec<Tally>> {
        let leaves: Option<Vec<_>> = groups.iter().map(|group| group.leaves.clone()).collect();
        let stored: Option<Vec<_>> = groups.iter().map(|group| group.stored.clone()).collect();
        let is_signed = |tallies: &Option<Vec<Tally>>| {
            tallies.as_ref().is_some_and(|all| root_at(all, head.size, |tally| &tally.peaks) == head.root)
        };
        let trust = match (is_signed(&leaves), is_signed(&stored)) {
            (true, _) => Some(Trust::Leaves),
            (false, true) => Some(Trust::Tiles),
            (false, false) => None,
        };
        let indexed = (0_u64..).zip(groups);
        indexed.map(|(index, group)| self.settle_group(index, group, head.size, trust)).collect()
    }

    fn settle_group(&mut self, index: u64, group: &Group, size: u64, trust: Option<Trust>) -> Option<Tally> {
        let (Some(leaves), Some(stored)) = (&group.leaves, &group.stored) else {
            return group.leaves.clone().or_else(|| group.stored.clone());
        };
        if group.disputed.is_empty() {
            return Some(leaves.clone());
        }
        let trust = trust.or_else(|| {
            let parent = self.quiet_hashes(Layer::Hashes(1), index, size)?;
            let above = parent.get(usize::try_from(index % u64::from(WIDTH)).ok()?)?;
            if leaves.peaks.as_slice() == [*above] { Some(Trust::Leaves) } else { None }
        });
        if trust == Some(Trust::Leaves) {
            let tile = Tile::holding(Layer::Hashes(0), index * u64::from(WIDTH), size)?;
            self.findings.push(Finding::BadTile { path: tile.to_string() });
            return Some(leaves.clone());
        }
        self.findings.extend(group.disputed.iter().map(|index| Finding::FlippedLeaf { index: *index }));
        Some(stored.clone())
    }

    /// Bundles and tiles agree on leaves that were not signed. When the tiles of level 1 still lead to the signed
    /// root, they tell which groups of 256 leaves were rewritten; otherwise all that is known is the fork.
    fn rewritten(&mut self, settled: &[Tally], head: &Head) {
        let full = head.size / u64::from(WIDTH);
        let above = (0..full)
            .step_by(WIDTH.into())
            .map(|first| self.quiet_hashes(Layer::Hashes(1), first, head.size));
        let above: Vec<_> = above.flatten().flatten().collect();
        let mut signed = settled.to_vec();
        let mut culprits = Vec::new();
        for (first, (tally, above)) in (0..).step_by(WIDTH.into()).zip(signed.iter_mut().zip(&above)) {
            if tally.peaks.as_slice() != [*above] {
                tally.peaks = vec![*above];
                culprits.extend(
                    [Layer::Entries, Layer::Hashes(0)].map(|layer| Tile::holding(layer, first, head.size)),
                );
            }
        }
        if root_at(&signed, head.size, |tally| &tally.peaks) == head.root {
            let paths = culprits.into_iter().flatten().map(|tile| tile.to_string());
            self.findings.extend(paths.map(|path| Finding::BadTile { path }));
        } else {
            self.findings.push(Finding::Fork { size: head.size });
        }
    }

    /// Compares every tile above level 0 with what the settled leaves make of it.
    fn upper_tiles(&mut self, settled: &[Tally], size: u64) -> Result<()> {
        let full = usize::try_from(size / u64::from(WIDTH)).unwrap_or(usize::MAX);
        let mut level: Vec<Hash> = settled.iter().take(full).map(|tally| fold_peaks(&tally.peaks)).collect();
        for layer in (1..).map(Layer::Hashes) {
            if level.is_empty() {
                break;
            }
            for (index, computed) in (0_u64..).zip(level.chunks(WIDTH.into())) {
                let first = index * u64::from(WIDTH);
                if let Some(stored) = self.hashes(layer, first, size)?
                    && stored != computed
                    && let Some(tile) = Tile::holding(layer, first, size)
                {
                    self.findings.push(Finding::BadTile { path: tile.to_string() });
                }
            }
            let perfect = level.chunks_exact(WIDTH.into());
            level = perfect.map(|hashes| hashes.iter().copied().collect::<Frontier>().root()).collect();
        }
        Ok(())
    }

    /// Whether the tiles give a consistency proof from `known` to `head`. Tiles already found bad prove nothing,
    /// and say nothing about the history either.
    fn proves(&self, known: &Head, head: &Head) -> Result<bool> {
        if known.size == 0 || !self.findings.is_empty() {
            return Ok(true);
        }
        let proof = tile::consistency(known.size, head.size, |tile| {
            let missing = Error::malformed("tile", "it is not there");
            self.quiet_hashes(tile.layer(), tile.first(), head.size).ok_or(missing)
        });
        let proof = proof?;
        Ok(verify_consistency(known.size, &known.root, head.size, &head.root, &proof).is_ok())
    }

    /// The hashes of the tile of `layer` that holds `item`, as many as a tree of `size` has there; if it cannot be
    /// had, that is a finding.
    fn hashes(&mut self, layer: Layer, item: u64, size: u64) -> Result<Option<Vec<Hash>>> {
        let Some(tile) = Tile::holding(layer, item, size) else { return Ok(None) };
        let Some((path, bytes)) = self.file(tile)? else {
            self.findings.push(Finding::Missing { path: tile.to_string() });
            return Ok(None);
        };
        let width = if path.is_exact { tile.width() } else { WIDTH };
        let Ok(mut hashes) = tile::decode(&bytes, width) else {
            self.findings.push(Finding::Malformed { path: path.name });
            return Ok(None);
        };
        hashes.truncate(tile.width().into());
        Ok(Some(hashes))
    }

    /// As [`Auditor::hashes`], for a tile whose faults are reported elsewhere.
    fn quiet_hashes(&self, layer: Layer, item: u64, size: u64) -> Option<Vec<Hash>> {
        let tile = Tile::holding(layer, item, size)?;
        let (path, bytes) = self.file(tile).ok().flatten()?;
        tile::decode(&bytes, if path.is_exact { tile.width() } else { WIDTH }).ok()
    }

    /// The bytes of `tile`, or of the full tile in its place when the partial one is gone.
    fn file(&self, tile: Tile) -> Result<Option<(FilePath, Vec<u8>)>> {
        for (tile, is_exact) in [(tile, true), (tile.full(), false)] {
            let name = tile.to_string();
            if let Some(bytes) = (self.read)(&name)? {
                return Ok(Some((FilePath { name, is_exact }, bytes)));
            }
        }
        Ok(None)
    }
}

/// Which file a tile was read from.
struct FilePath {
    name: String,
    /// Whether it is the tile asked for, and not the full one in its place.
    is_exact: bool,
}

/// Which telling leads to the signed root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Leaves,
    Tiles,
}

/// The root of the first `size` leaves; `partial` gives the peaks of the group the tree ends in.
fn root_at(tallies: &[Tally], size: u64, partial: impl Fn(&Tally) -> &Vec<Hash>) -> Hash {
    let full = usize::try_from(size / u64::from(WIDTH)).unwrap_or(usize::MAX);
    let groups: Frontier = tallies.iter().take(full).map(|tally| fold_peaks(&tally.peaks)).collect();
    let mut peaks = groups.peaks().to_vec();
    if !size.is_multiple_of(u64::from(WIDTH)) {
        peaks.extend(tallies.get(full).into_iter().flat_map(partial));
    }
    fold_peaks(&peaks)
}

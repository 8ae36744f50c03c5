//! Finds many short literals at once, fast.
//!
//! Of every literal the three adjacent bytes that are rarest in prose make its *core*. Any core that occurs
//! holds one pair of bytes that starts at an even offset, so it is enough to look every second pair of the
//! text up in one table; only where the table answers is anything compared.

use crate::{detect::Detector, view::between};

/// Where a literal of a detector stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    /// Where the literal starts.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
    pub(crate) detector: Detector,
}

/// A literal that announces a secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub(crate) literal: &'static str,
    /// Whether upper and lower case are the same; `literal` is then in lower case.
    pub(crate) folded: bool,
    pub(crate) detector: Detector,
}

/// The compiled literals.
#[derive(Debug)]
pub(crate) struct Anchors {
    all: Vec<Anchor>,
    /// By pair of bytes: 0, or one more than the index of its group.
    table: Box<[u8; PAIRS]>,
    /// The anchors a pair may belong to, with the pair's offset in each.
    groups: Vec<Vec<(Anchor, usize)>>,
    longest: usize,
}

const PAIRS: usize = 1 << 16;
/// Pairs of the text looked up between two decisions.
const STRIDE: usize = 32;

impl Anchors {
    /// Compiles anchors of at least three bytes each.
    #[expect(clippy::large_stack_arrays, reason = "moved to the heap at once, and once in a process")]
    pub(crate) fn new(anchors: Vec<Anchor>) -> Self {
        let longest = anchors.iter().map(|anchor| anchor.literal.len()).max().unwrap_or(0);
        let mut compiled = Self { all: anchors, table: Box::new([0; PAIRS]), groups: Vec::new(), longest };
        for anchor in compiled.all.clone() {
            let core = core(anchor.literal.as_bytes());
            for offset in [core, core + 1] {
                compiled.register(anchor, offset);
            }
        }
        compiled
    }

    /// Appends every literal that starts at or after `from`, in order of its start.
    pub(crate) fn hits(&self, text: &[u8], from: usize, hits: &mut Vec<Hit>) {
        let first = hits.len();
        let (blocks, rest) = between(text, from, text.len()).as_chunks::<STRIDE>();
        for (index, block) in blocks.iter().enumerate() {
            let (pairs, _) = block.as_chunks::<2>();
            let mut answers = pairs
                .iter()
                .rev()
                .fold(0_u32, |answers, pair| (answers << 1) | u32::from(self.group(*pair) != 0));
            while answers != 0 {
                let pair = answers.trailing_zeros() as usize;
                answers &= answers - 1;
                self.examine(text, from, from + index * STRIDE + pair * 2, hits);
            }
        }
        for pair in 0..rest.len() / 2 {
            self.examine(text, from, from + blocks.len() * STRIDE + pair * 2, hits);
        }
        if let Some(found) = hits.get_mut(first..) {
            found.sort_unstable();
        }
    }

    /// The first position, at or after `from`, where the text ends within a literal.
    pub(crate) fn partial(&self, text: &[u8], from: usize) -> usize {
        let earliest = from.max((text.len() + 1).saturating_sub(self.longest));
        (earliest..text.len())
            .find(|start| {
                let tail = between(text, *start, text.len());
                self.all.iter().any(|anchor| {
                    tail.len() < anchor.literal.len()
                        && anchor.is(between(anchor.literal.as_bytes(), 0, tail.len()), tail)
                })
            })
            .unwrap_or(text.len())
    }

    fn group(&self, pair: [u8; 2]) -> u8 {
        self.table.get(usize::from(u16::from_le_bytes(pair))).copied().unwrap_or(0)
    }

    /// Compares the literals that the pair at `at` may belong to.
    fn examine(&self, text: &[u8], from: usize, at: usize, hits: &mut Vec<Hit>) {
        let pair = between(text, at, at + 2).first_chunk().copied().unwrap_or_default();
        let group = usize::from(self.group(pair)).checked_sub(1).and_then(|group| self.groups.get(group));
        for (anchor, offset) in group.into_iter().flatten() {
            let Some(start) = at.checked_sub(*offset) else { continue };
            let end = start + anchor.literal.len();
            if start >= from && anchor.is(anchor.literal.as_bytes(), between(text, start, end)) {
                hits.push(Hit { start, end, detector: anchor.detector });
            }
        }
    }

    fn register(&mut self, anchor: Anchor, offset: usize) {
        let pair = between(anchor.literal.as_bytes(), offset, offset + 2);
        let cases = |byte: u8| if anchor.folded { [byte, byte.to_ascii_uppercase()] } else { [byte, byte] };
        let [first, second] = [0, 1].map(|at| cases(pair.get(at).copied().unwrap_or_default()));
        let mut spellings: Vec<[u8; 2]> =
            first.iter().flat_map(|a| second.iter().map(|b| [*a, *b])).collect();
        spellings.sort_unstable();
        spellings.dedup();
        for spelling in spellings {
            let group = match self.group(spelling) {
                0 => self.open_group(spelling),
                group => usize::from(group) - 1,
            };
            if let Some(group) = self.groups.get_mut(group) {
                group.push((anchor, offset));
            }
        }
    }

    fn open_group(&mut self, pair: [u8; 2]) -> usize {
        // INVARIANT: fewer than 256 groups, which a test of the standard rules holds; beyond it pairs would
        // share the last group, which costs time and finds the same.
        if self.groups.len() < usize::from(u8::MAX) {
            self.groups.push(Vec::new());
        }
        let group = self.groups.len();
        if let Some(slot) = self.table.get_mut(usize::from(u16::from_le_bytes(pair))) {
            *slot = u8::try_from(group).unwrap_or(u8::MAX);
        }
        group - 1
    }
}

impl Anchor {
    fn is(&self, literal: &[u8], text: &[u8]) -> bool {
        if self.folded { literal.eq_ignore_ascii_case(text) } else { literal == text }
    }
}

/// The offset of the rarest three adjacent bytes of a literal.
fn core(literal: &[u8]) -> usize {
    let cost = |offset: &usize| -> usize {
        literal
            .iter()
            .skip(*offset)
            .take(3)
            .zip(literal.iter().skip(offset + 1).take(2))
            .map(|(a, b)| frequency(*a, *b))
            .sum()
    };
    (0..literal.len().saturating_sub(2)).min_by_key(cost).unwrap_or(0)
}

/// A rough order of how often a pair of bytes occurs in English, configuration and plans.
fn frequency(first: u8, second: u8) -> usize {
    const COMMON: &[u8] = b"na re er in on at te en es or ti an ed st ar al nt to ou it is ng co se de ra me ea io le \
        ne us ur ce ro ss ve li la ri ic ta om ec no ig so am ad di pe ac as ha el ma ge il si tr sp ut he th un";
    let pair = [first.to_ascii_lowercase(), second.to_ascii_lowercase()];
    match COMMON.split(|byte| *byte == b' ').position(|common| common == pair) {
        Some(rank) => 200 - rank,
        None if pair.contains(&b'_') || pair.contains(&b' ') || pair.contains(&b'"') => 100,
        None if pair.iter().all(u8::is_ascii_hexdigit) => 50,
        None if pair.iter().any(u8::is_ascii_digit) => 20,
        None => 10,
    }
}

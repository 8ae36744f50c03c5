//! Finds occurrences of known byte strings, all of them, overlapping ones too.
//!
//! Wu and Manber's algorithm (1994) over the first bytes of every string, as many as the shortest has: one look-up
//! of three bytes tells how far away the next possible start is.

use std::{collections::BTreeMap, sync::Arc};

use crate::{hidden::Hidden, view::between};

/// No shorter string can be looked for.
pub(crate) const SHORTEST: usize = 6;
/// Longer strings are looked for in pieces of this length, so that a truncated one is found as well and no more
/// than this is ever held back.
pub(crate) const PIECE: usize = 32;

const BLOCK: usize = 3;
const SLOTS: usize = 1 << 15;
const HEADS: usize = 1 << 16;
/// A wider window makes for longer steps, but fills the table.
const WIDEST: usize = 10;

/// An occurrence.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: Arc<str>,
}

/// The compiled strings; overwritten when dropped.
pub(crate) struct Exact {
    /// Sorted, of [`SHORTEST`] to [`PIECE`] bytes each.
    strings: Vec<(Hidden, Arc<str>)>,
    /// So many first bytes of each are in the table.
    window: usize,
    shifts: Box<[u8; SLOTS]>,
    /// A bit for the first six bytes of every string, by their hash.
    heads: Box<[u64; HEADS / 64]>,
}

impl Exact {
    #[expect(clippy::large_stack_arrays, reason = "moved to the heap at once")]
    /// Compiles strings, each of a kind. Those shorter than [`SHORTEST`] are left out.
    pub(crate) fn new<'s>(strings: impl IntoIterator<Item = (&'s [u8], &'s Arc<str>)>) -> Self {
        let mut pieces: BTreeMap<Hidden, Arc<str>> = BTreeMap::new();
        for (string, kind) in strings {
            for piece in cut(string) {
                pieces.entry(Hidden::from(piece)).or_insert_with(|| Arc::clone(kind));
            }
        }
        let window = pieces.keys().map(|string| string.len()).min().unwrap_or(SHORTEST).min(WIDEST);
        let mut heads = Box::new([0; HEADS / 64]);
        let mut shifts = Box::new([u8::try_from(window - BLOCK + 1).unwrap_or(1); SLOTS]);
        for string in pieces.keys() {
            let head = head(string);
            if let Some(word) = heads.get_mut(head / 64) {
                *word |= 1 << (head % 64);
            }
            for (shift, block) in (0..).zip(between(string, 0, window).windows(BLOCK).rev()) {
                if let Some(slot) = shifts.get_mut(slot(block)) {
                    *slot = shift.min(*slot);
                }
            }
        }
        Self { strings: pieces.into_iter().collect(), window, shifts, heads }
    }

    /// Appends every occurrence that starts at or after `from`.
    pub(crate) fn find(&self, text: &[u8], from: usize, found: &mut Vec<Found>) {
        if self.strings.is_empty() {
            return;
        }
        let mut at = from;
        while let Some(block) = text.get(at + self.window - BLOCK..at + self.window) {
            let shift = self.shifts.get(slot(block)).copied().unwrap_or(0);
            if shift == 0 {
                if self.may_start(text, at) {
                    self.compare(text, at, found);
                }
                at += 1;
            } else {
                at += usize::from(shift);
            }
        }
    }

    /// The first position, at or after `from`, where the text ends within a string.
    pub(crate) fn partial(&self, text: &[u8], from: usize) -> usize {
        let earliest = from.max((text.len() + 1).saturating_sub(PIECE));
        (earliest..text.len())
            .find(|start| {
                let tail = between(text, *start, text.len());
                let next = self.strings.partition_point(|(string, _)| &**string <= tail);
                self.strings.get(next).is_some_and(|(string, _)| string.starts_with(tail))
            })
            .unwrap_or(text.len())
    }

    fn may_start(&self, text: &[u8], at: usize) -> bool {
        let head = head(between(text, at, at + SHORTEST));
        self.heads.get(head / 64).is_some_and(|word| word >> (head % 64) & 1 == 1)
    }

    fn compare(&self, text: &[u8], at: usize, found: &mut Vec<Found>) {
        let head = between(text, at, at + SHORTEST);
        let first = self.strings.partition_point(|(string, _)| between(string, 0, SHORTEST) < head);
        let same = self.strings.iter().skip(first).take_while(|(string, _)| string.starts_with(head));
        let rest = between(text, at, text.len());
        if let Some((string, kind)) = same.filter(|(string, _)| rest.starts_with(string)).last() {
            found.push(Found { start: at, end: at + string.len(), kind: Arc::clone(kind) });
        }
    }
}

impl std::fmt::Debug for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exact").field("strings", &self.strings.len()).finish_non_exhaustive()
    }
}

/// The pieces that together cover a string.
fn cut(string: &[u8]) -> Vec<&[u8]> {
    match string.len() {
        0..SHORTEST => Vec::new(),
        SHORTEST..=PIECE => vec![string],
        length => string.chunks_exact(PIECE).chain([between(string, length - PIECE, length)]).collect(),
    }
}

fn slot(block: &[u8]) -> usize {
    let [a, b, c] = block.first_chunk::<BLOCK>().copied().unwrap_or_default().map(usize::from);
    (a ^ (b << 5) ^ (c << 10)) % SLOTS
}

fn head(string: &[u8]) -> usize {
    let head = string.iter().take(SHORTEST).fold(0, |head, byte| head << 8 | u64::from(*byte));
    // Fibonacci hashing: the upper bits of the product depend on all of the lower ones.
    usize::try_from(head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48).unwrap_or(0) % HEADS
}

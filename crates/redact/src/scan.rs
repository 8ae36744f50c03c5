//! Finds secrets without replacing them, for scanners.

use std::ops::Range;

use crate::{Rules, stream::Pass};

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What it is, as in `[REDACTED:<kind>]`.
    pub kind: String,
    /// Where it is, in bytes.
    pub range: Range<usize>,
}

/// The secrets that the rules detect in `text`, in order. None lies within another.
pub fn find(rules: &Rules, text: &[u8]) -> Vec<Match> {
    let mut matches: Vec<Match> = Vec::new();
    for span in Pass::detected(rules, text) {
        if matches.last().is_none_or(|last| span.end > last.range.end) {
            matches.push(Match { kind: span.kind.name().to_owned(), range: span.start..span.end });
        }
    }
    matches
}

//! Stretches of secret text, joined and replaced.

use std::{collections::BTreeMap, sync::Arc};

use crate::{detect::ASSIGNMENT, view::between};

/// The name of what was redacted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Of a known value.
    Known(Arc<str>),
    /// Of a detector.
    Detected(&'static str),
}

impl Kind {
    /// The lower, the more it says.
    fn rank(&self) -> u8 {
        match self {
            Self::Known(_) => 0,
            Self::Detected(ASSIGNMENT) => 2,
            Self::Detected(_) => 1,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Detected(name) => name,
        }
    }
}

/// A secret at `start..end`; `end` is [`OPEN`] as long as it is unknown.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: Kind,
    /// The lane of the detector.
    pub(crate) lane: Option<usize>,
}

/// The end of a span that is still growing.
pub(crate) const OPEN: usize = usize::MAX;

/// How many secrets of which kind were redacted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary(BTreeMap<String, u64>);

impl Summary {
    /// Kinds and how often each was redacted, in order of the kind's name.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(kind, count)| (kind.as_str(), *count))
    }

    /// How often `kind` was redacted.
    pub fn count(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// How many secrets were redacted in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn add(&mut self, kind: &str) {
        *self.0.entry(kind.to_owned()).or_default() += 1;
    }
}

/// The spans of a text whose redacted form is being written.
///
/// The result is the union of all spans: where some overlap or, being of one kind, touch, one label stands for
/// all of them, that of the first.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    all: Vec<Span>,
    /// The text before this is written.
    written: usize,
    /// Where the last labelled stretch ends as far as it is written, and its kind.
    covered: Option<(usize, Kind)>,
}

impl Spans {
    pub(crate) fn push(&mut self, span: Span) {
        self.all.push(span);
    }

    /// Says where the open span of a lane ends.
    pub(crate) fn close(&mut self, lane: usize, end: usize) {
        for span in self.all.iter_mut().filter(|span| span.lane == Some(lane) && span.end == OPEN) {
            span.end = end.max(span.start);
        }
    }

    /// All of them, in order.
    pub(crate) fn into_vec(mut self) -> Vec<Span> {
        self.sort();
        self.all
    }

    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Writes the text up to `settled`, before which all spans are known.
    pub(crate) fn write(&mut self, text: &[u8], settled: usize, summary: &mut Summary, out: &mut Vec<u8>) {
        let settled = settled.max(self.written);
        self.sort();
        let mut at = self.written;
        for span in self.all.iter().filter(|span| span.start < settled && span.start < span.end) {
            let fresh = span.start >= self.written;
            let joins = self
                .covered
                .as_ref()
                .is_some_and(|(end, kind)| span.start < *end || (span.start == *end && *kind == span.kind));
            if fresh && !joins {
                out.extend_from_slice(between(text, at, span.start));
                write_label(span.kind.name(), out);
                summary.add(span.kind.name());
                self.covered = Some((span.start, span.kind.clone()));
            }
            let end = span.end.min(settled);
            if let Some((covered, _)) = &mut self.covered {
                *covered = end.max(*covered);
            }
            at = at.max(end);
        }
        out.extend_from_slice(between(text, at, settled));
        self.written = settled;
        self.all.retain(|span| span.end > settled);
    }

    /// By start; of those that start together the one that says most comes first.
    fn sort(&mut self) {
        self.all.sort_by(|a, b| (a.start, a.kind.rank(), &a.kind).cmp(&(b.start, b.kind.rank(), &b.kind)));
    }

    /// Forgets the first `count` bytes of the text.
    pub(crate) fn shift(&mut self, count: usize) {
        self.written -= count.min(self.written);
        self.covered = self.covered.take().and_then(|(end, kind)| Some((end.checked_sub(count)?, kind)));
        for span in &mut self.all {
            span.start = span.start.saturating_sub(count);
            if span.end != OPEN {
                span.end = span.end.saturating_sub(count);
            }
        }
    }
}

pub(crate) fn write_label(kind: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"[REDACTED:");
    out.extend_from_slice(kind.as_bytes());
    out.push(b']');
}

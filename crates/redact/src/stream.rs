//! The redactor.

use std::{fmt, sync::Arc};

use zeroize::Zeroize;

use crate::{
    Values,
    anchors::{Anchors, Hit},
    detect::{self, Detector, LOOK_AHEAD, LOOK_BEHIND},
    exact::{Exact, PIECE},
    extent::{self, Extent, Reach},
    spans::{Kind, OPEN, Span, Spans, Summary},
    view::View,
};

/// The most text a [`Redactor`] holds back because it may be part of a secret, in bytes.
pub const HELD_BACK: usize = LOOK_AHEAD + PIECE;
/// Text that has left and is kept as context of what follows, in bytes.
const CONTEXT: usize = if LOOK_BEHIND > extent::LOOK_BEHIND { LOOK_BEHIND } else { extent::LOOK_BEHIND };
/// Text is worked on in slices of this size, in bytes.
const SLICE: usize = 64 * 1024;

/// The detectors, compiled. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rules(Arc<Anchors>);

impl Rules {
    /// The standard set.
    pub fn standard() -> Self {
        Self(Arc::new(detect::standard()))
    }

    pub(crate) fn anchors(&self) -> &Anchors {
        &self.0
    }
}

/// Replaces the secrets in a stream of text by `[REDACTED:<kind>]`, in one pass.
///
/// What comes out depends on the text alone, not on how it is cut into chunks. No more than [`HELD_BACK`] bytes
/// wait for the next chunk, and memory is bounded by that and a constant, however long a secret is. Text that
/// was held is overwritten when the redactor is dropped.
pub struct Redactor {
    rules: Rules,
    exact: Arc<Exact>,
    summary: Summary,
    /// Context, then text held back, then text that just arrived.
    buffer: Vec<u8>,
    pass: Pass,
}

impl Redactor {
    /// A redactor of what the rules detect and of known values.
    pub fn new(rules: &Rules, values: &Values) -> Self {
        Self {
            rules: rules.clone(),
            exact: Arc::new(values.compile()),
            summary: Summary::default(),
            buffer: Vec::new(),
            pass: Pass::default(),
        }
    }

    /// Takes the next chunk and appends to `out` what can be told of the redacted text by now.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if self.buffer.capacity() == 0 {
            // Never reallocated, so that nothing is left behind in memory given back.
            self.buffer.reserve_exact(SLICE + HELD_BACK + CONTEXT);
        }
        for slice in chunk.chunks(SLICE) {
            self.buffer.extend_from_slice(slice);
            self.advance(false, out);
        }
    }

    /// Ends the text, appends the rest of it to `out`, and is ready for another text.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(true, out);
        self.buffer.zeroize();
        self.pass = Pass::default();
    }

    /// Redacts one text apart from the stream.
    pub fn text(&mut self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        let view = View { text: text.as_bytes(), finished: true };
        Pass::default().advance(&self.rules, &self.exact, view, &mut self.summary, &mut out);
        // Spans start and end at ASCII characters or where a known value does, which may be within a character.
        String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// The label of a secret found by other means, which is counted.
    pub(crate) fn label(&mut self, kind: &str) -> String {
        self.summary.add(kind);
        format!("[REDACTED:{kind}]")
    }

    /// Replaces the known values, from the first byte on that has not left yet.
    pub fn learn(&mut self, values: &Values) {
        self.exact = Arc::new(values.compile());
        self.pass.known = self.pass.spans.written();
    }

    /// What was redacted so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    fn advance(&mut self, finished: bool, out: &mut Vec<u8>) {
        let view = View { text: &self.buffer, finished };
        let settled = self.pass.advance(&self.rules, &self.exact, view, &mut self.summary, out);
        let spent = settled.saturating_sub(CONTEXT);
        self.pass.shift(spent);
        self.buffer.copy_within(spent.., 0);
        self.buffer.truncate(self.buffer.len() - spent);
    }
}

impl Drop for Redactor {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor")
            .field("exact", &self.exact)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

/// How far a text was looked at. All positions are in the text as it is in the buffer.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Literals that start before this are decided.
    decided: usize,
    /// Known values that start before this are found.
    known: usize,
    lanes: [Lane; Detector::LANES],
    spans: Spans,
    hits: Vec<Hit>,
}

/// Where detectors of one lane stand.
#[derive(Debug, Default)]
struct Lane {
    /// The end of the last secret.
    last: Option<usize>,
    /// A secret whose end is not known, and from where to follow it.
    open: Option<(Extent, usize)>,
}

impl Pass {
    /// Looks at what is new and writes what is settled; says up to where that is.
    fn advance(
        &mut self,
        rules: &Rules,
        exact: &Exact,
        view: View<'_>,
        summary: &mut Summary,
        out: &mut Vec<u8>,
    ) -> usize {
        for lane in 0..Detector::LANES {
            self.follow(lane, view);
        }
        self.detect(rules.anchors(), view);
        self.find(exact, view);
        let open = self.lanes.iter().filter_map(|lane| lane.open.map(|(_, from)| from)).min();
        let settled = self.decided.min(self.known).min(open.unwrap_or(OPEN));
        self.spans.write(view.text, settled, summary, out);
        settled
    }

    fn detect(&mut self, anchors: &Anchors, view: View<'_>) {
        let mut hits = std::mem::take(&mut self.hits);
        hits.clear();
        anchors.hits(view.text, self.decided, &mut hits);
        let end = if view.finished { view.text.len() } else { anchors.partial(view.text, self.decided) };
        let undecided = hits.iter().take_while(|hit| hit.start < end).find(|hit| !self.decide(**hit, view));
        self.decided = undecided.map_or(end, |hit| hit.start);
        self.hits = hits;
    }

    /// Returns `false` if more text is needed.
    fn decide(&mut self, hit: Hit, view: View<'_>) -> bool {
        let lane = hit.detector.lane();
        if hit.detector == Detector::Change
            && self.last(Detector::Assignment) != Some(hit.start.wrapping_sub(1))
        {
            return true;
        }
        if self
            .lanes
            .get(lane)
            .is_none_or(|lane| lane.open.is_some() || lane.last.is_some_and(|end| hit.start < end))
        {
            return true;
        }
        match hit.detector.inspect(view, hit.start, hit.end) {
            Ok(Some(secret)) => {
                let kind = Kind::Detected(secret.kind);
                self.spans.push(Span { start: secret.start, end: OPEN, kind, lane: Some(lane) });
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.open = Some((secret.extent, secret.from));
                }
                self.follow(lane, view);
                true
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// The secrets that the detectors find in a whole text.
    pub(crate) fn detected(rules: &Rules, text: &[u8]) -> Vec<Span> {
        let mut pass = Self::default();
        pass.detect(rules.anchors(), View { text, finished: true });
        pass.spans.into_vec()
    }

    fn last(&self, detector: Detector) -> Option<usize> {
        self.lanes.get(detector.lane()).filter(|lane| lane.open.is_none()).and_then(|lane| lane.last)
    }

    fn follow(&mut self, index: usize, view: View<'_>) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let Some((extent, from)) = &mut lane.open else { return };
        match extent.follow(view, *from) {
            Reach::Open(resume) => *from = resume,
            Reach::Closed(end) => {
                lane.last = Some(end);
                lane.open = None;
                self.spans.close(index, end);
            }
        }
    }

    fn find(&mut self, exact: &Exact, view: View<'_>) {
        let mut found = Vec::new();
        exact.find(view.text, self.known, &mut found);
        let end = if view.finished { view.text.len() } else { exact.partial(view.text, self.known) };
        for found in found.into_iter().filter(|found| found.start < end) {
            self.spans.push(Span {
                start: found.start,
                end: found.end,
                kind: Kind::Known(found.kind),
                lane: None,
            });
        }
        self.known = end;
    }

    /// Forgets the first `count` bytes of the text.
    fn shift(&mut self, count: usize) {
        self.decided -= count;
        self.known -= count;
        self.spans.shift(count);
        for lane in &mut self.lanes {
            lane.last = lane.last.and_then(|end| end.checked_sub(count));
            if let Some((_, from)) = &mut lane.open {
                *from -= count;
            }
        }
    }
}

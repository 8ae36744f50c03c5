//! Everything the run says, on its way through the redactor.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;
use writ_kernel::{Timestamp, World};
use writ_redact::{Redactor, Rules, Values};
use writ_wire::deployments::OutputLine;

use super::{control::Halt, speech::spoken, uploader::Reports};
use crate::tool::{Chunk, Stream};

/// A longer line of raw output is passed on in pieces, as plain text.
const RAW: usize = 1 << 20;
/// A longer redacted line is cut into several.
const LINE: usize = 16 << 10;

/// The voice of one run. What goes in is raw; what comes out, through [`Reports`], is redacted, line by line.
pub(super) struct Voice {
    world: World,
    reports: Reports,
    halt: Halt,
    stop_at: Timestamp,
    /// Whether what is said leaves at all.
    heard: bool,
    inner: Mutex<Inner>,
}

struct Inner {
    values: Values,
    redactor: Redactor,
    /// Redacted, and not a whole line yet.
    pending: Vec<u8>,
    heard: u64,
    lost: u64,
}

impl Voice {
    /// A voice that waits for room until the run is stopped or it is `stop_at`.
    /// Without being `heard`, everything goes through the redactor and nowhere else.
    pub(super) fn new(world: World, reports: Reports, halt: Halt, stop_at: Timestamp, heard: bool) -> Self {
        let values = Values::new();
        let redactor = Redactor::new(&Rules::standard(), &values);
        let inner = Mutex::new(Inner { values, redactor, pending: Vec::new(), heard: 0, lost: 0 });
        Self { world, reports, halt, stop_at, heard, inner }
    }

    /// From here on none of `secrets` is said, except those too short or common to be told from ordinary text.
    pub(super) fn keep_quiet<'a>(&self, kind: &str, secrets: impl IntoIterator<Item = &'a str>) {
        let mut values = Values::new();
        for secret in secrets {
            let _taken = values.add(kind, secret.as_bytes());
        }
        self.learn(&values);
    }

    /// From here on none of `values` is said.
    pub(super) fn learn(&self, values: &Values) {
        let mut inner = self.inner();
        inner.values.extend(values);
        let Inner { values, redactor, .. } = &mut *inner;
        redactor.learn(values);
    }

    /// Does something with the redactor itself.
    pub(super) fn with_redactor<T>(&self, work: impl FnOnce(&mut Redactor) -> T) -> T {
        work(&mut self.inner().redactor)
    }

    /// One text, redacted.
    pub(super) fn redact(&self, text: &str) -> String {
        printable(&self.with_redactor(|redactor| redactor.text(text)))
    }

    /// Says something of our own.
    pub(super) async fn say(&self, step: &str, text: &str) {
        let lines = self.put(&format!("{text}\n"), true);
        self.send(step, lines).await;
    }

    /// Says what a step of the tool prints, as it prints it, until it is done.
    pub(super) async fn hear(&self, step: &str, mut chunks: mpsc::Receiver<Chunk>) {
        let mut ears = Ears::default();
        while let Some(chunk) = chunks.recv().await {
            let lines = self.take(&mut ears, &chunk);
            self.send(step, lines).await;
        }
        self.end(step, ears).await;
    }

    /// Says what a step has printed before.
    pub(super) async fn release(&self, step: &str, chunks: Vec<Chunk>) {
        let mut ears = Ears::default();
        for chunk in chunks {
            let lines = self.take(&mut ears, &chunk);
            self.send(step, lines).await;
        }
        self.end(step, ears).await;
    }

    /// How many lines were not delivered.
    pub(super) fn lost(&self) -> u64 {
        self.inner().lost
    }

    /// How many bytes of output were heard so far.
    pub(super) fn heard(&self) -> u64 {
        self.inner().heard
    }

    /// How many secrets of each kind were kept.
    pub(super) fn redactions(&self) -> BTreeMap<String, u64> {
        self.inner().redactor.summary().counts().map(|(kind, count)| (kind.to_owned(), count)).collect()
    }

    async fn end(&self, step: &str, ears: Ears) {
        let mut lines = Vec::new();
        for rest in [ears.out, ears.err].iter().filter(|rest| !rest.is_empty()) {
            lines.extend(self.put(&format!("{}\n", spoken(rest)), false));
        }
        lines.extend(self.put("", true));
        self.send(step, lines).await;
    }

    fn take(&self, ears: &mut Ears, chunk: &Chunk) -> Vec<String> {
        self.inner().heard += chunk.bytes.len() as u64;
        let ear = match chunk.stream {
            Stream::Stdout => &mut ears.out,
            Stream::Stderr => &mut ears.err,
        };
        let mut lines = Vec::new();
        for piece in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
            ear.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.extend(self.put(&format!("{}\n", spoken(&std::mem::take(ear))), false));
            } else if ear.len() > RAW {
                lines.extend(self.put(&String::from_utf8_lossy(&std::mem::take(ear)), false));
            }
        }
        lines
    }

    /// Puts text through the redactor, and gives the whole lines that come out of it. All text is one stream, so
    /// that a secret over several lines, like a private key, is seen as one.
    fn put(&self, text: &str, last: bool) -> Vec<String> {
        let mut inner = self.inner();
        let Inner { redactor, pending, .. } = &mut *inner;
        redactor.push(text.as_bytes(), pending);
        if last {
            redactor.finish(pending);
        }
        let mut lines = Vec::new();
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            lines.extend(cut(&printable(&String::from_utf8_lossy(&line))));
        }
        if !pending.is_empty() && (last || pending.len() > RAW) {
            lines.extend(cut(&printable(&String::from_utf8_lossy(&std::mem::take(pending)))));
        }
        lines
    }

    /// Hands lines in. While there is no room, the tool waits; but a tool that is to end must not be kept from that, so
    /// once the run is stopped or its time is up, what finds no room is lost.
    async fn send(&self, step: &str, lines: Vec<String>) {
        for text in lines.into_iter().filter(|_| self.heard) {
            let line = OutputLine { sequence: 0, at: self.world.now(), step: step.to_owned(), text };
            tokio::select! {
                biased;
                () = self.reports.line(line) => {}
                () = self.hurry() => self.inner().lost += 1,
            }
        }
    }

    async fn hurry(&self) {
        tokio::select! {
            () = self.halt.token.cancelled() => {}
            () = tokio::time::sleep(self.stop_at.since(self.world.now())) => {}
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The unfinished lines of both streams.
#[derive(Default)]
struct Ears {
    out: Vec<u8>,
    err: Vec<u8>,
}

/// `line` without its end, in pieces of bounded length.
fn cut(line: &str) -> Vec<String> {
    let mut rest = line.trim_end_matches('\n');
    let mut pieces = Vec::new();
    while let Some((piece, following)) =
        rest.split_at_checked(rest.floor_char_boundary(LINE)).filter(|(_, f)| !f.is_empty())
    {
        pieces.push(piece.to_owned());
        rest = following;
    }
    pieces.push(rest.to_owned());
    pieces
}

/// Control characters are replaced, not removed: without what parts them two halves could join to a secret.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\t' | '\n') { '\u{fffd}' } else { c }).collect()
}

//! The tool's machine-readable events: one JSON object a line, plain text lines among them.

use serde::{Deserialize, Serialize};

/// A longer line is passed over; the bytes themselves still go to the sink.
const MAX_LINE: usize = 1 << 20;
/// How many diagnostics are kept; all are counted.
const MAX_DIAGNOSTICS: usize = 100;
/// How many bytes of plain text are kept, the last ones.
const MAX_TAIL: usize = 16 << 10;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The step failed.
    Error,
    /// Worth reading.
    Warning,
    /// Neither; a word newer than this program.
    #[serde(other)]
    Unknown,
}

/// What the tool has to say about a failure. Not redacted: a message can quote a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// One line.
    pub summary: String,
    /// More lines, perhaps.
    #[serde(default)]
    pub detail: String,
    /// The resource it is about.
    #[serde(default)]
    pub address: Option<String>,
}

/// What the tool says it planned or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// `plan`, `apply` or `destroy`.
    pub operation: String,
    /// Resources created.
    #[serde(default)]
    pub add: u64,
    /// Resources changed in place.
    #[serde(default)]
    pub change: u64,
    /// Resources destroyed.
    #[serde(default)]
    pub remove: u64,
    /// Resources imported.
    #[serde(default)]
    pub import: u64,
}

/// Everything gathered from one stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    overlong: bool,
    /// Plain text, the last of it.
    pub(super) plain: String,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) errors: u64,
    pub(super) summary: Option<Summary>,
    /// Resources the tool began to change.
    pub(super) started: u64,
    /// Resources it finished.
    pub(super) completed: u64,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    diagnostic: Option<Diagnostic>,
    changes: Option<Summary>,
}

impl Events {
    /// Takes the next bytes, split anywhere.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > MAX_LINE {
                self.overlong = true;
                self.line.clear();
            }
            if !self.overlong {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// There is no more; the last line may lack its end.
    pub(super) fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.overlong) || line.is_empty() {
            return;
        }
        match serde_json::from_slice::<Event>(&line) {
            Ok(event) => self.note(event),
            Err(_) => self.keep(&String::from_utf8_lossy(&line)),
        }
    }

    /// Counts and keeps one diagnostic.
    pub(super) fn diagnose(&mut self, diagnostic: Diagnostic) {
        self.errors += u64::from(diagnostic.severity == Severity::Error);
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        }
    }

    fn note(&mut self, event: Event) {
        match event.kind.as_str() {
            "apply_start" => self.started += 1,
            "apply_complete" => self.completed += 1,
            "change_summary" => self.summary = event.changes.or(self.summary.take()),
            _ => {}
        }
        if let Some(diagnostic) = event.diagnostic {
            self.diagnose(diagnostic);
        }
    }

    fn keep(&mut self, text: &str) {
        self.plain.push_str(text);
        if self.plain.len() > 2 * MAX_TAIL {
            let cut = self.plain.ceil_char_boundary(self.plain.len() - MAX_TAIL);
            self.plain.drain(..cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = concat!(
        "{\"@level\":\"info\",\"@message\":\"Terraform 1.11.4\",\"terraform\":\"1.11.4\",\"type\":\"version\"}\n",
        "Acquiring state lock. This may take a few moments...\n",
        "{\"type\":\"apply_start\",\"hook\":{}}\n",
        "{\"type\":\"apply_complete\",\"hook\":{}}\n",
        "{\"type\":\"change_summary\",\"changes\":{\"add\":1,\"change\":2,\"import\":0,\"remove\":3,",
        "\"operation\":\"apply\"}}\n",
        "{\"type\":\"diagnostic\",\"diagnostic\":{\"severity\":\"error\",\"summary\":\"No\",\"detail\":\"why\",",
        "\"address\":\"a.b\",\"snippet\":{\"code\":\"x\"}}}\n",
    );

    proptest! {
        #[test]
        fn events_are_read_however_the_stream_is_cut(cuts in prop::collection::vec(0..STREAM.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut events = Events::default();
            for pair in cuts.windows(2) {
                events.feed(&STREAM.as_bytes()[pair[0]..pair[1]]);
            }
            let summary = Summary { operation: "apply".into(), add: 1, change: 2, remove: 3, import: 0 };
            prop_assert_eq!(events.summary, Some(summary));
            prop_assert_eq!((events.started, events.completed, events.errors), (1, 1, 1));
            prop_assert_eq!(events.diagnostics[0].address.as_deref(), Some("a.b"));
            prop_assert_eq!(events.plain, "Acquiring state lock. This may take a few moments...\n");
        }
    }

    #[test]
    fn a_line_without_end_costs_bounded_memory_and_hides_nothing_after_it() {
        let mut events = Events::default();
        for _ in 0..1500 {
            events.feed(&[b'x'; 1 << 10]);
            assert!(events.line.len() <= MAX_LINE);
        }
        events.feed(b"\n{\"type\":\"apply_start\"}\n");
        assert_eq!(events.started, 1);
    }
}

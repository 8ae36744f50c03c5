//! What the redactor promises, through its public surface.

mod detectors;
mod documents;
mod known;
mod ordinary;
mod stream;

use std::sync::LazyLock;

use writ_redact::{Redactor, Rules, Values};

static RULES: LazyLock<Rules> = LazyLock::new(Rules::standard);

/// The redacted form of a whole text.
fn redacted(values: &Values, text: &[u8]) -> String {
    let mut redactor = Redactor::new(&RULES, values);
    let mut out = Vec::new();
    redactor.push(text, &mut out);
    redactor.finish(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The same, of a text cut at the given lengths, over and over.
fn redacted_in_chunks(values: &Values, text: &[u8], lengths: &[usize]) -> String {
    let mut redactor = Redactor::new(&RULES, values);
    let mut out = Vec::new();
    let mut rest = text;
    for length in lengths.iter().cycle().map(|length| (*length).max(1)) {
        if rest.is_empty() {
            break;
        }
        let (chunk, later) = rest.split_at(length.min(rest.len()));
        redactor.push(chunk, &mut out);
        rest = later;
    }
    redactor.finish(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

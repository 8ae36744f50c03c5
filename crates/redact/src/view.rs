//! What a detector may see of a text that is still arriving.

/// More text is needed to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct More;

/// A piece of a text, and whether the text ends with it.
///
/// A detector that reads through a `View` gives the same answer for a piece as for the whole: whatever lies
/// past the end of an unfinished text is [`More`], never "nothing".
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) finished: bool,
}

impl<'t> View<'t> {
    /// The byte at `at`; `None` past the end of a finished text.
    pub(crate) fn byte(&self, at: usize) -> Result<Option<u8>, More> {
        match self.text.get(at) {
            Some(byte) => Ok(Some(*byte)),
            None if self.finished => Ok(None),
            None => Err(More),
        }
    }

    /// The bytes `from..to`, as far as there are any.
    pub(crate) fn between(&self, from: usize, to: usize) -> &'t [u8] {
        between(self.text, from, to)
    }

    /// The byte just before `at`.
    pub(crate) fn before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|at| self.text.get(at)).copied()
    }

    /// Where the bytes from `from` on cease to be `wanted`, looking at no more than `limit` of them.
    pub(crate) fn run(&self, from: usize, limit: usize, wanted: impl Fn(u8) -> bool) -> Result<usize, More> {
        let window = self.between(from, from.saturating_add(limit));
        match window.iter().position(|byte| !wanted(*byte)) {
            Some(length) => Ok(from + length),
            None if window.len() == limit || self.finished => Ok(from + window.len()),
            None => Err(More),
        }
    }

    /// Where the bytes before `at` cease to be `wanted`, looking back over no more than `limit` of them.
    pub(crate) fn run_back(&self, at: usize, limit: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let window = self.between(at.saturating_sub(limit), at);
        at - window.iter().rev().take_while(|byte| wanted(**byte)).count()
    }

    /// Whether `literal` stands at `at`.
    pub(crate) fn has(&self, at: usize, literal: &[u8]) -> Result<bool, More> {
        let there = self.between(at, at.saturating_add(literal.len()));
        if there == literal {
            Ok(true)
        } else if literal.starts_with(there) && !self.finished {
            Err(More)
        } else {
            Ok(false)
        }
    }
}

/// The bytes `from..to` of `text`, as far as there are any.
pub(crate) fn between(text: &[u8], from: usize, to: usize) -> &[u8] {
    let to = to.min(text.len());
    text.get(from.min(to)..to).unwrap_or_default()
}

/// Whether `text` ends with `suffix`, which is in lower case, whatever the case of `text`.
pub(crate) fn ends_with_folded(text: &[u8], suffix: &str) -> bool {
    text.len() >= suffix.len()
        && between(text, text.len() - suffix.len(), text.len()).eq_ignore_ascii_case(suffix.as_bytes())
}

/// Whether `text` starts with `prefix`, which is in lower case, whatever the case of `text`.
pub(crate) fn starts_with_folded(text: &[u8], prefix: &str) -> bool {
    between(text, 0, prefix.len()).eq_ignore_ascii_case(prefix.as_bytes())
}

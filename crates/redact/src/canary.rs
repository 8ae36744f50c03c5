//! A value that must never be seen.

use std::{fmt, sync::Arc};

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::{exact::Exact, variants};

/// A random text that a run treats as one of its secrets, so that whoever receives the run's output can tell
/// that redaction works: it must never sight the canary. No detector knows it.
pub struct Canary {
    text: Zeroizing<String>,
    spellings: Exact,
}

impl Canary {
    /// The canary of these random bytes; at least 16 of them make it unguessable.
    pub fn new(bytes: &[u8]) -> Self {
        let text = Zeroizing::new(format!("cnry.{}", BASE32_NOPAD.encode(bytes).to_lowercase()));
        let kind = Arc::from("canary");
        let spellings = variants::of(text.as_bytes());
        let spellings = Exact::new(spellings.iter().map(|spelling| (&**spelling, &kind)));
        Self { text, spellings }
    }

    /// The text to plant, and to add to the run's [`Values`](crate::Values).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the canary is in `bytes`, as it is or escaped or encoded. One that is cut in two by the edges of
    /// `bytes` is not seen, unless a long enough piece of it is on one side.
    pub fn sighted(&self, bytes: &[u8]) -> bool {
        let mut found = Vec::new();
        self.spellings.find(bytes, 0, &mut found);
        !found.is_empty()
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canary").finish_non_exhaustive()
    }
}

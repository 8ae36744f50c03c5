//! Signed notes, checkpoints and verifier keys: reading never panics, and what is read has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_merkle::{Head, Note, Verifier};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
        if let Ok(head) = Head::parse(note.text()) {
            assert_eq!(head.to_string(), note.text());
        }
    }
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(verifier) = text.parse::<Verifier>()
    {
        assert_eq!(verifier.to_string(), text);
    }
});

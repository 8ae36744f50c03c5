//! The redactor: never panics, chunks do not matter, and a known value never gets through.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use writ_redact::{Redactor, Rules, Values, scan, ui::redact_ui_line};

const KNOWN: &str = "qpwoei12<&>xyz";

static RULES: LazyLock<Rules> = LazyLock::new(Rules::standard);
static VALUES: LazyLock<Values> = LazyLock::new(|| {
    let mut values = Values::new();
    assert!(values.add("known", KNOWN.as_bytes()));
    values
});

fuzz_target!(|input: (u8, &[u8])| {
    let (length, bytes) = input;
    let redacted = |length: usize| {
        let mut redactor = Redactor::new(&RULES, &VALUES);
        let mut out = Vec::new();
        bytes.chunks(length).for_each(|chunk| redactor.push(chunk, &mut out));
        redactor.finish(&mut out);
        out
    };
    let whole = redacted(usize::MAX);
    assert_eq!(redacted(usize::from(length) + 1), whole);
    assert!(!whole.windows(KNOWN.len()).any(|window| window == KNOWN.as_bytes()));
    scan::find(&RULES, bytes);
    redact_ui_line(bytes, &mut Redactor::new(&RULES, &VALUES));
});

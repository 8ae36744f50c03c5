//! Secrets known by value are found in every spelling.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use writ_redact::{Canary, Redactor, Values};

use crate::{RULES, redacted};

const SECRET: &str = "zxcvb<&>\"qw\\erty 98/+ü";

fn values(secret: &str) -> Values {
    let mut values = Values::new();
    assert!(values.add("db", secret.as_bytes()));
    values
}

fn hidden(spelling: &str) {
    let text = format!("before {spelling} after");
    assert_eq!(redacted(&values(SECRET), text.as_bytes()), "before [REDACTED:db] after", "{spelling}");
}

#[test]
fn as_it_is() {
    hidden(SECRET);
}

#[test]
fn escaped_for_json() {
    hidden(r#"zxcvb<&>\"qw\\erty 98/+ü"#);
}

#[test]
fn escaped_by_go() {
    hidden(r#"zxcvb\u003c\u0026\u003e\"qw\\erty 98/+ü"#);
}

#[test]
fn escaped_twice() {
    hidden(r#"zxcvb<&>\\\"qw\\\\erty 98/+ü"#);
}

#[test]
fn in_hexadecimal_of_both_cases() {
    hidden(&HEXLOWER.encode(SECRET.as_bytes()));
    hidden(&HEXUPPER.encode(SECRET.as_bytes()));
}

#[test]
fn percent_encoded() {
    hidden("zxcvb%3C%26%3E%22qw%5Certy%2098%2F%2B%C3%BC");
    hidden("zxcvb%3c%26%3e%22qw%5certy%2098%2f%2b%c3%bc");
    hidden("zxcvb%3C%26%3E%22qw%5Certy+98%2F%2B%C3%BC");
}

#[test]
fn in_base64_at_any_offset_and_in_both_alphabets() {
    for before in ["", "u", "us", "usr"] {
        for encoding in [&BASE64, &BASE64URL_NOPAD] {
            let text = encoding.encode(format!("{before}{SECRET}:tail").as_bytes());
            let redacted = redacted(&values(SECRET), text.as_bytes());
            let (start, end) =
                redacted.split_once("[REDACTED:db]").unwrap_or_else(|| panic!("{before}: {redacted}"));
            // What is left is only what the neighbours have a part in.
            assert!(
                start.len() <= before.len().div_ceil(3) * 4 && end.len() <= ":tail".len().div_ceil(3) * 4 + 2,
                "{redacted}"
            );
        }
    }
}

#[test]
fn base64_of_an_escaped_spelling() {
    let json = format!("{{\"p\":\"{}\"}}", r#"zxcvb\u003c\u0026\u003e\"qw\\erty 98/+ü"#);
    let redacted = redacted(&values(SECRET), BASE64.encode(json.as_bytes()).as_bytes());
    assert!(redacted.contains("[REDACTED:db]"), "{redacted}");
}

#[test]
fn line_by_line_with_lines_of_others_between() {
    let values = values("first-secret-line\r\nsecond-secret-line\n");
    let text = "a: first-secret-line\nb: ok\na: second-secret-line\n";
    assert_eq!(redacted(&values, text.as_bytes()), "a: [REDACTED:db]\nb: ok\na: [REDACTED:db]\n");
}

#[test]
fn a_long_value_as_a_whole_and_cut_short() {
    let secret: String =
        (0..4000_u32).map(|n| char::from(b'a' + u8::try_from(n * n % 23).unwrap_or(0))).collect();
    let values = values(&secret);
    assert_eq!(redacted(&values, format!("<{secret}>").as_bytes()), "<[REDACTED:db]>");
    let short = redacted(&values, format!("<{}", secret.split_at(1000).0).as_bytes());
    assert!(short.len() < "<[REDACTED:db]".len() + 32, "{short}");
}

#[test]
fn secrets_that_overlap_are_both_hidden() {
    let mut values = Values::new();
    assert!(values.add("a", b"abcdefgh1"));
    assert!(values.add("b", b"fgh1ijklmn"));
    assert_eq!(redacted(&values, b"-abcdefgh1ijklmn-"), "-[REDACTED:a]-");
}

#[test]
fn a_member_of_a_json_secret_is_a_secret() {
    let values = values(r#"{"username":"appuser","password":"qpwoei12","engine":"postgres"}"#);
    assert_eq!(redacted(&values, b"appuser qpwoei12 postgres"), "appuser [REDACTED:db] postgres");
}

#[test]
fn common_words_are_not_taken() {
    let mut values = Values::new();
    for word in [
        "true",
        "eu-west-1",
        "us-gov-east-1",
        "europe-west4-b",
        "westeurope",
        "12345",
        "8080",
        "aaaaaaaaaa",
        "short",
        "production",
    ] {
        assert!(!values.add("x", word.as_bytes()), "{word}");
    }
    assert!(values.is_empty());
}

#[test]
fn a_kind_cannot_break_out_of_its_label() {
    let mut values = Values::new();
    assert!(values.add("a]b\nc", b"qpwoei12"));
    assert_eq!(redacted(&values, b"qpwoei12"), "[REDACTED:a-b-c]");
}

#[test]
fn values_learnt_later_hide_what_has_not_left_yet() {
    let mut redactor = Redactor::new(&RULES, &values("unrelated-secret"));
    let mut out = Vec::new();
    redactor.push(b"one qpwoei12 two unrelated-", &mut out);
    redactor.learn(&values("qpwoei12"));
    redactor.push(b"secret qpwoei12 three", &mut out);
    redactor.finish(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), "one qpwoei12 two unrelated-secret [REDACTED:db] three");
}

#[test]
fn what_was_redacted_is_counted_by_kind() {
    let mut redactor = Redactor::new(&RULES, &values("qpwoei12"));
    let mut out = Vec::new();
    redactor.push(b"qpwoei12 qpwoei12 password=hunter2 ", &mut out);
    redactor.finish(&mut out);
    assert_eq!(redactor.summary().counts().collect::<Vec<_>>(), [("assignment", 1), ("db", 2)]);
    assert_eq!(redactor.summary().total(), 3);
}

#[test]
fn nothing_shows_a_value() {
    let values = values("qpwoei12");
    let redactor = Redactor::new(&RULES, &values);
    assert!(!format!("{values:?} {redactor:?} {:?}", Canary::new(&[7; 20])).contains("qpwoei12"));
}

#[test]
fn a_canary_is_sighted_in_every_spelling_and_no_detector_knows_it() {
    let canary = Canary::new(&[7; 20]);
    let text = canary.text();
    assert_eq!(redacted(&Values::new(), text.as_bytes()), text);
    for spelling in
        [text.to_owned(), BASE64.encode(format!("x{text}").as_bytes()), HEXLOWER.encode(text.as_bytes())]
    {
        assert!(canary.sighted(format!("-- {spelling} --").as_bytes()), "{spelling}");
    }
    assert!(!canary.sighted(Canary::new(&[8; 20]).text().as_bytes()));
}

#[test]
fn a_redacted_canary_is_not_sighted() {
    let canary = Canary::new(&[7; 20]);
    let mut values = Values::new();
    assert!(values.add("canary", canary.text().as_bytes()));
    let out = redacted(
        &values,
        BASE64.encode(format!("ab{} {}", canary.text(), canary.text()).as_bytes()).as_bytes(),
    );
    assert!(!canary.sighted(out.as_bytes()), "{out}");
}

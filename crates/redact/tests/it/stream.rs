//! Chunks do not matter, nothing leaks, nothing panics.

use data_encoding::{BASE64, BASE64URL, HEXLOWER};
use proptest::prelude::*;
use writ_redact::{HELD_BACK, Redactor, Values, scan};

use crate::{RULES, redacted, redacted_in_chunks};

/// Pieces that start, end and confuse detectors.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~\n]{0,40}",
        6 => proptest::sample::select(vec![
            "password = \"", "key: ", "\"token\":\"", "\\\"secret\\\":\\\"", "\\\\\\\"", "\"", "'", "\\", "\\\"", "\n", " ", "  ", "=",
            "eyJhbGciOiJIUzI1NiJ9", ".", ".eyJzdWIiOjF9", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "-----",
            "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "://user:", "pass@", "&sig=", "<<-EOT\n", "EOT\n",
            "|\n", "   deeper\n", " -> \"", "Authorization: Bearer ", "ghp_0123456789abcdefghijABC", "abcdefghijklmnop", "0123456789",
            "--password ", "${var.x}", "[REDACTED:x]", "(sensitive value)", "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t", "ya29.", "DEV-",
            "qpwoei12<&>xyz", "qpwoei", "12<&>xyz", "AccountKey=", ";", "&", "null", "random_password.db: ", "Creating...",
        ]).prop_map(str::to_owned),
    ]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(fragment(), 0..40).prop_map(|fragments| fragments.concat())
}

/// Random secrets that contain what escapes and encodings change.
fn secret() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-zA-Z0-9<>&\"'\\\\ /+=%$?.:,;\\-_!é]{10,90}")
        .unwrap_or_else(|_| unreachable!())
        .prop_filter("a value that is taken", |secret| {
            Values::new().add("known", secret.as_bytes())
                && secret.trim() == secret
                && !secret.starts_with('{')
        })
}

/// The spelling of a secret under one of the encodings that tools apply.
fn spelled(secret: &str, encoding: usize) -> String {
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"');
    let json = if secret.ends_with('"') { format!("{json}\"") } else { json.to_owned() };
    match encoding {
        0 => secret.to_owned(),
        1 => HEXLOWER.encode(secret.as_bytes()),
        2 => BASE64.encode(secret.as_bytes()),
        3 => BASE64URL.encode(format!("a{secret}z").as_bytes()),
        4 => BASE64.encode(format!("ab{secret}yz").as_bytes()),
        5 => secret.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}")),
        _ => json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
    }
}

/// What announces a secret, the pattern of the secret, and what ends it.
const ANNOUNCED: &[(&str, &str, &str)] = &[
    ("AccountName=a;AccountKey=", "[A-Za-z0-9+/]{86}==", ";EndpointSuffix=x\n"),
    ("https://a.blob.core.windows.net/?sv=1&sig=", "[A-Za-z0-9]{40}%3D", "&se=2\n"),
    ("id ", "(AKIA|ASIA)[A-Z2-7]{16}", " used\n"),
    ("AWS_SECRET_ACCESS_KEY=", "[A-Za-z0-9/+]{40}", "\n"),
    ("| AKIAIOSFODNN7EXAMPLE | ", "[A-Z]{5}[a-z]{5}[0-9]{5}[A-Za-z0-9/+]{25}", " |\n"),
    ("", "ya29\\.[A-Za-z0-9_-]{20,200}", "\n"),
    ("  + password = \"", "[a-zA-Z0-9!#%&*(){},.;:<>?@^_~-]{6,40}z", "\"\n"),
    ("{\"clientSecret\":\"", "[a-zA-Z0-9~._-]{8,40}", "\",\"x\":1}\n"),
    ("ARM_CLIENT_SECRET=", "[a-zA-Z0-9~._][a-zA-Z0-9~._-]{7,40}Q", "\n"),
    ("key = \"", "[a-z]{8}[0-9]{4}[a-f0-9]{20}", "\"\n"),
    ("jwt ", "eyJ[A-Za-z0-9_-]{20,60}\\.eyJ[A-Za-z0-9_-]{20,60}\\.[A-Za-z0-9_-]{20,60}", "\n"),
    (
        "",
        "-----BEGIN (RSA |EC |OPENSSH |)PRIVATE KEY-----\n([A-Za-z0-9+/]{64}\n){1,30}[A-Za-z0-9+/]{4,60}=\n-----END (RSA |EC |)PRIVATE KEY-----",
        "\n",
    ),
    ("token ", "DEV-[0-9a-f]{40}", "\n"),
    ("QISKIT_IBM_TOKEN=", "[A-Za-z0-9][A-Za-z0-9_-]{43}", "\n"),
    ("postgres://app:", "[A-Za-z0-9!%*]{6,30}z", "@db/app\n"),
];

/// A random secret between what announces and what ends it.
fn announced() -> impl Strategy<Value = (&'static str, String, &'static str)> {
    proptest::sample::select(ANNOUNCED).prop_flat_map(|(before, pattern, after)| {
        let secret = proptest::string::string_regex(pattern).unwrap_or_else(|_| unreachable!());
        secret.prop_map(move |secret| (before, secret, after))
    })
}

fn known(secret: &str) -> Values {
    let mut values = Values::new();
    assert!(values.add("known", secret.as_bytes()));
    values
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_do_not_matter(text in text(), lengths in proptest::collection::vec(1_usize..50, 1..8)) {
        let values = known("qpwoei12<&>xyz");
        let whole = redacted(&values, text.as_bytes());
        prop_assert_eq!(&redacted_in_chunks(&values, text.as_bytes(), &lengths), &whole);
        prop_assert_eq!(&redacted_in_chunks(&values, text.as_bytes(), &[1]), &whole);
    }

    #[test]
    fn a_known_value_never_gets_through(
        secret in secret(), before in "[ -~]{0,30}", after in "[ -~]{0,30}", encoding in 0_usize..7, length in 1_usize..40,
    ) {
        let spelling = spelled(&secret, encoding);

        let text = format!("{before}\u{1}{spelling}\u{1}{after}");
        let out = redacted_in_chunks(&known(&secret), text.as_bytes(), &[length]);
        let kept = out.matches(&spelling).count();
        prop_assert_eq!(kept, 0, "{}", out);
        prop_assert!(out.contains("[REDACTED:"), "{}", out);
    }

    #[test]
    fn a_detected_secret_never_gets_through(
        (before, secret, after) in announced(), noise in "[a-z ]{0,30}\n", length in 1_usize..40,
    ) {
        let text = format!("{noise}{before}{secret}{after}{noise}");
        let out = redacted_in_chunks(&Values::new(), text.as_bytes(), &[length]);
        prop_assert!(!out.contains(&secret), "{}", out);
        prop_assert!(out.starts_with(&noise) && out.ends_with(&noise), "{}", out);
    }

    #[test]
    fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000), length in 1_usize..600) {
        let mut redactor = Redactor::new(&RULES, &known("qpwoei12<&>xyz"));
        let mut out = Vec::new();
        bytes.chunks(length).for_each(|chunk| redactor.push(chunk, &mut out));
        redactor.finish(&mut out);
        scan::find(&RULES, &bytes);
    }

    #[test]
    fn redacting_twice_changes_nothing_more(text in "[a-z =:\"\n]{0,60}", secret in "[a-z0-9]{8,30}") {
        let once = redacted(&Values::new(), format!("{text} password = \"{secret}\"\n").as_bytes());
        prop_assert_eq!(&redacted(&Values::new(), once.as_bytes()), &once);
    }

    #[test]
    fn little_is_held_back(text in text()) {
        let mut redactor = Redactor::new(&RULES, &known("qpwoei12<&>xyz"));
        let mut out = Vec::new();
        let text = format!("{text}\u{1}{}", " ".repeat(HELD_BACK));
        redactor.push(text.as_bytes(), &mut out);
        let at_once = out.clone();
        redactor.finish(&mut out);
        prop_assert!(out.len() - at_once.len() <= HELD_BACK);
    }
}

#[test]
fn a_secret_is_found_over_any_edge() {
    let text = "ok ghp_0123456789abcdefghijABCDEFGHIJ012345 and qpwoei12<&>xyz end\n";
    let values = known("qpwoei12<&>xyz");
    for edge in 1..text.len() {
        assert_eq!(
            redacted_in_chunks(&values, text.as_bytes(), &[edge, text.len()]),
            "ok [REDACTED:github-token] and [REDACTED:known] end\n"
        );
    }
}

#[test]
fn a_finished_line_leaves_at_once() {
    let mut redactor = Redactor::new(&RULES, &known("qpwoei12<&>xyz"));
    let mut out = Vec::new();
    for line in ["aws_instance.web: Creating...\n", "password = \"hunter2\"\n", "Apply complete!\n"] {
        out.clear();
        redactor.push(line.as_bytes(), &mut out);
        assert!(out.ends_with(b"\n"), "{line} is held back");
    }
}

#[test]
fn backslashes_without_end_are_not_held_back() {
    for opening in ["token = \"a1b2c3", "token=a1b2c3"] {
        let slashes = "\\".repeat(100_000);
        let text = format!("{opening}{slashes}\" end");
        let whole = redacted(&Values::new(), text.as_bytes());
        assert!(whole.starts_with("token") && whole.len() < 100, "{whole}");
        assert_eq!(redacted_in_chunks(&Values::new(), text.as_bytes(), &[997, 3]), whole);
        let mut redactor = Redactor::new(&RULES, &Values::new());
        let mut out = Vec::new();
        redactor.push(format!("{opening}{slashes}").as_bytes(), &mut out);
        redactor.learn(&known("qpwoei12"));
        redactor.push(b"\" qpwoei12 ", &mut out);
        redactor.finish(&mut out);
        assert!(String::from_utf8_lossy(&out).ends_with(" [REDACTED:known] "));
    }
}

#[test]
fn a_secret_of_many_megabytes_needs_no_memory() {
    let mut redactor = Redactor::new(&RULES, &Values::new());
    let mut out = Vec::new();
    redactor.push(b"token = \"", &mut out);
    for _ in 0..1000 {
        redactor.push(&[b'x'; 10_000], &mut out);
        redactor.push(b"y", &mut out);
    }
    redactor.push(b"\" end", &mut out);
    redactor.finish(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), "token = \"[REDACTED:assignment]\" end");
}

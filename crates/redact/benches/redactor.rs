//! Throughput of the redactor, beside one large regular expression over the same rules.
//!
//! `cargo bench -p writ-redact`. The text is made of what Terraform printed for the configuration in
//! `tests/it/plan.tf` and of output as it is printed for clouds; it is the same every time.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::{fmt::Write as _, time::Instant};

use regex::bytes::Regex;
use writ_redact::{Redactor, Rules, Values};

const SIZE: usize = 100 * 1024 * 1024;
const CHUNK: usize = 16 * 1024;
const ROUNDS: usize = 5;

/// The rules as one alternation.
const PATTERN: &str = concat!(
    r#"(?i-u:[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|pwd|(?:api|access|secret|private|account|encryption|signing|master|auth|shared|client)[_-]?key)(?:[_-]?(?:value|string|data|pem|old|new))?["']?\]?[ \t]{0,64}(?:=>?|:=?)[ \t]{0,64}(?:"(?:[^"\\\n]|\\.)+"|'[^'\n]+'|[^\s"'`]+))"#,
    r#"|(?i-u:\bkey["']?[ \t]{0,64}[:=][ \t]{0,64}"[a-z0-9+/=_-]{16,}")"#,
    r"|(?-u:(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})",
    r"|(?i-u:(?:accountkey|sharedaccesskey)=[a-z0-9+/=%_-]{16,})",
    r"|(?i-u:sharedaccesssignature=[^\s;]{16,}|[?&]sig=[a-z0-9+/=%_-]{16,}|x-amz-(?:signature|security-token)=[a-z0-9+/=%_-]{16,})",
    r"|(?-u:ya29\.[A-Za-z0-9_.-]{16,}|AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{20,})",
    r"|(?-u:eyJ[A-Za-z0-9_-]{9,}\.[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*)",
    r"|(?-u:-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.)*?-----END [A-Z0-9 ]*PRIVATE KEY-----)",
    r"|(?-u:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_.-]{16,})",
    r"|(?-u:xox[bpars]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|npm_[A-Za-z0-9]{30,}|hv[sb]\.[A-Za-z0-9_-]{20,})",
    r"|(?-u:DEV-[0-9a-f]{40}|qbr_[0-9a-f]{16,}|myqos_(?:oat|id)=[A-Za-z0-9_.-]{8,}|writ_[a-z]+_[A-Za-z0-9]{16,}[A-Za-z0-9_]*)",
    r#"|(?-u:://[^\s/?\#"'@:]*:[^\s/?\#"'@]+@)"#,
    r"|(?i-u:authorization[^a-z\n]{1,16}(?:basic|bearer|apikey|token) +[^\s\x22']+|bearer [a-z0-9+/=_.-]{16,})",
);

fn main() {
    let clean = log(SIZE, false);
    let dirty = log(SIZE, true);
    let rules = Rules::standard();
    let none = Values::new();
    let twenty = values(20);
    let pattern = Regex::new(PATTERN).unwrap_or_else(|error| unreachable!("{error}"));

    println!("{} MiB of output in chunks of {} KiB, best of {ROUNDS}, one core", SIZE >> 20, CHUNK >> 10);
    let redactor = report("redactor, clean text", || redact(&rules, &none, &clean));
    report("redactor, clean text, 20 known values", || redact(&rules, &twenty, &clean));
    report("redactor, a secret every 4 KiB, 20 known values", || redact(&rules, &twenty, &dirty));
    let regex = report("one regular expression, clean text", || {
        pattern.replace_all(&clean, &b"[REDACTED]"[..]).len()
    });
    println!("ratio on clean text: {:.1}", redactor / regex);
}

fn redact(rules: &Rules, values: &Values, text: &[u8]) -> usize {
    let mut redactor = Redactor::new(rules, values);
    let mut out = Vec::with_capacity(2 * CHUNK);
    let mut length = 0;
    for chunk in text.chunks(CHUNK) {
        redactor.push(chunk, &mut out);
        length += out.len();
        out.clear();
    }
    redactor.finish(&mut out);
    length + out.len()
}

/// Prints and returns megabytes (10^6 bytes) a second.
#[expect(clippy::cast_precision_loss, reason = "a hundred megabytes are exact")]
fn report(name: &str, run: impl Fn() -> usize) -> f64 {
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(run());
            SIZE as f64 / start.elapsed().as_secs_f64() / 1e6
        })
        .fold(0.0, f64::max);
    println!("{name:<50} {best:>8.0} MB/s");
    best
}

fn values(count: u64) -> Values {
    let mut values = Values::new();
    for number in 0..count {
        let taken =
            values.add("known", format!("{:016x}/{:x}+&<Zq", mix(number + 99), mix(number)).as_bytes());
        assert!(taken, "the value is fit to be looked for");
    }
    values
}

/// Output of real runs, over and over, with the numbers in it changed so that no two copies are alike.
fn log(size: usize, secrets: bool) -> Vec<u8> {
    const PARTS: &[&str] = &[
        include_str!("../tests/it/ordinary/init.txt"),
        include_str!("../tests/it/ordinary/plan.txt"),
        include_str!("../tests/it/ordinary/apply.txt"),
        include_str!("../tests/it/ordinary/aws.txt"),
        include_str!("../tests/it/ordinary/show.txt"),
        include_str!("../tests/it/ordinary/plan.jsonl"),
        include_str!("../tests/it/ordinary/plan2.txt"),
        include_str!("../tests/it/ordinary/apply.jsonl"),
        include_str!("../tests/it/ordinary/destroy.txt"),
    ];
    let mut text = String::with_capacity(size + 64 * 1024);
    let mut since = 0;
    for (line, seed) in PARTS.iter().flat_map(|part| part.lines()).cycle().zip(0_u64..) {
        push_line(&mut text, line, seed);
        since += line.len();
        if secrets && since > 4096 {
            since = 0;
            let secret = mix(seed);
            writeln!(text, "app (local-exec): connecting with password={secret:x} as deploy")
                .unwrap_or_default();
        }
        if text.len() >= size {
            break;
        }
    }
    let mut text = text.into_bytes();
    text.truncate(size);
    text
}

/// Copies a line with its digits shifted by a number that depends on `seed`, longer runs of them only, so that
/// ports, versions and indices stay what they are.
fn push_line(text: &mut String, line: &str, seed: u64) {
    let mut run = 0;
    for letter in line.chars() {
        run = if letter.is_ascii_digit() { run + 1 } else { 0 };
        let shift = u32::try_from((mix(seed) >> (run % 48)) % 10).unwrap_or(0);
        match letter.to_digit(10) {
            Some(digit) if run > 4 => text.push(char::from_digit((digit + shift) % 10, 10).unwrap_or(letter)),
            _ => text.push(letter),
        }
    }
    text.push('\n');
}

/// The finaliser of `SplitMix64`: numbers that look random and are always the same.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

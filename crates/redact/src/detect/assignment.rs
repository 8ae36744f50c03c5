//! `name = value`, where the name says that the value is a secret.

use super::{Secret, Verdict};
use crate::{
    extent::{Extent, MARKER, Stops},
    view::{More, View, between, ends_with_folded, starts_with_folded},
};

/// The kind of a secret of which no more is known than that it was assigned.
pub(crate) const ASSIGNMENT: &str = "assignment";
/// Names are no longer than this on either side of the word that makes them secret, in bytes.
const NAME: usize = 64;
/// Blanks around a separator, at most.
const BLANKS: usize = 64;
/// So much of a value tells whether it is one, in bytes.
const SAMPLE: usize = 256;
/// Hidden values are shown as no more stars or the like than this.
const STARS: usize = 64;
/// What may follow the word that makes a name secret.
const SUFFIXES: &[&str] = &[
    "value",
    "string",
    "plaintext",
    "plain",
    "text",
    "data",
    "base64",
    "b64",
    "pem",
    "old",
    "new",
    "current",
    "previous",
    "primary",
    "secondary",
];
/// A name that ends so holds a secret.
const WORDS: &[&str] = &["password", "passwd", "passphrase", "secret", "token"];
/// A name that ends so, and then with `key`, holds a secret.
const KEYS: &[&str] = &[
    "api",
    "access",
    "secret",
    "private",
    "account",
    "encryption",
    "signing",
    "master",
    "auth",
    "shared",
    "hmac",
    "jwt",
    "license",
    "client",
];

/// How much a name says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// A password, token or secret key: any value is secret.
    Certain,
    /// Some key: a value is secret if it looks like chance made it.
    Likely,
}

/// How name and value are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    Equals,
    Colon,
    /// By a blank or a comma, after the name of a flag.
    Flag,
}

/// Looks for an assignment around the word at `start..end`.
pub(super) fn inspect(view: View<'_>, start: usize, end: usize) -> Verdict {
    let name_end = view.run(end, NAME, is_name)?;
    let name_start = view.run_back(start, NAME, |byte| is_name(byte) || byte == b'.');
    let name = view.between(name_start, name_end);
    let Some((joint, quoted_name, value)) = joint(view, name_start, name_end)? else { return Ok(None) };
    let Some(strength) = strength(name) else { return Ok(None) };
    let kind = kind(name);
    let secret = |start, extent| Some(Secret { start, from: start, extent, kind });

    let slashes = view.run(value, 8, |byte| byte == b'\\')?;
    let depth = slashes - value;
    match view.byte(slashes)? {
        Some(quote @ (b'"' | b'\'' | b'`')) => {
            let sample = sample(view, slashes + 1, |byte| byte == quote || byte == b'\n')?;
            let sample = sample.trim_ascii_end_matches(|byte| depth > 0 && byte == b'\\');
            let found = is_secret(strength, sample) && !is_reference(sample);
            Ok(found.then_some(()).and_then(|()| secret(slashes + 1, Extent::Quoted { quote, depth })))
        }
        Some(b'<') if view.has(value, b"<<")? => {
            Ok(heredoc(view, value)?.and_then(|(at, extent)| secret(at, extent)))
        }
        Some(b'|' | b'>') if joint == Joint::Colon => {
            Ok(block(view, name_start, value)?.and_then(|(at, extent)| secret(at, extent)))
        }
        _ => {
            let query = matches!(view.before(name_start), Some(b'?' | b'&')) || name.starts_with(b"u0026");
            let stops = Stops { query, field: view.before(name_start) == Some(b';'), member: quoted_name };
            Ok(bare(view, name, joint, strength, value, stops)?
                .then_some(())
                .and_then(|()| secret(value, Extent::Bare(stops))))
        }
    }
}

/// The new value of a change; the caller has made sure that the old one was an assigned secret.
pub(super) fn changed(view: View<'_>, end: usize) -> Verdict {
    let sample = sample(view, end, |byte| byte == b'"' || byte == b'\n')?;
    let extent = Extent::Quoted { quote: b'"', depth: 0 };
    Ok((!is_placeholder(sample)).then_some(Secret { start: end, from: end, extent, kind: ASSIGNMENT }))
}

/// Whether a member of this name with this text holds a secret.
pub(crate) fn is_secret_field(name: &str, text: &str) -> bool {
    let text = text.as_bytes();
    strength(name.as_bytes()).is_some_and(|strength| is_secret(strength, text) && !is_reference(text))
}

/// Whether a value only stands for one: nothing, already hidden, or a word of a language.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    const WORDS: &[&str] = &[
        "null",
        "nil",
        "none",
        "true",
        "false",
        "undefined",
        "string",
        "number",
        "bool",
        "any",
        "object",
        "yes",
        "no",
        "unknown",
        "sensitive",
        "redacted",
        "optional",
        "required",
        "default",
    ];
    let value = value.trim_ascii();
    let word = value.trim_ascii_end_matches(|byte| matches!(byte, b',' | b';' | b')' | b'.'));
    let first = value.first().copied().unwrap_or_default();
    value.len() < 3
        || value.starts_with(b"[REDACTED")
        || [&b"(sensitive"[..], b"(known after", b"(write-only"].iter().any(|shown| value.starts_with(shown))
        || (value.len() <= STARS
            && matches!(first, b'*' | b'x' | b'X' | b'.' | b'-')
            && value.iter().all(|byte| *byte == first))
        || is_bracketed(word)
        || WORDS.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// `<sensitive>`, `<your token>`.
fn is_bracketed(value: &[u8]) -> bool {
    let words = value.strip_prefix(b"<").and_then(|value| value.strip_suffix(b">"));
    words.is_some_and(|words| {
        words.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'_' | b'-'))
    })
}

trait TrimEnd {
    fn trim_ascii_end_matches(&self, unwanted: impl Fn(u8) -> bool) -> &[u8];
}

impl TrimEnd for [u8] {
    fn trim_ascii_end_matches(&self, unwanted: impl Fn(u8) -> bool) -> &[u8] {
        between(self, 0, self.iter().rposition(|byte| !unwanted(*byte)).map_or(0, |at| at + 1))
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// What joins the name at `start..end` to a value: how, whether the name is in quotes, and where the value starts.
fn joint(view: View<'_>, start: usize, end: usize) -> Result<Option<(Joint, bool, usize)>, More> {
    let slashes = view.run(end, 8, |byte| byte == b'\\')?;
    let closing = matches!(view.byte(slashes)?, Some(b'"' | b'\'' | b'`'));
    let after = if closing { slashes + 1 } else { end };
    let bracket = if closing && view.byte(after)? == Some(b']') { after + 1 } else { after };
    let separator = view.run(bracket, BLANKS, is_blank)?;
    let flag = view.between(start, end).starts_with(b"-");
    let (joint, value) = match (view.byte(separator)?, view.byte(separator + 1)) {
        (Some(b'='), next) => match next? {
            Some(b'=' | b'~') if view.byte(separator + 2)?.is_some_and(is_blank) => return Ok(None),
            Some(b'>') => (Joint::Equals, separator + 2),
            _ => (Joint::Equals, separator + 1),
        },
        // As in an ARN or another list of fields.
        (Some(b':'), _) if view.before(start) == Some(b':') => return Ok(None),
        (Some(b':'), next) => match next? {
            Some(b':' | b'/') => return Ok(None),
            Some(b'=') => (Joint::Equals, separator + 2),
            _ => (Joint::Colon, separator + 1),
        },
        (Some(b',' | b'"' | b'\''), _) if flag && closing => {
            (Joint::Flag, view.run(separator, 8, |byte| byte == b',' || is_blank(byte))?)
        }
        (Some(_), _) if flag && separator > end => (Joint::Flag, separator),
        _ => return Ok(None),
    };
    Ok(Some((joint, closing, view.run(value, BLANKS, is_blank)?)))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The value from `start` to where it stops, or the first [`SAMPLE`] bytes of it.
fn sample(view: View<'_>, start: usize, stop: impl Fn(u8) -> bool) -> Result<&[u8], More> {
    Ok(view.between(start, view.run(start, SAMPLE, |byte| !stop(byte))?))
}

fn strength(name: &[u8]) -> Option<Strength> {
    let mut name = trim_joints(name);
    loop {
        let digits = name.trim_ascii_end_matches(|byte| byte.is_ascii_digit());
        let suffix =
            SUFFIXES.iter().find(|suffix| ends_with_folded(digits, suffix)).map_or(0, |suffix| suffix.len());
        let shorter = trim_joints(between(digits, 0, digits.len() - suffix));
        if shorter.len() == name.len() || shorter.is_empty() {
            break;
        }
        name = shorter;
    }
    if WORDS.iter().any(|word| ends_with_folded(name, word)) {
        return Some(Strength::Certain);
    }
    if ends_with_folded(name, "pwd") {
        return (!matches!(name, b"PWD" | b"OLDPWD")).then_some(Strength::Certain);
    }
    let rest = name
        .len()
        .checked_sub(3)
        .filter(|_| ends_with_folded(name, "key"))
        .map(|end| between(name, 0, end))?;
    let qualifier = trim_joints(rest);
    if KEYS.iter().any(|key| ends_with_folded(qualifier, key)) {
        Some(Strength::Certain)
    } else if ends_with_folded(qualifier, "public") {
        None
    } else {
        let begins = !rest.last().is_some_and(u8::is_ascii_alphabetic)
            || between(name, rest.len(), name.len()).starts_with(b"K");
        begins.then_some(Strength::Likely)
    }
}

fn trim_joints(name: &[u8]) -> &[u8] {
    name.trim_ascii_end_matches(|byte| matches!(byte, b'_' | b'-' | b'.'))
}

/// Quantum vendors and clouds that a name gives away.
fn kind(name: &[u8]) -> &'static str {
    const OWNERS: &[(&str, &str)] = &[
        ("aws_secret_access_key", "aws-secret-key"),
        ("aws_session_token", "aws-session-token"),
        ("arm_client_secret", "azure-client-secret"),
        ("qiskit", "ibm-quantum-token"),
        ("ibm", "ibm-token"),
        ("ionq", "ionq-token"),
        ("dwave", "dwave-token"),
        ("iqm", "iqm-token"),
        ("aqt", "aqt-token"),
        ("pcvl", "quandela-token"),
        ("pasqal", "pasqal-token"),
        ("qbraid", "qbraid-token"),
    ];
    let name = between(name, name.iter().take_while(|byte| **byte == b'-').count(), name.len());
    OWNERS.iter().find(|(owner, _)| starts_with_folded(name, owner)).map_or(ASSIGNMENT, |(_, kind)| kind)
}

fn is_secret(strength: Strength, value: &[u8]) -> bool {
    let digits = value.len() < 4 && value.iter().all(u8::is_ascii_digit);
    !is_placeholder(value) && !digits && (strength == Strength::Certain || looks_random(value))
}

/// Whether a value points at a secret rather than being one.
fn is_reference(value: &[u8]) -> bool {
    const ROOTS: &[&str] = &[
        "var.",
        "local.",
        "module.",
        "data.",
        "each.",
        "self.",
        "count.",
        "path.",
        "arn:",
        "https://",
        "http://",
        "projects/",
        "/subscriptions/",
        "env:",
        "file(",
        "$(",
    ];
    let interpolation =
        value.starts_with(b"${") && value.iter().position(|byte| *byte == b'}') == Some(value.len() - 1);
    let variable = value.strip_prefix(b"$").is_some_and(|name| {
        name.len() > 1
            && name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
    });
    interpolation || variable || ROOTS.iter().any(|root| value.starts_with(root.as_bytes()))
}

/// Whether one part of a value mixes letters and digits, or is longer, than words and names do.
fn looks_random(value: &[u8]) -> bool {
    let uuid = value.len() == 36 && [8, 13, 18, 23].iter().all(|dash| value.get(*dash) == Some(&b'-'));
    let resource = value.iter().position(|byte| *byte == b'-').is_some_and(|dash| {
        let id = between(value, dash + 1, value.len());
        matches!(id.len(), 8 | 17)
            && id.iter().all(u8::is_ascii_hexdigit)
            && between(value, 0, dash).iter().all(u8::is_ascii_lowercase)
    });
    let plain =
        value.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b':' | b'*' | b'(' | b'{'));
    let random = |part: &[u8]| {
        let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
        (part.len() >= 8 && digits >= 2 && part.len() - digits >= 2) || part.len() >= 16
    };
    plain && !uuid && !resource && value.split(|byte| !byte.is_ascii_alphanumeric()).any(random)
}

/// Whether the value at `value`, which has no quotes, is a secret rather than an expression or prose.
fn bare(
    view: View<'_>,
    name: &[u8],
    joint: Joint,
    strength: Strength,
    value: usize,
    stops: Stops,
) -> Result<bool, More> {
    let sample = sample(view, value, |byte| {
        byte <= b' ' || matches!(byte, b'"' | b'\'' | b'`') || (stops.query && byte == b'&')
    })?;
    let opens =
        sample.first().is_none_or(|byte| matches!(byte, b'(' | b'{' | b'[' | b'-' | b'=' | b'|' | b'&'));
    let expression = view.before(value).is_some_and(is_blank) && is_expression(sample);
    if opens || is_reference(sample) || expression || !is_secret(strength, sample) {
        return Ok(false);
    }
    if joint != Joint::Colon || stops.member {
        return Ok(true);
    }
    if is_progress(sample) && name.contains(&b'.') {
        return Ok(false);
    }
    let end = value + sample.len();
    let rest = view.run(end, BLANKS, is_blank)?;
    let last = sample.len() == SAMPLE || matches!(view.byte(rest)?, None | Some(b'\n' | b'\r' | b'#'));
    Ok(last || looks_random(sample))
}

/// `aws_instance.web.id`, `random_password.db[0].result`, `file(…)`: names of resources and calls of functions.
fn is_expression(value: &[u8]) -> bool {
    let root = between(value, 0, value.iter().position(|byte| !is_name(*byte)).unwrap_or(value.len()));
    let lower = root.first().is_some_and(u8::is_ascii_lowercase)
        && root.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_');
    match value.get(root.len()) {
        Some(b'.') => {
            lower && root.contains(&b'_') && value.iter().all(|byte| is_name(*byte) || b".[]*".contains(byte))
        }
        Some(b'(') => lower,
        _ => false,
    }
}

/// What the tool says it is doing to the resource named before the colon.
fn is_progress(word: &[u8]) -> bool {
    const WORDS: &[&str] = &[
        "Creation",
        "Destruction",
        "Modifications",
        "Still",
        "Read",
        "Provisioning",
        "Drift",
        "Plan",
        "Refresh",
        "Import",
        "Opening",
        "Closing",
        "Renewing",
        "Preparing",
        "Refreshing",
    ];
    word.ends_with(b"...") || WORDS.iter().any(|known| known.as_bytes() == word)
}

/// `<<EOT` and `<<-EOT` followed by a line break.
fn heredoc(view: View<'_>, value: usize) -> Result<Option<(usize, Extent)>, More> {
    let dash = if view.byte(value + 2)? == Some(b'-') { 3 } else { 2 };
    let end = view.run(value + dash, MARKER, |byte| byte.is_ascii_alphanumeric() || byte == b'_')?;
    let name = view.between(value + dash, end);
    if name.is_empty() || !matches!(view.byte(end)?, Some(b'\n' | b'\r')) {
        return Ok(None);
    }
    let mut marker = [0; MARKER];
    if let Some(start) = marker.get_mut(..name.len()) {
        start.copy_from_slice(name);
    }
    Ok(Some((value, Extent::Heredoc { marker, length: name.len() })))
}

/// A block scalar: `|` or `>`, perhaps with indicators, then a line break.
fn block(view: View<'_>, name_start: usize, value: usize) -> Result<Option<(usize, Extent)>, More> {
    let end = view.run(value, 4, |byte| matches!(byte, b'|' | b'>' | b'-' | b'+' | b'1'..=b'9'))?;
    if view.byte(end)? != Some(b'\n') {
        return Ok(None);
    }
    let line = view.run_back(name_start, super::LOOK_BEHIND - NAME, |byte| byte != b'\n');
    let indent = view.between(line, name_start).iter().take_while(|byte| **byte == b' ').count();
    Ok(Some((value, Extent::Block { indent })))
}

//! Secrets that say themselves what they are.

use data_encoding::BASE64_NOPAD;

use super::{Secret, Verdict};
use crate::{
    extent::{Class, Extent},
    view::View,
};

/// A token that starts with a literal of its own.
#[derive(Debug)]
pub(crate) struct Prefixed {
    /// In lower case if `folded`.
    pub(crate) literal: &'static str,
    /// Whether upper and lower case are the same.
    pub(crate) folded: bool,
    kind: &'static str,
    class: Class,
    /// How many characters of the class follow at the least.
    least: usize,
    /// Whether the literal is a name and stays visible.
    named: bool,
}

const fn token(literal: &'static str, kind: &'static str, class: Class, least: usize) -> Prefixed {
    Prefixed { literal, folded: false, kind, class, least, named: false }
}

const fn named(literal: &'static str, kind: &'static str, class: Class, least: usize) -> Prefixed {
    Prefixed { literal, folded: true, kind, class, least, named: true }
}

/// All of them. The roles and users of AWS (`AROA…`, `AIDA…`) are names, not secrets.
pub(crate) const PREFIXED: &[Prefixed] = &[
    token("AKIA", "aws-access-key-id", Class::Upper, 16),
    token("ASIA", "aws-access-key-id", Class::Upper, 16),
    token("ABIA", "aws-access-key-id", Class::Upper, 16),
    token("ACCA", "aws-access-key-id", Class::Upper, 16),
    named("x-amz-signature=", "aws-signature", Class::Hex, 32),
    named("x-amz-security-token=", "aws-session-token", Class::Base64, 16),
    named("accountkey=", "azure-account-key", Class::Base64, 16),
    named("sharedaccesskey=", "azure-account-key", Class::Base64, 16),
    named("sharedaccesssignature=", "azure-sas", Class::Signature, 16),
    token("ya29.", "gcp-token", Class::Dotted, 16),
    token("AIza", "gcp-api-key", Class::Word, 35),
    token("GOCSPX-", "gcp-client-secret", Class::Word, 20),
    token("ghp_", "github-token", Class::Alnum, 20),
    token("gho_", "github-token", Class::Alnum, 20),
    token("ghu_", "github-token", Class::Alnum, 20),
    token("ghs_", "github-token", Class::Alnum, 20),
    token("ghr_", "github-token", Class::Alnum, 20),
    token("github_pat_", "github-token", Class::Word, 20),
    token("glpat-", "gitlab-token", Class::Dotted, 16),
    token("gldt-", "gitlab-token", Class::Dotted, 16),
    token("glrt-", "gitlab-token", Class::Dotted, 16),
    token("glptt-", "gitlab-token", Class::Dotted, 16),
    token("xoxb-", "slack-token", Class::Word, 10),
    token("xoxp-", "slack-token", Class::Word, 10),
    token("xoxa-", "slack-token", Class::Word, 10),
    token("xoxr-", "slack-token", Class::Word, 10),
    token("xoxs-", "slack-token", Class::Word, 10),
    token("xapp-", "slack-token", Class::Word, 10),
    token("npm_", "npm-token", Class::Alnum, 30),
    token("pypi-AgE", "pypi-token", Class::Word, 20),
    token("hvs.", "vault-token", Class::Word, 20),
    token("hvb.", "vault-token", Class::Word, 20),
    token(".atlasv1.", "terraform-token", Class::Word, 40),
    token("sk_live_", "stripe-key", Class::Alnum, 16),
    token("rk_live_", "stripe-key", Class::Alnum, 16),
    token("AGE-SECRET-KEY-1", "age-key", Class::Alnum, 40),
    token("DEV-", "dwave-token", Class::Hex, 40),
    token("qbr_", "qbraid-token", Class::Hex, 16),
    named("myqos_oat=", "nexus-token", Class::Dotted, 8),
    named("myqos_id=", "nexus-token", Class::Dotted, 8),
    named("bearer ", "bearer-token", Class::Base64, 16),
    token("writ_", "writ-token", Class::Dotted, 20),
];

/// Tokens of our own have at least this many letters and digits in one of their parts.
const OWN_PART: usize = 16;

pub(super) fn prefixed(view: View<'_>, index: u8, start: usize, end: usize) -> Verdict {
    let Some(rule) = PREFIXED.get(usize::from(index)) else { return Ok(None) };
    let body = view.run(end, rule.least, |byte| rule.class.has(byte))?;
    if body - end < rule.least {
        return Ok(None);
    }
    if rule.kind == "writ-token" && !own(view, end)? {
        return Ok(None);
    }
    let start = if rule.named { end } else { start };
    if rule.kind == "bearer-token"
        && !view.between(end, body).iter().any(|byte| byte.is_ascii_digit() || *byte == b'_')
    {
        return Ok(None);
    }
    Ok(Some(Secret { start, from: body, extent: Extent::Run(rule.class), kind: rule.kind }))
}

/// `writ_<kind>_<random>_<checksum>` or `writ_run_<claims>.<mac>`: a short word, then a part longer than the words
/// of an identifier are.
fn own(view: View<'_>, after: usize) -> Result<bool, crate::view::More> {
    let kind = view.run(after, 16, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())?;
    if kind == after || view.byte(kind)? != Some(b'_') {
        return Ok(false);
    }
    let part = view.run(kind + 1, OWN_PART, |byte| byte.is_ascii_alphanumeric())?;
    Ok(part - kind > OWN_PART)
}

/// Two parts of a JSON web signature or encryption (RFC 7515, RFC 7516): a header, then more base64url.
pub(super) fn jwt(view: View<'_>, start: usize) -> Verdict {
    const HEADER: usize = 2048;
    const NEXT: usize = 8;
    if view.before(start).is_some_and(|byte| Class::Word.has(byte)) && !after_escape(view, start) {
        return Ok(None);
    }
    let header = view.run(start, HEADER, |byte| Class::Word.has(byte))?;
    if header - start < 12 || view.byte(header)? != Some(b'.') {
        return Ok(None);
    }
    let next = view.run(header + 1, NEXT, |byte| Class::Word.has(byte))?;
    let found = next - header > NEXT || view.between(header, header + 2) == b"..";
    Ok(found.then_some(Secret { start, from: start, extent: Extent::Run(Class::Dotted), kind: "jwt" }))
}

/// `-----BEGIN … PRIVATE KEY-----` (RFC 7468, PKCS#1, PKCS#8, SEC 1, OpenSSH, PGP).
pub(super) fn private_key(view: View<'_>, start: usize, end: usize) -> Verdict {
    const LABEL: usize = 40;
    let label =
        view.run(end, LABEL, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ')?;
    let private = view.between(end, label).windows(11).any(|window| window == b"PRIVATE KEY");
    let found = private && view.has(label, b"-----")?;
    Ok(found.then_some(Secret { start, from: start, extent: Extent::PEM, kind: "private-key" }))
}

/// The same, base64 of base64: certificates start alike, so the label is decoded.
pub(super) fn encoded_key(view: View<'_>, start: usize) -> Verdict {
    const LABEL: usize = 64;
    let end = view.run(start, LABEL, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))?;
    let whole = (end - start) / 4 * 4;
    let label = BASE64_NOPAD.decode(view.between(start, start + whole)).unwrap_or_default();
    let found = label.windows(11).any(|window| window == b"PRIVATE KEY");
    Ok(found.then_some(Secret {
        start,
        from: start,
        extent: Extent::Run(Class::Base64),
        kind: "private-key",
    }))
}

/// A secret key of AWS has no mark of its own: 40 characters of base64. Close after a key id it is one.
pub(super) fn near_key_id(view: View<'_>, end: usize) -> Verdict {
    const NEAR: usize = 256;
    const KEY: usize = 40;
    let id = view.run(end, 16, |byte| Class::Upper.has(byte))?;
    if id - end < 16 {
        return Ok(None);
    }
    let window = view.run(id, NEAR, |_| true)?;
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let mut at = id;
    while at < window {
        let run = view.run(at, KEY + 1, belongs)?;
        if run - at == KEY && is_mixed(view.between(at, run)) {
            let extent = Extent::Exactly(KEY);
            return Ok(Some(Secret { start: at, from: at, extent, kind: "aws-secret-key" }));
        }
        let rest = view.run(run, NEAR, belongs)?;
        at = view.run(rest, NEAR, |byte| !belongs(byte))?.max(at + 1);
    }
    Ok(None)
}

fn is_mixed(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_uppercase)
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bytes.iter().any(u8::is_ascii_digit)
}

/// Whether the letter before `at` belongs to an escape like `\n` or `\u0026` rather than to a word.
pub(super) fn after_escape(view: View<'_>, at: usize) -> bool {
    let short = view.between(at.saturating_sub(2), at);
    let long = view.between(at.saturating_sub(6), at);
    matches!(short, [b'\\', b'n' | b'r' | b't']) || matches!(long, [b'\\', b'u', b'0', b'0', _, _])
}

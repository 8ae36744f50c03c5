//! The spellings in which a secret may turn up.

use std::fmt::Write as _;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

use crate::hidden::Hidden;

/// Lines of a value shorter than this are not looked for by themselves, in bytes.
const LINE: usize = 8;
/// Encoders wrap base64 at these many characters.
const WRAPS: [usize; 2] = [64, 76];

/// All spellings of a value: as it is, without blanks around it, line by line, and each of these escaped and
/// encoded.
pub(crate) fn of(value: &[u8]) -> Vec<Hidden> {
    let mut spellings = Vec::new();
    for form in forms(value) {
        let twice = json(&json(&form));
        encode(&form, &mut spellings);
        for escaped in [json(&form), go(&form), hcl(&form)].into_iter().filter(|escaped| *escaped != form) {
            base64(&escaped, &mut spellings);
            spellings.push(escaped);
        }
        spellings.extend([twice, form]);
    }
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// Base64 of `value` at all three offsets in a longer text, without the characters its neighbours have a part
/// in, in both alphabets.
pub(crate) fn base64(value: &[u8], spellings: &mut Vec<Hidden>) {
    for offset in 0..3 {
        let mut shifted = Zeroizing::new(vec![0; offset]);
        shifted.extend_from_slice(value);
        let skip = (offset * 8).div_ceil(6);
        let whole = shifted.len() * 8 / 6;
        for alphabet in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
            let text = Zeroizing::new(alphabet.encode(&shifted).into_bytes());
            let known = text.get(skip..whole).unwrap_or_default();
            spellings.push(Hidden::from(known));
            if offset == 0 {
                let wrapped = WRAPS.iter().flat_map(|width| known.chunks(*width));
                spellings.extend(wrapped.filter(|line| line.len() >= LINE).map(Hidden::from));
            }
        }
    }
}

fn forms(value: &[u8]) -> Vec<Hidden> {
    let mut forms = vec![value, value.trim_ascii()];
    if value.trim_ascii().contains(&b'\n') {
        let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        // Frames such as `-----BEGIN CERTIFICATE-----` are not secret.
        forms.extend(lines.filter(|line| line.len() >= LINE && !line.starts_with(b"-----")));
    }
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().map(Hidden::from).collect()
}

fn encode(form: &[u8], spellings: &mut Vec<Hidden>) {
    base64(form, spellings);
    for hex in [HEXLOWER, HEXUPPER] {
        spellings.push(Hidden::new(hex.encode(form).into_bytes()));
    }
    // RFC 3986's unreserved characters; encodeURIComponent; Go's url.PathEscape; encodeURI.
    for kept in ["-._~", "-._~!*'()", "-._~$&+=:@", "-._~!*'();/?:@&=+$,#"] {
        for upper in [true, false] {
            spellings.push(percent(form, kept.as_bytes(), upper, false));
        }
    }
    let all = |byte: &u8| [format!("%{byte:02X}"), format!("%{byte:02x}")];
    for case in 0..2 {
        let text: Vec<u8> = form
            .iter()
            .flat_map(|byte| all(byte).into_iter().nth(case).unwrap_or_default().into_bytes())
            .collect();
        spellings.push(Hidden::new(text));
    }
    // application/x-www-form-urlencoded: a blank is `+`.
    for kept in ["-._~", "-._*"] {
        spellings.push(percent(form, kept.as_bytes(), true, true));
        spellings.push(percent(form, kept.as_bytes(), false, true));
    }
}

fn percent(form: &[u8], kept: &[u8], upper: bool, plus: bool) -> Hidden {
    let mut text = Zeroizing::new(String::with_capacity(form.len() * 3));
    for byte in form {
        match *byte {
            b' ' if plus => text.push('+'),
            byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => text.push(char::from(byte)),
            byte if upper => push(&mut text, format_args!("%{byte:02X}")),
            byte => push(&mut text, format_args!("%{byte:02x}")),
        }
    }
    Hidden::from(text.as_bytes())
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).unwrap_or_default();
}

/// As within a string of JSON (RFC 8259, 7), with no more escapes than needed.
fn json(form: &[u8]) -> Hidden {
    escape(form, |byte| match byte {
        b'"' => Some(b"\\\"".to_vec()),
        b'\\' => Some(b"\\\\".to_vec()),
        b'\n' => Some(b"\\n".to_vec()),
        b'\r' => Some(b"\\r".to_vec()),
        b'\t' => Some(b"\\t".to_vec()),
        0x08 => Some(b"\\b".to_vec()),
        0x0c => Some(b"\\f".to_vec()),
        0..0x20 => Some(format!("\\u{byte:04x}").into_bytes()),
        _ => None,
    })
}

/// As Go's `encoding/json` does: `<`, `>` and `&` are escaped too.
fn go(form: &[u8]) -> Hidden {
    let json = json(form);
    escape(&json, |byte| matches!(byte, b'<' | b'>' | b'&').then(|| format!("\\u{byte:04x}").into_bytes()))
}

/// As within a quoted string of HCL, where `${` and `%{` are doubled.
fn hcl(form: &[u8]) -> Hidden {
    let json = json(form);
    let mut text = Vec::with_capacity(json.len() * 2);
    for (at, byte) in json.iter().enumerate() {
        if matches!(byte, b'$' | b'%') && json.get(at + 1) == Some(&b'{') {
            text.push(*byte);
        }
        text.push(*byte);
    }
    Hidden::new(text)
}

fn escape(form: &[u8], escaped: impl Fn(u8) -> Option<Vec<u8>>) -> Hidden {
    let mut text = Vec::with_capacity(form.len() * 6);
    for byte in form {
        match escaped(*byte) {
            Some(escape) => text.extend_from_slice(&escape),
            None => text.push(*byte),
        }
    }
    Hidden::new(text)
}

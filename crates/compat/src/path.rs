//! Paths, parsed once: what the rules of a token see is what an engine gets.

use crate::fault::Fault;

/// Longer paths are refused.
const LONGEST: usize = 4096;

/// What came of parsing a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// In its one form, without the leading `/v1/`.
    Path(String),
    /// It was not in its one form: this is, with the leading slash, still percent-encoded.
    Elsewhere(String),
}

/// Parses the percent-encoded path of a request, which begins with `/v1`.
///
/// # Errors
/// 400 when it steps outside, is not UTF-8, or has characters that cannot be seen.
pub(crate) fn parse(raw: &str) -> Result<Parsed, Fault> {
    if raw.len() > LONGEST {
        return Err(Fault::invalid("the path is too long"));
    }
    let clean = cleaned(raw);
    if clean != raw {
        return Ok(Parsed::Elsewhere(clean));
    }
    let rest = raw.strip_prefix("/v1").ok_or_else(Fault::not_found)?;
    let path = decoded(rest.strip_prefix('/').unwrap_or(rest))?;
    // What the encoding hid is not cleaned but refused: nobody writes that by accident.
    let inside = path.strip_suffix('/').unwrap_or(&path);
    if !path.is_empty() && inside.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(Fault::invalid("relative paths not supported"));
    }
    if path.chars().any(|c| c.is_control() || invisible(c)) {
        return Err(Fault::invalid("path cannot contain non-printable characters"));
    }
    Ok(Parsed::Path(path))
}

/// Marks that change how the characters around them look, and nothing else.
fn invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The same path without empty segments, `.` and `..`; a slash at its end stays.
fn cleaned(raw: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut clean = String::with_capacity(raw.len());
    for segment in &kept {
        clean.extend(["/", segment]);
    }
    if clean.is_empty() || raw.ends_with('/') || raw.ends_with("/.") || raw.ends_with("/..") {
        clean.push('/');
    }
    clean
}

fn decoded(text: &str) -> Result<String, Fault> {
    let malformed = || Fault::invalid("the path is not well-formed");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|c| char::from(c).to_digit(16));
                let (high, low) = (digit().ok_or_else(malformed)?, digit().ok_or_else(malformed)?);
                u8::try_from(high * 16 + low).map_err(|_| malformed())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> Option<String> {
        match parse(raw) {
            Ok(Parsed::Path(path)) => Some(path),
            _ => None,
        }
    }

    #[test]
    fn a_path_in_its_one_form_is_taken_as_it_is() {
        assert_eq!(path("/v1/secret/data/a%20b").unwrap(), "secret/data/a b");
        assert_eq!(path("/v1/secret%2Fdata/x/").unwrap(), "secret/data/x/");
        assert_eq!(path("/v1/").unwrap(), "");
    }

    #[test]
    fn any_other_form_is_told_where_to_go() {
        for (raw, clean) in [
            ("/v1//secret/x", "/v1/secret/x"),
            ("/v1/secret/../sys/mounts", "/v1/sys/mounts"),
            ("/v1/secret/./x", "/v1/secret/x"),
            ("/v1/secret//", "/v1/secret/"),
            ("/v1/a/..", "/v1/"),
        ] {
            assert_eq!(parse(raw).unwrap(), Parsed::Elsewhere(clean.to_owned()), "{raw}");
        }
    }

    #[test]
    fn what_the_encoding_hides_is_refused() {
        for raw in [
            "/v1/secret/%2e%2e/sys",
            "/v1/secret/%2E/x",
            "/v1/secret/%2f/x",
            "/v1/%2fsys",
            "/v1/a%00",
            "/v1/a%0a",
            "/v1/%ff",
            "/v1/%zz",
            "/v1/%2",
            "/v1/a%e2%80%8bb",
            "/v1/a%e2%80%aeb",
        ] {
            assert!(parse(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn look_alikes_of_a_slash_and_of_dots_are_just_letters() {
        assert_eq!(path("/v1/secret/%ef%bc%8e%ef%bc%8e/x").unwrap(), "secret/．．/x");
        assert_eq!(path("/v1/secret%e2%88%95x").unwrap(), "secret∕x");
    }
}

//! Secrets in URLs and HTTP headers.

use super::{Secret, Verdict, is_placeholder, token::after_escape};
use crate::{
    extent::{Class, Extent, Stops},
    view::View,
};

/// User information of a URL is no longer than this, in bytes.
const USER_INFO: usize = 1024;

/// The password of `scheme://user:password@host` (RFC 3986, 3.2.1); `end` is behind the slashes.
pub(super) fn password(view: View<'_>, end: usize) -> Verdict {
    let part = |byte: u8| {
        byte > b' '
            && byte < 0x7f
            && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'@' | b'\\')
    };
    let at = view.run(end, USER_INFO, part)?;
    let user_info = view.between(end, at);
    let Some(colon) = user_info.iter().position(|byte| *byte == b':') else { return Ok(None) };
    let start = end + colon + 1;
    if at == start || is_placeholder(view.between(start, at)) || view.byte(at)? != Some(b'@') {
        return Ok(None);
    }
    Ok(Some(Secret { start, from: start, extent: Extent::Exactly(at - start), kind: "url-password" }))
}

/// The `sig` parameter of a shared access signature of Azure.
pub(super) fn signature(view: View<'_>, start: usize, end: usize) -> Verdict {
    const LEAST: usize = 16;
    let begins = match view.before(start) {
        None | Some(b'?' | b'&' | b';' | b' ' | b'"' | b'\'' | b'\n') => true,
        Some(_) => after_escape(view, start),
    };
    let body = view.run(end, LEAST, |byte| Class::Base64.has(byte))?;
    let found = begins && body - end == LEAST;
    Ok(found.then_some(Secret {
        start: end,
        from: end,
        extent: Extent::Run(Class::Base64),
        kind: "azure-sas",
    }))
}

/// The credentials of an `Authorization` header (RFC 9110, 11.6.2): a scheme, a blank, and all that follows.
pub(super) fn authorization(view: View<'_>, end: usize) -> Verdict {
    let blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'\\' | b':' | b'=' | b'[');
    let scheme = view.run(end, 16, blank)?;
    if !view.between(end, scheme).iter().any(|byte| matches!(byte, b':' | b'=')) {
        return Ok(None);
    }
    let blank = view.run(scheme, 24, |byte| Class::Word.has(byte))?;
    if blank == scheme || view.byte(blank)? != Some(b' ') {
        return Ok(None);
    }
    let start = view.run(blank, 16, |byte| byte == b' ')?;
    let stops = Stops { member: true, ..Stops::default() };
    let value = view.run(start, 16, |byte| Class::Base64.has(byte))?;
    let found =
        value > start && is_known(view.between(scheme, blank)) && !is_placeholder(view.between(start, value));
    Ok(found.then_some(Secret { start, from: start, extent: Extent::Bare(stops), kind: "authorization" }))
}

fn is_known(scheme: &[u8]) -> bool {
    [&b"basic"[..], b"bearer", b"apikey", b"token", b"negotiate", b"digest", b"hmac"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

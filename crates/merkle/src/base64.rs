//! Base64 with one text for each sequence of bytes.

use data_encoding::BASE64;

/// The bytes of `text`, padded standard base64 (RFC 4648 section 4), or nothing when it is not their one text.
///
/// The decoder takes padding in the middle too, which would let a note or a proof be rewritten without changing what
/// it says.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok().filter(|bytes| encode(bytes) == text)
}

/// The text of `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

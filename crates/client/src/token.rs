//! The credential.

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// A credential, shown to the server as `Authorization: Bearer`. It cannot be printed, cloned or serialised,
/// and is wiped from memory when dropped; the copy inside a request under way is not.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes the token as it was issued.
    ///
    /// # Errors
    /// [`Error::Setup`] when it is empty or holds anything but visible ASCII.
    pub fn new(text: String) -> Result<Self> {
        let text = Zeroizing::new(text);
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::setup("a token is visible ASCII without spaces"));
        }
        Ok(Self(text))
    }

    pub(crate) fn header(&self) -> Result<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| Error::setup("a token is no header value"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

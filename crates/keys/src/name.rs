//! Names of keys and field sets.

use std::{fmt, str::FromStr};

use writ_kernel::Error;

/// What a key is called: 1 to 100 of `A-Z`, `a-z`, `0-9`, `_`, `-` and `.`, beginning and ending with a letter, a digit
/// or `_`, and without two dots in a row. Nothing that could leave a path, and nothing that only looks like something
/// else. Upper and lower case differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let inner = |byte: u8| word(&byte) || byte == b'-' || byte == b'.';
        let bytes = text.as_bytes();
        let fits = (1..=100).contains(&bytes.len())
            && text.bytes().all(inner)
            && bytes.first().is_some_and(word)
            && bytes.last().is_some_and(word)
            && !text.contains("..");
        fits.then(|| Self(text.into())).ok_or_else(|| {
            Error::invalid(
                "malformed_name",
                "a name is 1 to 100 of A-Z, a-z, 0-9, `_`, `-` and `.`, begins and ends with a letter, digit or `_`, and has no two dots in a row",
            )
        })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_path_nor_look_like_another() {
        let long = "a".repeat(101);
        for text in
            ["", "..", ".a", "a.", "a..b", "-a", "a-", "a/b", "a%2fb", "a b", "a\0", "é", "раyments", &long]
        {
            assert!(text.parse::<KeyName>().is_err(), "{text:?}");
        }
        for text in ["a", "orders", "Orders_v1.2-eu", "_x_"] {
            assert_eq!(text.parse::<KeyName>().unwrap().as_str(), text);
        }
    }
}

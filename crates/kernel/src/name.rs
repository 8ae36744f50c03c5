//! Names people give to things.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Error;

/// A name that is safe in a path, a URL, a log line and a shell: 1 to 63 of `a-z`, `0-9` and `-`,
/// beginning and ending with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// A free label for people: 1 to 200 printable characters on one line, not blank.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Box<str>);

impl FromStr for Name {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=63).contains(&text.len()) && text.chars().all(inner);
        if fits && !text.starts_with('-') && !text.ends_with('-') {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(
            "malformed_name",
            "a name is 1 to 63 of a-z, 0-9 and `-`, and begins and ends with a letter or digit",
        ))
    }
}

impl FromStr for Label {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let fits =
            !text.trim().is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
        fits.then(|| Self(text.into())).ok_or_else(|| {
            Error::invalid("malformed_label", "a label is 1 to 200 printable characters on one line")
        })
    }
}

macro_rules! text {
    ($type:ident) => {
        impl $type {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(|error: Error| D::Error::custom(error.public()))
            }
        }
    };
}
text!(Name);
text!(Label);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_escape_a_path_do_not_exist() {
        for text in ["", "-a", "a-", "A", "a/b", "..", "a.b", "a b", "a\0", "é", &"a".repeat(64)] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
        assert_eq!("payments-eu-1".parse::<Name>().unwrap().as_str(), "payments-eu-1");
    }

    #[test]
    fn labels_hold_one_printable_line() {
        for text in ["", "   ", "a\nb", "a\u{1b}[31m", &"x".repeat(201)] {
            assert!(text.parse::<Label>().is_err(), "{text:?}");
        }
        assert!("Zoë's laptop (work)".parse::<Label>().is_ok());
    }
}

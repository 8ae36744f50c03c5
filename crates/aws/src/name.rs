//! The words of the security token service, each within the grammar its API reference gives it. A value of one
//! of these types cannot break out of the request it is put into.

use std::{fmt, str::FromStr, time::Duration};

use writ_crypto::SecretString;
use writ_kernel::{Error, Result};

/// A region, like `eu-central-1`: 1 to 32 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

impl FromStr for Region {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits || text.is_empty() || text.len() > 32 {
            return Err(Error::invalid("malformed_region", "a region is written like `eu-central-1`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Region {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a role: `arn:<partition>:iam::<12 digits>:role/<path and name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn {
    text: String,
    partition_end: usize,
}

impl FromStr for RoleArn {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let malformed = || {
            Error::invalid(
                "malformed_role_arn",
                "a role is written like `arn:aws:iam::123456789012:role/name`",
            )
        };
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or_else(malformed);
        let (arn, partition, service, region, account, role) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        let name = role.strip_prefix("role/").ok_or_else(malformed)?;
        let fits = arn == "arn"
            && partition.starts_with("aws")
            && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            && (service, region) == ("iam", "")
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && (1..=576).contains(&name.len())
            && name.bytes().all(|b| word(b) || b == b'/');
        if fits {
            Ok(Self { text: text.to_owned(), partition_end: "arn:".len() + partition.len() })
        } else {
            Err(malformed())
        }
    }
}

impl RoleArn {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `aws`, `aws-cn`, `aws-us-gov` …
    pub fn partition(&self) -> &str {
        self.text.get("arn:".len()..self.partition_end).unwrap_or("aws")
    }
}

/// What a role's trust policy demands of whoever assumes it: 2 to 1224 of `A-Z a-z 0-9 _ + = , . @ : / -`.
/// Not a credential, and not for everyone's eyes either.
#[expect(missing_debug_implementations, reason = "kept out of logs")]
pub struct ExternalId(SecretString);

impl FromStr for ExternalId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let fits = text.bytes().all(|b| word(b) || b == b':' || b == b'/');
        if !fits || !(2..=1224).contains(&text.len()) {
            return Err(Error::invalid(
                "malformed_external_id",
                "an external id is 2 to 1224 of letters, digits and `_+=,.@:/-`",
            ));
        }
        Ok(Self(SecretString::new(text.to_owned())))
    }
}

impl ExternalId {
    /// The text.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The name of a session or of the identity behind it: 2 to 64 of `A-Z a-z 0-9 _ + = , . @ -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionName(String);

impl FromStr for SessionName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if !text.bytes().all(word) || !(2..=64).contains(&text.len()) {
            return Err(Error::invalid(
                "malformed_session_name",
                "a session name is 2 to 64 of letters, digits and `_+=,.@-`",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl SessionName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag of a session, found again in the cloud's own trail. Key: 1 to 128, value: 0 to 256 of letters, digits,
/// space and `_.:/=+-@`, ASCII only; `aws:` is not ours to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTag {
    key: String,
    value: String,
}

impl SessionTag {
    /// The tag `key` = `value`.
    ///
    /// # Errors
    /// `Invalid` when either is outside its grammar.
    pub fn new(key: &str, value: &str) -> Result<Self> {
        let fits = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b" _.:/=+-@".contains(&b));
        let reserved = key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
        if !fits(key) || !fits(value) || reserved || !(1..=128).contains(&key.len()) || value.len() > 256 {
            return Err(Error::invalid(
                "malformed_session_tag",
                "a session tag has characters it may not have",
            ))
            .map_err(|error| {
                error.hint("letters, digits, space and `_.:/=+-@`; key 1 to 128, value up to 256")
            });
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// How long a session is asked for: 15 minutes to one hour, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionDuration(u32);

impl SessionDuration {
    /// One hour, the most a chained role can have.
    pub const HOUR: Self = Self(3600);

    /// `seconds` of lifetime.
    ///
    /// # Errors
    /// `Invalid` outside 900 to 3600.
    pub fn from_seconds(seconds: u32) -> Result<Self> {
        if (900..=3600).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(Error::invalid("malformed_duration", "a session lasts 900 to 3600 seconds"))
    }

    /// In seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

impl From<SessionDuration> for Duration {
    fn from(duration: SessionDuration) -> Self {
        Self::from_secs(duration.0.into())
    }
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_tells_its_partition() {
        let role: RoleArn = "arn:aws-us-gov:iam::123456789012:role/deploy/writ".parse().unwrap();
        assert_eq!(role.partition(), "aws-us-gov");
    }

    #[test]
    fn what_is_not_a_role_is_refused() {
        for text in [
            "",
            "arn:aws:iam::123456789012:user/x",
            "arn:aws:iam::12345678901:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a&Action=Evil",
            "arn:aws:iam:eu-west-1:123456789012:role/x",
            "arn:gcp:iam::123456789012:role/x",
            "arn:aws:iam::123456789012:role/a b",
        ] {
            assert!(text.parse::<RoleArn>().is_err(), "{text}");
        }
    }

    #[test]
    fn words_outside_their_grammar_are_refused() {
        assert!("x".parse::<ExternalId>().is_err());
        assert!("a b".parse::<ExternalId>().is_err());
        assert!("a".repeat(1225).parse::<ExternalId>().is_err());
        assert!("a".repeat(65).parse::<SessionName>().is_err());
        assert!("a/b".parse::<SessionName>().is_err());
        assert!("evil.example.com/".parse::<Region>().is_err());
        assert!(SessionTag::new("aws:tenant", "x").is_err());
        assert!(SessionTag::new("writ:tenant", "x\ny").is_err());
        assert!(SessionTag::new("writ:tenant", &"x".repeat(257)).is_err());
        assert!(SessionDuration::from_seconds(899).is_err());
        assert!(SessionDuration::from_seconds(3601).is_err());
    }
}

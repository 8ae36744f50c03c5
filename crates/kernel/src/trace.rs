//! W3C trace context, as far as we keep it.

use std::{fmt, str::FromStr};

use crate::{Error, World};

/// The 16-byte trace id of W3C Trace Context. Text form: 32 lower-case hexadecimal digits.
/// It correlates; it never identifies or authorises.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// A fresh trace.
    pub fn new(world: &World) -> Self {
        Self(world.bytes())
    }

    /// The trace id of a `traceparent` header, version 00; `None` when it is malformed or all zero.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version.len() != 2 || version == "ff" || parent.len() != 16 || flags.len() != 2 {
            return None;
        }
        trace.parse().ok().filter(|Self(bytes)| bytes.iter().any(|byte| *byte != 0))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        u128::from_str_radix(text, 16)
            .ok()
            .filter(|_| text.len() == 32 && text.chars().all(lower))
            .map(|number| Self(number.to_be_bytes()))
            .ok_or_else(|| {
                Error::invalid("malformed_trace_id", "a trace id is 32 lower-case hexadecimal digits")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_yields_its_trace_id() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            TraceId::from_traceparent(header).unwrap().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
    }

    #[test]
    fn malformed_traceparents_are_ignored() {
        for header in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert!(TraceId::from_traceparent(header).is_none(), "{header}");
        }
    }
}

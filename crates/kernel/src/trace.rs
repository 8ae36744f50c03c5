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

    /// The trace id of a `traceparent` header; `None` when it is malformed.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        Traceparent::parse(header).map(|parent| parent.trace)
    }

    /// As it is written in binary formats.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

/// The 8-byte id of one span of a trace. Text form: 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// A fresh span.
    pub fn new(world: &World) -> Self {
        Self(world.bytes())
    }
}

/// The header `traceparent` of W3C Trace Context: where in which trace the sender of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace.
    pub trace: TraceId,
    /// The sender's span.
    pub span: SpanId,
    /// Whether the sender keeps its part of the trace.
    pub sampled: bool,
}

impl Traceparent {
    /// Reads version 00, and of later versions what they have in common with it; `None` when it is malformed, or an
    /// id is all zero.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex::<2>(version).filter(|version| *version != 0xff)?;
        if version == 0 && parts.next().is_some() {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0 && is_hex::<32>(trace))?;
        let span = hex::<16>(span).filter(|id| *id != 0)?;
        let sampled = hex::<2>(flags)? & 1 == 1;
        Some(Self { trace: TraceId(trace.to_be_bytes()), span: SpanId(span.to_be_bytes()), sampled })
    }
}

/// Version 00.
impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

fn is_hex<const DIGITS: usize>(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex<const DIGITS: usize>(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok().filter(|_| is_hex::<DIGITS>(text))
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
        u128::from_str_radix(text, 16)
            .ok()
            .filter(|_| is_hex::<32>(text))
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
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bx-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(TraceId::from_traceparent(header).is_none(), "{header}");
        }
    }

    #[test]
    fn a_traceparent_is_written_as_it_was_read() {
        for header in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        ] {
            assert_eq!(Traceparent::parse(header).unwrap().to_string(), header);
        }
    }

    #[test]
    fn what_later_versions_add_is_passed_over() {
        let header = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more";
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(Traceparent::parse(header).unwrap().to_string(), expected);
    }
}

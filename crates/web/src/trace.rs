//! W3C trace context in and out.

use std::fmt::Write as _;

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderValue, request::Parts};
use writ_kernel::{Error, TraceId, World};

use crate::{Problem, TRACEPARENT};

/// The trace a request belongs to, and our span in it. An extractor.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    id: TraceId,
    span: [u8; 8],
}

impl Trace {
    /// Continues the trace of the header `traceparent`, or begins one when it is absent or malformed.
    pub(crate) fn read(headers: &HeaderMap, world: &World) -> Self {
        let named = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let id = named.and_then(TraceId::from_traceparent).unwrap_or_else(|| TraceId::new(world));
        Self { id, span: world.bytes() }
    }

    /// The trace id.
    pub fn id(self) -> TraceId {
        self.id
    }

    /// The value of a `traceparent` (for calls we make) or `traceresponse` header: version 00, not sampled.
    pub fn header(self) -> String {
        let mut text = format!("00-{}-", self.id);
        for byte in self.span {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text + "-00"
    }

    pub(crate) fn value(self) -> Option<HeaderValue> {
        self.header().parse().ok()
    }
}

impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let trace = parts.extensions.get().copied();
        trace.ok_or_else(|| Error::internal("a route is served without `Manners`, so it has no trace").into())
    }
}

//! W3C trace context in and out.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderValue, request::Parts};
use writ_kernel::{Error, SpanId, TenantId, TraceId, Traceparent, World};

use crate::{Problem, TRACEPARENT};

/// The trace a request belongs to, and our span in it. An extractor.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    own: Traceparent,
    parent: Option<SpanId>,
}

impl Trace {
    /// Continues the trace of the header `traceparent`, or begins one when it is absent or malformed. Whether we keep
    /// our part of it is for `sampled` to say, and not for whoever sends the request.
    pub(crate) fn read(headers: &HeaderMap, world: &World, sampled: &dyn Fn(TraceId) -> bool) -> Self {
        let named = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let parent = named.and_then(Traceparent::parse);
        let trace = parent.map_or_else(|| TraceId::new(world), |parent| parent.trace);
        let own = Traceparent { trace, span: SpanId::new(world), sampled: sampled(trace) };
        Self { own, parent: parent.map(|parent| parent.span) }
    }

    /// The trace id.
    pub fn id(self) -> TraceId {
        self.own.trace
    }

    /// Our span.
    pub fn span(self) -> SpanId {
        self.own.span
    }

    /// The span of whoever sent the request, if it was named.
    pub fn parent(self) -> Option<SpanId> {
        self.parent
    }

    /// Whether our span is kept.
    pub fn sampled(self) -> bool {
        self.own.sampled
    }

    /// The value of a `traceparent` (for calls we make) or `traceresponse` header.
    pub fn header(self) -> String {
        self.own.to_string()
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

/// Whose request it turned out to be: told on the way in, read on the way out.
#[derive(Clone, Default)]
pub(crate) struct Whose(Arc<OnceLock<TenantId>>);

impl Whose {
    pub(crate) fn tenant(&self) -> Option<TenantId> {
        self.0.get().copied()
    }
}

/// Says, for the record of the request, that its caller was found to be of `tenant`.
pub fn belongs_to(parts: &Parts, tenant: TenantId) {
    if let Some(whose) = parts.extensions.get::<Whose>() {
        let _ = whose.0.set(tenant);
    }
}

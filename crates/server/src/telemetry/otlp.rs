//! The wire format: OTLP/HTTP with JSON, as the OpenTelemetry protocol 1.x defines it. Ids are hexadecimal, 64-bit
//! numbers are strings, members are in camel case.

use serde::{Deserialize, Serialize};
use writ_kernel::{SpanId, Timestamp, TraceId};

/// Where spans are posted, below the endpoint.
pub(super) const PATH: &str = "/v1/traces";

/// One span. What it may say is in the constructors in `spans.rs`, and nothing else ever is.
pub(crate) struct Span {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) attributes: Vec<Attribute>,
    pub(crate) failed: bool,
}

/// The numbers are the protocol's.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Server = 2,
    Consumer = 5,
}

/// A key and its value, as the protocol writes them.
#[derive(Serialize)]
pub(super) struct Attribute {
    key: &'static str,
    value: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Value {
    StringValue(String),
    IntValue(String),
}

#[expect(clippy::needless_pass_by_value, reason = "ids and words are given as they are at hand")]
pub(super) fn text(key: &'static str, value: impl ToString) -> Attribute {
    Attribute { key, value: Value::StringValue(value.to_string()) }
}

pub(super) fn number(key: &'static str, value: impl Into<i64>) -> Attribute {
    Attribute { key, value: Value::IntValue(value.into().to_string()) }
}

/// A request to export spans of one resource.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Export<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: &'a [Attribute],
}

#[derive(Serialize)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<WireSpan>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireSpan {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    flags: u32,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute>,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    code: u8,
}

/// What the collector answers.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Answer {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PartialSuccess {
    rejected_spans: Count,
}

/// The protocol says string; some say number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Text(String),
    Number(u64),
}

impl Default for Count {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Answer {
    /// How many spans it did not take.
    pub(super) fn rejected(&self) -> u64 {
        match &self.partial_success.rejected_spans {
            Count::Text(text) => text.parse().unwrap_or(0),
            Count::Number(number) => *number,
        }
    }
}

impl<'a> Export<'a> {
    /// `spans` of the resource that `about` describes.
    pub(super) fn new(about: &'a [Attribute], spans: Vec<Span>) -> Self {
        let scope = Scope { name: "writ", version: env!("CARGO_PKG_VERSION") };
        let scope_spans = [ScopeSpans { scope, spans: spans.into_iter().map(WireSpan::from).collect() }];
        Self { resource_spans: [ResourceSpans { resource: Resource { attributes: about }, scope_spans }] }
    }
}

impl From<Span> for WireSpan {
    fn from(span: Span) -> Self {
        let nanos = |time: Timestamp| (i128::from(time.micros()) * 1_000).to_string();
        Self {
            trace_id: span.trace.to_string(),
            span_id: span.id.to_string(),
            parent_span_id: span.parent.map(|parent| parent.to_string()),
            // Bit 0: sampled.
            flags: 1,
            name: span.name,
            kind: span.kind as u8,
            start_time_unix_nano: nanos(span.began),
            end_time_unix_nano: nanos(span.ended),
            attributes: span.attributes,
            // 0 is "unset", which a success stays.
            status: Status { code: if span.failed { 2 } else { 0 } },
        }
    }
}

//! Answers and the headers around them.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::Serialize;
use writ_kernel::{Error, Page, PageRequest};
use writ_wire::page::{self as wire, PageQuery};

use crate::{Json, Outcome};

/// Names the evidence of an act, in every answer that has some.
pub const RECEIPT: HeaderName = HeaderName::from_static("writ-receipt");
/// The trace a request belongs to (W3C Trace Context).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The trace an answer belongs to (W3C Trace Context).
pub const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");
/// Makes a POST safe to repeat.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Carries an API key; `Authorization: Bearer` does as well.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// An answer whose act is on record: `body`, with the receipt (as text) in the header [`RECEIPT`].
#[derive(Debug)]
pub struct Recorded<T>(pub String, pub T);

impl<T: IntoResponse> IntoResponse for Recorded<T> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        if let Ok(receipt) = self.0.parse() {
            response.headers_mut().insert(RECEIPT, receipt);
        }
        response
    }
}

/// The page `query` asks for.
///
/// # Errors
/// `Invalid` when the limit is not 1 to 200.
pub fn paging(query: PageQuery) -> writ_kernel::Result<PageRequest> {
    PageRequest::new(query.after, query.limit)
}

/// A page of wire items as it goes out.
pub fn listing<T>(page: Page<T>) -> Json<wire::Page<T>> {
    Json(wire::Page { items: page.items, next: page.next.map(|cursor| cursor.0) })
}

/// 201 Created: `body` now lives at the path `location`.
///
/// # Errors
/// `Internal` when `location` cannot be a header value.
pub fn created<T: Serialize>(location: &str, body: T) -> Outcome<Response> {
    let location = HeaderValue::from_str(location).map_err(|source| {
        Error::internal("the location of a new resource is no header value").because(source)
    })?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(body)).into_response())
}

/// Headers every answer carries unless it chose its own: nothing is sniffed, stored, framed or referred, and
/// over TLS browsers stay on TLS.
pub(crate) fn secure(headers: &mut HeaderMap, tls: bool) {
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(CACHE_CONTROL, "no-store");
    default(REFERRER_POLICY, "no-referrer");
    default(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    if tls {
        default(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}

//! Errors as RFC 9457 problem documents.

use std::{error::Error as _, fmt::Write as _, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use utoipa::ToSchema;
use writ_kernel::{Error, Kind, TraceId};

use crate::RECEIPT;

/// What a handler returns.
pub type Outcome<T> = Result<T, Problem>;

/// An [`Error`] on its way out. It answers with the public voice only; the internal one goes to the log, with
/// the trace id, once the answer passes [`Manners`](crate::Manners).
#[derive(Debug)]
pub struct Problem(pub Error);

/// The body of every answer that is not a success: `application/problem+json`, RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct Document {
    /// `urn:writ:problem:` followed by `code`.
    r#type: String,
    /// The HTTP status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong, in one line for people.
    detail: String,
    /// What went wrong, as a stable word for programs.
    code: &'static str,
    /// The same as `code`, for clients that look for it here.
    error: &'static str,
    /// Where in the request it was: a JSON pointer or the name of a parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The trace to quote when asking about it: 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// How long to wait before trying again, in seconds; the same as the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = status(self.0.kind());
        let mut response = Response::new(body(&self.0, status, None));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.0.kind() == Kind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"writ\""));
        }
        if let Some(seconds) = wait(&self.0) {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(receipt) = self.0.receipt().and_then(|receipt| receipt.parse().ok()) {
            headers.insert(RECEIPT, receipt);
        }
        response.extensions_mut().insert(Cause(Arc::new(self.0)));
        response
    }
}

/// The error behind an answer, so that the outermost layer can log it and add the trace id.
#[derive(Clone)]
struct Cause(Arc<Error>);

/// The code of the problem that `response` is, if it is one that has not been finished yet.
pub(crate) fn code(response: &Response) -> Option<&'static str> {
    response.extensions().get().map(|Cause(error)| error.code())
}

/// Adds `trace` to a problem on its way out, and logs the internal voice of our own faults. Any other answer
/// passes unchanged.
pub(crate) fn finish(mut response: Response, trace: TraceId) -> Response {
    let Some(Cause(error)) = response.extensions_mut().remove() else { return response };
    if error.kind() == Kind::Internal {
        tracing::error!(%trace, error = %chain(&error), "request failed: our fault");
    } else {
        // Not the words: they may repeat what the caller sent.
        tracing::debug!(%trace, code = error.code(), "request refused");
    }
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = body(&error, response.status(), Some(trace));
    response
}

fn body(error: &Error, status: StatusCode, trace: Option<TraceId>) -> Body {
    let document = Document {
        r#type: format!("urn:writ:problem:{}", error.code()),
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: error.public().to_owned(),
        code: error.code(),
        error: error.code(),
        field: error.field().map(str::to_owned),
        hint: error.advice().map(str::to_owned),
        trace_id: trace.map(|trace| trace.to_string()),
        retry_after: wait(error),
    };
    // Strings and numbers always serialise; an empty body still carries the status.
    Body::from(serde_json::to_vec(&document).unwrap_or_default())
}

fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Gone => StatusCode::GONE,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        Kind::Sealed | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whole seconds to wait, rounded up: what the error says, else a default where trying again can help.
fn wait(error: &Error) -> Option<u64> {
    let default = match error.kind() {
        Kind::Exhausted | Kind::Unavailable => Some(Duration::from_secs(1)),
        Kind::Sealed => Some(Duration::from_secs(10)),
        _ => None,
    };
    let wait = error.retry_after().or(default)?;
    Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
}

/// The internal voice with all its causes, for the log.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: Error) -> Response {
        Problem(error).into_response()
    }

    #[test]
    fn each_kind_has_its_status() {
        for (kind, code) in [
            (Kind::Invalid, 400),
            (Kind::Unauthenticated, 401),
            (Kind::Forbidden, 403),
            (Kind::NotFound, 404),
            (Kind::Conflict, 409),
            (Kind::Gone, 410),
            (Kind::TooLarge, 413),
            (Kind::Unsupported, 415),
            (Kind::Exhausted, 429),
            (Kind::Sealed, 503),
            (Kind::Unavailable, 503),
            (Kind::Timeout, 504),
            (Kind::Internal, 500),
        ] {
            assert_eq!(answer(Error::new(kind, "code", "public")).status(), code, "{kind:?}");
        }
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up() {
        let response = answer(Error::exhausted("quota", "too many", Duration::from_millis(1_001)));
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(answer(Error::sealed()).headers()[RETRY_AFTER], "10");
        assert!(answer(Error::not_found("thing")).headers().get(RETRY_AFTER).is_none());
    }

    #[test]
    fn nobody_is_told_how_to_authenticate() {
        let response = answer(Error::unauthenticated("no_credential", "a credential is needed"));
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"writ\"");
    }

    #[test]
    fn the_chain_names_every_cause() {
        let cause = Error::internal("disk on fire").because(std::io::Error::other("smoke"));
        assert!(chain(&Error::internal("cannot save").because(cause)).ends_with("disk on fire]: smoke"));
    }
}

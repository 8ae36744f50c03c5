//! Failures, in the dialect's words.

use http::StatusCode;
use writ_kernel::{Error, Kind};

use crate::reply::Envelope;

/// What a handler answers when it cannot do what is asked.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) errors: Vec<String>,
    /// An answer that carries data all the same: a deleted version, a batch of which some items failed.
    pub(crate) envelope: Option<Box<Envelope>>,
    /// The error behind it, for the log and for the headers.
    pub(crate) cause: Option<Error>,
}

/// What a handler returns.
pub(crate) type Answer<T = crate::reply::Reply> = Result<T, Fault>;

impl Fault {
    fn new(status: StatusCode, errors: Vec<String>) -> Self {
        Self { status, errors, envelope: None, cause: None }
    }

    /// 400 with this text.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, vec![text.into()])
    }

    /// 404 with an empty list: there is nothing here.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Vec::new())
    }

    /// 404 with this text.
    pub(crate) fn nowhere(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, vec![text.into()])
    }

    /// 404 of a path that its engine does not know.
    pub(crate) fn unsupported_path() -> Self {
        Self::nowhere(one("unsupported path"))
    }

    /// 405: the path is known, and not for this.
    pub(crate) fn unsupported_operation() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, vec![one("unsupported operation")])
    }

    /// 403 of nobody in particular: the credential is missing or proves nothing.
    pub(crate) fn nobody() -> Self {
        Self::new(StatusCode::FORBIDDEN, vec!["permission denied".to_owned()])
    }

    /// 403 by rule.
    pub(crate) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, vec![one("permission denied")])
    }

    /// 415.
    pub(crate) fn unsupported_type(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, vec![text.into()])
    }

    /// Another status with this text.
    pub(crate) fn status(status: StatusCode, text: impl Into<String>) -> Self {
        Self::new(status, vec![text.into()])
    }

    /// An answer with data that is not a success: `status`, and the envelope as it is.
    pub(crate) fn with(status: StatusCode, envelope: Envelope) -> Self {
        Self { envelope: Some(Box::new(envelope)), ..Self::new(status, Vec::new()) }
    }
}

/// One error in the form that the peer gives to what its router refuses.
pub(crate) fn one(text: &str) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let public = || vec![error.public().to_owned()];
        let (status, errors) = match error.kind() {
            Kind::Invalid | Kind::Conflict | Kind::Gone => (StatusCode::BAD_REQUEST, public()),
            Kind::Unauthenticated => (StatusCode::FORBIDDEN, vec!["permission denied".to_owned()]),
            Kind::Forbidden => (StatusCode::FORBIDDEN, vec![one("permission denied")]),
            Kind::NotFound => (StatusCode::NOT_FOUND, Vec::new()),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, public()),
            Kind::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, public()),
            Kind::Exhausted => (StatusCode::TOO_MANY_REQUESTS, public()),
            Kind::Sealed => (StatusCode::SERVICE_UNAVAILABLE, vec!["Vault is sealed".to_owned()]),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, public()),
            Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, public()),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, vec![one("internal error")]),
        };
        Self { status, errors, envelope: None, cause: Some(error) }
    }
}

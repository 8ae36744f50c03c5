//! What a request carries besides JSON.

use axum::{
    extract::{
        DefaultBodyLimit, FromRequest, FromRequestParts, Request,
        path::ErrorKind,
        rejection::{BytesRejection, FailedToBufferBody, PathRejection},
    },
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use serde_path_to_error::Track;
use writ_kernel::{Error, Result};

use crate::{
    IDEMPOTENCY_KEY, Problem,
    json::{plain, refusal},
};

/// The layer that lets the bodies of some routes be at most `bytes` long, instead of
/// [`Manners::body_limit`](crate::Manners).
pub fn body_limit(bytes: usize) -> DefaultBodyLimit {
    DefaultBodyLimit::max(bytes)
}

/// A whole body of any content type, no longer than the limit of the route.
///
/// # Errors
/// `TooLarge` beyond the limit, `Invalid` when the client broke off.
#[derive(Debug)]
pub struct Bytes(pub bytes::Bytes);

impl<S: Send + Sync> FromRequest<S> for Bytes {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = bytes::Bytes::from_request(request, state).await;
        Ok(Self(body.map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                Error::too_large("body_too_large", "the body is larger than this operation accepts")
            }
            _ => Error::invalid("broken_body", "the body broke off before its end"),
        })?))
    }
}

/// The key under which a POST may be repeated, if the client sent one: 1 to 128 visible ASCII characters,
/// meaningful to its principal only.
///
/// # Errors
/// `Invalid` when it is anything else, or there are several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = keys.next() else { return Ok(Self(None)) };
        let fits = (1..=128).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
        match key.to_str() {
            Ok(key) if fits && keys.next().is_none() => Ok(Self(Some(key.to_owned()))),
            _ => Err(Error::invalid(
                "malformed_idempotency_key",
                "an idempotency key is 1 to 128 visible characters",
            )
            .at(IDEMPOTENCY_KEY.as_str())
            .into()),
        }
    }
}

/// The query parameters. `T` should deny unknown fields.
///
/// # Errors
/// `Invalid`, with the name of the parameter and never its value.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let mut track = Track::new();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query));
        let value = T::deserialize(serde_path_to_error::Deserializer::new(pairs, &mut track));
        Ok(Self(value.map_err(|error| {
            let error = refusal(&error.to_string());
            match track.path().to_string() {
                place if place == "." => error,
                place => error.at(place),
            }
        })?))
    }
}

/// The parameters in the path.
///
/// # Errors
/// `Invalid`, with the name of the parameter and never its value.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value)).map_err(|rejection| path_error(rejection).into())
    }
}

fn path_error(rejection: PathRejection) -> Error {
    let PathRejection::FailedToDeserializePathParams(failure) = rejection else {
        return Error::internal("a route extracts path parameters it does not have");
    };
    match failure.into_kind() {
        ErrorKind::DeserializeError { key, message, .. } => refusal(&message).at(key),
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => wrong_kind(expected_type).at(key),
        ErrorKind::ParseErrorAtIndex { expected_type, .. } | ErrorKind::ParseError { expected_type, .. } => {
            wrong_kind(expected_type)
        }
        ErrorKind::InvalidUtf8InPathParam { key } => {
            Error::invalid("malformed_path", "a part of the path is not UTF-8").at(key)
        }
        kind => Error::internal(format!("a route and its path parameters disagree: {kind}")),
    }
}

fn wrong_kind(expected: &str) -> Error {
    Error::invalid("invalid_value", "the value is of the wrong kind")
        .hint(format!("expected {}", plain(expected)))
}

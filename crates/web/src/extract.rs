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

use crate::{Problem, json::refusal};

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
            let error = refusal(&error.to_string(), query);
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
    let malformed = || Error::invalid("malformed_path", "a part of the path is malformed");
    let PathRejection::FailedToDeserializePathParams(failure) = rejection else {
        return Error::internal("a route extracts path parameters it does not have");
    };
    match failure.into_kind() {
        ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::InvalidUtf8InPathParam { key } => malformed().at(key),
        ErrorKind::DeserializeError { key, value, message } => refusal(&message, value.as_bytes()).at(key),
        ErrorKind::ParseError { .. } | ErrorKind::ParseErrorAtIndex { .. } => malformed(),
        // A single parameter of one of our own types ends up here, with the type's own words.
        ErrorKind::Message(_) => malformed(),
        kind => Error::internal(format!("a route and its path parameters disagree: {kind}")),
    }
}

//! Who sends a request, as an extractor.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::extract::FromRequestParts;
use http::{header::AUTHORIZATION, request::Parts};
use writ_kernel::{Caller, Error, Result, TraceId};

use crate::{API_KEY, Peer, Problem, Trace, belongs_to};

/// Turns what a request shows into a caller. The identity room implements it; the daemon puts it into the
/// extensions of every request as `Arc<dyn Authenticate>`.
pub trait Authenticate: Send + Sync {
    /// The principal that `token` proves.
    fn authenticate<'a>(
        &'a self,
        token: &'a str,
        from: From,
    ) -> Pin<Box<dyn Future<Output = Result<Caller>> + Send + 'a>>;
}

/// Where a request came from and what it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct From {
    /// The other end of the connection.
    pub peer: Peer,
    /// The trace.
    pub trace: TraceId,
}

/// The bearer token of `Authorization`, or the API key of `X-Api-Key`. An extractor; `Unauthenticated` when there
/// is neither, several, or something else. Has no `Debug`: it is a credential.
#[expect(missing_debug_implementations, reason = "a credential cannot be printed")]
pub struct Bearer(pub String);

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let shown = |name| parts.headers.get_all(name).iter().collect::<Vec<_>>();
        let token = match (shown(AUTHORIZATION).as_slice(), shown(API_KEY).as_slice()) {
            ([value], []) => value
                .to_str()
                .ok()
                .and_then(|value| value.split_once(' '))
                .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token)),
            ([], [key]) => key.to_str().ok(),
            _ => None,
        };
        let token = token.map(str::trim);
        token.filter(|token| !token.is_empty()).map(|token| Self(token.to_owned())).ok_or_else(|| {
            Error::unauthenticated("no_credential", "this needs a credential")
                .hint("send `Authorization: Bearer <token>` or `X-Api-Key: <key>`, not both")
                .into()
        })
    }
}

/// The authenticated caller. An extractor.
#[derive(Debug)]
pub struct Authenticated(pub Caller);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, state).await?;
        let peer = Peer::from_request_parts(parts, state).await?;
        let trace = Trace::from_request_parts(parts, state).await?.id();
        let authenticate = parts.extensions.get::<Arc<dyn Authenticate>>().cloned();
        let authenticate =
            authenticate.ok_or_else(|| Error::internal("nobody authenticates on this listener"))?;
        let caller = authenticate.authenticate(&token, From { peer, trace }).await?;
        belongs_to(parts, caller.tenant);
        Ok(Self(caller))
    }
}

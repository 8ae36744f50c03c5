//! What happens around every request, whatever it asks for.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{Method, StatusCode};
use tokio::{sync::Semaphore, time::timeout};
use tracing::{Instrument, field::Empty, info_span};
use writ_kernel::{Error, Kind, Result, TenantId, Timestamp, TraceId, World};

use crate::{Problem, Secured, TRACERESPONSE, Trace, problem, reply, trace::Whose};

/// What every request of a listener has in common.
pub struct Manners {
    /// Where trace and span ids come from.
    pub world: World,
    /// The most bytes a body may have, where [`body_limit`](crate::body_limit) does not say otherwise.
    pub body_limit: usize,
    /// The longest a handler may take to begin its answer; reading the body counts. A streamed answer may go
    /// on for longer.
    pub timeout: Duration,
    /// The most requests handled at once; further ones are refused at once.
    pub concurrency: usize,
    /// Closes the house while it is sealed.
    pub guard: Guard,
    /// Whether spans of this trace are kept; who sent the request is told.
    pub sampled: Box<dyn Fn(TraceId) -> bool + Send + Sync>,
    /// Told about every answer, for metrics and traces.
    pub observe: Box<dyn Fn(&Served<'_>) + Send + Sync>,
}

/// Keeps everybody out of a sealed server, except from a few routes.
pub struct Guard {
    /// Whether the server is sealed now.
    pub sealed: Box<dyn Fn() -> bool + Send + Sync>,
    /// The routes, as they were declared (`/api/v1/sys/unseal`), that answer all the same.
    pub open: &'static [&'static str],
}

/// One answered request. It has no query, no header and no path but the declared one, so nothing of it is
/// secret and its labels are few.
#[derive(Debug)]
pub struct Served<'a> {
    /// The method; `_OTHER` when it is none that we know, since a client may send any word.
    pub method: &'static str,
    /// The route as declared, like `/api/v1/secrets/{id}`; `unmatched` when there was none.
    pub route: &'a str,
    /// The status answered.
    pub status: StatusCode,
    /// The code of the problem answered, if it was one.
    pub code: Option<&'static str>,
    /// The trace, and our span in it.
    pub trace: Trace,
    /// The tenant of the caller, if one was authenticated.
    pub tenant: Option<TenantId>,
    /// The end of the request's head.
    pub began: Timestamp,
    /// From there to the beginning of the answer.
    pub elapsed: Duration,
}

impl Manners {
    /// `router` with these manners: a trace for every request, security headers, a problem document for every
    /// failure (also for an unknown path, a wrong method, a panic), and the limits. Apply last: routes added
    /// later have none.
    pub fn teach(self, router: Router) -> Router {
        let limit = DefaultBodyLimit::max(self.body_limit);
        let house = Arc::new(House { turns: Semaphore::new(self.concurrency), manners: self });
        router
            .method_not_allowed_fallback(wrong_method)
            .fallback(nowhere)
            .layer(limit)
            .layer(from_fn_with_state(house, attend))
    }
}

struct House {
    manners: Manners,
    turns: Semaphore,
}

async fn attend(State(house): State<Arc<House>>, mut request: Request, next: Next) -> Response {
    let watch = Instant::now();
    let began = house.manners.world.now();
    let trace = Trace::read(request.headers(), &house.manners.world, &house.manners.sampled);
    let whose = Whose::default();
    request.extensions_mut().insert(trace);
    request.extensions_mut().insert(whose.clone());
    let method = word(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let tls = request.extensions().get::<Secured>().is_some();
    let span = info_span!("http.request", method, route, trace = %trace.id(), status = Empty);

    let answer = house.answer(route, request, next).instrument(span.clone()).await;
    let _entered = span.enter();
    let answer = answer.unwrap_or_else(|error| Problem(error).into_response());
    let code = problem::code(&answer);
    let mut response = problem::finish(answer, trace.id());
    let (status, elapsed) = (response.status(), watch.elapsed());
    span.record("status", status.as_u16());
    tracing::info!(elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), "request served");
    let tenant = whose.tenant();
    (house.manners.observe)(&Served { method, route, status, code, trace, tenant, began, elapsed });
    if let Some(value) = trace.value() {
        response.headers_mut().insert(TRACERESPONSE, value);
    }
    reply::secure(response.headers_mut(), tls);
    response
}

impl House {
    async fn answer(&self, route: &str, request: Request, next: Next) -> Result<Response> {
        self.manners.guard.admit(route)?;
        let _turn = self.turns.try_acquire().map_err(|_| {
            Error::unavailable("overloaded", "the server is handling as many requests as it can")
        })?;
        // A handler that panics leaves nothing half-done: what it held is rolled back when dropped.
        let served = AssertUnwindSafe(next.run(request)).catch_unwind();
        timeout(self.manners.timeout, served)
            .await
            .map_err(|_| Error::timeout("timeout", "the request took longer than allowed"))?
            .map_err(|_| Error::internal("a handler panicked"))
    }
}

impl Guard {
    /// A guard that lets everybody pass, for a server that cannot be sealed.
    pub fn none() -> Self {
        Self { sealed: Box::new(|| false), open: &[] }
    }

    fn admit(&self, route: &str) -> Result<()> {
        if self.open.contains(&route) || !(self.sealed)() {
            return Ok(());
        }
        Err(Error::sealed())
    }
}

fn word(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

async fn nowhere() -> Problem {
    Problem(Error::new(Kind::NotFound, "no_such_path", "there is nothing at this path"))
}

async fn wrong_method() -> Response {
    let error = Error::invalid("method_not_allowed", "this path does not answer to this method");
    let mut response = Problem(error.hint("see the header `Allow`")).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

impl fmt::Debug for Manners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manners")
            .field("body_limit", &self.body_limit)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("open", &self.open).finish_non_exhaustive()
    }
}

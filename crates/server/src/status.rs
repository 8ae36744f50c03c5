//! Health, version and rate, as the QuantumAPI SDK asks for them.

use axum::extract::State;
use writ_web::{
    Authenticated, Json, Outcome,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::status::{HealthReport, RateLimit, Version};

use crate::sys::{Sys, VERSION};

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Sys> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(version)).routes(routes!(rate_limit))
}

/// Whether the server holds its keys.
#[utoipa::path(get, path = "/health", tag = "sys", security(()), responses((status = 200, body = HealthReport)))]
async fn health(State(sys): State<Sys>) -> Outcome<Json<HealthReport>> {
    let status = if sys.gate.seal().is_closed() { "Sealed" } else { "Healthy" };
    let timestamp = sys.gate.world().now();
    let (status, version, service) = (status.to_owned(), VERSION.to_owned(), "writ".to_owned());
    Ok(Json(HealthReport { status, version, service, timestamp }))
}

/// The version of the server.
#[utoipa::path(get, path = "/version", tag = "sys", security(()), responses((status = 200, body = Version)))]
async fn version() -> Outcome<Json<Version>> {
    Ok(Json(Version { version: VERSION.to_owned() }))
}

/// What is left to the caller of its rate. Asking takes nothing of it.
#[utoipa::path(get, path = "/api/v1/rate-limit", tag = "sys", responses((status = 200, body = RateLimit)))]
async fn rate_limit(
    State(sys): State<Sys>,
    Authenticated(caller): Authenticated,
) -> Outcome<Json<RateLimit>> {
    let left = sys.gate.allowance(&caller);
    Ok(Json(RateLimit {
        limit: left.limit,
        remaining: left.remaining,
        reset: left.whole_at.seconds(),
        period: "1s".to_owned(),
    }))
}

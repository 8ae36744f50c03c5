//! The face towards runners: `/runner/v1`.

use axum::{
    extract::{DefaultBodyLimit, State},
    http::header,
    response::{IntoResponse, Response},
};
use writ_web::{
    Bearer, Json, Outcome, Recorded, Trace,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::runner::{Claim, Finish, PlanDecision, Pulse, PushEvents, PushOutput, SubmitPlan};

use crate::{model::Deploy, runs};

/// The most bytes a runner may send at once.
const BODY: usize = 16 * 1024 * 1024;

/// The operations of runners. Each is called with a token of one run.
pub fn routes(room: Deploy) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(claim))
        .routes(routes!(configuration))
        .routes(routes!(heartbeat))
        .routes(routes!(output))
        .routes(routes!(events))
        .routes(routes!(plan))
        .routes(routes!(finish))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(room)
}

/// Take a run with its one-time token.
#[utoipa::path(post, path = "/runner/v1/claim", tag = "runner", responses((status = 200, body = Claim)))]
async fn claim(
    State(room): State<Deploy>,
    Bearer(token): Bearer,
    trace: Trace,
) -> Outcome<Recorded<Json<Claim>>> {
    let (claim, receipt) = runs::claim(&room, &token, trace.id()).await?;
    Ok(Recorded(receipt.to_string(), Json(claim)))
}

/// Get the configuration to plan.
#[utoipa::path(get, path = "/runner/v1/configuration", tag = "runner",
    responses((status = 200, body = Vec<u8>, content_type = "application/gzip")))]
async fn configuration(State(room): State<Deploy>, Bearer(token): Bearer, trace: Trace) -> Outcome<Response> {
    let (caller, run) = runs::authenticate(room.gate(), &token, trace.id()).await?;
    let archive = runs::configuration(&room, &caller, run).await?;
    Ok(([(header::CONTENT_TYPE, "application/gzip")], archive.expose().to_vec()).into_response())
}

/// Say that the runner lives, and learn whether it is to stop.
#[utoipa::path(post, path = "/runner/v1/heartbeat", tag = "runner", responses((status = 200, body = Pulse)))]
async fn heartbeat(State(room): State<Deploy>, Bearer(token): Bearer, trace: Trace) -> Outcome<Json<Pulse>> {
    let (caller, run) = runs::authenticate(room.gate(), &token, trace.id()).await?;
    Ok(Json(runs::beat(&room, &caller, run).await?))
}

/// Push redacted output.
#[utoipa::path(post, path = "/runner/v1/output", tag = "runner", request_body = PushOutput,
    responses((status = 200, body = Pulse)))]
async fn output(
    State(room): State<Deploy>,
    Bearer(token): Bearer,
    trace: Trace,
    Json(push): Json<PushOutput>,
) -> Outcome<Json<Pulse>> {
    let (caller, run) = runs::authenticate(room.gate(), &token, trace.id()).await?;
    Ok(Json(runs::output(&room, &caller, run, push).await?))
}

/// Push what happened inside the run and belongs into evidence.
#[utoipa::path(post, path = "/runner/v1/events", tag = "runner", request_body = PushEvents,
    responses((status = 200, body = Pulse)))]
async fn events(
    State(room): State<Deploy>,
    Bearer(token): Bearer,
    trace: Trace,
    Json(push): Json<PushEvents>,
) -> Outcome<Json<Pulse>> {
    let (caller, run) = runs::authenticate(room.gate(), &token, trace.id()).await?;
    Ok(Json(runs::events(&room, &caller, run, push).await?))
}

/// Submit the plan, as far as it may leave the runner, and learn what may become of it.
#[utoipa::path(post, path = "/runner/v1/plan", tag = "runner", request_body = SubmitPlan,
    responses((status = 200, body = PlanDecision)))]
async fn plan(
    State(room): State<Deploy>,
    Bearer(token): Bearer,
    trace: Trace,
    Json(submitted): Json<SubmitPlan>,
) -> Outcome<Json<PlanDecision>> {
    let (caller, run) = runs::authenticate(room.gate(), &token, trace.id()).await?;
    Ok(Json(runs::plan(&room, &caller, run, submitted).await?))
}

/// End the run.
#[utoipa::path(post, path = "/runner/v1/finish", tag = "runner", request_body = Finish,
    responses((status = 200, body = Pulse)))]
async fn finish(
    State(room): State<Deploy>,
    Bearer(token): Bearer,
    trace: Trace,
    Json(end): Json<Finish>,
) -> Outcome<Recorded<Json<Pulse>>> {
    let (caller, run) = runs::authenticate(room.gate(), &token, trace.id()).await?;
    let receipt = runs::finish(&room, &caller, run, end).await?;
    Ok(Recorded(receipt.to_string(), Json(Pulse { cancel: false, release: None })))
}

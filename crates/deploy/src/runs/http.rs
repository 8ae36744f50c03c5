//! The face towards runners: `/runner/v1`.

use axum::{
    extract::{DefaultBodyLimit, FromRequestParts, State},
    http::{header, request::Parts},
    response::{IntoResponse, Response},
};
use writ_kernel::{Caller, Id, Run};
use writ_web::{
    Bearer, Json, Outcome, Problem, Recorded, Trace, belongs_to,
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

/// The runner of a run under way, proved before anything of its request's body is read. An extractor.
struct Runner(Caller, Id<Run>);

impl FromRequestParts<Deploy> for Runner {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, room: &Deploy) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, room).await?;
        let trace = Trace::from_request_parts(parts, room).await?;
        let (caller, run) = runs::authenticate(room.gate(), &token, trace.id()).await?;
        belongs_to(parts, caller.tenant);
        Ok(Self(caller, run))
    }
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
async fn configuration(State(room): State<Deploy>, Runner(caller, run): Runner) -> Outcome<Response> {
    let archive = runs::configuration(&room, &caller, run).await?;
    Ok(([(header::CONTENT_TYPE, "application/gzip")], archive.expose().to_vec()).into_response())
}

/// Say that the runner lives, and learn whether it is to stop.
#[utoipa::path(post, path = "/runner/v1/heartbeat", tag = "runner", responses((status = 200, body = Pulse)))]
async fn heartbeat(State(room): State<Deploy>, Runner(caller, run): Runner) -> Outcome<Json<Pulse>> {
    Ok(Json(runs::beat(&room, &caller, run).await?))
}

/// Push redacted output.
#[utoipa::path(post, path = "/runner/v1/output", tag = "runner", request_body = PushOutput,
    responses((status = 200, body = Pulse)))]
async fn output(
    State(room): State<Deploy>,
    Runner(caller, run): Runner,
    Json(push): Json<PushOutput>,
) -> Outcome<Json<Pulse>> {
    Ok(Json(runs::output(&room, &caller, run, push).await?))
}

/// Push what happened inside the run and belongs into evidence.
#[utoipa::path(post, path = "/runner/v1/events", tag = "runner", request_body = PushEvents,
    responses((status = 200, body = Pulse)))]
async fn events(
    State(room): State<Deploy>,
    Runner(caller, run): Runner,
    Json(push): Json<PushEvents>,
) -> Outcome<Json<Pulse>> {
    Ok(Json(runs::events(&room, &caller, run, push).await?))
}

/// Submit the plan, as far as it may leave the runner, and learn what may become of it.
#[utoipa::path(post, path = "/runner/v1/plan", tag = "runner", request_body = SubmitPlan,
    responses((status = 200, body = PlanDecision)))]
async fn plan(
    State(room): State<Deploy>,
    Runner(caller, run): Runner,
    Json(submitted): Json<SubmitPlan>,
) -> Outcome<Json<PlanDecision>> {
    Ok(Json(runs::plan(&room, &caller, run, submitted).await?))
}

/// End the run.
#[utoipa::path(post, path = "/runner/v1/finish", tag = "runner", request_body = Finish,
    responses((status = 200, body = Pulse)))]
async fn finish(
    State(room): State<Deploy>,
    Runner(caller, run): Runner,
    Json(end): Json<Finish>,
) -> Outcome<Recorded<Json<Pulse>>> {
    let receipt = runs::finish(&room, &caller, run, end).await?;
    Ok(Recorded(receipt.to_string(), Json(Pulse { cancel: false, release: None })))
}

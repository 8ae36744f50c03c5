//! The face of errands: translate, call a verb, translate back.

use axum::{extract::State, response::Response};
use uuid::Uuid;
use writ_web::{
    Authenticated, Json, Outcome, Path, Query, Recorded, created, listing,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::{
    errands::{Errand, ErrandQuery, ErrandWait, ReleaseLock},
    page::Page,
};

use super::ErrandRecord;
use crate::model::Deploy;

/// The operations of errands under `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<Deploy> {
    OpenApiRouter::new()
        .routes(routes!(validate_connection))
        .routes(routes!(release_lock))
        .routes(routes!(list_errands))
        .routes(routes!(show_errand))
        .routes(routes!(cancel_errand))
}

fn made(errand: ErrandRecord, receipt: &writ_gate::Receipt) -> Outcome<Recorded<Response>> {
    let location = format!("/api/v1/errands/{}", errand.id);
    Ok(Recorded(receipt.to_string(), created(&location, Errand::from(errand))?))
}

/// Let a disposable runner try a cloud connection: borrow what it refers to, and reach its state backend.
#[utoipa::path(post, path = "/api/v1/connections/{id}/validations", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 201, body = Errand)))]
async fn validate_connection(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<Response>> {
    let (errand, receipt) = super::validate(&room, &caller, id).await?;
    made(errand, &receipt)
}

/// Let a disposable runner release one state lock that nobody holds any more.
#[utoipa::path(post, path = "/api/v1/connections/{id}/unlocks", tag = "deploy", request_body = ReleaseLock,
    params(("id" = Uuid, Path)), responses((status = 201, body = Errand)))]
async fn release_lock(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<ReleaseLock>,
) -> Outcome<Recorded<Response>> {
    let (errand, receipt) = super::release(&room, &caller, id, wanted).await?;
    made(errand, &receipt)
}

/// List validations and unlocks, newest first.
#[utoipa::path(get, path = "/api/v1/errands", tag = "deploy", params(ErrandQuery),
    responses((status = 200, body = Page<Errand>)))]
async fn list_errands(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Query(query): Query<ErrandQuery>,
) -> Outcome<Recorded<Json<Page<Errand>>>> {
    let (page, receipt) = super::list(room.gate(), &caller, query).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Show a validation or an unlock, waiting for its end.
#[utoipa::path(get, path = "/api/v1/errands/{id}", tag = "deploy", params(("id" = Uuid, Path), ErrandWait),
    responses((status = 200, body = Errand)))]
async fn show_errand(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<ErrandWait>,
) -> Outcome<Recorded<Json<Errand>>> {
    let (errand, receipt) = super::find(&room, &caller, id, query.wait).await?;
    Ok(Recorded(receipt.to_string(), Json(errand.into())))
}

/// Stop a validation or an unlock.
#[utoipa::path(post, path = "/api/v1/errands/{id}/cancel", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 200, body = Errand)))]
async fn cancel_errand(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<Json<Errand>>> {
    let (errand, receipt) = super::cancel(&room, &caller, id).await?;
    Ok(Recorded(receipt.to_string(), Json(errand.into())))
}

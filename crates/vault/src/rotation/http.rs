//! The face of rotation: translate, call a verb, translate back.

use axum::extract::State;
use http::StatusCode;
use uuid::Uuid;
use writ_web::{
    Authenticated, Json, Outcome, Path, Recorded,
    openapi::{OpenApiRouter, routes as operations},
};
use writ_wire::{
    page::Page,
    rotation::{self as wire, Expose, Exposure, WriteRotator},
};

use super::verbs::Rotations;

/// The operations of rotation under `/api/v1`.
pub fn routes(rotations: Rotations) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(operations!(show_rotator, write_rotator, delete_rotator))
        .routes(operations!(rotate_secret, list_rotations))
        .routes(operations!(expose_secrets))
        .with_state(rotations)
}

type Answer<T> = Outcome<Recorded<Json<T>>>;

/// Show how a secret is rotated.
#[utoipa::path(get, path = "/api/v1/rotators/{secret}", tag = "rotation", params(("secret" = Uuid, Path)),
    responses((status = 200, body = wire::Rotator)))]
async fn show_rotator(
    State(rotations): State<Rotations>,
    Authenticated(caller): Authenticated,
    Path(secret): Path<Uuid>,
) -> Answer<wire::Rotator> {
    let (rotator, receipt) = rotations.rotator(&caller, secret).await?;
    Ok(Recorded(receipt.to_string(), Json(rotator.into())))
}

/// Say how a secret is rotated.
#[utoipa::path(put, path = "/api/v1/rotators/{secret}", tag = "rotation", params(("secret" = Uuid, Path)),
    request_body = WriteRotator, responses((status = 200, body = wire::Rotator)))]
async fn write_rotator(
    State(rotations): State<Rotations>,
    Authenticated(caller): Authenticated,
    Path(secret): Path<Uuid>,
    Json(wanted): Json<WriteRotator>,
) -> Answer<wire::Rotator> {
    let (rotator, receipt) = rotations.write_rotator(&caller, secret, wanted).await?;
    Ok(Recorded(receipt.to_string(), Json(rotator.into())))
}

/// Rotate a secret no more.
#[utoipa::path(delete, path = "/api/v1/rotators/{secret}", tag = "rotation", params(("secret" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_rotator(
    State(rotations): State<Rotations>,
    Authenticated(caller): Authenticated,
    Path(secret): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    let receipt = rotations.delete_rotator(&caller, secret).await?;
    Ok(Recorded(receipt.to_string(), StatusCode::NO_CONTENT))
}

/// Rotate a secret now.
#[utoipa::path(post, path = "/api/v1/rotators/{secret}/rotations", tag = "rotation",
    params(("secret" = Uuid, Path)), responses((status = 200, body = wire::Rotation)))]
async fn rotate_secret(
    State(rotations): State<Rotations>,
    Authenticated(caller): Authenticated,
    Path(secret): Path<Uuid>,
) -> Answer<wire::Rotation> {
    let (rotation, receipt) = rotations.rotate(&caller, secret).await?;
    Ok(Recorded(receipt.to_string(), Json(rotation.into())))
}

/// List the newest rotations of a secret.
#[utoipa::path(get, path = "/api/v1/rotators/{secret}/rotations", tag = "rotation",
    params(("secret" = Uuid, Path)), responses((status = 200, body = Page<wire::Rotation>)))]
async fn list_rotations(
    State(rotations): State<Rotations>,
    Authenticated(caller): Authenticated,
    Path(secret): Path<Uuid>,
) -> Answer<Page<wire::Rotation>> {
    let (items, receipt) = rotations.rotations(&caller, secret).await?;
    let page = Page { items: items.into_iter().map(Into::into).collect(), next: None };
    Ok(Recorded(receipt.to_string(), Json(page)))
}

/// Say that secrets are known to strangers, and have them reissued.
#[utoipa::path(post, path = "/api/v1/exposures", tag = "rotation", request_body = Expose,
    responses((status = 200, body = Exposure)))]
async fn expose_secrets(
    State(rotations): State<Rotations>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<Expose>,
) -> Answer<Exposure> {
    let ((case, turned, by_hand, leases), receipt) = rotations.expose(&caller, wanted).await?;
    let rotations = turned.into_iter().map(Into::into).collect();
    Ok(Recorded(receipt.to_string(), Json(Exposure { case, rotations, by_hand, leases })))
}

//! The room's face: translate, call a verb, translate back.

mod bindings;
mod care;
mod secrets;
mod sharing;
mod translate;

use axum::response::Response;
use http::StatusCode;
use writ_gate::Receipt;
use writ_web::{Json, Outcome, Recorded, created, openapi::OpenApiRouter};

use crate::Vault;

type Answer<T> = Outcome<Recorded<Json<T>>>;

fn answer<T>(receipt: &Receipt, body: T) -> Recorded<Json<T>> {
    Recorded(receipt.to_string(), Json(body))
}

fn nothing(receipt: &Receipt) -> Recorded<StatusCode> {
    Recorded(receipt.to_string(), StatusCode::NO_CONTENT)
}

fn came<T: serde::Serialize>(receipt: &Receipt, location: &str, body: T) -> Outcome<Recorded<Response>> {
    Ok(Recorded(receipt.to_string(), created(location, body)?))
}

/// The room's operations under `/api/v1`.
pub fn routes(room: Vault) -> OpenApiRouter {
    secrets::routes()
        .merge(care::routes())
        .merge(sharing::routes())
        .merge(bindings::routes())
        .with_state(room)
}

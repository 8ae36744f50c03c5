//! `/api/v1/bindings`.

use std::time::Duration;

use axum::{extract::State, response::Response};
use http::StatusCode;
use uuid::Uuid;
use writ_kernel::{Error, Id, PageRequest};
use writ_web::{
    Authenticated, Json, Outcome, Path, Query, Recorded, listing,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::{
    page::Page,
    sharing::{BindingQuery, CreateBinding, FetchQuery, Fetched, SecretBinding},
};

use super::{Answer, answer, came, nothing, translate};
use crate::{
    Vault,
    bindings::{BindingRecord, NewBinding, WantedBindings},
};

pub(super) fn routes() -> OpenApiRouter<Vault> {
    OpenApiRouter::new().routes(routes!(bind, list)).routes(routes!(unbind)).routes(routes!(fetch))
}

fn binding(binding: &BindingRecord) -> SecretBinding {
    SecretBinding {
        id: binding.id.uuid(),
        name: binding.name.to_string(),
        environment: binding.environment.uuid(),
        secret: binding.secret.uuid(),
        consumer: binding.consumer.uuid(),
        version: binding.version,
        overlap_seconds: binding.overlap.as_secs(),
        created_at: binding.created_at,
        created_by: binding.created_by.uuid(),
    }
}

/// Bind a consumer to a secret.
#[utoipa::path(post, path = "/api/v1/bindings", tag = "bindings", request_body = CreateBinding,
    responses((status = 201, body = SecretBinding)))]
async fn bind(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateBinding>,
) -> Outcome<Recorded<Response>> {
    let new = NewBinding {
        name: wanted.name.parse().map_err(|error: Error| error.at("name"))?,
        secret: Id::from_uuid(wanted.secret),
        consumer: Id::from_uuid(wanted.consumer),
        version: wanted.version,
        overlap: wanted.overlap_seconds.map(Duration::from_secs),
    };
    let (record, receipt) = room.bind(&caller, new).await?;
    let location = format!("/api/v1/bindings/{}", record.id);
    came(&receipt, &location, binding(&record))
}

/// List bindings, oldest first.
#[utoipa::path(get, path = "/api/v1/bindings", tag = "bindings", params(BindingQuery),
    responses((status = 200, body = Page<SecretBinding>)))]
async fn list(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Query(query): Query<BindingQuery>,
) -> Answer<Page<SecretBinding>> {
    let wanted = WantedBindings {
        environment: query.environment,
        secret: query.secret.map(Id::from_uuid),
        consumer: query.consumer.map(Id::from_uuid),
    };
    let page = PageRequest::new(query.after, query.limit)?;
    let (page, receipt) = room.bindings(&caller, &wanted, &page).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(|record| binding(&record)))))
}

/// Release a consumer from a secret.
#[utoipa::path(delete, path = "/api/v1/bindings/{id}", tag = "bindings", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn unbind(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&room.unbind(&caller, Id::from_uuid(id)).await?))
}

/// Fetch what a binding refers to, as its consumer.
#[utoipa::path(get, path = "/api/v1/bindings/{id}/value", tag = "bindings",
    params(("id" = Uuid, Path), FetchQuery), responses((status = 200, body = Fetched)))]
async fn fetch(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<FetchQuery>,
) -> Answer<Fetched> {
    let (fetched, receipt) = room.fetch(&caller, Id::from_uuid(id), query.previous).await?;
    let body = Fetched {
        value: translate::shown(&fetched.value),
        format: translate::format(fetched.value.format()),
        version: fetched.version,
        current_version: fetched.current,
        overlap_ends_at: fetched.overlap_ends_at,
    };
    Ok(answer(&receipt, body))
}

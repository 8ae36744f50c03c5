//! The face of events: translate, call a verb, translate back.

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use writ_kernel::PageRequest;
use writ_web::{
    Authenticated, Json, Outcome, Path, Query, Recorded, created, listing,
    openapi::{OpenApiRouter, routes as operations},
    paging,
};
use writ_wire::{
    events::{self as wire, CreateHook, CreatedHook},
    page::{Page, PageQuery},
};

use super::outbox::{Events, shown};

/// The operations of events under `/api/v1`.
pub fn routes(events: Events) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(operations!(list_events))
        .routes(operations!(create_hook, list_hooks))
        .routes(operations!(delete_hook))
        .routes(operations!(list_dead))
        .routes(operations!(replay_dead))
        .with_state(events)
}

type Answer<T> = Outcome<Recorded<Json<T>>>;

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// The most items wanted, 1 to 200; 50 unless told.
    limit: Option<u16>,
    /// Only of this environment.
    environment: Option<Uuid>,
}

/// Whose hooks are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HookQuery {
    /// Of this environment.
    environment: Uuid,
}

/// How many events are told again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    /// How many.
    events: u64,
}

/// Read events in the order in which they happened. Each tells its position; what happens later comes after the last.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, body = Page<wire::Event>)))]
async fn list_events(
    State(events): State<Events>,
    Authenticated(caller): Authenticated,
    Query(query): Query<EventQuery>,
) -> Answer<Page<wire::Event>> {
    let page = PageRequest::new(query.after, query.limit)?;
    let (page, receipt) = events.events(&caller, query.environment, page).await?;
    Ok(Recorded(
        receipt.to_string(),
        listing(page.map(|(position, event)| wire::Event { position: Some(position), ..event })),
    ))
}

/// Have a hook told of the events of an environment. The key that deliveries are signed with is shown once.
#[utoipa::path(post, path = "/api/v1/event-hooks", tag = "events", request_body = CreateHook,
    responses((status = 201, body = CreatedHook)))]
async fn create_hook(
    State(events): State<Events>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateHook>,
) -> Outcome<Recorded<Response>> {
    let (hook, key, receipt) = events.create_hook(&caller, wanted).await?;
    let location = format!("/api/v1/event-hooks/{}", hook.id);
    let body = CreatedHook { hook: hook.into(), signing_key: shown(&key) };
    Ok(Recorded(receipt.to_string(), created(&location, body)?))
}

/// List the hooks of an environment.
#[utoipa::path(get, path = "/api/v1/event-hooks", tag = "events", params(HookQuery),
    responses((status = 200, body = Page<wire::Hook>)))]
async fn list_hooks(
    State(events): State<Events>,
    Authenticated(caller): Authenticated,
    Query(query): Query<HookQuery>,
) -> Answer<Page<wire::Hook>> {
    let (hooks, receipt) = events.hooks(&caller, query.environment).await?;
    let page = Page { items: hooks.into_iter().map(Into::into).collect(), next: None };
    Ok(Recorded(receipt.to_string(), Json(page)))
}

/// Tell a hook nothing any more.
#[utoipa::path(delete, path = "/api/v1/event-hooks/{id}", tag = "events", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_hook(
    State(events): State<Events>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    let receipt = events.delete_hook(&caller, id).await?;
    Ok(Recorded(receipt.to_string(), StatusCode::NO_CONTENT))
}

/// List what a hook could not be told.
#[utoipa::path(get, path = "/api/v1/event-hooks/{id}/dead-letters", tag = "events",
    params(("id" = Uuid, Path), PageQuery), responses((status = 200, body = Page<wire::Delivery>)))]
async fn list_dead(
    State(events): State<Events>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Answer<Page<wire::Delivery>> {
    let (page, receipt) = events.dead(&caller, id, paging(query)?).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(|(_, delivery)| delivery))))
}

/// Tell a hook again what it could not be told.
#[utoipa::path(post, path = "/api/v1/event-hooks/{id}/dead-letters/replay", tag = "events",
    params(("id" = Uuid, Path)), responses((status = 200, body = Replayed)))]
async fn replay_dead(
    State(events): State<Events>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Replayed> {
    let (events, receipt) = events.replay(&caller, id).await?;
    Ok(Recorded(receipt.to_string(), Json(Replayed { events })))
}

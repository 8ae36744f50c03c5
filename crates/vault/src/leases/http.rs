//! The face of engines and leases: translate, call a verb, translate back.

use axum::{extract::State, response::Response};
use http::StatusCode;
use utoipa::IntoParams;
use uuid::Uuid;
use writ_gate::Receipt;
use writ_kernel::PageRequest;
use writ_web::{
    Authenticated, Json, Outcome, Path, Query, Recorded, created, listing,
    openapi::{OpenApiRouter, routes as operations},
};
use writ_wire::{
    leases::{
        self as wire, Borrow, CreateEngine, LeaseState, Renew, RevokeMany, Revoking, UpdateEngine, WriteRole,
    },
    page::Page,
};

use super::{lending::Filter, model::Leases};

/// The operations of engines and leases under `/api/v1`.
pub fn routes(leases: Leases) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(operations!(create_engine, list_engines))
        .routes(operations!(show_engine, update_engine, delete_engine))
        .routes(operations!(list_roles))
        .routes(operations!(write_role, delete_role))
        .routes(operations!(borrow_credential, list_leases))
        .routes(operations!(revoke_leases))
        .routes(operations!(show_lease))
        .routes(operations!(renew_lease))
        .routes(operations!(revoke_lease))
        .routes(operations!(abandon_lease))
        .with_state(leases)
}

type Answer<T> = Outcome<Recorded<Json<T>>>;

fn answer<T>(receipt: &Receipt, body: T) -> Recorded<Json<T>> {
    Recorded(receipt.to_string(), Json(body))
}

fn nothing(receipt: &Receipt) -> Recorded<StatusCode> {
    Recorded(receipt.to_string(), StatusCode::NO_CONTENT)
}

/// Which engines are wanted.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EngineQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// The most items wanted, 1 to 200; 50 unless told.
    limit: Option<u16>,
    /// Only of this environment.
    environment: Option<Uuid>,
}

/// Which leases are wanted.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LeaseQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// The most items wanted, 1 to 200; 50 unless told.
    limit: Option<u16>,
    /// Only of this environment.
    environment: Option<Uuid>,
    /// Only of this engine.
    engine: Option<Uuid>,
    /// Only of this holder.
    holder: Option<Uuid>,
    /// Only in this state.
    state: Option<LeaseState>,
}

/// Set up an engine that makes credentials on demand.
#[utoipa::path(post, path = "/api/v1/engines", tag = "leases", request_body = CreateEngine,
    responses((status = 201, body = wire::Engine)))]
async fn create_engine(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateEngine>,
) -> Outcome<Recorded<Response>> {
    let (engine, receipt) = leases.create_engine(&caller, wanted).await?;
    let location = format!("/api/v1/engines/{}", engine.id);
    Ok(Recorded(receipt.to_string(), created(&location, wire::Engine::from(engine))?))
}

/// List engines.
#[utoipa::path(get, path = "/api/v1/engines", tag = "leases", params(EngineQuery),
    responses((status = 200, body = Page<wire::Engine>)))]
async fn list_engines(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Query(query): Query<EngineQuery>,
) -> Answer<Page<wire::Engine>> {
    let page = PageRequest::new(query.after, query.limit)?;
    let (page, receipt) = leases.engines(&caller, query.environment, page).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Show an engine, without what it works with.
#[utoipa::path(get, path = "/api/v1/engines/{id}", tag = "leases", params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Engine)))]
async fn show_engine(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<wire::Engine> {
    let (engine, receipt) = leases.engine(&caller, id).await?;
    Ok(answer(&receipt, engine.into()))
}

/// Change an engine.
#[utoipa::path(patch, path = "/api/v1/engines/{id}", tag = "leases", params(("id" = Uuid, Path)),
    request_body = UpdateEngine, responses((status = 200, body = wire::Engine)))]
async fn update_engine(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<UpdateEngine>,
) -> Answer<wire::Engine> {
    let (engine, receipt) = leases.update_engine(&caller, id, wanted).await?;
    Ok(answer(&receipt, engine.into()))
}

/// Remove an engine of which nothing is lent.
#[utoipa::path(delete, path = "/api/v1/engines/{id}", tag = "leases", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_engine(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&leases.delete_engine(&caller, id).await?))
}

/// List the roles of an engine.
#[utoipa::path(get, path = "/api/v1/engines/{id}/roles", tag = "leases", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<wire::Role>)))]
async fn list_roles(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Page<wire::Role>> {
    let (roles, receipt) = leases.roles(&caller, id).await?;
    Ok(answer(&receipt, Page { items: roles.into_iter().map(Into::into).collect(), next: None }))
}

/// Write a role of an engine: what may be borrowed under its name.
#[utoipa::path(put, path = "/api/v1/engines/{id}/roles/{name}", tag = "leases",
    params(("id" = Uuid, Path), ("name" = String, Path)), request_body = WriteRole,
    responses((status = 200, body = wire::Role)))]
async fn write_role(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path((id, name)): Path<(Uuid, String)>,
    Json(wanted): Json<WriteRole>,
) -> Answer<wire::Role> {
    let (role, receipt) = leases.write_role(&caller, id, &name, wanted).await?;
    Ok(answer(&receipt, role.into()))
}

/// Remove a role of an engine. Its leases go on.
#[utoipa::path(delete, path = "/api/v1/engines/{id}/roles/{name}", tag = "leases",
    params(("id" = Uuid, Path), ("name" = String, Path)), responses((status = 204)))]
async fn delete_role(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path((id, name)): Path<(Uuid, String)>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&leases.delete_role(&caller, id, &name).await?))
}

/// Borrow a credential that is made for it. It is shown once.
#[utoipa::path(post, path = "/api/v1/leases", tag = "leases", request_body = Borrow,
    responses((status = 201, body = wire::Borrowed)))]
async fn borrow_credential(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<Borrow>,
) -> Outcome<Recorded<Response>> {
    let (borrowed, receipt) = leases.lend(&caller, wanted).await?;
    let location = format!("/api/v1/leases/{}", borrowed.lease.id);
    let shown =
        |(name, value): &(&str, writ_crypto::SecretString)| ((*name).to_owned(), value.expose().to_owned());
    let credential = borrowed.credential.iter().map(shown).collect();
    let body = wire::Borrowed { lease: borrowed.lease.into(), credential };
    Ok(Recorded(receipt.to_string(), created(&location, body)?))
}

/// List leases.
#[utoipa::path(get, path = "/api/v1/leases", tag = "leases", params(LeaseQuery),
    responses((status = 200, body = Page<wire::Lease>)))]
async fn list_leases(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Query(query): Query<LeaseQuery>,
) -> Answer<Page<wire::Lease>> {
    let page = PageRequest::new(query.after, query.limit)?;
    let LeaseQuery { environment, engine, holder, state, .. } = query;
    let (page, receipt) = leases.leases(&caller, Filter { engine, environment, holder, state }, page).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// End the leases of an engine, of all its roles or of some.
#[utoipa::path(post, path = "/api/v1/leases/revoke", tag = "leases", request_body = RevokeMany,
    responses((status = 200, body = Revoking)))]
async fn revoke_leases(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<RevokeMany>,
) -> Answer<Revoking> {
    let prefix = wanted.role_prefix.unwrap_or_default();
    let (leases, receipt) = leases.revoke_many(&caller, wanted.engine, &prefix).await?;
    Ok(answer(&receipt, Revoking { leases }))
}

/// Show a lease.
#[utoipa::path(get, path = "/api/v1/leases/{id}", tag = "leases", params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Lease)))]
async fn show_lease(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<wire::Lease> {
    let (lease, receipt) = leases.lease(&caller, id).await?;
    Ok(answer(&receipt, lease.into()))
}

/// Borrow for longer.
#[utoipa::path(post, path = "/api/v1/leases/{id}/renew", tag = "leases", params(("id" = Uuid, Path)),
    request_body = Renew, responses((status = 200, body = wire::Lease)))]
async fn renew_lease(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<Renew>,
) -> Answer<wire::Lease> {
    let (lease, receipt) = leases.renew(&caller, id, wanted.ttl_seconds).await?;
    Ok(answer(&receipt, lease.into()))
}

/// End a lease. It is `ended` once the target has confirmed that, and `revoking` until then.
#[utoipa::path(post, path = "/api/v1/leases/{id}/revoke", tag = "leases", params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Lease)))]
async fn revoke_lease(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<wire::Lease> {
    let (lease, receipt) = leases.revoke(&caller, id).await?;
    Ok(answer(&receipt, lease.into()))
}

/// Give up a lease that its target does not end. The credential may still work.
#[utoipa::path(post, path = "/api/v1/leases/{id}/abandon", tag = "leases", params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Lease)))]
async fn abandon_lease(
    State(leases): State<Leases>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<wire::Lease> {
    let (lease, receipt) = leases.abandon(&caller, id).await?;
    Ok(answer(&receipt, lease.into()))
}

//! The room's face: translate, call a verb, translate back.

use axum::{
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::Response,
};
use utoipa::IntoParams;
use uuid::Uuid;
use writ_gate::Receipt;
use writ_kernel::PageRequest;
use writ_web::{
    Authenticated, Bytes, IdempotencyKey, Json, Outcome, Path, Query, Recorded, created, listing,
    openapi::{OpenApiRouter, routes},
    paging,
};
use writ_wire::{
    approvals::{Approval, Decide},
    configurations::Configuration,
    connections::{Connection, CreateConnection, PreflightReport},
    deployments::{CreateDeployment, Deployment, DeploymentQuery, Output, OutputQuery, Rollback},
    page::{Page, PageQuery},
};

use crate::{
    approvals, archive, configurations, connections, deployments, errands, model::Deploy, preflight,
};

/// The room's operations under `/api/v1`.
pub fn routes(room: Deploy) -> OpenApiRouter {
    let uploads = OpenApiRouter::new()
        .routes(routes!(upload_configuration, list_configurations))
        .layer(DefaultBodyLimit::max(archive::PACKED));
    OpenApiRouter::new()
        .routes(routes!(create_connection, list_connections))
        .routes(routes!(show_connection, delete_connection))
        .routes(routes!(preflight_connection))
        .merge(errands::http::routes())
        .merge(uploads)
        .routes(routes!(show_configuration))
        .routes(routes!(create_deployment, list_deployments))
        .routes(routes!(show_deployment))
        .routes(routes!(read_output))
        .routes(routes!(cancel_deployment))
        .routes(routes!(roll_back_to))
        .routes(routes!(list_approvals))
        .routes(routes!(show_approval))
        .routes(routes!(decide_approval))
        .with_state(room)
}

type Answer<T> = Outcome<Recorded<Json<T>>>;

fn answer<T>(receipt: &Receipt, body: T) -> Recorded<Json<T>> {
    Recorded(receipt.to_string(), Json(body))
}

/// Register a cloud connection: references, never credentials.
#[utoipa::path(post, path = "/api/v1/connections", tag = "deploy", request_body = CreateConnection,
    responses((status = 201, body = Connection)))]
async fn create_connection(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateConnection>,
) -> Outcome<Recorded<Response>> {
    let (connection, receipt) = connections::create(room.gate(), &caller, wanted).await?;
    let location = format!("/api/v1/connections/{}", connection.id);
    Ok(Recorded(receipt.to_string(), created(&location, Connection::from(connection))?))
}

/// List cloud connections.
#[utoipa::path(get, path = "/api/v1/connections", tag = "deploy", params(PageQuery),
    responses((status = 200, body = Page<Connection>)))]
async fn list_connections(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Query(query): Query<PageQuery>,
) -> Answer<Page<Connection>> {
    let (page, receipt) = connections::list(room.gate(), &caller, paging(query)?).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Show a cloud connection.
#[utoipa::path(get, path = "/api/v1/connections/{id}", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 200, body = Connection)))]
async fn show_connection(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Connection> {
    let (connection, receipt) = connections::find(room.gate(), &caller, id).await?;
    Ok(answer(&receipt, connection.into()))
}

/// Remove a cloud connection.
#[utoipa::path(delete, path = "/api/v1/connections/{id}", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_connection(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    let receipt = connections::remove(room.gate(), &caller, id).await?;
    Ok(Recorded(receipt.to_string(), StatusCode::NO_CONTENT))
}

/// Check a cloud connection before anything uses it.
#[utoipa::path(post, path = "/api/v1/connections/{id}/preflight", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 200, body = PreflightReport)))]
async fn preflight_connection(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<PreflightReport> {
    let (report, receipt) = preflight::run(room.gate(), &caller, id).await?;
    Ok(answer(&receipt, report))
}

/// What may be said about an upload.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UploadQuery {
    /// Where it came from, for people: a commit, a directory name.
    origin: Option<String>,
}

/// Upload configuration: a gzipped tar archive.
#[utoipa::path(post, path = "/api/v1/configurations", tag = "deploy", params(UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/gzip"),
    responses((status = 201, body = Configuration)))]
async fn upload_configuration(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Query(query): Query<UploadQuery>,
    Bytes(packed): Bytes,
) -> Outcome<Recorded<Response>> {
    let (configuration, receipt) = configurations::create(room.gate(), &caller, packed, query.origin).await?;
    let location = format!("/api/v1/configurations/{}", configuration.id);
    Ok(Recorded(receipt.to_string(), created(&location, Configuration::from(configuration))?))
}

/// List uploaded configurations.
#[utoipa::path(get, path = "/api/v1/configurations", tag = "deploy", params(PageQuery),
    responses((status = 200, body = Page<Configuration>)))]
async fn list_configurations(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Query(query): Query<PageQuery>,
) -> Answer<Page<Configuration>> {
    let (page, receipt) = configurations::list(room.gate(), &caller, paging(query)?).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Show an uploaded configuration: its files' names, never their content.
#[utoipa::path(get, path = "/api/v1/configurations/{id}", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 200, body = Configuration)))]
async fn show_configuration(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Configuration> {
    let (configuration, receipt) = configurations::find(room.gate(), &caller, id).await?;
    Ok(answer(&receipt, configuration.into()))
}

/// Ask for a change of an environment.
#[utoipa::path(post, path = "/api/v1/deployments", tag = "deploy", request_body = CreateDeployment,
    params(("Idempotency-Key" = Option<String>, Header)), responses((status = 201, body = Deployment)))]
async fn create_deployment(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    Json(wanted): Json<CreateDeployment>,
) -> Outcome<Recorded<Response>> {
    let (deployment, receipt) = deployments::create(&room, &caller, wanted, key).await?;
    let location = format!("/api/v1/deployments/{}", deployment.id);
    Ok(Recorded(receipt.to_string(), created(&location, Deployment::from(deployment))?))
}

/// List deployments, newest first.
#[utoipa::path(get, path = "/api/v1/deployments", tag = "deploy", params(DeploymentQuery),
    responses((status = 200, body = Page<Deployment>)))]
async fn list_deployments(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Query(query): Query<DeploymentQuery>,
) -> Answer<Page<Deployment>> {
    let (page, receipt) = deployments::list(room.gate(), &caller, query).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Show a deployment.
#[utoipa::path(get, path = "/api/v1/deployments/{id}", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 200, body = Deployment)))]
async fn show_deployment(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Deployment> {
    let (deployment, receipt) = deployments::find(room.gate(), &caller, id).await?;
    Ok(answer(&receipt, deployment.into()))
}

/// Read redacted output, waiting for some.
#[utoipa::path(get, path = "/api/v1/deployments/{id}/output", tag = "deploy", params(("id" = Uuid, Path), OutputQuery),
    responses((status = 200, body = Output)))]
async fn read_output(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<OutputQuery>,
) -> Answer<Output> {
    let (output, receipt) = deployments::output(&room, &caller, id, query).await?;
    Ok(answer(&receipt, output))
}

/// Stop a deployment.
#[utoipa::path(post, path = "/api/v1/deployments/{id}/cancel", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 200, body = Deployment)))]
async fn cancel_deployment(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Deployment> {
    let (deployment, receipt) = deployments::cancel(&room, &caller, id).await?;
    Ok(answer(&receipt, deployment.into()))
}

/// Use the configuration of an earlier deployment again.
#[utoipa::path(post, path = "/api/v1/deployments/{id}/rollback", tag = "deploy", request_body = Rollback,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Deployment)))]
async fn roll_back_to(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    IdempotencyKey(key): IdempotencyKey,
    Json(wanted): Json<Rollback>,
) -> Outcome<Recorded<Response>> {
    let (deployment, receipt) = deployments::roll_back(&room, &caller, id, wanted, key).await?;
    let location = format!("/api/v1/deployments/{}", deployment.id);
    Ok(Recorded(receipt.to_string(), created(&location, Deployment::from(deployment))?))
}

/// Which requests for approval are wanted.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ApprovalQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// The most items wanted, 1 to 200; 50 unless told.
    limit: Option<u16>,
    /// Only those that are `pending`, `approved`, `rejected`, `expired`, `superseded` or `used`.
    state: Option<String>,
}

/// List requests for approval, newest first.
#[utoipa::path(get, path = "/api/v1/approvals", tag = "deploy", params(ApprovalQuery),
    responses((status = 200, body = Page<Approval>)))]
async fn list_approvals(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Query(query): Query<ApprovalQuery>,
) -> Answer<Page<Approval>> {
    let page = PageRequest::new(query.after, query.limit)?;
    let (page, receipt) = approvals::list(&room, &caller, query.state, page).await?;
    Ok(Recorded(receipt.to_string(), listing(page)))
}

/// Show a request for approval.
#[utoipa::path(get, path = "/api/v1/approvals/{id}", tag = "deploy", params(("id" = Uuid, Path)),
    responses((status = 200, body = Approval)))]
async fn show_approval(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Approval> {
    let (approval, receipt) = approvals::find(&room, &caller, id).await?;
    Ok(answer(&receipt, approval))
}

/// Agree to a change, or refuse it.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/decide", tag = "deploy", request_body = Decide,
    params(("id" = Uuid, Path)), responses((status = 200, body = Approval)))]
async fn decide_approval(
    State(room): State<Deploy>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<Decide>,
) -> Answer<Approval> {
    let (approval, receipt) = approvals::decide(&room, &caller, id, wanted).await?;
    Ok(answer(&receipt, approval))
}

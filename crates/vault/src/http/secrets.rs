//! `/api/v1/secrets`.

use axum::{extract::State, response::Response};
use http::StatusCode;
use uuid::Uuid;
use writ_kernel::{Error, Id, Page as Keyset, PageRequest};
use writ_web::{
    Authenticated, IdempotencyKey, Json, Outcome, Path, Query, Recorded, body_limit, listing,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::{
    page::Page,
    secrets::{
        CreateSecret, FolderQuery, HistoryQuery, PathQuery, ReadQuery, RollBack, Secret, SecretQuery,
        SecretWithValue, Secrets, SomeVersions, UpdateSecret, Versions, WriteValue,
    },
};

use super::{Answer, answer, came, nothing, translate};
use crate::{
    Vault,
    secrets::{
        change::{Fate, Update},
        door,
        insights::STALE,
        list::Wanted,
        model::Place,
        write::NewVersion,
    },
};

/// The longest body: a value of 1 MiB, escaped or in base64, and what is around it.
const BODY: usize = 4 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<Vault> {
    OpenApiRouter::new()
        .routes(routes!(create_secret, list_secrets))
        .routes(routes!(list_folder))
        .routes(routes!(read_secret_by_path))
        .routes(routes!(read_secret, update_secret, destroy_secret))
        .routes(routes!(describe_secret))
        .routes(routes!(write_secret))
        .routes(routes!(roll_back_secret))
        .routes(routes!(activate_secret))
        .routes(routes!(deactivate_secret))
        .routes(routes!(read_secret_history))
        .routes(routes!(list_secret_versions))
        .routes(routes!(delete_secret_versions))
        .routes(routes!(restore_secret_versions))
        .routes(routes!(destroy_secret_versions))
        .layer(body_limit(BODY))
}

fn at(id: Uuid) -> Place {
    Place::Id(Id::from_uuid(id))
}

/// Store a secret.
#[utoipa::path(post, path = "/api/v1/secrets", tag = "secrets", request_body = CreateSecret,
    params(("Idempotency-Key" = Option<String>, Header)), responses((status = 201, body = SecretWithValue)))]
async fn create_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    IdempotencyKey(key): IdempotencyKey,
    Json(wanted): Json<CreateSecret>,
) -> Outcome<Recorded<Response>> {
    let (value, format, details) = (wanted.value.clone(), wanted.format, wanted.details.clone());
    let mut new = translate::new_secret(wanted, None)?;
    new.key = key;
    let (secret, receipt) = room.create(&caller, new).await?;
    let location = format!("/api/v1/secrets/{}", secret.id);
    came(&receipt, &location, SecretWithValue { secret: translate::secret(secret), value, format, details })
}

/// List secrets in the order of their paths.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", params(SecretQuery),
    responses((status = 200, body = Secrets)))]
async fn list_secrets(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Query(query): Query<SecretQuery>,
) -> Answer<Secrets> {
    let now = room.gate().world().now();
    let wanted = Wanted {
        environment: query.environment,
        folder: query.prefix.unwrap_or_default().parse()?,
        kind: query.content_type,
        label: query.label,
        search: query.search,
        inactive_too: query.include_inactive,
        unread_since: query.stale.then(|| now.minus(STALE)),
    };
    if let Some(number) = query.page {
        let size = query.page_size.unwrap_or(50);
        let (page, receipt) = room.list_numbered(&caller, &wanted, number, size).await?;
        let has_more = number.saturating_mul(size) < page.total;
        let secrets = page.items.into_iter().map(translate::secret).collect();
        let (total, number) = (Some(page.total), Some(number));
        let body = Secrets { secrets, total, page: number, page_size: size, has_more, next: None };
        return Ok(answer(&receipt, body));
    }
    let request = PageRequest::new(query.after, query.limit)?;
    let (Keyset { items, next }, receipt) = room.list(&caller, &wanted, &request).await?;
    let secrets = items.into_iter().map(translate::secret).collect();
    let next = next.map(|cursor| cursor.0);
    let (page_size, has_more) = (usize::from(request.limit), next.is_some());
    Ok(answer(&receipt, Secrets { secrets, total: None, page: None, page_size, has_more, next }))
}

/// List what is directly in a folder: names, those of folders with a slash at the end.
#[utoipa::path(get, path = "/api/v1/secrets/folders", tag = "secrets", params(FolderQuery),
    responses((status = 200, body = Page<String>)))]
async fn list_folder(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Query(query): Query<FolderQuery>,
) -> Answer<Page<String>> {
    let folder = query.path.unwrap_or_default().parse().map_err(|error: Error| error.at("path"))?;
    let wanted = Wanted { environment: query.environment, folder, ..Wanted::default() };
    let request = PageRequest::new(query.after, query.limit)?;
    let (page, receipt) = room.list_folder(&caller, &wanted, &request).await?;
    Ok(Recorded(receipt.to_string(), listing(page)))
}

/// Read a secret by its path.
#[utoipa::path(get, path = "/api/v1/secrets/by-path", tag = "secrets", params(PathQuery),
    responses((status = 200, body = SecretWithValue)))]
async fn read_secret_by_path(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Query(query): Query<PathQuery>,
) -> Answer<SecretWithValue> {
    let path = query.path.parse().map_err(|error: Error| error.at("path"))?;
    let mut tx = room.gate().db().read(caller.tenant).await?;
    let environment = door::environment(&mut tx, &caller, query.environment.as_deref()).await?;
    drop(tx);
    // An environment that is not there has no secrets: the door says so, on record.
    let environment = environment.map_or(Id::from_uuid(Uuid::nil()), |environment| environment.id);
    let place = Place::Path(environment, path);
    let (reading, receipt) = room.read(&caller, &place, query.version).await?;
    Ok(answer(&receipt, translate::with_value(reading)?))
}

/// Read a secret.
#[utoipa::path(get, path = "/api/v1/secrets/{id}", tag = "secrets", params(("id" = Uuid, Path), ReadQuery),
    responses((status = 200, body = SecretWithValue)))]
async fn read_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<ReadQuery>,
) -> Answer<SecretWithValue> {
    let (reading, receipt) = room.read(&caller, &at(id), query.version).await?;
    Ok(answer(&receipt, translate::with_value(reading)?))
}

/// Show what is known of a secret, without its value.
#[utoipa::path(get, path = "/api/v1/secrets/{id}/metadata", tag = "secrets", params(("id" = Uuid, Path)),
    responses((status = 200, body = Secret)))]
async fn describe_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Secret> {
    let (secret, receipt) = room.describe(&caller, &at(id)).await?;
    Ok(answer(&receipt, translate::secret(secret)))
}

/// Change what is known of a secret.
#[utoipa::path(patch, path = "/api/v1/secrets/{id}", tag = "secrets", params(("id" = Uuid, Path)),
    request_body = UpdateSecret, responses((status = 200, body = Secret)))]
async fn update_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<UpdateSecret>,
) -> Answer<Secret> {
    let path = wanted.name.map(|name| name.parse()).transpose()?;
    let (facts, notes, keeping) = translate::about(wanted.about)?;
    let details = translate::details(&wanted.details)?;
    let update = Update { path, facts, notes, keeping, details };
    let (secret, receipt) = room.update(&caller, &at(id), update).await?;
    Ok(answer(&receipt, translate::secret(secret)))
}

/// Destroy a secret with all its versions, for good.
#[utoipa::path(delete, path = "/api/v1/secrets/{id}", tag = "secrets", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn destroy_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&room.destroy(&caller, &at(id)).await?))
}

/// Write a new version.
#[utoipa::path(put, path = "/api/v1/secrets/{id}/value", tag = "secrets", params(("id" = Uuid, Path)),
    request_body = WriteValue, responses((status = 200, body = Secret)))]
async fn write_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<WriteValue>,
) -> Answer<Secret> {
    let value = translate::value(wanted.value, wanted.format)?;
    let (cas, restored_from) = (wanted.cas, wanted.restored_from_version);
    let new = NewVersion { place: at(id), value, cas, restored_from };
    let (secret, _, receipt) = room.write(&caller, new).await?;
    Ok(answer(&receipt, translate::secret(secret)))
}

/// Write the value of an earlier version as a new one.
#[utoipa::path(post, path = "/api/v1/secrets/{id}/rollback", tag = "secrets", params(("id" = Uuid, Path)),
    request_body = RollBack, responses((status = 200, body = Secret)))]
async fn roll_back_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<RollBack>,
) -> Answer<Secret> {
    let (secret, _, receipt) = room.roll_back(&caller, &at(id), wanted.version, wanted.cas).await?;
    Ok(answer(&receipt, translate::secret(secret)))
}

/// Put a secret back into use.
#[utoipa::path(post, path = "/api/v1/secrets/{id}/activate", tag = "secrets", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn activate_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    let (_, receipt) = room.set_active(&caller, &at(id), true).await?;
    Ok(nothing(&receipt))
}

/// Take a secret out of use: its value cannot be had until it is activated again.
#[utoipa::path(post, path = "/api/v1/secrets/{id}/deactivate", tag = "secrets", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn deactivate_secret(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    let (_, receipt) = room.set_active(&caller, &at(id), false).await?;
    Ok(nothing(&receipt))
}

/// Read the newest versions with their values.
#[utoipa::path(get, path = "/api/v1/secrets/{id}/history", tag = "secrets",
    params(("id" = Uuid, Path), HistoryQuery), responses((status = 200, body = Versions)))]
async fn read_secret_history(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<HistoryQuery>,
) -> Answer<Versions> {
    let (readings, receipt) = room.history(&caller, &at(id), query.max_versions.unwrap_or(5)).await?;
    let versions = readings.iter().map(|reading| {
        translate::version(&reading.version, reading.value.as_ref().ok().map(translate::shown))
    });
    Ok(answer(&receipt, Versions { secret_id: id, versions: versions.collect() }))
}

/// List the versions that are kept, without their values.
#[utoipa::path(get, path = "/api/v1/secrets/{id}/versions", tag = "secrets", params(("id" = Uuid, Path)),
    responses((status = 200, body = Versions)))]
async fn list_secret_versions(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Versions> {
    let (_, versions, receipt) = room.versions(&caller, &at(id)).await?;
    let versions = versions.iter().map(|version| translate::version(version, None)).collect();
    Ok(answer(&receipt, Versions { secret_id: id, versions }))
}

/// Delete versions so that they can be restored.
#[utoipa::path(post, path = "/api/v1/secrets/{id}/versions/delete", tag = "secrets", params(("id" = Uuid, Path)),
    request_body = SomeVersions, responses((status = 204)))]
async fn delete_secret_versions(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<SomeVersions>,
) -> Outcome<Recorded<StatusCode>> {
    let (_, receipt) = room.treat(&caller, &at(id), &wanted.versions, Fate::Delete).await?;
    Ok(nothing(&receipt))
}

/// Restore deleted versions.
#[utoipa::path(post, path = "/api/v1/secrets/{id}/versions/restore", tag = "secrets",
    params(("id" = Uuid, Path)), request_body = SomeVersions, responses((status = 204)))]
async fn restore_secret_versions(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<SomeVersions>,
) -> Outcome<Recorded<StatusCode>> {
    let (_, receipt) = room.treat(&caller, &at(id), &wanted.versions, Fate::Restore).await?;
    Ok(nothing(&receipt))
}

/// Destroy the values of versions, for good.
#[utoipa::path(post, path = "/api/v1/secrets/{id}/versions/destroy", tag = "secrets",
    params(("id" = Uuid, Path)), request_body = SomeVersions, responses((status = 204)))]
async fn destroy_secret_versions(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<SomeVersions>,
) -> Outcome<Recorded<StatusCode>> {
    let (_, receipt) = room.treat(&caller, &at(id), &wanted.versions, Fate::Destroy).await?;
    Ok(nothing(&receipt))
}

//! The life of keys.

use std::time::Duration;

use axum::{extract::State, response::Response};
use http::StatusCode;
use uuid::Uuid;
use writ_kernel::{Error, Result};
use writ_web::{
    Authenticated, Json, Outcome, Path, Query, Recorded, created,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::keys as wire;

use super::{Answer, Env, EnvironmentQuery, answer, name, named, purpose, words};
use crate::{
    life::{Change, GRACE_DAYS, NewKey},
    model::{Key, Which},
    room::Keys,
};

pub(super) fn routes() -> OpenApiRouter<Keys> {
    OpenApiRouter::new()
        .routes(routes!(create_key_pair, list_named_keys))
        .routes(routes!(show_key, update_key, delete_key))
        .routes(routes!(list_key_versions))
        .routes(routes!(rotate_key))
        .routes(routes!(set_default_key))
        .routes(routes!(cancel_key_deletion))
        .routes(routes!(trim_key))
        .routes(routes!(set_min_decryption_version))
        .routes(routes!(configure_transit_key))
}

/// Make a named key.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", params(EnvironmentQuery), request_body = wire::CreateKey,
    responses((status = 201, body = wire::Key)))]
async fn create_key_pair(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Json(wanted): Json<wire::CreateKey>,
) -> Outcome<Recorded<Response>> {
    let (key, receipt) = room.create(&caller, new_key(env, wanted)?).await?;
    let location = format!("/api/v1/keys/{}", key.id);
    Ok(Recorded(receipt.to_string(), created(&location, words::key(&key, room.now()))?))
}

fn new_key(env: Env, wanted: wire::CreateKey) -> Result<NewKey> {
    let purpose = purpose(wanted.key_type.or(wanted.purpose).as_deref())?;
    let key_type = words::key_type(wanted.algorithm.as_deref(), purpose)?;
    Ok(NewKey {
        purpose,
        hmac_bytes: wanted.key_size.map(usize::from),
        description: wanted.description.filter(|text| !text.is_empty()),
        labels: wanted.labels.unwrap_or_default(),
        tags: wanted.tags.unwrap_or_default(),
        derived: wanted.derived,
        convergent: wanted.convergent,
        exportable: wanted.exportable,
        rotate_every: wanted.rotate_every_seconds.map(Duration::from_secs),
        expires_at: wanted.expires_at,
        default: wanted.set_as_default,
        ..NewKey::new(env.place(wanted.environment), name(&wanted.name)?, key_type)
    })
}

/// List the keys of an environment.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", params(wire::ListKeys),
    responses((status = 200, body = wire::KeyList)))]
async fn list_named_keys(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Query(query): Query<wire::ListKeys>,
) -> Answer<wire::KeyList> {
    let (page, size) = paging(&query)?;
    let purpose = purpose(query.key_type.as_deref())?;
    let (mut keys, receipt) = room.list(&caller, &env.place(query.environment)).await?;
    let now = room.now();
    keys.retain(|key| purpose.is_none_or(|purpose| key.purpose == purpose));
    if let Some(wanted) = &query.status {
        keys.retain(|key| words::status(key, now) == wanted);
    }
    let all = query.all_versions == Some(true);
    let versions = |key: &Key| {
        if all {
            key.min_available_version..=key.latest_version
        } else {
            key.latest_version..=key.latest_version
        }
    };
    let total: usize = keys.iter().map(|key| versions(key).count()).sum();
    let before = (page as usize - 1).saturating_mul(size as usize);
    let each = keys.iter().flat_map(|key| versions(key).map(move |version| (key, version)));
    let of_page = each.skip(before).take(size as usize);
    let keys: Vec<_> = of_page.map(|(key, version)| wire::Key { version, ..words::key(key, now) }).collect();
    let has_more = before.saturating_add(keys.len()) < total;
    Ok(answer(&receipt, wire::KeyList { keys, total: total as u64, page, page_size: size, has_more }))
}

fn paging(query: &wire::ListKeys) -> Result<(u32, u32)> {
    let (page, size) = (query.page.unwrap_or(1), query.page_size.unwrap_or(50));
    if page == 0 {
        return Err(Error::invalid("page", "pages are counted from 1").at("page"));
    }
    if !(1..=200).contains(&size) {
        return Err(Error::invalid("page_size", "`pageSize` is 1 to 200").at("pageSize"));
    }
    Ok((page, size))
}

/// Show a key.
#[utoipa::path(get, path = "/api/v1/keys/{id}", tag = "keys", params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Key)))]
async fn show_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<wire::Key> {
    let (key, _, receipt) = room.show(&caller, &Which::Id(id)).await?;
    Ok(answer(&receipt, words::key(&key, room.now())))
}

/// List the versions of a key.
#[utoipa::path(get, path = "/api/v1/keys/{id}/versions", tag = "keys", params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::KeyVersions)))]
async fn list_key_versions(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<wire::KeyVersions> {
    let (key, versions, receipt) = room.show(&caller, &Which::Id(id)).await?;
    let body = wire::KeyVersions {
        key_name: key.name.to_string(),
        min_decryption_version: key.min_decryption_version,
        versions: versions.iter().map(|version| words::version(&key, version)).collect(),
    };
    Ok(answer(&receipt, body))
}

/// Change what is known about a key, or what it may be used for.
#[utoipa::path(patch, path = "/api/v1/keys/{id}", tag = "keys", params(("id" = Uuid, Path)),
    request_body = wire::UpdateKey, responses((status = 200, body = wire::Key)))]
async fn update_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<wire::UpdateKey>,
) -> Answer<wire::Key> {
    let enabled = match wanted.status.as_deref() {
        None => None,
        Some("active" | "enabled") => Some(true),
        Some("disabled" | "inactive") => Some(false),
        Some(_) => {
            let error = Error::invalid("invalid_value", "a key is `active` or `disabled`");
            return Err(error.at("status").into());
        }
    };
    let change = Change {
        name: wanted.name.as_deref().map(name).transpose()?,
        description: wanted.description,
        labels: wanted.labels,
        tags: wanted.tags,
        enabled,
        min_decryption_version: wanted.min_decryption_version,
        min_encryption_version: wanted.min_encryption_version,
        rotate_every: wanted.rotate_every_seconds.map(Duration::from_secs),
        expires_at: wanted.expires_at,
        ..Change::default()
    };
    let (key, receipt) = room.update(&caller, &Which::Id(id), change).await?;
    Ok(answer(&receipt, words::key(&key, room.now())))
}

/// Make a new version of a key.
#[utoipa::path(post, path = "/api/v1/keys/{id}/rotate", tag = "keys", params(("id" = Uuid, Path)),
    request_body = Option<wire::RotateKey>, responses((status = 200, body = wire::RotatedKey)))]
async fn rotate_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    wanted: Option<Json<wire::RotateKey>>,
) -> Answer<wire::RotatedKey> {
    let wanted = wanted.map(|Json(wanted)| wanted).unwrap_or_default();
    let which = Which::Id(id);
    // What needs the right to change the key comes first: without that right, nothing has happened.
    if let Some(text) = wanted.name.as_deref() {
        let change = Change { name: Some(name(text)?), ..Change::default() };
        room.update(&caller, &which, change).await?;
    }
    let (key, _, _) = room.show(&caller, &which).await?;
    if wanted.set_as_default && !key.is_default {
        room.set_default(&caller, &which, None).await?;
    }
    let (key, receipt) = room.rotate(&caller, &which).await?;
    let body = wire::RotatedKey {
        key_id: key.id.uuid(),
        new_version: key.latest_version,
        previous_version: key.latest_version - 1,
        rotated_at: key.updated_at,
        key: words::key(&key, room.now()),
    };
    Ok(answer(&receipt, body))
}

/// Use a key for its purpose when none is named.
#[utoipa::path(post, path = "/api/v1/keys/{id}/set-default", tag = "keys", params(("id" = Uuid, Path)),
    request_body = Option<wire::SetDefault>, responses((status = 200, body = wire::Key)))]
async fn set_default_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    wanted: Option<Json<wire::SetDefault>>,
) -> Answer<wire::Key> {
    let purpose = purpose(wanted.and_then(|Json(wanted)| wanted.key_type).as_deref())?;
    let (key, receipt) = room.set_default(&caller, &Which::Id(id), purpose).await?;
    Ok(answer(&receipt, words::key(&key, room.now())))
}

/// Schedule the end of a key. It cannot be used meanwhile.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "keys", params(("id" = Uuid, Path), wire::DeleteKey),
    responses((status = 204)))]
async fn delete_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<wire::DeleteKey>,
) -> Outcome<Recorded<StatusCode>> {
    let days = query.schedule_days.unwrap_or(GRACE_DAYS);
    let (_, receipt) = room.schedule_deletion(&caller, &Which::Id(id), days).await?;
    Ok(Recorded(receipt.to_string(), StatusCode::NO_CONTENT))
}

/// Call the end of a key off.
#[utoipa::path(post, path = "/api/v1/keys/{id}/cancel-deletion", tag = "keys", params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Key)))]
async fn cancel_key_deletion(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<wire::Key> {
    let (key, receipt) = room.cancel_deletion(&caller, &Which::Id(id)).await?;
    Ok(answer(&receipt, words::key(&key, room.now())))
}

/// Destroy old versions of a key.
#[utoipa::path(post, path = "/api/v1/keys/{id}/trim", tag = "keys", params(("id" = Uuid, Path)),
    request_body = wire::TrimKey, responses((status = 200, body = wire::Key)))]
async fn trim_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<wire::TrimKey>,
) -> Answer<wire::Key> {
    let (key, receipt) = room.trim(&caller, &Which::Id(id), wanted.min_available_version).await?;
    Ok(answer(&receipt, words::key(&key, room.now())))
}

/// Set the oldest version that decrypts and verifies.
#[utoipa::path(put, path = "/api/v1/keys/{id}/min-decryption-version", tag = "keys", params(("id" = Uuid, Path)),
    request_body = wire::ConfigureKey, responses((status = 200, body = wire::KeyConfig)))]
async fn set_min_decryption_version(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<wire::ConfigureKey>,
) -> Answer<wire::KeyConfig> {
    let (key, receipt) = room.update(&caller, &Which::Id(id), minimums(&wanted)).await?;
    Ok(answer(&receipt, words::config(&key)))
}

/// Set the oldest versions that a named key works with.
#[utoipa::path(post, path = "/api/v1/transit/keys/{name}/config", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::ConfigureKey,
    responses((status = 200, body = wire::KeyConfig)))]
async fn configure_transit_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::ConfigureKey>,
) -> Answer<wire::KeyConfig> {
    let (key, receipt) = room.update(&caller, &named(env, &text)?, minimums(&wanted)).await?;
    Ok(answer(&receipt, words::config(&key)))
}

fn minimums(wanted: &wire::ConfigureKey) -> Change {
    Change {
        min_decryption_version: wanted.min_decryption_version,
        min_encryption_version: wanted.min_encryption_version,
        ..Change::default()
    }
}

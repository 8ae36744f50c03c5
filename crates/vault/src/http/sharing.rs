//! `/api/v1/vault/share`, `/api/v1/share` and `/api/v1/vault/wrap`.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_kernel::{Id, Timestamp};
use writ_web::{
    Authenticated, Json, Outcome, Path, Peer, Recorded, Trace, body_limit,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::sharing::{
    CreateLink, CreatedLink, OpenLink, OpenedLink, Revoked, SharedLink, SharedLinks, Unwrapped, WrapValue,
    Wrapped, WrappingToken,
};

use super::{Answer, answer, translate};
use crate::{
    Vault,
    secrets::model::Place,
    sharing::model::{LinkRecord, NewLink, Stranger},
};

/// The longest body: a value of 1 MiB, escaped or in base64, and what is around it.
const BODY: usize = 4 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<Vault> {
    OpenApiRouter::new()
        .routes(routes!(share))
        .routes(routes!(links))
        .routes(routes!(revoke))
        .routes(routes!(open))
        .routes(routes!(wrap))
        .routes(routes!(unwrap))
        .routes(routes!(look_up))
        .routes(routes!(rewrap))
        .layer(body_limit(BODY))
}

fn link(link: &LinkRecord, now: Timestamp) -> SharedLink {
    SharedLink {
        id: link.id.uuid(),
        secret_id: link.secret.map(Id::uuid),
        status: link.status(now).to_owned(),
        expires_at: link.expires_at,
        max_access_count: link.most,
        access_count: link.opened,
        has_password: link.has_password(),
        created_at: link.created_at,
        created_by: link.created_by.uuid(),
    }
}

fn wrapped(link: LinkRecord, token: Option<&SecretString>) -> Wrapped {
    Wrapped {
        id: link.id.uuid(),
        token: token.map(|token| token.expose().to_owned()),
        creation_path: link.creation_path,
        created_at: link.created_at,
        expires_at: link.expires_at,
    }
}

fn stranger(peer: Peer, trace: Trace) -> Stranger {
    Stranger { source: Some(peer.0.ip()), trace: trace.id() }
}

/// Make a link to the current value of a secret. Its token is shown once.
#[utoipa::path(post, path = "/api/v1/vault/share", tag = "sharing", request_body = CreateLink,
    responses((status = 201, body = CreatedLink)))]
async fn share(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateLink>,
) -> Outcome<Recorded<(StatusCode, Json<CreatedLink>)>> {
    let new = NewLink {
        hours: wanted.expires_in_hours,
        most: wanted.max_access_count,
        password: wanted.password.map(SecretString::new),
    };
    let (record, token, receipt) =
        room.share(&caller, &Place::Id(Id::from_uuid(wanted.secret_id)), new).await?;
    let link = link(&record, room.gate().world().now());
    let body = CreatedLink { link, token: token.expose().to_owned() };
    Ok(Recorded(receipt.to_string(), (StatusCode::CREATED, Json(body))))
}

/// List the links of a secret, newest first, without their tokens.
#[utoipa::path(get, path = "/api/v1/vault/share/by-secret/{id}", tag = "sharing", params(("id" = Uuid, Path)),
    responses((status = 200, body = SharedLinks)))]
async fn links(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<SharedLinks> {
    let (records, receipt) = room.links(&caller, &Place::Id(Id::from_uuid(id))).await?;
    let now = room.gate().world().now();
    let links: Vec<_> = records.iter().map(|record| link(record, now)).collect();
    Ok(answer(&receipt, SharedLinks { total_count: links.len(), links }))
}

/// Take a link back.
#[utoipa::path(delete, path = "/api/v1/vault/share/{id}", tag = "sharing", params(("id" = Uuid, Path)),
    responses((status = 200, body = Revoked)))]
async fn revoke(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Revoked> {
    let (revoked, receipt) = room.revoke_link(&caller, Id::from_uuid(id)).await?;
    Ok(answer(&receipt, Revoked { revoked }))
}

/// Open a link, which counts once. Needs no credential but the token.
#[utoipa::path(post, path = "/api/v1/share/{token}", tag = "sharing", security(()), params(("token" = String, Path)),
    request_body = OpenLink, responses((status = 200, body = OpenedLink)))]
async fn open(
    State(room): State<Vault>,
    peer: Peer,
    trace: Trace,
    Path(token): Path<String>,
    Json(wanted): Json<OpenLink>,
) -> Answer<OpenedLink> {
    let password = wanted.password.map(SecretString::new);
    let token = SecretString::new(token);
    let (opened, receipt) = room.open_link(token.expose(), password, stranger(peer, trace)).await?;
    let body = OpenedLink {
        value: translate::shown(&opened.value),
        format: translate::format(opened.value.format()),
        access_count: opened.link.opened,
        expires_at: opened.link.expires_at,
    };
    Ok(answer(&receipt, body))
}

/// Wrap a value: whoever shows the token gets it, once.
#[utoipa::path(post, path = "/api/v1/vault/wrap", tag = "sharing", request_body = WrapValue,
    responses((status = 201, body = Wrapped)))]
async fn wrap(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<WrapValue>,
) -> Outcome<Recorded<(StatusCode, Json<Wrapped>)>> {
    let value = translate::value(wanted.value, wanted.format)?;
    let ttl = Duration::from_secs(wanted.ttl_seconds);
    let environment = wanted.environment.as_deref();
    let (link, token, receipt) = room.wrap(&caller, environment, &value, ttl, "vault/wrap").await?;
    Ok(Recorded(receipt.to_string(), (StatusCode::CREATED, Json(wrapped(link, Some(&token))))))
}

/// Take out what is wrapped. Needs no credential but the token.
#[utoipa::path(post, path = "/api/v1/vault/unwrap", tag = "sharing", security(()), request_body = WrappingToken,
    responses((status = 200, body = Unwrapped)))]
async fn unwrap(
    State(room): State<Vault>,
    peer: Peer,
    trace: Trace,
    Json(wanted): Json<WrappingToken>,
) -> Answer<Unwrapped> {
    let token = SecretString::new(wanted.token);
    let (opened, receipt) = room.unwrap(token.expose(), stranger(peer, trace)).await?;
    let body = Unwrapped {
        value: translate::shown(&opened.value),
        format: translate::format(opened.value.format()),
        creation_path: opened.link.creation_path,
    };
    Ok(answer(&receipt, body))
}

/// Show what is known of a wrapped value, and leave it there. Needs no credential but the token.
#[utoipa::path(post, path = "/api/v1/vault/wrap/lookup", tag = "sharing", security(()), request_body = WrappingToken,
    responses((status = 200, body = Wrapped)))]
async fn look_up(
    State(room): State<Vault>,
    peer: Peer,
    trace: Trace,
    Json(wanted): Json<WrappingToken>,
) -> Answer<Wrapped> {
    let token = SecretString::new(wanted.token);
    let (link, receipt) = room.look_up(token.expose(), stranger(peer, trace)).await?;
    Ok(answer(&receipt, wrapped(link, None)))
}

/// Wrap what is wrapped under another token. Needs no credential but the token.
#[utoipa::path(post, path = "/api/v1/vault/rewrap", tag = "sharing", security(()), request_body = WrappingToken,
    responses((status = 200, body = Wrapped)))]
async fn rewrap(
    State(room): State<Vault>,
    peer: Peer,
    trace: Trace,
    Json(wanted): Json<WrappingToken>,
) -> Answer<Wrapped> {
    let old = SecretString::new(wanted.token);
    let (link, token, receipt) = room.rewrap(old.expose(), stranger(peer, trace)).await?;
    Ok(answer(&receipt, wrapped(link, Some(&token))))
}

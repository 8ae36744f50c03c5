//! Keys in and out: public halves, import and export, data keys.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use data_encoding::BASE64;
use serde_json::Value;
use uuid::Uuid;
use writ_crypto::{
    SecretBytes,
    named::{Ciphertext, OaepHash, PrivateFormat, PublicKey},
};
use writ_kernel::{Error, Result};
use writ_web::{
    Authenticated, Json, Outcome, Path, Query, Recorded, created,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::keys as wire;

use super::{Answer, Env, EnvironmentQuery, answer, from_base64, name, named, purpose, some_base64, words};
use crate::{
    crypt::{Binding, DataKeyWanted, NewDataKey, Sealed, Work, one},
    life::NewKey,
    model::{Key, Which},
    room::Keys,
    transfer::{Brought, Part, Wrapping},
};

/// How many bytes a data key has unless told.
const DATA_KEY: usize = 32;

pub(super) fn routes() -> OpenApiRouter<Keys> {
    OpenApiRouter::new()
        .routes(routes!(import_key))
        .routes(routes!(wrapping_key))
        .routes(routes!(export_key))
        .routes(routes!(export_public_key))
        .routes(routes!(show_public_key))
        .routes(routes!(generate_data_key))
        .routes(routes!(generate_data_key_without_plaintext))
        .routes(routes!(unwrap_key))
        .routes(routes!(transit_data_key))
        .routes(routes!(transit_data_key_without_plaintext))
}

/// Bring a key that was made elsewhere.
#[utoipa::path(post, path = "/api/v1/keys/import", tag = "keys", params(EnvironmentQuery),
    request_body = wire::ImportKey, responses((status = 201, body = wire::Key)))]
async fn import_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Json(wanted): Json<wire::ImportKey>,
) -> Outcome<Recorded<Response>> {
    let purpose = purpose(wanted.key_type.as_deref())?;
    let key_type = words::key_type(Some(&wanted.algorithm), purpose)?;
    let brought = brought(wanted.format.as_deref(), wanted.key_material, wanted.public_key_only)?;
    let new = NewKey {
        purpose,
        description: wanted.description.filter(|text| !text.is_empty()),
        labels: wanted.labels.unwrap_or_default(),
        exportable: wanted.exportable,
        expires_at: wanted.expires_at,
        default: wanted.set_as_default,
        ..NewKey::new(env.place(wanted.environment), name(&wanted.name)?, key_type)
    };
    let (key, receipt) = room.import(&caller, new, brought).await?;
    let location = format!("/api/v1/keys/{}", key.id);
    Ok(Recorded(receipt.to_string(), created(&location, words::key(&key, room.now()))?))
}

fn brought(format: Option<&str>, text: String, public_only: bool) -> Result<Brought> {
    if public_only {
        let what = "a public key alone is not taken in";
        return Err(Error::invalid("unsupported_operation", what).at("publicKeyOnly"));
    }
    let material = SecretBytes::new(text.into_bytes());
    let (bytes, format) = read_material(format.unwrap_or("raw"), &material)?;
    Ok(match format {
        None => Brought::Wrapped(Wrapping::PostQuantum, OaepHash::default(), bytes.expose().to_vec()),
        Some(format) => Brought::Plain(format, bytes),
    })
}

/// The bytes that are brought and their form; `None` for wrapped ones.
fn read_material(format: &str, text: &SecretBytes) -> Result<(SecretBytes, Option<PrivateFormat>)> {
    let begins = |start: &str| text.expose().trim_ascii_start().starts_with(start.as_bytes());
    let decoded = || {
        BASE64.decode(text.expose().trim_ascii()).map(SecretBytes::new).map_err(|_| {
            Error::invalid("invalid_base64", "this is not standard base64 with padding").at("keyMaterial")
        })
    };
    let as_is = || SecretBytes::new(text.expose().to_vec());
    Ok(match format.to_ascii_lowercase().as_str() {
        "raw" => (decoded()?, Some(PrivateFormat::Raw)),
        "der" | "pkcs8" if !begins("-----") => (decoded()?, Some(PrivateFormat::Pkcs8Der)),
        "pem" | "der" | "pkcs8" if begins("-----") => (as_is(), Some(PrivateFormat::Pkcs8Pem)),
        "pem" => (decoded()?, Some(PrivateFormat::Pkcs8Pem)),
        "jwk" if begins("{") => (as_is(), Some(PrivateFormat::Jwk)),
        "jwk" => (decoded()?, Some(PrivateFormat::Jwk)),
        "wrapped" => (decoded()?, None),
        _ => {
            let what = "a format is `raw`, `pem`, `der`, `pkcs8`, `jwk` or `wrapped`";
            return Err(Error::invalid("invalid_format", what).at("format"));
        }
    })
}

/// The public key to which a key that is brought can be wrapped: ML-KEM-768.
#[utoipa::path(post, path = "/api/v1/keys/wrapping-key", tag = "keys", params(EnvironmentQuery),
    responses((status = 200, body = wire::WrappingKey)))]
async fn wrapping_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
) -> Answer<wire::WrappingKey> {
    let (public, key, receipt) = room.wrapping_key(&caller, &env.place(None), Wrapping::PostQuantum).await?;
    let body = wire::WrappingKey {
        id: key.id,
        version: key.version,
        algorithm: words::algorithm(public.key_type()),
        public_key: public.to_pem()?,
    };
    Ok(answer(&receipt, body))
}

/// Take the secret part of a key away. Only of a key that was made `exportable`.
#[utoipa::path(post, path = "/api/v1/keys/{id}/export", tag = "keys",
    params(("id" = Uuid, Path), wire::KeyForm), responses((status = 200, body = wire::ExportedKey)))]
async fn export_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<wire::KeyForm>,
) -> Answer<wire::ExportedKey> {
    let format = query.format.as_deref().unwrap_or("raw").to_ascii_lowercase();
    let part = match format.as_str() {
        "raw" => PrivateFormat::Raw,
        "pem" => PrivateFormat::Pkcs8Pem,
        "der" | "pkcs8" => PrivateFormat::Pkcs8Der,
        "jwk" => PrivateFormat::Jwk,
        _ => return Err(unknown_format().into()),
    };
    let (key, mut exported, receipt) =
        room.export(&caller, &Which::Id(id), Part::Whole(part), Some(query.version)).await?;
    let exported = exported.pop().ok_or_else(|| Error::not_found("key version"))?;
    let key_material = match part {
        PrivateFormat::Raw | PrivateFormat::Pkcs8Der => BASE64.encode(exported.secret.expose()),
        PrivateFormat::Pkcs8Pem | PrivateFormat::Jwk => {
            String::from_utf8_lossy(exported.secret.expose()).into_owned()
        }
    };
    let body = wire::ExportedKey {
        key_id: key.id.uuid(),
        algorithm: words::algorithm(key.key_type),
        version: exported.version,
        key_material,
        format,
    };
    Ok(answer(&receipt, body))
}

/// The public half of a key.
#[utoipa::path(get, path = "/api/v1/keys/{id}/public-key", tag = "keys",
    params(("id" = Uuid, Path), wire::KeyForm), responses((status = 200, body = wire::PublicKey)))]
async fn export_public_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<wire::KeyForm>,
) -> Answer<wire::PublicKey> {
    public_half(&room, &caller, id, &query).await
}

/// The public half of a key, with what else is asked for.
#[utoipa::path(get, path = "/api/v1/keys/{id}/public", tag = "keys",
    params(("id" = Uuid, Path), wire::KeyForm), responses((status = 200, body = wire::PublicKey)))]
async fn show_public_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Query(query): Query<wire::KeyForm>,
) -> Answer<wire::PublicKey> {
    public_half(&room, &caller, id, &query).await
}

async fn public_half(
    room: &Keys,
    caller: &writ_kernel::Caller,
    id: Uuid,
    query: &wire::KeyForm,
) -> Answer<wire::PublicKey> {
    let format = query.format.as_deref().unwrap_or("pem").to_ascii_lowercase();
    if !["pem", "der", "raw", "jwk"].contains(&format.as_str()) {
        return Err(unknown_format().into());
    }
    let (key, halves, receipt) = room.public(caller, &Which::Id(id), Some(query.version)).await?;
    let (version, public) = halves.into_iter().next().ok_or_else(|| Error::not_found("key version"))?;
    let body = wire::PublicKey {
        key_id: key.id.uuid(),
        algorithm: words::algorithm(key.key_type),
        version,
        public_key: written(&public, &format)?,
        format,
        more: more(&key, room, query.include.as_deref().unwrap_or_default())?,
    };
    Ok(answer(&receipt, body))
}

fn written(public: &PublicKey, format: &str) -> Result<String> {
    match format {
        "pem" => public.to_pem(),
        "der" => public.to_der().map(|der| BASE64.encode(&der)),
        "jwk" => public.to_jwk(),
        _ => Ok(BASE64.encode(public.as_raw())),
    }
}

/// The members of a key that `include` names. What it does not know it leaves out.
fn more(key: &Key, room: &Keys, include: &str) -> Result<BTreeMap<String, Value>> {
    const OFFERED: [&str; 13] = [
        "name",
        "description",
        "keyType",
        "isPostQuantum",
        "isActive",
        "isDefault",
        "isFavorite",
        "createdAt",
        "expiresAt",
        "lastRotatedAt",
        "labels",
        "state",
        "scheduledDeletionDate",
    ];
    let wanted: Vec<&str> = include.split(',').map(str::trim).collect();
    let everything = wanted.iter().any(|word| ["all", "metadata"].contains(word));
    let all = serde_json::to_value(words::key(key, room.now()))
        .map_err(|error| Error::internal("a key cannot be written").because(error))?;
    let Value::Object(all) = all else { return Ok(BTreeMap::new()) };
    let named =
        |name: &String| OFFERED.contains(&name.as_str()) && (everything || wanted.contains(&name.as_str()));
    Ok(all.into_iter().filter(|(name, _)| named(name)).collect())
}

fn unknown_format() -> Error {
    Error::invalid("invalid_format", "a format is `pem`, `der`, `raw` or `jwk`").at("format")
}

/// Have a data key made, and see it.
#[utoipa::path(post, path = "/api/v1/keys/{id}/generate-data-key", tag = "keys", params(("id" = Uuid, Path)),
    request_body = Option<wire::CreateDataKey>, responses((status = 200, body = wire::DataKey)))]
async fn generate_data_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    wanted: Option<Json<wire::CreateDataKey>>,
) -> Answer<wire::DataKey> {
    data_key(&room, &caller, Which::Id(id), wanted, true).await
}

/// Have a data key made, to be opened later.
#[utoipa::path(post, path = "/api/v1/keys/{id}/generate-data-key-without-plaintext", tag = "keys",
    params(("id" = Uuid, Path)), request_body = Option<wire::CreateDataKey>,
    responses((status = 200, body = wire::DataKey)))]
async fn generate_data_key_without_plaintext(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    wanted: Option<Json<wire::CreateDataKey>>,
) -> Answer<wire::DataKey> {
    data_key(&room, &caller, Which::Id(id), wanted, false).await
}

/// Have a data key made with a named key, and see it.
#[utoipa::path(post, path = "/api/v1/transit/datakey/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = Option<wire::CreateDataKey>,
    responses((status = 200, body = wire::DataKey)))]
async fn transit_data_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    wanted: Option<Json<wire::CreateDataKey>>,
) -> Answer<wire::DataKey> {
    data_key(&room, &caller, named(env, &text)?, wanted, true).await
}

/// Have a data key made with a named key, to be opened later.
#[utoipa::path(post, path = "/api/v1/transit/datakey/{name}/without-plaintext", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = Option<wire::CreateDataKey>,
    responses((status = 200, body = wire::DataKey)))]
async fn transit_data_key_without_plaintext(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    wanted: Option<Json<wire::CreateDataKey>>,
) -> Answer<wire::DataKey> {
    data_key(&room, &caller, named(env, &text)?, wanted, false).await
}

async fn data_key(
    room: &Keys,
    caller: &writ_kernel::Caller,
    key: Which,
    wanted: Option<Json<wire::CreateDataKey>>,
    reveal: bool,
) -> Answer<wire::DataKey> {
    let wanted = wanted.map(|Json(wanted)| wanted).unwrap_or_default();
    let associated_data = some_base64(wanted.context.as_deref(), "context")?.unwrap_or_default();
    let binding = Binding { associated_data, context: None };
    let bytes = wanted.key_bytes.unwrap_or(DATA_KEY);
    let asked = DataKeyWanted { key, bytes, binding, version: None, reveal };
    let (key, NewDataKey { plaintext, wrapped }, receipt) = room.data_key(caller, asked).await?;
    let body = wire::DataKey {
        plaintext_key: plaintext.map(|plaintext| BASE64.encode(plaintext.expose())),
        encrypted_key: wrapped.to_string(),
        key_id: key.id.uuid(),
        key_version: wrapped.version,
        algorithm: wanted.algorithm.unwrap_or_else(|| "AES-256-GCM".to_owned()),
    };
    Ok(answer(&receipt, body))
}

/// Open a data key.
#[utoipa::path(post, path = "/api/v1/keys/{id}/unwrap", tag = "keys", params(("id" = Uuid, Path)),
    request_body = wire::UnwrapKey, responses((status = 200, body = wire::UnwrappedKey)))]
async fn unwrap_key(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<wire::UnwrapKey>,
) -> Answer<wire::UnwrappedKey> {
    let associated_data = match wanted.context.as_deref() {
        Some(context) => from_base64(context, "context")?,
        None => Vec::new(),
    };
    let key_version = Ciphertext::parse(&wanted.wrapped_key).map(|it| it.version).unwrap_or_default();
    let sealed = Sealed {
        ciphertext: wanted.wrapped_key,
        binding: Binding { associated_data, context: None },
        version: None,
    };
    let (key, opened, receipt) = room.decrypt(&caller, &Which::Id(id), &Work::One(sealed)).await?;
    let key_material = BASE64.encode(one(opened)?.expose());
    let body = wire::UnwrappedKey { key_material, key_id: key.id.uuid(), key_version };
    Ok(answer(&receipt, body))
}

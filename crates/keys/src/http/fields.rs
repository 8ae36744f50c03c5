//! Fields of rows.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use data_encoding::HEXLOWER;
use http::StatusCode;
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_kernel::{Error, Result};
use writ_web::{
    Authenticated, Json, Outcome, Path, Query, Recorded, created,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::fields as wire;

use super::{Answer, Env, EnvironmentQuery, answer, name};
use crate::{
    crypt::Work,
    fields::{
        Column, ColumnProgress, FieldSet, NewFieldSet, PlainRow, Progress, SealedRow, SealedRowText, WhichSet,
    },
    room::Keys,
};

pub(super) fn routes() -> OpenApiRouter<Keys> {
    OpenApiRouter::new()
        .routes(routes!(create_field_set, list_field_sets))
        .routes(routes!(field_coverage))
        .routes(routes!(show_field_set, update_field_set, delete_field_set))
        .routes(routes!(encrypt_fields))
        .routes(routes!(decrypt_fields))
        .routes(routes!(rewrap_fields))
        .routes(routes!(search_field))
        .routes(routes!(rotate_field_index))
        .routes(routes!(retire_field_indexes))
        .routes(routes!(report_field_progress))
}

/// Say which columns of a table are encrypted.
#[utoipa::path(post, path = "/api/v1/fields", tag = "fields", params(EnvironmentQuery),
    request_body = wire::CreateFieldSet, responses((status = 201, body = wire::FieldSet)))]
async fn create_field_set(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Json(wanted): Json<wire::CreateFieldSet>,
) -> Outcome<Recorded<Response>> {
    let new = NewFieldSet {
        name: table(&wanted.table)?,
        key: wanted.key.as_deref().map(name).transpose()?,
        columns: columns(wanted.columns)?,
        place: env.place(wanted.environment),
    };
    let (set, receipt) = room.create_field_set(&caller, new).await?;
    let location = format!("/api/v1/fields/{}", set.id);
    Ok(Recorded(receipt.to_string(), created(&location, to_wire(set))?))
}

/// List the field sets of an environment.
#[utoipa::path(get, path = "/api/v1/fields", tag = "fields", params(wire::ListFieldSets),
    responses((status = 200, body = wire::FieldSets)))]
async fn list_field_sets(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Query(query): Query<wire::ListFieldSets>,
) -> Answer<wire::FieldSets> {
    let (sets, receipt) = room.field_sets(&caller, &env.place(query.environment)).await?;
    let items = sets.into_iter().map(|(set, _)| to_wire(set)).collect();
    Ok(answer(&receipt, wire::FieldSets { items }))
}

/// How much of an environment is encrypted, as migrations have reported.
#[utoipa::path(get, path = "/api/v1/fields/coverage", tag = "fields", params(wire::ListFieldSets),
    responses((status = 200, body = wire::Coverage)))]
async fn field_coverage(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Query(query): Query<wire::ListFieldSets>,
) -> Answer<wire::Coverage> {
    let (sets, receipt) = room.field_sets(&caller, &env.place(query.environment)).await?;
    let table = |(set, columns): (FieldSet, Vec<ColumnProgress>)| wire::TableCoverage {
        id: set.id.uuid(),
        table: set.name.to_string(),
        columns: columns.into_iter().map(covered).collect(),
    };
    let tables: Vec<_> = sets.into_iter().map(table).collect();
    let all = || tables.iter().flat_map(|table| &table.columns);
    let body = wire::Coverage {
        total: all().filter_map(|column| column.total).sum(),
        encrypted: all().filter_map(|column| column.encrypted).sum(),
        unknown_columns: all().filter(|column| column.total.is_none()).count() as u64,
        tables,
    };
    Ok(answer(&receipt, body))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more")]
fn covered((column, reported): ColumnProgress) -> wire::ColumnCoverage {
    let (progress, reported_at) = reported.unzip();
    let total = progress.as_ref().map(|it| it.total);
    let encrypted = progress.as_ref().map(|it| it.encrypted);
    let percent = total.zip(encrypted).map(|(total, encrypted)| match total {
        0 => 100.0,
        _ => encrypted as f64 * 100.0 / total as f64,
    });
    let resume_at = progress.and_then(|it| it.resume_at);
    let column = column.name.to_string();
    wire::ColumnCoverage { column, total, encrypted, percent, resume_at, reported_at }
}

/// Show a field set.
#[utoipa::path(get, path = "/api/v1/fields/{set}", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    responses((status = 200, body = wire::FieldSet)))]
async fn show_field_set(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
) -> Answer<wire::FieldSet> {
    let (set, receipt) = room.field_set(&caller, &which(env, &set)?).await?;
    Ok(answer(&receipt, to_wire(set)))
}

/// Change which columns of a table are encrypted.
#[utoipa::path(put, path = "/api/v1/fields/{set}", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    request_body = wire::UpdateFieldSet, responses((status = 200, body = wire::FieldSet)))]
async fn update_field_set(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
    Json(wanted): Json<wire::UpdateFieldSet>,
) -> Answer<wire::FieldSet> {
    let columns = columns(wanted.columns)?;
    let (set, receipt) = room.update_field_set(&caller, &which(env, &set)?, columns).await?;
    Ok(answer(&receipt, to_wire(set)))
}

/// Forget a field set, and destroy the key of its index.
#[utoipa::path(delete, path = "/api/v1/fields/{set}", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    responses((status = 204)))]
async fn delete_field_set(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
) -> Outcome<Recorded<StatusCode>> {
    let receipt = room.delete_field_set(&caller, &which(env, &set)?).await?;
    Ok(Recorded(receipt.to_string(), StatusCode::NO_CONTENT))
}

/// Encrypt rows. Each fails by itself.
#[utoipa::path(post, path = "/api/v1/fields/{set}/encrypt", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    request_body = wire::EncryptRows, responses((status = 200, body = wire::RowsSealed)))]
async fn encrypt_fields(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
    Json(wanted): Json<wire::EncryptRows>,
) -> Answer<wire::RowsSealed> {
    let row = |row: wire::PlainRow| PlainRow {
        id: row.id,
        fields: row.fields.into_iter().map(|(name, value)| (name, value.map(SecretString::new))).collect(),
    };
    let rows = Work::Many(wanted.rows.into_iter().map(row).collect());
    let which = which(env, &set)?;
    let (set, key, sealed, receipt) = room.encrypt_rows(&caller, &which, &rows, wanted.stand_alone).await?;
    let results = sealed.into_iter().enumerate().map(sealed_to_wire).collect();
    let (key_version, index_version) = (key.latest_version, set.index_version);
    Ok(answer(&receipt, wire::RowsSealed { results, key_version, index_version }))
}

/// Decrypt rows. Each fails by itself.
#[utoipa::path(post, path = "/api/v1/fields/{set}/decrypt", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    request_body = wire::DecryptRows, responses((status = 200, body = wire::RowsOpened)))]
async fn decrypt_fields(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
    Json(wanted): Json<wire::DecryptRows>,
) -> Answer<wire::RowsOpened> {
    let (_, opened, receipt) = room.decrypt_rows(&caller, &which(env, &set)?, &sealed_rows(wanted)).await?;
    let results = opened
        .into_iter()
        .enumerate()
        .map(|(index, opened)| {
            let (fields, failed) = match opened {
                Ok(fields) => (fields, None),
                Err(error) => (BTreeMap::new(), Some(error)),
            };
            let plain = |value: SecretString| value.expose().to_owned();
            let (error, message) = told(failed);
            let fields = fields.into_iter().map(|(name, value)| (name, value.map(plain))).collect();
            wire::RowOpened { index, fields, error, message }
        })
        .collect();
    Ok(answer(&receipt, wire::RowsOpened { results }))
}

/// Encrypt rows anew under the newest version of the key, and index them anew. Nobody sees the plaintext.
#[utoipa::path(post, path = "/api/v1/fields/{set}/rewrap", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    request_body = wire::DecryptRows, responses((status = 200, body = wire::RowsSealed)))]
async fn rewrap_fields(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
    Json(wanted): Json<wire::DecryptRows>,
) -> Answer<wire::RowsSealed> {
    let which = which(env, &set)?;
    let (set, key, sealed, receipt) = room.rewrap_rows(&caller, &which, &sealed_rows(wanted)).await?;
    let results = sealed.into_iter().enumerate().map(sealed_to_wire).collect();
    let (key_version, index_version) = (key.latest_version, set.index_version);
    Ok(answer(&receipt, wire::RowsSealed { results, key_version, index_version }))
}

/// What to search the index of a column for.
#[utoipa::path(post, path = "/api/v1/fields/{set}/search-token", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    request_body = wire::SearchField, responses((status = 200, body = wire::SearchTokens)))]
async fn search_field(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
    Json(wanted): Json<wire::SearchField>,
) -> Answer<wire::SearchTokens> {
    let value = SecretString::new(wanted.value);
    let (tokens, receipt) = room.search_tokens(&caller, &which(env, &set)?, &wanted.column, &value).await?;
    let tokens = tokens.iter().map(|token| HEXLOWER.encode(token)).collect();
    Ok(answer(&receipt, wire::SearchTokens { tokens }))
}

/// Make a new key of the blind index. Those before find what is not indexed anew yet.
#[utoipa::path(post, path = "/api/v1/fields/{set}/rotate-index", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    responses((status = 200, body = wire::FieldSet)))]
async fn rotate_field_index(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
) -> Answer<wire::FieldSet> {
    let (set, receipt) = room.rotate_index(&caller, &which(env, &set)?).await?;
    Ok(answer(&receipt, to_wire(set)))
}

/// Destroy every key of the blind index but the newest.
#[utoipa::path(post, path = "/api/v1/fields/{set}/retire-indexes", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    responses((status = 200, body = wire::FieldSet)))]
async fn retire_field_indexes(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
) -> Answer<wire::FieldSet> {
    let (set, receipt) = room.retire_indexes(&caller, &which(env, &set)?).await?;
    Ok(answer(&receipt, to_wire(set)))
}

/// Report how far a migration of a column is.
#[utoipa::path(put, path = "/api/v1/fields/{set}/progress", tag = "fields",
    params(("set" = String, Path, description = "its id, or the table"), EnvironmentQuery),
    request_body = wire::ReportProgress, responses((status = 204)))]
async fn report_field_progress(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(set): Path<String>,
    Json(wanted): Json<wire::ReportProgress>,
) -> Outcome<Recorded<StatusCode>> {
    let progress = Progress {
        column: name(&wanted.column).map_err(|error| error.at("column"))?,
        total: wanted.total,
        encrypted: wanted.encrypted,
        resume_at: wanted.resume_at,
    };
    let receipt = room.report_progress(&caller, &which(env, &set)?, &progress).await?;
    Ok(Recorded(receipt.to_string(), StatusCode::NO_CONTENT))
}

fn which(env: Env, text: &str) -> Result<WhichSet> {
    Ok(match Uuid::try_parse(text) {
        Ok(id) => WhichSet::Id(id),
        Err(_) => WhichSet::Named(env.place(None), table(text)?),
    })
}

fn table(text: &str) -> Result<crate::KeyName> {
    name(text).map_err(|error| error.at("table"))
}

fn columns(wanted: Vec<wire::FieldColumn>) -> Result<Vec<Column>> {
    let column = |column: wire::FieldColumn| {
        let name = name(&column.name).map_err(|error| error.at("columns"))?;
        Ok(Column { name, search: column.search })
    };
    wanted.into_iter().map(column).collect()
}

fn sealed_rows(wanted: wire::DecryptRows) -> Work<SealedRowText> {
    let row = |row: wire::SealedRow| SealedRowText { id: row.id, row_key: row.row_key, fields: row.fields };
    Work::Many(wanted.rows.into_iter().map(row).collect())
}

fn sealed_to_wire((index, sealed): (usize, Result<SealedRow>)) -> wire::RowSealed {
    let (row, failed) = match sealed {
        Ok(row) => (Some(row), None),
        Err(error) => (None, Some(error)),
    };
    let (error, message) = told(failed);
    let Some(row) = row else {
        let (fields, indexes) = (BTreeMap::new(), BTreeMap::new());
        return wire::RowSealed { index, row_key: None, fields, indexes, error, message };
    };
    wire::RowSealed {
        index,
        row_key: row.row_key.map(|it| it.to_string()),
        fields: row.fields.into_iter().map(|(name, it)| (name, it.map(|it| it.to_string()))).collect(),
        indexes: row.indexes.into_iter().map(|(name, it)| (name, HEXLOWER.encode(&it))).collect(),
        error,
        message,
    }
}

/// The code and the words of what failed.
fn told(failed: Option<Error>) -> (Option<String>, Option<String>) {
    failed.map(|error| (error.code().to_owned(), error.public().to_owned())).unzip()
}

fn to_wire(set: FieldSet) -> wire::FieldSet {
    let column = |column: Column| wire::FieldColumn { name: column.name.to_string(), search: column.search };
    wire::FieldSet {
        id: set.id.uuid(),
        table: set.name.to_string(),
        environment: set.environment.id.uuid(),
        key_id: set.key,
        columns: set.columns.into_iter().map(column).collect(),
        index_version: set.index_version,
        created_at: set.created_at,
        updated_at: set.updated_at,
    }
}

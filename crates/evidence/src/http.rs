//! The room's face: translate, call a verb, translate back.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE},
};
use uuid::Uuid;
use writ_gate::Gate;
use writ_kernel::{Error, Result};
use writ_merkle::{KeyName, Tile};
use writ_web::{
    Authenticated, Json, Outcome, Path, Query, Recorded, listing,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::{
    evidence::{AuditPage, AuditQuery, EraseSubject, Erasure, EvidenceQuery, ExportQuery, LogInfo, Record},
    page::Page,
};

use crate::{audit, erasures, export, proofs, records};

/// The evidence room.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub(crate) gate: Gate,
    pub(crate) host: String,
}

impl Evidence {
    /// The room behind `gate`. New logs are named after `host`, the public name of the server, for ever: a log that
    /// has begun keeps its name when the server gets another.
    ///
    /// # Errors
    /// `Invalid` when `host` cannot begin the name of a log.
    pub fn new(gate: Gate, host: &str) -> Result<Self> {
        let fits = host.parse::<KeyName>().is_ok() && host.len() <= 200;
        let malformed =
            || Error::invalid("malformed_host", "a log cannot be named after this host").at("host");
        fits.then(|| Self { gate, host: host.to_owned() }).ok_or_else(malformed)
    }
}

/// The room's operations under `/api/v1`, and the files of the logs under `/log` (C2SP tlog-tiles).
pub fn routes(room: Evidence) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_records))
        .routes(routes!(audit_logs))
        .routes(routes!(show_log))
        .routes(routes!(export_log))
        .routes(routes!(erase_subject))
        .routes(routes!(show_record))
        .routes(routes!(prove_record))
        .routes(routes!(read_meta_checkpoint))
        .routes(routes!(read_checkpoint))
        // A path of a varying number of parts is beyond OpenAPI.
        .route("/log/meta/tile/{*rest}", get(read_meta_tile))
        .route("/log/{log}/tile/{*rest}", get(read_tile))
        .with_state(room)
}

/// List records, newest first.
#[utoipa::path(get, path = "/api/v1/evidence", tag = "evidence", params(EvidenceQuery),
    responses((status = 200, body = Page<Record>)))]
async fn list_records(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
    Query(wanted): Query<EvidenceQuery>,
) -> Outcome<Recorded<Json<Page<Record>>>> {
    let (page, receipt) = records::list(&room.gate, &caller, wanted).await?;
    Ok(Recorded(receipt.to_string(), listing(page)))
}

/// List records as an audit log, newest first.
#[utoipa::path(get, path = "/api/v1/audit-logs", tag = "evidence", params(AuditQuery),
    responses((status = 200, body = AuditPage)))]
async fn audit_logs(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
    Query(wanted): Query<AuditQuery>,
) -> Outcome<Recorded<Json<AuditPage>>> {
    let (page, receipt) = audit::list(&room.gate, &caller, wanted).await?;
    Ok(Recorded(receipt.to_string(), Json(page)))
}

/// Show a record with what it says.
#[utoipa::path(get, path = "/api/v1/evidence/{id}", tag = "evidence", params(("id" = Uuid, Path)),
    responses((status = 200, body = Record)))]
async fn show_record(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<Json<Record>>> {
    let (record, receipt) = records::show(&room.gate, &caller, id).await?;
    Ok(Recorded(receipt.to_string(), Json(record)))
}

/// Prove that a record is in its log (C2SP tlog-proof).
#[utoipa::path(get, path = "/api/v1/evidence/{id}/proof", tag = "evidence", params(("id" = Uuid, Path)),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn prove_record(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<String>> {
    let (proof, receipt) = proofs::prove(&room.gate, &caller, id).await?;
    Ok(Recorded(receipt.to_string(), proof))
}

/// Show what a verifier needs to know of the log.
#[utoipa::path(get, path = "/api/v1/evidence/log", tag = "evidence", responses((status = 200, body = LogInfo)))]
async fn show_log(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
) -> Outcome<Recorded<Json<LogInfo>>> {
    let (log, receipt) = proofs::log_info(&room, &caller).await?;
    Ok(Recorded(receipt.to_string(), Json(log)))
}

/// Export the log with what its records say, as a gzipped tar archive.
#[utoipa::path(get, path = "/api/v1/evidence/export", tag = "evidence", params(ExportQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/gzip")))]
async fn export_log(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
    Query(wanted): Query<ExportQuery>,
) -> Outcome<Recorded<Response>> {
    let (export, receipt) = export::begin(&room, &caller, wanted).await?;
    let pieces = stream::try_unfold(export, async |mut export| {
        let piece =
            export.next().await.inspect_err(|error| tracing::error!(%error, "an export broke off"))?;
        Ok::<_, Error>(piece.map(|piece| (piece, export)))
    });
    let headers = [
        (CONTENT_TYPE, "application/gzip"),
        (CONTENT_DISPOSITION, "attachment; filename=\"evidence.tar.gz\""),
    ];
    Ok(Recorded(receipt.to_string(), (headers, Body::from_stream(Box::pin(pieces))).into_response()))
}

/// Erase a subject: destroy the keys of what their records say, and what ties them to their pseudonym.
#[utoipa::path(post, path = "/api/v1/evidence/erasures", tag = "evidence", request_body = EraseSubject,
    responses((status = 200, body = Erasure)))]
async fn erase_subject(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<EraseSubject>,
) -> Outcome<Recorded<Json<Erasure>>> {
    let (erasure, receipt) = erasures::erase(&room.gate, &caller, wanted).await?;
    Ok(Recorded(receipt.to_string(), Json(erasure)))
}

/// Read the newest checkpoint of one's own log.
#[utoipa::path(get, path = "/log/{log}/checkpoint", tag = "evidence", params(("log" = String, Path)),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn read_checkpoint(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
    Path(log): Path<String>,
) -> Outcome<Recorded<String>> {
    let (checkpoint, receipt) = proofs::checkpoint(&room.gate, &caller, &log).await?;
    Ok(Recorded(receipt.to_string(), checkpoint))
}

/// Read the newest checkpoint of the log of logs.
#[utoipa::path(get, path = "/log/meta/checkpoint", tag = "evidence", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn read_meta_checkpoint(State(room): State<Evidence>) -> Outcome<String> {
    Ok(proofs::meta_checkpoint(&room.gate).await?)
}

async fn read_tile(
    State(room): State<Evidence>,
    Authenticated(caller): Authenticated,
    Path((log, rest)): Path<(String, String)>,
) -> Outcome<Response> {
    let bytes = proofs::tile(&room.gate, &caller, &log, parse(&rest)?).await?;
    Ok(file(bytes, "private, max-age=31536000, immutable"))
}

async fn read_meta_tile(State(room): State<Evidence>, Path(rest): Path<String>) -> Outcome<Response> {
    let bytes = proofs::meta_tile(&room.gate, parse(&rest)?).await?;
    Ok(file(bytes, "public, max-age=31536000, immutable"))
}

/// The tile that the path after `tile/` names.
fn parse(rest: &str) -> Result<Tile> {
    format!("tile/{rest}").parse().map_err(|error| Error::not_found("tile").because(error))
}

/// A tile as it goes out. A tile of a given name never changes, a partial one included: a wider one has another name.
fn file(bytes: Vec<u8>, caching: &'static str) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, caching)], bytes)
        .into_response()
}

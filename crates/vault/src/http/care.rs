//! Imports, insights and usage.

use axum::extract::State;
use uuid::Uuid;
use writ_kernel::{Caller, Error, Id};
use writ_web::{
    Authenticated, Json, Outcome, Path, body_limit,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::secrets::{
    CreateSecret, ImportSecrets, Imported, ImportedItem, Insights, Reader, StorageCategory, StorageUsage,
};

use super::{Answer, answer, translate};
use crate::{
    Vault,
    secrets::{
        import::{self, Fared},
        insights::{self, Strength},
        model::Place,
    },
};

/// The longest body of an import.
const BODY: usize = 16 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<Vault> {
    let imports = OpenApiRouter::new().routes(routes!(import)).layer(body_limit(BODY));
    OpenApiRouter::new().routes(routes!(insights)).routes(routes!(storage)).merge(imports)
}

/// Store many secrets, or write new versions where their values are others. Each item fares by itself.
#[utoipa::path(post, path = "/api/v1/secrets/import", tag = "secrets", request_body = ImportSecrets,
    responses((status = 200, body = Imported)))]
async fn import(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<ImportSecrets>,
) -> Outcome<Json<Imported>> {
    import::bounded(wanted.items.len())?;
    let mut done = Imported { created: 0, updated: 0, unchanged: 0, failed: 0, results: Vec::new() };
    for (index, item) in wanted.items.into_iter().enumerate() {
        let fared = import_one(&room, &caller, item, wanted.environment.clone()).await;
        let (counter, status, id) = match &fared {
            Ok(Fared::Created(id)) => (&mut done.created, "created", Some(id.uuid())),
            Ok(Fared::Updated(id)) => (&mut done.updated, "updated", Some(id.uuid())),
            Ok(Fared::Unchanged(id)) => (&mut done.unchanged, "unchanged", Some(id.uuid())),
            Err(_) => (&mut done.failed, "failed", None),
        };
        *counter += 1;
        let error = fared.err();
        done.results.push(ImportedItem {
            index,
            status: status.to_owned(),
            id,
            error: error.as_ref().map(|error| error.code().to_owned()),
            message: error.as_ref().map(|error| error.public().to_owned()),
        });
    }
    Ok(Json(done))
}

async fn import_one(
    room: &Vault,
    caller: &Caller,
    item: CreateSecret,
    environment: Option<String>,
) -> Result<Fared, Error> {
    let new = translate::new_secret(item, environment)?;
    room.import(caller, new).await.map(|(fared, _)| fared)
}

/// Show how a secret fares.
#[utoipa::path(get, path = "/api/v1/secrets/{id}/insights", tag = "secrets", params(("id" = Uuid, Path)),
    responses((status = 200, body = Insights)))]
async fn insights(
    State(room): State<Vault>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<Insights> {
    let (found, receipt) = room.insights(&caller, &Place::Id(Id::from_uuid(id))).await?;
    let strength = match found.strength {
        Strength::Unknown => "unknown",
        Strength::Weak => "weak",
        Strength::Medium => "medium",
        Strength::Strong => "strong",
    };
    let body = Insights {
        strength: strength.to_owned(),
        risk_level: found.risk().to_owned(),
        recommendations: found.recommendations(),
        analyzed_at: found.at,
        last_read_at: found.last_read_at(),
        reads: found.readers.iter().map(|reader| reader.reads).sum(),
        stale: found.stale,
        due: found.due,
        assumed: found.secret.assumed,
        secret_name: found.secret.path.to_string(),
        readers: found.readers.into_iter().map(reader).collect(),
    };
    Ok(answer(&receipt, body))
}

fn reader(reader: insights::Reader) -> Reader {
    Reader {
        principal: reader.principal.uuid(),
        kind: reader.kind,
        reads: reader.reads,
        first_read_at: reader.first_at,
        last_read_at: reader.last_at,
        last_version: reader.last_version,
    }
}

/// Show how much is stored in the environment that the credential means.
#[utoipa::path(get, path = "/api/v1/usage/storage", tag = "usage", responses((status = 200, body = StorageUsage)))]
async fn storage(State(room): State<Vault>, Authenticated(caller): Authenticated) -> Answer<StorageUsage> {
    let (stored, receipt) = room.storage(&caller).await?;
    let today = stored.at.to_string();
    let month = today.get(..8).unwrap_or_default();
    let days = days_of(&today);
    let gb_months = accrued(stored.bytes, day_of(&today), days);
    let secrets = StorageCategory {
        id: "secrets".to_owned(),
        bytes: stored.bytes,
        items: stored.items,
        month_average_bytes: stored.bytes,
        gb_months_accrued: gb_months,
    };
    let body = StorageUsage {
        period_start: format!("{month}01"),
        period_end: format!("{month}{days:02}"),
        as_of: today.get(..10).unwrap_or_default().to_owned(),
        last_sampled_at: stored.at,
        total_bytes: stored.bytes,
        month_average_bytes: stored.bytes,
        gb_months_accrued: gb_months,
        categories: vec![secrets],
    };
    Ok(answer(&receipt, body))
}

fn number(text: Option<&str>) -> u32 {
    text.and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn day_of(date: &str) -> u32 {
    number(date.get(8..10))
}

/// How many days the month of a date `YYYY-MM-…` has.
fn days_of(date: &str) -> u32 {
    let (year, month) = (number(date.get(..4)), number(date.get(5..7)));
    let leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    }
}

/// Gigabytes (of 2^30 bytes) times months, from the beginning of the month to the end of this day.
fn accrued(bytes: u64, day: u32, days: u32) -> f64 {
    let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
    f64::from(kib) / f64::from(1 << 20) * f64::from(day) / f64::from(days)
}

//! The only SQL of rotation.

use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Error, Id, Result, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};
use writ_wire::rotation::{Rotation, RotationState, Rotator, RotatorSpec};

/// How a secret is rotated.
#[derive(Debug, Clone)]
pub struct RotatorRecord {
    pub(crate) secret: Uuid,
    pub(crate) environment: Uuid,
    pub(crate) spec: RotatorSpec,
    pub(crate) every: Option<Duration>,
    pub(crate) overlap: Duration,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
}

impl From<RotatorRecord> for Rotator {
    fn from(rotator: RotatorRecord) -> Self {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Self {
            secret: rotator.secret,
            spec: rotator.spec,
            every_seconds: rotator.every.map(seconds),
            overlap_seconds: seconds(rotator.overlap),
            next_at: rotator.next_at,
        }
    }
}

/// One rotation.
#[derive(Debug, Clone)]
pub struct RotationRecord {
    pub(crate) id: Uuid,
    pub(crate) secret: Uuid,
    pub(crate) environment: Uuid,
    pub(crate) state: RotationState,
    pub(crate) cause: String,
    pub(crate) case: Option<Uuid>,
    pub(crate) asked_by: Uuid,
    pub(crate) spec: RotatorSpec,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) old_version: Option<i64>,
    pub(crate) new_version: Option<i64>,
    pub(crate) attempts: i64,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) failure: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
}

impl From<RotationRecord> for Rotation {
    fn from(rotation: RotationRecord) -> Self {
        Self {
            id: rotation.id,
            secret: rotation.secret,
            state: rotation.state,
            cause: rotation.cause,
            case: rotation.case,
            version: rotation.new_version.and_then(|version| u32::try_from(version).ok()),
            attempts: u32::try_from(rotation.attempts).unwrap_or(u32::MAX),
            failure: rotation.failure,
            created_at: rotation.created_at,
            ended_at: rotation.ended_at,
        }
    }
}

fn json(spec: &RotatorSpec) -> Result<String> {
    serde_json::to_string(spec).map_err(|error| Error::internal("a rotator cannot be written").because(error))
}

fn parsed(spec: &str) -> Result<RotatorSpec> {
    serde_json::from_str(spec).map_err(|error| Error::internal("a rotator cannot be read").because(error))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[derive(FromRow)]
struct RotatorRow {
    secret_id: Uuid,
    environment_id: Uuid,
    spec: String,
    every: Option<i64>,
    overlap: i64,
    next_at: Option<i64>,
    created_at: i64,
}

pub(crate) async fn write_rotator(tx: &mut Tx, rotator: &RotatorRecord) -> Result<()> {
    let spec = json(&rotator.spec)?;
    execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO rotators (tenant_id, secret_id, environment_id, spec, version, every, overlap, next_at, created_at)
         VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8)
         ON CONFLICT (tenant_id, secret_id) DO UPDATE
            SET spec = excluded.spec, every = excluded.every, overlap = excluded.overlap,
                next_at = excluded.next_at"
    )
    .bind(tenant)
    .bind(rotator.secret)
    .bind(rotator.environment)
    .bind(&spec)
    .bind(rotator.every.map(micros))
    .bind(micros(rotator.overlap))
    .bind(rotator.next_at.map(Timestamp::micros))
    .bind(rotator.created_at.micros())
    .execute(conn))
    .map(drop)
}

pub(crate) async fn rotator(tx: &mut Tx, secret: Uuid) -> Result<Option<RotatorRecord>> {
    let row = on!(tx, |conn, tenant| sqlx::query_as::<_, RotatorRow>(
        "SELECT secret_id, environment_id, spec, every, overlap, next_at, created_at FROM rotators
          WHERE tenant_id = $1 AND secret_id = $2"
    )
    .bind(tenant)
    .bind(secret)
    .fetch_optional(conn))?;
    row.map(|row| {
        Ok(RotatorRecord {
            secret: row.secret_id,
            environment: row.environment_id,
            spec: parsed(&row.spec)?,
            every: row.every.map(time),
            overlap: time(row.overlap),
            next_at: row.next_at.map(Timestamp::from_micros),
            created_at: Timestamp::from_micros(row.created_at),
        })
    })
    .transpose()
}

pub(crate) async fn delete_rotator(tx: &mut Tx, secret: Uuid) -> Result<u64> {
    execute!(tx, |conn, tenant| sqlx::query("DELETE FROM rotators WHERE tenant_id = $1 AND secret_id = $2")
        .bind(tenant)
        .bind(secret)
        .execute(conn))
}

/// Lets go of what is known of a secret that goes: how it is rotated, and the rotations of it that are not over.
pub(crate) async fn forget(tx: &mut Tx, secret: Uuid, now: Timestamp) -> Result<()> {
    delete_rotator(tx, secret).await?;
    execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE rotations SET state = 'done', sealed = NULL, next_at = NULL, ended_at = $3
          WHERE tenant_id = $1 AND secret_id = $2 AND ended_at IS NULL"
    )
    .bind(tenant)
    .bind(secret)
    .bind(now.micros())
    .execute(conn))
    .map(drop)
}

/// When a secret is rotated next.
pub(crate) async fn schedule(tx: &mut Tx, secret: Uuid, next: Option<Timestamp>) -> Result<()> {
    execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE rotators SET next_at = $3 WHERE tenant_id = $1 AND secret_id = $2"
    )
    .bind(tenant)
    .bind(secret)
    .bind(next.map(Timestamp::micros))
    .execute(conn))
    .map(drop)
}

#[derive(FromRow)]
struct RotationRow {
    rotation_id: Uuid,
    secret_id: Uuid,
    environment_id: Uuid,
    state: String,
    cause: String,
    case_id: Option<Uuid>,
    asked_by: Uuid,
    spec: String,
    sealed: Option<Vec<u8>>,
    old_version: Option<i64>,
    new_version: Option<i64>,
    attempts: i64,
    next_at: Option<i64>,
    failure: Option<String>,
    created_at: i64,
    ended_at: Option<i64>,
}

impl RotationRow {
    fn parse(self) -> Result<RotationRecord> {
        Ok(RotationRecord {
            id: self.rotation_id,
            secret: self.secret_id,
            environment: self.environment_id,
            state: state(&self.state)?,
            cause: self.cause,
            case: self.case_id,
            asked_by: self.asked_by,
            spec: parsed(&self.spec)?,
            sealed: self.sealed,
            old_version: self.old_version,
            new_version: self.new_version,
            attempts: self.attempts,
            next_at: self.next_at.map(Timestamp::from_micros),
            failure: self.failure,
            created_at: Timestamp::from_micros(self.created_at),
            ended_at: self.ended_at.map(Timestamp::from_micros),
        })
    }
}

fn word(state: RotationState) -> &'static str {
    match state {
        RotationState::Pending => "pending",
        RotationState::Overlapping => "overlapping",
        RotationState::Done => "done",
        RotationState::RolledBack => "rolled-back",
    }
}

fn state(word: &str) -> Result<RotationState> {
    match word {
        "pending" => Ok(RotationState::Pending),
        "overlapping" => Ok(RotationState::Overlapping),
        "done" => Ok(RotationState::Done),
        "rolled-back" => Ok(RotationState::RolledBack),
        _ => Err(Error::internal("a rotation is in a state that nobody knows")),
    }
}

pub(crate) async fn insert(tx: &mut Tx, rotation: &RotationRecord) -> Result<()> {
    let spec = json(&rotation.spec)?;
    execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO rotations (tenant_id, rotation_id, secret_id, environment_id, state, cause, case_id, asked_by,
                                spec, sealed, old_version, attempts, next_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13)"
    )
    .bind(tenant)
    .bind(rotation.id)
    .bind(rotation.secret)
    .bind(rotation.environment)
    .bind(word(rotation.state))
    .bind(&rotation.cause)
    .bind(rotation.case)
    .bind(rotation.asked_by)
    .bind(&spec)
    .bind(rotation.sealed.as_deref())
    .bind(rotation.old_version)
    .bind(rotation.next_at.map(Timestamp::micros))
    .bind(rotation.created_at.micros())
    .execute(conn))
    .map(drop)
}

macro_rules! rotation_columns {
    ($rest:literal) => {
        concat!(
            "SELECT rotation_id, secret_id, environment_id, state, cause, case_id, asked_by, spec, sealed, old_version,
                    new_version, attempts, next_at, failure, created_at, ended_at
               FROM rotations WHERE tenant_id = $1 ",
            $rest
        )
    };
}

pub(crate) async fn rotation(tx: &mut Tx, id: Uuid) -> Result<Option<RotationRecord>> {
    let row =
        on!(tx, |conn, tenant| sqlx::query_as::<_, RotationRow>(rotation_columns!("AND rotation_id = $2"))
            .bind(tenant)
            .bind(id)
            .fetch_optional(conn))?;
    row.map(RotationRow::parse).transpose()
}

/// The newest rotations of a secret, newest first.
pub(crate) async fn of(tx: &mut Tx, secret: Uuid) -> Result<Vec<RotationRecord>> {
    let rows = on!(tx, |conn, tenant| sqlx::query_as::<_, RotationRow>(rotation_columns!(
        "AND secret_id = $2 ORDER BY created_at DESC, rotation_id DESC LIMIT 50"
    ))
    .bind(tenant)
    .bind(secret)
    .fetch_all(conn))?;
    rows.into_iter().map(RotationRow::parse).collect()
}

/// Whether a new value for the secret is on its way.
pub(crate) async fn under_way(tx: &mut Tx, secret: Uuid) -> Result<bool> {
    let count = on!(tx, |conn, tenant| sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM rotations WHERE tenant_id = $1 AND secret_id = $2 AND state = 'pending'"
    )
    .bind(tenant)
    .bind(secret)
    .fetch_one(conn))?;
    Ok(count > 0)
}

/// Takes the next attempt, until another may. Returns whether it is ours.
pub(crate) async fn take(
    tx: &mut Tx,
    rotation: &RotationRecord,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool> {
    let taken = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE rotations SET attempts = attempts + 1, next_at = $5
          WHERE tenant_id = $1 AND rotation_id = $2 AND attempts = $3 AND next_at <= $4"
    )
    .bind(tenant)
    .bind(rotation.id)
    .bind(rotation.attempts)
    .bind(now.micros())
    .bind(until.micros())
    .execute(conn))?;
    Ok(taken == 1)
}

/// Ends an attempt. Returns whether it was still the last one.
pub(crate) async fn settle(tx: &mut Tx, rotation: &RotationRecord) -> Result<bool> {
    let settled = execute!(tx, |conn, tenant| {
        sqlx::query(
        "UPDATE rotations SET state = $4, sealed = $5, new_version = $6, next_at = $7, failure = $8, ended_at = $9
          WHERE tenant_id = $1 AND rotation_id = $2 AND attempts = $3"
    )
    .bind(tenant)
    .bind(rotation.id)
    .bind(rotation.attempts)
    .bind(word(rotation.state))
    .bind(rotation.sealed.as_deref())
    .bind(rotation.new_version)
    .bind(rotation.next_at.map(Timestamp::micros))
    .bind(&rotation.failure)
    .bind(rotation.ended_at.map(Timestamp::micros))
    .execute(conn)
    })?;
    Ok(settled == 1)
}

/// Puts off what is due.
pub(crate) async fn postpone(tx: &mut Tx, id: Uuid, now: Timestamp, until: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE rotations SET next_at = $4 WHERE tenant_id = $1 AND rotation_id = $2 AND next_at <= $3"
    )
    .bind(tenant)
    .bind(id)
    .bind(now.micros())
    .bind(until.micros())
    .execute(conn))
    .map(drop)
}

/// Rotations that want doing, of any tenant.
pub(crate) async fn due(tx: &mut SystemTx, now: Timestamp, limit: i64) -> Result<Vec<(TenantId, Uuid)>> {
    let rows = on!(tx, |conn| sqlx::query_as::<_, (Uuid, Uuid)>(
        "SELECT tenant_id, rotation_id FROM rotations WHERE next_at <= $1 ORDER BY next_at LIMIT $2"
    )
    .bind(now.micros())
    .bind(limit)
    .fetch_all(conn))?;
    Ok(rows.into_iter().map(|(tenant, id)| (Id::from_uuid(tenant), id)).collect())
}

/// Secrets whose rotation is due, of any tenant.
pub(crate) async fn scheduled(
    tx: &mut SystemTx,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(TenantId, Uuid)>> {
    let rows = on!(tx, |conn| sqlx::query_as::<_, (Uuid, Uuid)>(
        "SELECT tenant_id, secret_id FROM rotators WHERE next_at <= $1 ORDER BY next_at LIMIT $2"
    )
    .bind(now.micros())
    .bind(limit)
    .fetch_all(conn))?;
    Ok(rows.into_iter().map(|(tenant, id)| (Id::from_uuid(tenant), id)).collect())
}

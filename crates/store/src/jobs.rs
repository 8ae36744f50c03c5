//! Work to be done later, at least once, by whichever server is there.
//!
//! A job is due at a time. Claiming it moves that time to the end of the lease and counts the attempt; the
//! attempt's number is the fencing token: heartbeat, completion and failure of an earlier attempt are refused.
//! A job whose lease runs out is due again; one that is due with no attempts left is dead and stays for an
//! operator to see. Delivery is at least once: complete a job in the transaction that does its work.
//!
//! A payload is readable by operators: references only, never anything secret.

use std::time::Duration;

use uuid::Uuid;
use writ_kernel::{Error, Id, Result, TenantId, Timestamp};

use crate::{Db, Tx, execute, on};

/// Identifies a job.
pub type JobId = Id<Job>;

/// A job to be done.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// What kind of work it is: which worker takes it.
    pub kind: &'a str,
    /// What it is about. One job of a kind and key exists at a time in a tenant.
    pub key: &'a str,
    /// What the worker needs to know, as JSON.
    pub payload: &'a str,
    /// Not before this time.
    pub due_at: Timestamp,
    /// How often it may be tried, 1 or more.
    pub max_attempts: u32,
}

/// A job somebody has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which one.
    pub id: JobId,
    /// Whose.
    pub tenant: TenantId,
    /// What kind of work it is.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// What the worker needs to know, as JSON.
    pub payload: String,
    /// Which attempt this is, from 1: the fencing token.
    pub attempt: i64,
    /// How many there may be.
    pub max_attempts: i64,
}

/// What became of a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It will be tried again at this time.
    Again(Timestamp),
    /// That was the last attempt.
    Dead,
}

/// Adds a job, in the transaction that makes it necessary. Returns whether it was added: a job of the same kind
/// and key that is already there, even dead or under way, is left alone. So if new work can arrive while the
/// old is being done, use a new key.
pub async fn enqueue(tx: &mut Tx, job: &NewJob<'_>) -> Result<bool> {
    let (id, now) = (tx.world().uuid(), tx.world().now());
    let added = execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO jobs (tenant_id, id, kind, key, payload, due_at, attempt, max_attempts, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8) ON CONFLICT (tenant_id, kind, key) DO NOTHING"
    )
    .bind(tenant)
    .bind(id)
    .bind(job.kind)
    .bind(job.key)
    .bind(job.payload)
    .bind(job.due_at.micros())
    .bind(i64::from(job.max_attempts))
    .bind(now.micros())
    .execute(conn))?;
    Ok(added == 1)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    tenant_id: Uuid,
    kind: String,
    key: String,
    payload: String,
    attempt: i64,
    max_attempts: i64,
}

impl From<Row> for Job {
    fn from(row: Row) -> Self {
        Self {
            id: Id::from_uuid(row.id),
            tenant: Id::from_uuid(row.tenant_id),
            kind: row.kind,
            key: row.key,
            payload: row.payload,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
        }
    }
}

macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "UPDATE jobs SET due_at = $1, attempt = attempt + 1, worker = $2 WHERE id =
               (SELECT id FROM jobs WHERE kind = $3 AND due_at <= $4 AND attempt < max_attempts
                 ORDER BY due_at, id LIMIT 1",
            $lock,
            ") RETURNING id, tenant_id, kind, key, payload, attempt, max_attempts"
        )
    };
}

/// Takes the job of this kind that has been due longest, of any tenant, for `lease`; `None` when none is due.
/// Two workers never get the same attempt.
pub async fn claim(db: &Db, kind: &str, worker: Uuid, lease: Duration) -> Result<Option<Job>> {
    let now = db.world().now();
    // The one statement that needs two texts: SQLite has one writer, PostgreSQL passes over locked rows.
    let sql = if db.locks_rows() { claim!(" FOR UPDATE SKIP LOCKED") } else { claim!("") };
    let mut tx = db.system_tx().await?;
    let row = on!(tx, |conn| sqlx::query_as::<_, Row>(sql)
        .bind(now.plus(lease).micros())
        .bind(worker)
        .bind(kind)
        .bind(now.micros())
        .fetch_optional(conn))?;
    let Some(row) = row else { return Ok(None) };
    tx.commit().await?;
    Ok(Some(row.into()))
}

/// Extends the lease to `lease` from now.
///
/// # Errors
/// `Conflict` with `lease_lost` when the job is done or a later attempt has begun: stop working on it.
pub async fn heartbeat(tx: &mut Tx, job: &Job, lease: Duration) -> Result<()> {
    let until = tx.world().now().plus(lease);
    let held = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE jobs SET due_at = $4 WHERE tenant_id = $1 AND id = $2 AND attempt = $3"
    )
    .bind(tenant)
    .bind(job.id.uuid())
    .bind(job.attempt)
    .bind(until.micros())
    .execute(conn))?;
    require_held(held)
}

/// Removes a job that is done. In the transaction that does the work, this makes the work happen once.
///
/// # Errors
/// `Conflict` with `lease_lost`, as for [`heartbeat`].
pub async fn complete(tx: &mut Tx, job: &Job) -> Result<()> {
    let held = execute!(tx, |conn, tenant| sqlx::query(
        "DELETE FROM jobs WHERE tenant_id = $1 AND id = $2 AND attempt = $3"
    )
    .bind(tenant)
    .bind(job.id.uuid())
    .bind(job.attempt)
    .execute(conn))?;
    require_held(held)
}

/// Gives a job back because of `reason` (for operators; no secret in it). It is due again after 2, 4, 8 …
/// seconds, at most a quarter of an hour.
///
/// # Errors
/// `Conflict` with `lease_lost`, as for [`heartbeat`].
pub async fn fail(tx: &mut Tx, job: &Job, reason: &str) -> Result<Failed> {
    let again = tx.world().now().plus(back_off(job.attempt));
    let held = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE jobs SET due_at = $4, worker = NULL, error = $5
          WHERE tenant_id = $1 AND id = $2 AND attempt = $3"
    )
    .bind(tenant)
    .bind(job.id.uuid())
    .bind(job.attempt)
    .bind(again.micros())
    .bind(reason)
    .execute(conn))?;
    require_held(held)?;
    Ok(if job.attempt < job.max_attempts { Failed::Again(again) } else { Failed::Dead })
}

/// How many jobs of the tenant used up their attempts.
pub async fn dead(tx: &mut Tx) -> Result<i64> {
    let now = tx.world().now().micros();
    on!(tx, |conn, tenant| sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM jobs WHERE tenant_id = $1 AND attempt >= max_attempts AND due_at <= $2"
    )
    .bind(tenant)
    .bind(now)
    .fetch_one(conn))
}

fn back_off(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(0, 10)).unwrap_or(0);
    Duration::from_secs(2_u64.pow(doublings)).min(Duration::from_mins(15))
}

fn require_held(changed: u64) -> Result<()> {
    match changed {
        0 => Err(Error::conflict("lease_lost", "somebody else has this job now")),
        _ => Ok(()),
    }
}

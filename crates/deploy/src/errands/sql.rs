//! The SQL of errands.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Connection, Error, Id, Page, PageRequest, Result, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};
use writ_wire::{
    connections::PreflightCheck,
    errands::{ErrandState, ReleaseLock},
};

use super::{Errand, ErrandRecord, Release, Task};
use crate::sql::{from_json, to_json, window};

#[derive(FromRow)]
struct ErrandRow {
    errand_id: Uuid,
    kind: String,
    connection_id: Uuid,
    environment_id: Uuid,
    state: String,
    author: Uuid,
    asked: Vec<u8>,
    to_release: Option<String>,
    report: String,
    outcome: Option<String>,
    cancel_requested: i64,
    trace: String,
    created_at: i64,
    updated_at: i64,
}

impl ErrandRow {
    fn parse(self) -> Result<ErrandRecord> {
        let release = self.to_release.as_deref().map(from_json::<ReleaseLock>).transpose()?;
        let task = match (self.kind.as_str(), release) {
            ("validation", None) => Task::Validate,
            ("unlock", Some(ReleaseLock { target, lock, holder, reason })) => {
                Task::Unlock(Release { target: target.parse()?, lock, holder, reason: reason.parse()? })
            }
            _ => return Err(Error::internal("an errand is of no known kind")),
        };
        Ok(ErrandRecord {
            id: Id::from_uuid(self.errand_id),
            task,
            connection: Id::from_uuid(self.connection_id),
            environment: Id::from_uuid(self.environment_id),
            state: from_json(&format!("\"{}\"", self.state))?,
            author: Id::from_uuid(self.author),
            asked: self.asked,
            report: from_json(&self.report)?,
            outcome: self.outcome.as_deref().map(from_json).transpose()?,
            cancel_requested: self.cancel_requested != 0,
            trace: self.trace.parse()?,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
        })
    }
}

const fn kind(task: &Task) -> &'static str {
    match task {
        Task::Validate => "validation",
        Task::Unlock(_) => "unlock",
    }
}

pub(crate) async fn insert(tx: &mut Tx, new: &ErrandRecord) -> Result<()> {
    let release = match &new.task {
        Task::Validate => None,
        Task::Unlock(Release { target, lock, holder, reason }) => Some(to_json(&ReleaseLock {
            target: target.to_string(),
            lock: lock.clone(),
            holder: holder.clone(),
            reason: reason.to_string(),
        })?),
    };
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO errands (tenant_id, errand_id, kind, connection_id, environment_id, state, author, asked,
               to_release, report, cancel_requested, trace, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '[]', 0, $10, $11, $11)",
        )
        .bind(tenant)
        .bind(new.id.uuid())
        .bind(kind(&new.task))
        .bind(new.connection.uuid())
        .bind(new.environment.uuid())
        .bind(new.state.as_str())
        .bind(new.author.uuid())
        .bind(&new.asked)
        .bind(&release)
        .bind(new.trace.to_string())
        .bind(new.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<ErrandRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ErrandRow>("SELECT * FROM errands WHERE tenant_id = $1 AND errand_id = $2")
            .bind(tenant)
            .bind(id)
            .fetch_optional(conn)
    })?;
    row.map(ErrandRow::parse).transpose()
}

/// Newest first.
pub(crate) async fn list(
    tx: &mut Tx,
    connection: Option<Uuid>,
    page: &PageRequest,
) -> Result<Page<ErrandRecord>> {
    let (before, limit) = window(page, Uuid::max())?;
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ErrandRow>(
            "SELECT * FROM errands
             WHERE tenant_id = $1 AND errand_id < $2 AND connection_id = coalesce($3, connection_id)
             ORDER BY errand_id DESC LIMIT $4",
        )
        .bind(tenant)
        .bind(before)
        .bind(connection)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(ErrandRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |errand| errand.id.to_string()))
}

/// The newest validation of a connection that was not stopped and is over.
pub(crate) async fn last_validation(tx: &mut Tx, connection: Id<Connection>) -> Result<Option<ErrandRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ErrandRow>(
            "SELECT * FROM errands
             WHERE tenant_id = $1 AND connection_id = $2 AND kind = 'validation' AND state IN ('succeeded', 'failed', 'lost')
             ORDER BY errand_id DESC LIMIT 1",
        )
        .bind(tenant)
        .bind(connection.uuid())
        .fetch_optional(conn)
    })?;
    row.map(ErrandRow::parse).transpose()
}

/// The newest report of a validation of a connection in which the row `check` passed or failed. One that could not find
/// out says nothing about it, and lets what was found before stand.
pub(crate) async fn last_finding(
    tx: &mut Tx,
    connection: Id<Connection>,
    check: &str,
) -> Result<Option<PreflightCheck>> {
    let mut before = Uuid::max();
    loop {
        let rows = on!(tx, |conn, tenant| {
            sqlx::query_as::<_, (Uuid, String)>(
                "SELECT errand_id, report FROM errands
                 WHERE tenant_id = $1 AND connection_id = $2 AND errand_id < $3 AND kind = 'validation'
                   AND report LIKE '%' || $4 || '%'
                 ORDER BY errand_id DESC LIMIT 20",
            )
            .bind(tenant)
            .bind(connection.uuid())
            .bind(before)
            .bind(check)
            .fetch_all(conn)
        })?;
        let Some((oldest, _)) = rows.last() else { return Ok(None) };
        before = *oldest;
        for (_, report) in &rows {
            let found = |row: &PreflightCheck| row.check == check && row.status != "skipped";
            if let Some(row) = from_json::<Vec<PreflightCheck>>(report)?.into_iter().find(found) {
                return Ok(Some(row));
            }
        }
    }
}

pub(crate) async fn unfinished(tx: &mut Tx) -> Result<i64> {
    let (count,) = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64,)>(
            "SELECT count(*) FROM errands WHERE tenant_id = $1 AND state IN ('queued', 'running')",
        )
        .bind(tenant)
        .fetch_one(conn)
    })?;
    Ok(count)
}

/// Whether an errand that is not over uses the connection.
pub(crate) async fn uses(tx: &mut Tx, connection: Id<Connection>) -> Result<bool> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid,)>(
            "SELECT errand_id FROM errands
             WHERE tenant_id = $1 AND connection_id = $2 AND state IN ('queued', 'running') LIMIT 1",
        )
        .bind(tenant)
        .bind(connection.uuid())
        .fetch_optional(conn)
    })?;
    Ok(row.is_some())
}

/// Moves an errand from `from` to what `to` says; whether it was in `from`.
pub(crate) async fn advance(
    tx: &mut Tx,
    from: ErrandState,
    to: &ErrandRecord,
    now: Timestamp,
) -> Result<bool> {
    let report = to_json(&to.report)?;
    let outcome = to.outcome.as_ref().map(to_json).transpose()?;
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE errands SET state = $4, report = $5, outcome = $6, updated_at = $7
             WHERE tenant_id = $1 AND errand_id = $2 AND state = $3",
        )
        .bind(tenant)
        .bind(to.id.uuid())
        .bind(from.as_str())
        .bind(to.state.as_str())
        .bind(&report)
        .bind(&outcome)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

/// Asks for the end of an errand that a runner is at; whether one is.
pub(crate) async fn request_cancel(tx: &mut Tx, id: Id<Errand>, now: Timestamp) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE errands SET cancel_requested = 1, updated_at = $3
             WHERE tenant_id = $1 AND errand_id = $2 AND state = 'running'",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

/// Errands of all tenants that wait and may begin, oldest first. Releasing a lock needs its environment for itself.
pub(crate) async fn waiting(tx: &mut SystemTx, limit: i64) -> Result<Vec<(TenantId, Uuid)>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid)>(
            "SELECT tenant_id, errand_id FROM errands e
             WHERE state = 'queued'
               AND (kind = 'validation' OR NOT EXISTS (SELECT 1 FROM runs r WHERE r.tenant_id = e.tenant_id
                 AND r.environment_id = e.environment_id AND r.state IN ('starting', 'claimed') AND r.work <> 'validation'))
             ORDER BY errand_id LIMIT $1",
        )
        .bind(limit)
        .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant, errand)| (Id::from_uuid(tenant), errand)).collect())
}

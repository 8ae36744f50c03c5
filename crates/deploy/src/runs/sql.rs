//! The SQL of runs, their output and the keys of their tokens.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Deployment, Environment, Error, Id, Result, Run, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};
use writ_wire::deployments::OutputLine;

use crate::model::{RunRecord, RunState, Work};

#[derive(FromRow)]
struct RunRow {
    run_id: Uuid,
    deployment_id: Uuid,
    work: String,
    environment_id: Uuid,
    state: String,
    canary: String,
    isolation: Option<i64>,
    permit_id: Option<Uuid>,
    gone: i64,
    heartbeat_at: i64,
    deadline: i64,
}

impl RunRow {
    fn parse(self) -> Result<RunRecord> {
        let odd = |_| Error::internal("a number of a run is out of range");
        Ok(RunRecord {
            id: Id::from_uuid(self.run_id),
            work: Work::parse(&self.work, self.deployment_id)?,
            environment: Id::from_uuid(self.environment_id),
            state: RunState::parse(&self.state)?,
            canary: self.canary,
            isolation: self.isolation.map(u8::try_from).transpose().map_err(odd)?,
            permit: self.permit_id,
            gone: self.gone != 0,
            heartbeat_at: Timestamp::from_micros(self.heartbeat_at),
            deadline: Timestamp::from_micros(self.deadline),
        })
    }
}

pub(crate) async fn insert(tx: &mut Tx, run: &RunRecord, now: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO runs (tenant_id, run_id, deployment_id, work, environment_id, state, canary, gone, pushes, heartbeat_at, deadline, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9, $8)",
        )
        .bind(tenant)
        .bind(run.id.uuid())
        .bind(run.work.id())
        .bind(run.work.as_str())
        .bind(run.environment.uuid())
        .bind(run.state.as_str())
        .bind(&run.canary)
        .bind(now.micros())
        .bind(run.deadline.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<RunRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, RunRow>(
            "SELECT run_id, deployment_id, work, environment_id, state, canary, isolation, permit_id, gone, heartbeat_at, deadline
             FROM runs WHERE tenant_id = $1 AND run_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    row.map(RunRow::parse).transpose()
}

/// How many runs of all tenants are in each state.
pub(crate) async fn count_by_state(tx: &mut SystemTx) -> Result<Vec<(String, i64)>> {
    on!(tx, |conn| {
        sqlx::query_as::<_, (String, i64)>("SELECT state, count(*) FROM runs GROUP BY state ORDER BY state")
            .fetch_all(conn)
    })
}

/// Whether a run is under way that has the environment for itself: every one but those that only look.
pub(crate) async fn busy(tx: &mut Tx, environment: Id<Environment>) -> Result<bool> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid,)>(
            "SELECT run_id FROM runs
             WHERE tenant_id = $1 AND environment_id = $2 AND state IN ('starting', 'claimed') AND work <> 'validation' LIMIT 1",
        )
        .bind(tenant)
        .bind(environment.uuid())
        .fetch_optional(conn)
    })?;
    Ok(row.is_some())
}

/// How many runs of the tenant are under way.
pub(crate) async fn active(tx: &mut Tx) -> Result<i64> {
    let (count,) = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64,)>(
            "SELECT count(*) FROM runs WHERE tenant_id = $1 AND state IN ('starting', 'claimed')",
        )
        .bind(tenant)
        .fetch_one(conn)
    })?;
    Ok(count)
}

/// Claims a run: exactly one caller ever succeeds.
pub(crate) async fn claim(tx: &mut Tx, id: Id<Run>, session: &[u8; 32], now: Timestamp) -> Result<bool> {
    let session: &[u8] = session;
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE runs SET state = 'claimed', session_hash = $3, heartbeat_at = $4
             WHERE tenant_id = $1 AND run_id = $2 AND state = 'starting'",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(session)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

/// The run that a session token belongs to, before its tenant is known.
pub(crate) async fn by_session(tx: &mut SystemTx, session: &[u8; 32]) -> Result<Option<(TenantId, Uuid)>> {
    let session: &[u8] = session;
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid)>(
            "SELECT tenant_id, run_id FROM runs WHERE session_hash = $1 AND state = 'claimed'",
        )
        .bind(session)
        .fetch_optional(conn)
    })?;
    Ok(row.map(|(tenant, run)| (Id::from_uuid(tenant), run)))
}

pub(crate) async fn beat(tx: &mut Tx, id: Id<Run>, now: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE runs SET heartbeat_at = $3 WHERE tenant_id = $1 AND run_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .bind(now.micros())
            .execute(conn)
    })?;
    Ok(())
}

/// Takes the number of a push; whether it is the next one, and not one that was taken before.
///
/// # Errors
/// `Conflict` when one before it is missing.
pub(crate) async fn take_push(tx: &mut Tx, id: Id<Run>, push: u64, now: Timestamp) -> Result<bool> {
    let push = i64::try_from(push).unwrap_or(i64::MAX);
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE runs SET pushes = $3, heartbeat_at = $4 WHERE tenant_id = $1 AND run_id = $2 AND pushes = $3 - 1",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(push)
        .bind(now.micros())
        .execute(conn)
    })?;
    if changed == 1 {
        return Ok(true);
    }
    let taken = on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, i64>("SELECT pushes FROM runs WHERE tenant_id = $1 AND run_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .fetch_one(conn)
    })?;
    if push > taken {
        return Err(Error::conflict("push_missing", format!("push {} is missing", taken + 1)).at("push"));
    }
    Ok(false)
}

pub(crate) async fn set_isolation(tx: &mut Tx, id: Id<Run>, level: u8) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE runs SET isolation = $3 WHERE tenant_id = $1 AND run_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .bind(i64::from(level))
            .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn set_permit(tx: &mut Tx, id: Id<Run>, permit: Uuid) -> Result<()> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE runs SET permit_id = $3 WHERE tenant_id = $1 AND run_id = $2 AND permit_id IS NULL",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(permit)
        .execute(conn)
    })?;
    if changed == 1 { Ok(()) } else { Err(Error::conflict("permit_spent", "the run had its permit already")) }
}

/// Ends a run; whether it was under way.
pub(crate) async fn end(tx: &mut Tx, id: Id<Run>, state: RunState) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE runs SET state = $3, session_hash = NULL
             WHERE tenant_id = $1 AND run_id = $2 AND state IN ('starting', 'claimed')",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(state.as_str())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

/// Runs of all tenants that are silent since before `silent` or over their deadline at `now`.
pub(crate) async fn vanished(
    tx: &mut SystemTx,
    silent: Timestamp,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(TenantId, Uuid)>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid)>(
            "SELECT tenant_id, run_id FROM runs
             WHERE state IN ('starting', 'claimed') AND (heartbeat_at < $1 OR deadline < $2) LIMIT $3",
        )
        .bind(silent.micros())
        .bind(now.micros())
        .bind(limit)
        .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant, run)| (Id::from_uuid(tenant), run)).collect())
}

/// Notes the name by which its launcher knows the process of a run.
pub(crate) async fn set_process(tx: &mut Tx, id: Id<Run>, process: &str) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE runs SET process = $3 WHERE tenant_id = $1 AND run_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .bind(process)
            .execute(conn)
    })?;
    Ok(())
}

/// Notes that the process of a run is dead.
pub(crate) async fn set_gone(tx: &mut Tx, id: Id<Run>) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE runs SET gone = 1 WHERE tenant_id = $1 AND run_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    Ok(())
}

/// Processes of all tenants that nobody has seen dead yet, with their runs, in the order of these after `after`.
pub(crate) async fn processes(
    tx: &mut SystemTx,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(TenantId, Uuid, String)>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid, String)>(
            "SELECT tenant_id, run_id, process FROM runs
             WHERE gone = 0 AND process IS NOT NULL AND run_id > $1 ORDER BY run_id LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant, run, process)| (Id::from_uuid(tenant), run, process)).collect())
}

/// Appends lines; the deployment counts them, so that their numbers have no gap.
pub(crate) async fn append_output(
    tx: &mut Tx,
    deployment: Id<Deployment>,
    lines: &[OutputLine],
) -> Result<()> {
    let count = i64::try_from(lines.len()).unwrap_or(i64::MAX);
    let (total,) = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64,)>(
            "UPDATE deployments SET output_lines = output_lines + $3 WHERE tenant_id = $1 AND deployment_id = $2
             RETURNING output_lines",
        )
        .bind(tenant)
        .bind(deployment.uuid())
        .bind(count)
        .fetch_one(conn)
    })?;
    for (sequence, line) in (total - count + 1..).zip(lines) {
        execute!(tx, |conn, tenant| {
            sqlx::query(
                "INSERT INTO run_output (tenant_id, deployment_id, sequence, at, step, line) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(tenant)
            .bind(deployment.uuid())
            .bind(sequence)
            .bind(line.at.micros())
            .bind(&line.step)
            .bind(&line.text)
            .execute(conn)
        })?;
    }
    Ok(())
}

pub(crate) async fn output(
    tx: &mut Tx,
    deployment: Id<Deployment>,
    after: u64,
    limit: i64,
) -> Result<Vec<OutputLine>> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64, i64, String, String)>(
            "SELECT sequence, at, step, line FROM run_output
             WHERE tenant_id = $1 AND deployment_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4",
        )
        .bind(tenant)
        .bind(deployment.uuid())
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let line = |(sequence, at, step, text): (i64, i64, String, String)| OutputLine {
        sequence: u64::try_from(sequence).unwrap_or(0),
        at: Timestamp::from_micros(at),
        step,
        text,
    };
    Ok(rows.into_iter().map(line).collect())
}

#[derive(FromRow)]
pub(crate) struct TokenKeyRow {
    pub(crate) key_id: Uuid,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: i64,
}

/// The two newest, newest first.
pub(crate) async fn token_keys(tx: &mut Tx) -> Result<Vec<TokenKeyRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, TokenKeyRow>(
            "SELECT key_id, sealed, created_at FROM run_token_keys WHERE tenant_id = $1 ORDER BY created_at DESC LIMIT 2",
        )
        .bind(tenant)
        .fetch_all(conn)
    })
}

pub(crate) async fn insert_token_key(tx: &mut Tx, id: Uuid, sealed: &[u8], now: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO run_token_keys (tenant_id, key_id, sealed, created_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(tenant)
        .bind(id)
        .bind(sealed)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

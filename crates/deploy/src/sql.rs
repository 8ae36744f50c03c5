//! The SQL of connections, configurations and deployments. Runs have their own.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{
    Configuration, Connection, Deployment, Error, Id, Label, Page, PageRequest, Principal, Result, TenantId,
    Timestamp,
};
use writ_store::{SystemTx, Tx, execute, on};
use writ_wire::deployments::{Mode, State};

use crate::model::{ConfigurationRecord, ConnectionRecord, DeploymentRecord};

/// The id after which a page begins, and how many rows to fetch: one more than the page holds.
pub(crate) fn window(page: &PageRequest, first: Uuid) -> Result<(Uuid, i64)> {
    let after = page.after.as_ref().map(|cursor| cursor.0.parse::<Id<()>>()).transpose();
    let after = after.map_err(|error| error.at("after"))?.map_or(first, Id::uuid);
    Ok((after, i64::from(page.limit) + 1))
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("row to JSON").because(error))
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::internal("JSON of a row").because(error))
}

fn unsigned<T: TryFrom<i64>>(number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| Error::internal("a number in the database is out of range"))
}

#[derive(FromRow)]
struct ConnectionRow {
    connection_id: Uuid,
    environment_id: Uuid,
    name: String,
    target: String,
    backend: String,
    allowed_providers: String,
    created_at: i64,
}

impl ConnectionRow {
    fn parse(self) -> Result<ConnectionRecord> {
        Ok(ConnectionRecord {
            id: Id::from_uuid(self.connection_id),
            name: self.name.parse()?,
            environment: Id::from_uuid(self.environment_id),
            target: from_json(&self.target)?,
            backend: from_json(&self.backend)?,
            allowed_providers: from_json(&self.allowed_providers)?,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(crate) async fn insert_connection(tx: &mut Tx, connection: &ConnectionRecord) -> Result<()> {
    let (target, backend) = (to_json(&connection.target)?, to_json(&connection.backend)?);
    let providers = to_json(&connection.allowed_providers)?;
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO connections (tenant_id, connection_id, environment_id, name, target, backend, allowed_providers, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(tenant)
        .bind(connection.id.uuid())
        .bind(connection.environment.uuid())
        .bind(connection.name.as_str())
        .bind(&target)
        .bind(&backend)
        .bind(&providers)
        .bind(connection.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn connection(tx: &mut Tx, id: Uuid) -> Result<Option<ConnectionRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ConnectionRow>(
            "SELECT * FROM connections WHERE tenant_id = $1 AND connection_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    row.map(ConnectionRow::parse).transpose()
}

pub(crate) async fn connections(tx: &mut Tx, page: &PageRequest) -> Result<Page<ConnectionRecord>> {
    let (after, limit) = window(page, Uuid::nil())?;
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ConnectionRow>(
            "SELECT * FROM connections WHERE tenant_id = $1 AND connection_id > $2 ORDER BY connection_id LIMIT $3",
        )
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(ConnectionRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |connection| connection.id.to_string()))
}

pub(crate) async fn connection_in_use(tx: &mut Tx, id: Id<Connection>) -> Result<bool> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid,)>(
            "SELECT deployment_id FROM deployments
             WHERE tenant_id = $1 AND connection_id = $2
               AND state IN ('queued', 'planning', 'awaiting_approval', 'approved', 'applying') LIMIT 1",
        )
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(conn)
    })?;
    Ok(row.is_some())
}

pub(crate) async fn delete_connection(tx: &mut Tx, id: Id<Connection>) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM connections WHERE tenant_id = $1 AND connection_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    Ok(())
}

#[derive(FromRow)]
struct ConfigurationRow {
    configuration_id: Uuid,
    digest: String,
    files: String,
    size: i64,
    origin: Option<String>,
    author: Uuid,
    created_at: i64,
}

impl ConfigurationRow {
    fn parse(self) -> Result<ConfigurationRecord> {
        Ok(ConfigurationRecord {
            id: Id::from_uuid(self.configuration_id),
            digest: self.digest,
            files: from_json(&self.files)?,
            size: unsigned(self.size)?,
            origin: self.origin.map(|text| text.parse()).transpose()?,
            author: Id::from_uuid(self.author),
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(crate) async fn insert_configuration(
    tx: &mut Tx,
    new: &ConfigurationRecord,
    sealed: &[u8],
) -> Result<()> {
    let files = to_json(&new.files)?;
    let size = i64::try_from(new.size).unwrap_or(i64::MAX);
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO configurations (tenant_id, configuration_id, digest, files, size, origin, archive, author, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(tenant)
        .bind(new.id.uuid())
        .bind(&new.digest)
        .bind(&files)
        .bind(size)
        .bind(new.origin.as_ref().map(Label::as_str))
        .bind(sealed)
        .bind(new.author.uuid())
        .bind(new.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn configuration(tx: &mut Tx, id: Uuid) -> Result<Option<ConfigurationRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ConfigurationRow>(
            "SELECT configuration_id, digest, files, size, origin, author, created_at FROM configurations
             WHERE tenant_id = $1 AND configuration_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    row.map(ConfigurationRow::parse).transpose()
}

pub(crate) async fn configurations(tx: &mut Tx, page: &PageRequest) -> Result<Page<ConfigurationRecord>> {
    let (after, limit) = window(page, Uuid::nil())?;
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ConfigurationRow>(
            "SELECT configuration_id, digest, files, size, origin, author, created_at FROM configurations
             WHERE tenant_id = $1 AND configuration_id > $2 ORDER BY configuration_id LIMIT $3",
        )
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(ConfigurationRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |configuration| configuration.id.to_string()))
}

pub(crate) async fn archive(tx: &mut Tx, id: Id<Configuration>) -> Result<Option<Vec<u8>>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Vec<u8>,)>(
            "SELECT archive FROM configurations WHERE tenant_id = $1 AND configuration_id = $2",
        )
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(conn)
    })?;
    Ok(row.map(|(archive,)| archive))
}

#[derive(FromRow)]
pub(crate) struct DeploymentRow {
    deployment_id: Uuid,
    target: String,
    environment_id: Uuid,
    connection_id: Uuid,
    configuration_id: Uuid,
    mode: String,
    state: String,
    author: Uuid,
    asked: Option<Vec<u8>>,
    reason: Option<String>,
    pub(crate) variables: Vec<u8>,
    timeout_seconds: i64,
    plan_salt: String,
    plan: Option<String>,
    approval_id: Option<Uuid>,
    outcome: Option<String>,
    cancel_requested: i64,
    trace: String,
    created_at: i64,
    updated_at: i64,
}

impl DeploymentRow {
    /// `variables` are sealed in the row and opened only for the run.
    fn parse(self) -> Result<DeploymentRecord> {
        Ok(DeploymentRecord {
            id: Id::from_uuid(self.deployment_id),
            target: self.target.parse()?,
            environment: Id::from_uuid(self.environment_id),
            connection: Id::from_uuid(self.connection_id),
            configuration: Id::from_uuid(self.configuration_id),
            mode: mode(&self.mode)?,
            state: state(&self.state)?,
            author: Id::from_uuid(self.author),
            asked: self.asked,
            reason: self.reason.map(|text| text.parse()).transpose()?,
            sealed_variables: self.variables,
            timeout_seconds: unsigned(self.timeout_seconds)?,
            plan_salt: self.plan_salt,
            plan: self.plan.as_deref().map(from_json).transpose()?,
            approval: self.approval_id,
            outcome: self.outcome.as_deref().map(from_json).transpose()?,
            cancel_requested: self.cancel_requested != 0,
            trace: self.trace.parse()?,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
        })
    }
}

fn mode(text: &str) -> Result<Mode> {
    from_json(&format!("\"{text}\""))
}

pub(crate) fn state(text: &str) -> Result<State> {
    from_json(&format!("\"{text}\""))
}

pub(crate) async fn insert_deployment(tx: &mut Tx, new: &DeploymentRecord) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO deployments (tenant_id, deployment_id, target, environment_id, connection_id, configuration_id, mode,
               state, author, reason, variables, timeout_seconds, plan_salt, cancel_requested, output_lines, trace,
               created_at, updated_at, asked)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, $14, $15, $15, $16)",
        )
        .bind(tenant)
        .bind(new.id.uuid())
        .bind(new.target.as_str())
        .bind(new.environment.uuid())
        .bind(new.connection.uuid())
        .bind(new.configuration.uuid())
        .bind(new.mode.as_str())
        .bind(new.state.as_str())
        .bind(new.author.uuid())
        .bind(new.reason.as_ref().map(Label::as_str))
        .bind(&new.sealed_variables)
        .bind(i64::from(new.timeout_seconds))
        .bind(&new.plan_salt)
        .bind(new.trace.to_string())
        .bind(new.created_at.micros())
        .bind(&new.asked)
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn deployment(tx: &mut Tx, id: Uuid) -> Result<Option<DeploymentRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, DeploymentRow>(
            "SELECT * FROM deployments WHERE tenant_id = $1 AND deployment_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    row.map(DeploymentRow::parse).transpose()
}

/// Newest first.
pub(crate) async fn deployments(
    tx: &mut Tx,
    environment: Option<Uuid>,
    target: Option<&str>,
    page: &PageRequest,
) -> Result<Page<DeploymentRecord>> {
    let (before, limit) = window(page, Uuid::max())?;
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, DeploymentRow>(
            "SELECT * FROM deployments
             WHERE tenant_id = $1 AND deployment_id < $2
               AND environment_id = coalesce($3, environment_id) AND target = coalesce($4, target)
             ORDER BY deployment_id DESC LIMIT $5",
        )
        .bind(tenant)
        .bind(before)
        .bind(environment)
        .bind(target)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(DeploymentRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |deployment| deployment.id.to_string()))
}

/// Who asked for the newest deployment that had a permit to change what `of` is about to remove: the same target
/// through the same connection.
pub(crate) async fn last_to_apply(tx: &mut Tx, of: &DeploymentRecord) -> Result<Option<Id<Principal>>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid,)>(
            "SELECT author FROM deployments d
             WHERE tenant_id = $1 AND environment_id = $2 AND connection_id = $3 AND target = $4 AND mode = 'apply'
               AND EXISTS (SELECT 1 FROM runs r WHERE r.tenant_id = d.tenant_id AND r.deployment_id = d.deployment_id
                 AND r.permit_id IS NOT NULL)
             ORDER BY deployment_id DESC LIMIT 1",
        )
        .bind(tenant)
        .bind(of.environment.uuid())
        .bind(of.connection.uuid())
        .bind(of.target.as_str())
        .fetch_optional(conn)
    })?;
    Ok(row.map(|(author,)| Id::from_uuid(author)))
}

pub(crate) async fn unfinished(tx: &mut Tx) -> Result<i64> {
    let (count,) = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64,)>(
            "SELECT count(*) FROM deployments
             WHERE tenant_id = $1 AND state IN ('queued', 'planning', 'awaiting_approval', 'approved', 'applying')",
        )
        .bind(tenant)
        .fetch_one(conn)
    })?;
    Ok(count)
}

/// Moves a deployment from `from` to what `to` says; whether it was in `from`.
pub(crate) async fn advance(tx: &mut Tx, from: State, to: &DeploymentRecord, now: Timestamp) -> Result<bool> {
    let plan = to.plan.as_ref().map(to_json).transpose()?;
    let outcome = to.outcome.as_ref().map(to_json).transpose()?;
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE deployments SET state = $4, plan = $5, approval_id = $6, outcome = $7, updated_at = $8
             WHERE tenant_id = $1 AND deployment_id = $2 AND state = $3",
        )
        .bind(tenant)
        .bind(to.id.uuid())
        .bind(from.as_str())
        .bind(to.state.as_str())
        .bind(&plan)
        .bind(to.approval)
        .bind(&outcome)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

/// Asks for the end of a deployment on which a runner works; whether one does. Nothing that moves a deployment takes
/// this back.
pub(crate) async fn request_cancel(tx: &mut Tx, id: Id<Deployment>, now: Timestamp) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE deployments SET cancel_requested = 1, updated_at = $3
             WHERE tenant_id = $1 AND deployment_id = $2 AND state IN ('planning', 'applying')",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

#[derive(FromRow)]
pub(crate) struct KeyRow {
    pub(crate) request_digest: String,
    pub(crate) deployment_id: Uuid,
}

pub(crate) async fn idempotency_key(
    tx: &mut Tx,
    principal: Id<Principal>,
    key: &str,
) -> Result<Option<KeyRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, KeyRow>(
            "SELECT request_digest, deployment_id FROM deployment_keys
             WHERE tenant_id = $1 AND principal = $2 AND idempotency_key = $3",
        )
        .bind(tenant)
        .bind(principal.uuid())
        .bind(key)
        .fetch_optional(conn)
    })
}

pub(crate) async fn insert_idempotency_key(
    tx: &mut Tx,
    principal: Id<Principal>,
    key: &str,
    row: &KeyRow,
    now: Timestamp,
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO deployment_keys (tenant_id, principal, idempotency_key, request_digest, deployment_id, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant)
        .bind(principal.uuid())
        .bind(key)
        .bind(&row.request_digest)
        .bind(row.deployment_id)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// Of each free environment of all tenants the deployment that has waited longest, with its tenant: however much one
/// tenant asks for, every environment is looked at.
pub(crate) async fn waiting(tx: &mut SystemTx, limit: i64) -> Result<Vec<(TenantId, Uuid)>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid)>(
            "SELECT tenant_id, deployment_id FROM deployments d
             WHERE state IN ('queued', 'approved')
               AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.tenant_id = d.tenant_id
                 AND r.environment_id = d.environment_id AND r.state IN ('starting', 'claimed') AND r.work <> 'validation')
               AND NOT EXISTS (SELECT 1 FROM deployments o WHERE o.tenant_id = d.tenant_id
                 AND o.environment_id = d.environment_id AND o.state IN ('queued', 'approved')
                 AND o.deployment_id < d.deployment_id)
             ORDER BY deployment_id LIMIT $1",
        )
        .bind(limit)
        .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant, deployment)| (Id::from_uuid(tenant), deployment)).collect())
}

/// How many deployments of all tenants are in each state.
pub(crate) async fn count_by_state(tx: &mut SystemTx) -> Result<Vec<(String, i64)>> {
    on!(tx, |conn| {
        sqlx::query_as::<_, (String, i64)>(
            "SELECT state, count(*) FROM deployments GROUP BY state ORDER BY state",
        )
        .fetch_all(conn)
    })
}

/// Deployments of all tenants whose approval has been waited for since before `before`.
pub(crate) async fn stale_approvals(
    tx: &mut SystemTx,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<(TenantId, Uuid)>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid)>(
            "SELECT tenant_id, deployment_id FROM deployments
             WHERE state = 'awaiting_approval' AND updated_at < $1 ORDER BY deployment_id LIMIT $2",
        )
        .bind(before.micros())
        .bind(limit)
        .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant, deployment)| (Id::from_uuid(tenant), deployment)).collect())
}

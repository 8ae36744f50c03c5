//! The SQL of field sets.

use sqlx::FromRow;
use uuid::Uuid;
use writ_gate::{Environment, tenancy};
use writ_kernel::{Error, FieldSet as Kind, Id, Result, Timestamp};
use writ_store::{Tx, execute, on};

use super::{Column, FieldSet, Search, sets::Progress};
use crate::{
    name::KeyName,
    sql::{from_json, number, to_json},
};

#[derive(FromRow)]
struct SetRow {
    set_id: Uuid,
    environment_id: Uuid,
    name: String,
    key_id: Uuid,
    columns: String,
    index_version: i64,
    created_by: Uuid,
    created_at: i64,
    updated_at: i64,
}

impl SetRow {
    fn parse(self, environment: Environment) -> Result<FieldSet> {
        let columns: Vec<(String, Search)> = from_json(&self.columns)?;
        let column = |(name, search): (String, Search)| Ok(Column { name: name.parse()?, search });
        Ok(FieldSet {
            id: Id::from_uuid(self.set_id),
            environment,
            name: self.name.parse()?,
            key: self.key_id,
            columns: columns.into_iter().map(column).collect::<Result<_>>()?,
            index_version: number(self.index_version)?,
            created_by: Id::from_uuid(self.created_by),
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
        })
    }
}

fn columns(set: &FieldSet) -> Result<String> {
    to_json(&set.columns.iter().map(|column| (column.name.as_str(), column.search)).collect::<Vec<_>>())
}

pub(super) async fn set(tx: &mut Tx, id: Uuid) -> Result<Option<FieldSet>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, SetRow>(
            "SELECT set_id, environment_id, name, key_id, columns, index_version, created_by, created_at, updated_at
             FROM field_sets WHERE tenant_id = $1 AND set_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    let Some(row) = row else { return Ok(None) };
    let environment = tenancy::environment(tx, Id::from_uuid(row.environment_id)).await?;
    row.parse(environment.ok_or_else(|| Error::internal("a field set is in no environment"))?).map(Some)
}

pub(super) async fn set_named(
    tx: &mut Tx,
    environment: Environment,
    name: &KeyName,
) -> Result<Option<FieldSet>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, SetRow>(
            "SELECT set_id, environment_id, name, key_id, columns, index_version, created_by, created_at, updated_at
             FROM field_sets WHERE tenant_id = $1 AND environment_id = $2 AND name = $3",
        )
        .bind(tenant)
        .bind(environment.id.uuid())
        .bind(name.as_str())
        .fetch_optional(conn)
    })?;
    row.map(|row| row.parse(environment)).transpose()
}

pub(super) async fn sets(tx: &mut Tx, environment: &Environment) -> Result<Vec<FieldSet>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, SetRow>(
            "SELECT set_id, environment_id, name, key_id, columns, index_version, created_by, created_at, updated_at
             FROM field_sets WHERE tenant_id = $1 AND environment_id = $2 ORDER BY set_id",
        )
        .bind(tenant)
        .bind(environment.id.uuid())
        .fetch_all(conn)
    })?;
    rows.into_iter().map(|row| row.parse(environment.clone())).collect()
}

pub(super) async fn insert_set(tx: &mut Tx, set: &FieldSet) -> Result<()> {
    let columns = columns(set)?;
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO field_sets (tenant_id, set_id, environment_id, name, key_id, columns, index_version, created_by,
               created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(tenant)
        .bind(set.id.uuid())
        .bind(set.environment.id.uuid())
        .bind(set.name.as_str())
        .bind(set.key)
        .bind(columns.as_str())
        .bind(i64::from(set.index_version))
        .bind(set.created_by.uuid())
        .bind(set.created_at.micros())
        .bind(set.updated_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// Writes what can be changed about a set, if the key of its index is still of version `index`. Returns whether it was.
pub(super) async fn update_set(tx: &mut Tx, set: &FieldSet, index: u32) -> Result<bool> {
    let columns = columns(set)?;
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE field_sets SET columns = $4, index_version = $5, updated_at = $6
             WHERE tenant_id = $1 AND set_id = $2 AND index_version = $3",
        )
        .bind(tenant)
        .bind(set.id.uuid())
        .bind(i64::from(index))
        .bind(columns.as_str())
        .bind(i64::from(set.index_version))
        .bind(set.updated_at.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

pub(super) async fn delete_set(tx: &mut Tx, id: Id<Kind>) -> Result<()> {
    for table in [
        "DELETE FROM field_indexes WHERE tenant_id = $1 AND set_id = $2",
        "DELETE FROM field_progress WHERE tenant_id = $1 AND set_id = $2",
        "DELETE FROM field_sets WHERE tenant_id = $1 AND set_id = $2",
    ] {
        execute!(tx, |conn, tenant| sqlx::query(table).bind(tenant).bind(id.uuid()).execute(conn))?;
    }
    Ok(())
}

pub(super) async fn insert_index(
    tx: &mut Tx,
    set: Id<Kind>,
    version: u32,
    sealed: &[u8],
    now: Timestamp,
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO field_indexes (tenant_id, set_id, version, sealed, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(tenant)
        .bind(set.uuid())
        .bind(i64::from(version))
        .bind(sealed)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// The sealed keys of the blind index, newest first.
pub(super) async fn indexes(tx: &mut Tx, set: Id<Kind>) -> Result<Vec<(u32, Vec<u8>)>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64, Vec<u8>)>(
            "SELECT version, sealed FROM field_indexes WHERE tenant_id = $1 AND set_id = $2 ORDER BY version DESC",
        )
        .bind(tenant)
        .bind(set.uuid())
        .fetch_all(conn)
    })?;
    rows.into_iter().map(|(version, sealed)| Ok((number(version)?, sealed))).collect()
}

pub(super) async fn delete_indexes_before(tx: &mut Tx, set: Id<Kind>, version: u32) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM field_indexes WHERE tenant_id = $1 AND set_id = $2 AND version < $3")
            .bind(tenant)
            .bind(set.uuid())
            .bind(i64::from(version))
            .execute(conn)
    })
}

pub(super) async fn put_progress(
    tx: &mut Tx,
    set: Id<Kind>,
    progress: &Progress,
    now: Timestamp,
) -> Result<()> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO field_progress (tenant_id, set_id, column_name, total, encrypted, resume_at, reported_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (tenant_id, set_id, column_name) DO UPDATE SET total = excluded.total,
               encrypted = excluded.encrypted, resume_at = excluded.resume_at, reported_at = excluded.reported_at",
        )
        .bind(tenant)
        .bind(set.uuid())
        .bind(progress.column.as_str())
        .bind(count(progress.total))
        .bind(count(progress.encrypted))
        .bind(progress.resume_at.as_deref())
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// What was reported last of each column.
pub(super) async fn progress(tx: &mut Tx, set: Id<Kind>) -> Result<Vec<(Progress, Timestamp)>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (String, i64, i64, Option<String>, i64)>(
            "SELECT column_name, total, encrypted, resume_at, reported_at FROM field_progress
             WHERE tenant_id = $1 AND set_id = $2",
        )
        .bind(tenant)
        .bind(set.uuid())
        .fetch_all(conn)
    })?;
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    rows.into_iter()
        .map(|(column, total, encrypted, resume_at, at)| {
            let (total, encrypted) = (count(total), count(encrypted));
            let progress = Progress { column: column.parse()?, total, encrypted, resume_at };
            Ok((progress, Timestamp::from_micros(at)))
        })
        .collect()
}

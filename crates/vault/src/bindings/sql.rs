//! The SQL of bindings.

use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Binding, Environment, Error, Id, Page, PageRequest, Result, Timestamp};
use writ_store::{Tx, execute, on};

use super::{BindingRecord, WantedBindings};

#[derive(FromRow)]
struct BindingRow {
    binding_id: Uuid,
    environment_id: Uuid,
    secret_id: Uuid,
    consumer: Uuid,
    name: String,
    version: Option<i64>,
    overlap: i64,
    created_by: Uuid,
    created_at: i64,
}

impl BindingRow {
    fn parse(self) -> Result<BindingRecord> {
        let out_of_range = || Error::internal("a number in the database is out of range");
        let version = self.version.map(u32::try_from).transpose().map_err(|_| out_of_range())?;
        Ok(BindingRecord {
            id: Id::from_uuid(self.binding_id),
            environment: Id::from_uuid(self.environment_id),
            secret: Id::from_uuid(self.secret_id),
            consumer: Id::from_uuid(self.consumer),
            name: self.name.parse()?,
            version,
            overlap: Duration::from_micros(u64::try_from(self.overlap).map_err(|_| out_of_range())?),
            created_by: Id::from_uuid(self.created_by),
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(super) async fn binding(tx: &mut Tx, id: Id<Binding>) -> Result<Option<BindingRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, BindingRow>(
            "SELECT binding_id, environment_id, secret_id, consumer, name, version, overlap, created_by, created_at
             FROM secret_bindings WHERE tenant_id = $1 AND binding_id = $2",
        )
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(conn)
    })?;
    row.map(BindingRow::parse).transpose()
}

pub(super) async fn list(
    tx: &mut Tx,
    environment: Id<Environment>,
    wanted: &WantedBindings,
    page: &PageRequest,
) -> Result<Page<BindingRecord>> {
    let after = page.after.as_ref().map(|cursor| cursor.0.parse::<Id<Binding>>()).transpose();
    let after = after.map_err(|error| error.at("after"))?.map_or(Uuid::nil(), Id::uuid);
    // Nil stands for whichever: no secret and no consumer has that id.
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, BindingRow>(
            "SELECT binding_id, environment_id, secret_id, consumer, name, version, overlap, created_by, created_at
             FROM secret_bindings WHERE tenant_id = $1 AND environment_id = $2 AND binding_id > $3
               AND ($4 = $6 OR secret_id = $4) AND ($5 = $6 OR consumer = $5)
             ORDER BY binding_id LIMIT $7",
        )
        .bind(tenant)
        .bind(environment.uuid())
        .bind(after)
        .bind(wanted.secret.map_or(Uuid::nil(), Id::uuid))
        .bind(wanted.consumer.map_or(Uuid::nil(), Id::uuid))
        .bind(Uuid::nil())
        .bind(i64::from(page.limit) + 1)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(BindingRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |binding| binding.id.to_string()))
}

pub(super) async fn insert(tx: &mut Tx, binding: &BindingRecord) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO secret_bindings (tenant_id, binding_id, environment_id, secret_id, consumer, name, version,
               overlap, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (tenant_id, environment_id, consumer, name) DO NOTHING",
        )
        .bind(tenant)
        .bind(binding.id.uuid())
        .bind(binding.environment.uuid())
        .bind(binding.secret.uuid())
        .bind(binding.consumer.uuid())
        .bind(binding.name.as_str())
        .bind(binding.version.map(i64::from))
        .bind(i64::try_from(binding.overlap.as_micros()).unwrap_or(i64::MAX))
        .bind(binding.created_by.uuid())
        .bind(binding.created_at.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

pub(super) async fn delete(tx: &mut Tx, id: Id<Binding>) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM secret_bindings WHERE tenant_id = $1 AND binding_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    Ok(())
}

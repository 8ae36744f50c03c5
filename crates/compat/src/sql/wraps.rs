//! Wrapped answers.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Id, Result, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};

use crate::wrap::Wrap;

#[derive(FromRow)]
struct WrapRow {
    tenant_id: Uuid,
    wrap_id: Uuid,
    environment_id: Uuid,
    accessor: String,
    sealed: Vec<u8>,
    creation_path: String,
    created_at: i64,
    ttl: i64,
}

/// The wrapped answer of this hash, whosever it is.
pub(crate) async fn wrap_by_hash(tx: &mut SystemTx, hash: &[u8]) -> Result<Option<(TenantId, Wrap)>> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, WrapRow>(
            "SELECT tenant_id, wrap_id, environment_id, accessor, sealed, creation_path, created_at, ttl
             FROM dialect_wraps WHERE hash = $1",
        )
        .bind(hash)
        .fetch_optional(conn)
    })?;
    Ok(row.map(|row| {
        let wrap = Wrap {
            id: Id::from_uuid(row.wrap_id),
            environment: row.environment_id,
            accessor: row.accessor,
            sealed: row.sealed,
            creation_path: row.creation_path,
            created_at: Timestamp::from_micros(row.created_at),
            ttl: row.ttl,
        };
        (Id::from_uuid(row.tenant_id), wrap)
    }))
}

pub(crate) async fn insert_wrap(tx: &mut Tx, wrap: &Wrap, hash: &[u8]) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO dialect_wraps (tenant_id, wrap_id, environment_id, hash, accessor, sealed, creation_path,
                                        created_at, ttl)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(tenant)
        .bind(wrap.id.uuid())
        .bind(wrap.environment)
        .bind(hash)
        .bind(&wrap.accessor)
        .bind(&wrap.sealed)
        .bind(&wrap.creation_path)
        .bind(wrap.created_at.micros())
        .bind(wrap.ttl)
        .execute(conn)
    })?;
    Ok(())
}

/// Takes a wrapped answer away; whether it was still there.
pub(crate) async fn take_wrap(tx: &mut Tx, id: Id<writ_kernel::Link>) -> Result<bool> {
    let rows = execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM dialect_wraps WHERE tenant_id = $1 AND wrap_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    Ok(rows == 1)
}

/// Removes a few answers that nobody took before `now`.
pub(crate) async fn sweep_wraps(tx: &mut Tx, now: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "DELETE FROM dialect_wraps WHERE tenant_id = $1 AND wrap_id IN (
               SELECT wrap_id FROM dialect_wraps WHERE tenant_id = $1 AND created_at + ttl * 1000000 <= $2 LIMIT 100)",
        )
        .bind(tenant)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

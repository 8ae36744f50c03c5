//! The only SQL of the seal.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Result, TenantId, Timestamp};
use writ_store::{SystemTx, Transactional, Tx, execute, on};

pub(crate) async fn protection(tx: &mut impl Transactional) -> Result<Option<String>> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (String,)>("SELECT protection FROM seal_config WHERE only_row = 1")
            .fetch_optional(conn)
    })?;
    Ok(row.map(|(text,)| text))
}

pub(crate) async fn put_protection(tx: &mut impl Transactional, protection: &str) -> Result<()> {
    execute!(tx, |conn| {
        sqlx::query(
            "INSERT INTO seal_config (only_row, protection) VALUES (1, $1)
             ON CONFLICT (only_row) DO UPDATE SET protection = excluded.protection",
        )
        .bind(protection)
        .execute(conn)
    })?;
    Ok(())
}

#[derive(FromRow)]
pub(crate) struct RootRow {
    pub(crate) version: i64,
    pub(crate) key_id: Uuid,
    pub(crate) sealed: Vec<u8>,
}

pub(crate) async fn roots(tx: &mut impl Transactional) -> Result<Vec<RootRow>> {
    on!(tx, |conn| {
        sqlx::query_as::<_, RootRow>("SELECT version, key_id, sealed FROM root_keys ORDER BY version")
            .fetch_all(conn)
    })
}

pub(crate) async fn put_root(tx: &mut impl Transactional, row: &RootRow, now: Timestamp) -> Result<()> {
    execute!(tx, |conn| {
        sqlx::query(
            "INSERT INTO root_keys (version, key_id, sealed, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (version) DO UPDATE SET sealed = excluded.sealed",
        )
        .bind(row.version)
        .bind(row.key_id)
        .bind(&row.sealed)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// Fails when there is a root key of this version: that one must never be lost.
pub(crate) async fn insert_root(tx: &mut SystemTx, row: &RootRow, now: Timestamp) -> Result<()> {
    execute!(tx, |conn| {
        sqlx::query("INSERT INTO root_keys (version, key_id, sealed, created_at) VALUES ($1, $2, $3, $4)")
            .bind(row.version)
            .bind(row.key_id)
            .bind(&row.sealed)
            .bind(now.micros())
            .execute(conn)
    })?;
    Ok(())
}

/// Keeps the protection as it is until the transaction ends.
pub(crate) async fn hold_protection(tx: &mut SystemTx) -> Result<()> {
    const SQL: &str = "UPDATE seal_config SET protection = protection WHERE only_row = 1";
    execute!(tx, |conn| sqlx::query(SQL).execute(conn))?;
    Ok(())
}

/// Whether this version of the root key is there; if so, it stays until the transaction ends.
pub(crate) async fn hold_root(tx: &mut Tx, version: i64) -> Result<bool> {
    const SQL: &str = "UPDATE root_keys SET created_at = created_at WHERE version = $1";
    Ok(execute!(tx, |conn| sqlx::query(SQL).bind(version).execute(conn))? == 1)
}

pub(crate) async fn delete_roots_before(tx: &mut SystemTx, version: i64) -> Result<()> {
    execute!(tx, |conn| sqlx::query("DELETE FROM root_keys WHERE version < $1").bind(version).execute(conn))?;
    Ok(())
}

#[derive(FromRow)]
pub(crate) struct TenantKeyRow {
    pub(crate) tenant_id: Uuid,
    pub(crate) private: Vec<u8>,
}

pub(crate) async fn tenant_key(tx: &mut Tx) -> Result<Option<TenantKeyRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, TenantKeyRow>("SELECT tenant_id, private FROM tenant_keys WHERE tenant_id = $1")
            .bind(tenant)
            .fetch_optional(conn)
    })
}

/// A stretch of all tenants' keys, by tenant, for the rotation of the root key.
pub(crate) async fn tenant_keys_after(
    tx: &mut SystemTx,
    after: Uuid,
    limit: i64,
) -> Result<Vec<TenantKeyRow>> {
    on!(tx, |conn| {
        sqlx::query_as::<_, TenantKeyRow>(
            "SELECT tenant_id, private FROM tenant_keys WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })
}

pub(crate) async fn reseal_tenant_key(tx: &mut SystemTx, tenant: TenantId, private: &[u8]) -> Result<()> {
    execute!(tx, |conn| {
        sqlx::query("UPDATE tenant_keys SET private = $2 WHERE tenant_id = $1")
            .bind(tenant.uuid())
            .bind(private)
            .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn insert_tenant_key(
    tx: &mut Tx,
    public: &[u8],
    private: &[u8],
    now: Timestamp,
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO tenant_keys (tenant_id, public, private, created_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(tenant)
        .bind(public)
        .bind(private)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

#[derive(FromRow)]
pub(crate) struct DataKeyRow {
    pub(crate) key_id: Uuid,
    pub(crate) version: i64,
    pub(crate) wrapped: Vec<u8>,
}

pub(crate) async fn data_keys(tx: &mut Tx) -> Result<Vec<DataKeyRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, DataKeyRow>(
            "SELECT key_id, version, wrapped FROM data_keys WHERE tenant_id = $1 ORDER BY version",
        )
        .bind(tenant)
        .fetch_all(conn)
    })
}

pub(crate) async fn insert_data_key(tx: &mut Tx, row: &DataKeyRow, now: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("INSERT INTO data_keys (tenant_id, key_id, version, wrapped, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(tenant)
            .bind(row.key_id)
            .bind(row.version)
            .bind(&row.wrapped)
            .bind(now.micros())
            .execute(conn)
    })?;
    Ok(())
}

//! The SQL of links.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Error, Id, Link, Result, Secret, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};

use super::model::{Kind, LinkRecord};
use crate::secrets::model::Format;

#[derive(FromRow)]
struct LinkRow {
    link_id: Uuid,
    environment_id: Uuid,
    secret_id: Option<Uuid>,
    format: String,
    sealed: Vec<u8>,
    password: Option<Vec<u8>>,
    creation_path: String,
    ttl: i64,
    most: Option<i64>,
    opened: i64,
    failed: i64,
    failed_at: Option<i64>,
    created_by: Uuid,
    created_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
}

impl LinkRow {
    fn parse(self) -> Result<LinkRecord> {
        let small = |number: i64| {
            u32::try_from(number).map_err(|_| Error::internal("a number in the database is out of range"))
        };
        Ok(LinkRecord {
            id: Id::from_uuid(self.link_id),
            environment: Id::from_uuid(self.environment_id),
            secret: self.secret_id.map(Id::from_uuid),
            format: Format::parse(&self.format)?,
            sealed: self.sealed,
            password: self.password,
            creation_path: self.creation_path,
            ttl: self.ttl,
            most: self.most.map(small).transpose()?,
            opened: small(self.opened)?,
            failed: small(self.failed)?,
            failed_at: self.failed_at.map(Timestamp::from_micros),
            created_by: Id::from_uuid(self.created_by),
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
            revoked_at: self.revoked_at.map(Timestamp::from_micros),
        })
    }
}

/// Whose link has a token of this hash.
pub(super) async fn owner_of(
    tx: &mut SystemTx,
    kind: Kind,
    hash: &[u8],
) -> Result<Option<(TenantId, Id<Link>)>> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid)>(
            "SELECT tenant_id, link_id FROM secret_links WHERE hash = $1 AND kind = $2",
        )
        .bind(hash)
        .bind(kind.as_str())
        .fetch_optional(conn)
    })?;
    Ok(row.map(|(tenant, link)| (Id::from_uuid(tenant), Id::from_uuid(link))))
}

pub(super) async fn link(tx: &mut Tx, id: Id<Link>) -> Result<Option<LinkRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, LinkRow>(
            "SELECT link_id, environment_id, secret_id, format, sealed, password, creation_path, ttl, most, opened,
               failed, failed_at, created_by, created_at, expires_at, revoked_at
             FROM secret_links WHERE tenant_id = $1 AND link_id = $2",
        )
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(conn)
    })?;
    row.map(LinkRow::parse).transpose()
}

/// The newest links of a secret, at most 200.
pub(super) async fn links(tx: &mut Tx, secret: Id<Secret>) -> Result<Vec<LinkRecord>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, LinkRow>(
            "SELECT link_id, environment_id, secret_id, format, sealed, password, creation_path, ttl, most, opened,
               failed, failed_at, created_by, created_at, expires_at, revoked_at
             FROM secret_links WHERE tenant_id = $1 AND secret_id = $2 ORDER BY link_id DESC LIMIT 200",
        )
        .bind(tenant)
        .bind(secret.uuid())
        .fetch_all(conn)
    })?;
    rows.into_iter().map(LinkRow::parse).collect()
}

pub(super) async fn insert(tx: &mut Tx, kind: Kind, link: &LinkRecord, hash: &[u8]) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO secret_links (tenant_id, link_id, kind, environment_id, secret_id, hash, format, sealed, password,
               creation_path, ttl, most, opened, failed, created_by, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, $13, $14, $15)",
        )
        .bind(tenant)
        .bind(link.id.uuid())
        .bind(kind.as_str())
        .bind(link.environment.uuid())
        .bind(link.secret.map(Id::uuid))
        .bind(hash)
        .bind(link.format.as_str())
        .bind(&link.sealed)
        .bind(link.password.as_deref())
        .bind(&link.creation_path)
        .bind(link.ttl)
        .bind(link.most.map(i64::from))
        .bind(link.created_by.uuid())
        .bind(link.created_at.micros())
        .bind(link.expires_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// Counts an opening, if there is one left.
pub(super) async fn count(tx: &mut Tx, id: Id<Link>, now: Timestamp) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE secret_links SET opened = opened + 1, failed = 0
             WHERE tenant_id = $1 AND link_id = $2 AND revoked_at IS NULL AND expires_at > $3
               AND (most IS NULL OR opened < most)",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

/// Counts a wrong password.
pub(super) async fn count_failure(tx: &mut Tx, id: Id<Link>, now: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE secret_links SET failed = failed + 1, failed_at = $3 WHERE tenant_id = $1 AND link_id = $2",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// Removes what is wrapped.
pub(super) async fn empty(tx: &mut Tx, id: Id<Link>) -> Result<()> {
    let nothing: &[u8] = &[];
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE secret_links SET sealed = $3 WHERE tenant_id = $1 AND link_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .bind(nothing)
            .execute(conn)
    })?;
    Ok(())
}

pub(super) async fn revoke(tx: &mut Tx, id: Id<Link>, now: Timestamp) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE secret_links SET revoked_at = $3 WHERE tenant_id = $1 AND link_id = $2 AND revoked_at IS NULL",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

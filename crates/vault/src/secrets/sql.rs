//! The SQL of secrets and their versions.

pub(crate) mod readers;

use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Environment, Error, Id, Principal, Result, Secret, Timestamp};
use writ_store::{Tx, execute, on};

use super::{
    model::{Classification, Format, SecretRecord, VersionRecord},
    path::SecretPath,
};

#[derive(FromRow)]
struct SecretRow {
    secret_id: Uuid,
    environment_id: Uuid,
    path: String,
    kind: Option<String>,
    description: Option<String>,
    purpose: String,
    classification: String,
    owner: Uuid,
    labels: String,
    custom: String,
    assumed: String,
    expires_at: Option<i64>,
    rotate_every: Option<i64>,
    cas_required: i64,
    max_versions: i64,
    delete_after: i64,
    current_version: i64,
    oldest_version: i64,
    details: Option<Vec<u8>>,
    revision: i64,
    totp: i64,
    favourite: i64,
    active: i64,
    exposed_at: Option<i64>,
    created_by: Uuid,
    created_at: i64,
    updated_at: i64,
    rotated_at: i64,
}

impl SecretRow {
    fn parse(self) -> Result<SecretRecord> {
        let assumed = self.assumed.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Ok(SecretRecord {
            id: Id::from_uuid(self.secret_id),
            environment: Id::from_uuid(self.environment_id),
            path: self.path.parse()?,
            kind: self.kind,
            description: self.description,
            purpose: self.purpose.parse()?,
            classification: Classification::parse(&self.classification)?,
            owner: Id::from_uuid(self.owner),
            labels: from_json(&self.labels)?,
            custom: from_json(&self.custom)?,
            assumed,
            expires_at: self.expires_at.map(Timestamp::from_micros),
            rotate_every: self.rotate_every.map(duration).transpose()?,
            cas_required: self.cas_required != 0,
            max_versions: small(self.max_versions)?,
            delete_after: duration(self.delete_after)?,
            current: small(self.current_version)?,
            oldest: small(self.oldest_version)?,
            revision: u64::try_from(self.revision).map_err(|_| out_of_range())?,
            details: self.details,
            totp: self.totp != 0,
            favourite: self.favourite != 0,
            active: self.active != 0,
            exposed_at: self.exposed_at.map(Timestamp::from_micros),
            created_by: Id::from_uuid(self.created_by),
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            rotated_at: Timestamp::from_micros(self.rotated_at),
        })
    }
}

fn out_of_range() -> Error {
    Error::internal("a number in the database is out of range")
}

fn small(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| out_of_range())
}

fn duration(micros: i64) -> Result<Duration> {
    u64::try_from(micros).map(Duration::from_micros).map_err(|_| out_of_range())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::internal("JSON in the database").because(error))
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("JSON for the database").because(error))
}

pub(crate) async fn secret(tx: &mut Tx, id: Id<Secret>) -> Result<Option<SecretRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, SecretRow>(
            "SELECT secret_id, environment_id, path, kind, description, purpose, classification, owner, labels, custom,
                    assumed, expires_at, rotate_every, cas_required, max_versions, delete_after, current_version,
                    oldest_version, details, revision, totp, favourite, active, exposed_at, created_by, created_at,
                    updated_at, rotated_at
             FROM secrets WHERE tenant_id = $1 AND secret_id = $2",
        )
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(conn)
    })?;
    row.map(SecretRow::parse).transpose()
}

pub(crate) async fn secret_at(
    tx: &mut Tx,
    environment: Id<Environment>,
    path: &SecretPath,
) -> Result<Option<SecretRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, SecretRow>(
            "SELECT secret_id, environment_id, path, kind, description, purpose, classification, owner, labels, custom,
                    assumed, expires_at, rotate_every, cas_required, max_versions, delete_after, current_version,
                    oldest_version, details, revision, totp, favourite, active, exposed_at, created_by, created_at,
                    updated_at, rotated_at
             FROM secrets WHERE tenant_id = $1 AND environment_id = $2 AND path = $3",
        )
        .bind(tenant)
        .bind(environment.uuid())
        .bind(path.as_str())
        .fetch_optional(conn)
    })?;
    row.map(SecretRow::parse).transpose()
}

/// Which secrets of an environment are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Paths begin with it.
    pub(crate) prefix: String,
    /// Paths come after it.
    pub(crate) after: String,
    pub(crate) kind: Option<String>,
    pub(crate) inactive_too: bool,
    /// Only what nobody has read since.
    pub(crate) unread_since: Option<Timestamp>,
}

/// Secrets in the order of their paths.
pub(crate) async fn secrets(
    tx: &mut Tx,
    environment: Id<Environment>,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<SecretRecord>> {
    let end = end_of(&filter.prefix);
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, SecretRow>(
            "SELECT secret_id, environment_id, path, kind, description, purpose, classification, owner, labels, custom,
                    assumed, expires_at, rotate_every, cas_required, max_versions, delete_after, current_version,
                    oldest_version, details, revision, totp, favourite, active, exposed_at, created_by, created_at,
                    updated_at, rotated_at
             FROM secrets s WHERE tenant_id = $1 AND environment_id = $2
               AND path >= $3 AND path < $4 AND path > $5
               AND (active = 1 OR active = $6) AND ($7 = '' OR kind = $7)
               AND ($8 = 0 OR (created_at < $8 AND NOT EXISTS (
                 SELECT 1 FROM secret_readers r WHERE r.tenant_id = $1 AND r.secret_id = s.secret_id AND r.last_at >= $8)))
             ORDER BY path LIMIT $9",
        )
        .bind(tenant)
        .bind(environment.uuid())
        .bind(&filter.prefix)
        .bind(&end)
        .bind(&filter.after)
        .bind(i64::from(!filter.inactive_too))
        .bind(filter.kind.as_deref().unwrap_or_default())
        .bind(filter.unread_since.map_or(0, Timestamp::micros))
        .bind(limit)
        .fetch_all(conn)
    })?;
    rows.into_iter().map(SecretRow::parse).collect()
}

/// Paths from `from` on that begin with `prefix`, whatever their secrets are.
pub(crate) async fn paths(
    tx: &mut Tx,
    environment: Id<Environment>,
    prefix: &str,
    from: &str,
    limit: i64,
) -> Result<Vec<String>> {
    let end = end_of(prefix);
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, String>(
            "SELECT path FROM secrets WHERE tenant_id = $1 AND environment_id = $2
               AND path >= $3 AND path < $4 AND path >= $5 ORDER BY path LIMIT $6",
        )
        .bind(tenant)
        .bind(environment.uuid())
        .bind(prefix)
        .bind(&end)
        .bind(from)
        .bind(limit)
        .fetch_all(conn)
    })
}

/// What sorts after everything that begins with `prefix`, which is empty or ends with a slash.
fn end_of(prefix: &str) -> String {
    // U+10FFFF is no letter, so no path has it.
    format!("{prefix}\u{10ffff}")
}

pub(crate) async fn insert_secret(tx: &mut Tx, secret: &SecretRecord) -> Result<bool> {
    let (labels, custom) = (to_json(&secret.labels)?, to_json(&secret.custom)?);
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO secrets (tenant_id, secret_id, environment_id, path, kind, description, purpose, classification,
               owner, labels, custom, assumed, expires_at, rotate_every, cas_required, max_versions, delete_after,
               current_version, oldest_version, details, revision, totp, favourite, active, created_by, created_at,
               updated_at, rotated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
               $23, 1, $24, $25, $25, $25)
             ON CONFLICT (tenant_id, environment_id, path) DO NOTHING",
        )
        .bind(tenant)
        .bind(secret.id.uuid())
        .bind(secret.environment.uuid())
        .bind(secret.path.as_str())
        .bind(secret.kind.as_deref())
        .bind(secret.description.as_deref())
        .bind(secret.purpose.as_str())
        .bind(secret.classification.as_str())
        .bind(secret.owner.uuid())
        .bind(&labels)
        .bind(&custom)
        .bind(secret.assumed.join(" "))
        .bind(secret.expires_at.map(Timestamp::micros))
        .bind(secret.rotate_every.map(micros))
        .bind(i64::from(secret.cas_required))
        .bind(i64::from(secret.max_versions))
        .bind(micros(secret.delete_after))
        .bind(i64::from(secret.current))
        .bind(i64::from(secret.oldest))
        .bind(secret.details.as_deref())
        .bind(i64::try_from(secret.revision).unwrap_or(i64::MAX))
        .bind(i64::from(secret.totp))
        .bind(i64::from(secret.favourite))
        .bind(secret.created_by.uuid())
        .bind(secret.created_at.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

/// Writes everything about a secret that can change.
pub(crate) async fn update_secret(tx: &mut Tx, secret: &SecretRecord) -> Result<()> {
    let (labels, custom) = (to_json(&secret.labels)?, to_json(&secret.custom)?);
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE secrets SET path = $3, kind = $4, description = $5, purpose = $6, classification = $7, owner = $8,
               labels = $9, custom = $10, assumed = $11, expires_at = $12, rotate_every = $13, cas_required = $14,
               max_versions = $15, delete_after = $16, current_version = $17, oldest_version = $18, details = $19,
               revision = $20, favourite = $21, active = $22, exposed_at = $23, updated_at = $24, rotated_at = $25,
               totp = $26
             WHERE tenant_id = $1 AND secret_id = $2",
        )
        .bind(tenant)
        .bind(secret.id.uuid())
        .bind(secret.path.as_str())
        .bind(secret.kind.as_deref())
        .bind(secret.description.as_deref())
        .bind(secret.purpose.as_str())
        .bind(secret.classification.as_str())
        .bind(secret.owner.uuid())
        .bind(&labels)
        .bind(&custom)
        .bind(secret.assumed.join(" "))
        .bind(secret.expires_at.map(Timestamp::micros))
        .bind(secret.rotate_every.map(micros))
        .bind(i64::from(secret.cas_required))
        .bind(i64::from(secret.max_versions))
        .bind(micros(secret.delete_after))
        .bind(i64::from(secret.current))
        .bind(i64::from(secret.oldest))
        .bind(secret.details.as_deref())
        .bind(i64::try_from(secret.revision).unwrap_or(i64::MAX))
        .bind(i64::from(secret.favourite))
        .bind(i64::from(secret.active))
        .bind(secret.exposed_at.map(Timestamp::micros))
        .bind(secret.updated_at.micros())
        .bind(secret.rotated_at.micros())
        .bind(i64::from(secret.totp))
        .execute(conn)
    })?;
    Ok(())
}

/// Takes back every link to a secret. Returns how many there were.
pub(crate) async fn revoke_links(tx: &mut Tx, id: Id<Secret>, now: Timestamp) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE secret_links SET revoked_at = $3 WHERE tenant_id = $1 AND secret_id = $2 AND revoked_at IS NULL",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })
}

/// Removes a secret with all that hangs on it.
pub(crate) async fn delete_secret(tx: &mut Tx, id: Id<Secret>) -> Result<()> {
    macro_rules! gone {
        ($sql:literal) => {
            execute!(tx, |conn, tenant| sqlx::query($sql).bind(tenant).bind(id.uuid()).execute(conn))?
        };
    }
    gone!("DELETE FROM secret_versions WHERE tenant_id = $1 AND secret_id = $2");
    gone!("DELETE FROM secret_readers WHERE tenant_id = $1 AND secret_id = $2");
    gone!("DELETE FROM secret_bindings WHERE tenant_id = $1 AND secret_id = $2");
    gone!("UPDATE secret_links SET revoked_at = created_at WHERE tenant_id = $1 AND secret_id = $2");
    gone!("DELETE FROM secrets WHERE tenant_id = $1 AND secret_id = $2");
    Ok(())
}

#[derive(FromRow)]
struct VersionRow {
    version: i64,
    format: String,
    size: i64,
    restored_from: Option<i64>,
    created_by: Uuid,
    created_by_kind: String,
    created_at: i64,
    deleted_at: Option<i64>,
    destroyed_at: Option<i64>,
}

impl VersionRow {
    fn parse(self) -> Result<VersionRecord> {
        Ok(VersionRecord {
            version: small(self.version)?,
            format: Format::parse(&self.format)?,
            size: u64::try_from(self.size).map_err(|_| out_of_range())?,
            restored_from: self.restored_from.map(small).transpose()?,
            created_by: Id::from_uuid(self.created_by),
            created_by_kind: self.created_by_kind,
            created_at: Timestamp::from_micros(self.created_at),
            deleted_at: self.deleted_at.map(Timestamp::from_micros),
            destroyed_at: self.destroyed_at.map(Timestamp::from_micros),
        })
    }
}

/// Versions from the newest not after `from`, at most `limit`.
pub(crate) async fn versions(
    tx: &mut Tx,
    id: Id<Secret>,
    from: u32,
    limit: i64,
) -> Result<Vec<VersionRecord>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, VersionRow>(
            "SELECT version, format, size, restored_from, created_by, created_by_kind, created_at, deleted_at, destroyed_at
             FROM secret_versions WHERE tenant_id = $1 AND secret_id = $2 AND version <= $3
             ORDER BY version DESC LIMIT $4",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(i64::from(from))
        .bind(limit)
        .fetch_all(conn)
    })?;
    rows.into_iter().map(VersionRow::parse).collect()
}

/// One version; `None` when there is none, or it was trimmed.
pub(crate) async fn version(tx: &mut Tx, id: Id<Secret>, version: u32) -> Result<Option<VersionRecord>> {
    let found = versions(tx, id, version, 1).await?.into_iter().next();
    Ok(found.filter(|record| record.version == version))
}

/// The sealed value of a version.
pub(crate) async fn sealed(tx: &mut Tx, id: Id<Secret>, version: u32) -> Result<Vec<u8>> {
    let sealed = on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, Vec<u8>>(
            "SELECT sealed FROM secret_versions WHERE tenant_id = $1 AND secret_id = $2 AND version = $3",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(i64::from(version))
        .fetch_optional(conn)
    })?;
    sealed.ok_or_else(|| Error::internal("a version without its value"))
}

pub(crate) async fn insert_version(
    tx: &mut Tx,
    id: Id<Secret>,
    version: &VersionRecord,
    sealed: &[u8],
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO secret_versions (tenant_id, secret_id, version, format, sealed, size, restored_from, created_by,
               created_by_kind, created_at, deleted_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(i64::from(version.version))
        .bind(version.format.as_str())
        .bind(sealed)
        .bind(i64::try_from(version.size).unwrap_or(i64::MAX))
        .bind(version.restored_from.map(i64::from))
        .bind(version.created_by.uuid())
        .bind(&version.created_by_kind)
        .bind(version.created_at.micros())
        .bind(version.deleted_at.map(Timestamp::micros))
        .execute(conn)
    })?;
    Ok(())
}

/// Sets from when on a version counts as deleted. Destroyed versions stay as they are.
pub(crate) async fn set_deleted(
    tx: &mut Tx,
    id: Id<Secret>,
    version: u32,
    at: Option<Timestamp>,
) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE secret_versions SET deleted_at = $4
             WHERE tenant_id = $1 AND secret_id = $2 AND version = $3 AND destroyed_at IS NULL",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(i64::from(version))
        .bind(at.map(Timestamp::micros))
        .execute(conn)
    })
}

/// Removes the value of a version for good.
pub(crate) async fn destroy(tx: &mut Tx, id: Id<Secret>, version: u32, at: Timestamp) -> Result<u64> {
    let nothing: &[u8] = &[];
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE secret_versions SET sealed = $4, destroyed_at = $5
             WHERE tenant_id = $1 AND secret_id = $2 AND version = $3 AND destroyed_at IS NULL",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(i64::from(version))
        .bind(nothing)
        .bind(at.micros())
        .execute(conn)
    })
}

/// Removes versions older than `oldest` altogether.
pub(crate) async fn trim(tx: &mut Tx, id: Id<Secret>, oldest: u32) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM secret_versions WHERE tenant_id = $1 AND secret_id = $2 AND version < $3")
            .bind(tenant)
            .bind(id.uuid())
            .bind(i64::from(oldest))
            .execute(conn)
    })
}

/// How many versions an environment has, and how many bytes their values.
pub(crate) async fn storage(tx: &mut Tx, environment: Id<Environment>) -> Result<(i64, i64)> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64, i64)>(
            "SELECT count(*), coalesce(CAST(sum(v.size) AS BIGINT), 0) FROM secret_versions v
             JOIN secrets s ON s.tenant_id = v.tenant_id AND s.secret_id = v.secret_id
             WHERE v.tenant_id = $1 AND s.environment_id = $2 AND v.destroyed_at IS NULL",
        )
        .bind(tenant)
        .bind(environment.uuid())
        .fetch_one(conn)
    })
}

#[derive(FromRow)]
pub(crate) struct RequestRow {
    pub(crate) digest: Vec<u8>,
    pub(crate) object_id: Uuid,
}

/// What was asked for under an idempotency key.
pub(crate) async fn request(tx: &mut Tx, principal: Id<Principal>, key: &str) -> Result<Option<RequestRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, RequestRow>(
            "SELECT digest, object_id FROM secret_requests
             WHERE tenant_id = $1 AND principal = $2 AND idempotency_key = $3",
        )
        .bind(tenant)
        .bind(principal.uuid())
        .bind(key)
        .fetch_optional(conn)
    })
}

pub(crate) async fn insert_request(
    tx: &mut Tx,
    principal: Id<Principal>,
    key: &str,
    row: &RequestRow,
    now: Timestamp,
) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO secret_requests (tenant_id, principal, idempotency_key, digest, object_id, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, principal, idempotency_key) DO NOTHING",
        )
        .bind(tenant)
        .bind(principal.uuid())
        .bind(key)
        .bind(&row.digest)
        .bind(row.object_id)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

//! The SQL of named keys.

use std::{collections::BTreeMap, time::Duration};

use sqlx::FromRow;
use uuid::Uuid;
use writ_gate::{Environment, tenancy};
use writ_kernel::{Error, Id, NamedKey, Result, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};

use crate::{
    model::{Key, Purpose, Version},
    name::KeyName,
};

#[derive(FromRow)]
struct KeyRow {
    key_id: Uuid,
    environment_id: Uuid,
    space: String,
    name: String,
    algorithm: String,
    purpose: String,
    description: Option<String>,
    labels: String,
    tags: String,
    enabled: i64,
    derived: i64,
    convergent: i64,
    exportable: i64,
    backupable: i64,
    deletable: i64,
    imported: i64,
    latest_version: i64,
    min_decryption_version: i64,
    min_encryption_version: i64,
    min_available_version: i64,
    rotate_seconds: Option<i64>,
    rotate_at: Option<i64>,
    rotated_at: Option<i64>,
    expires_at: Option<i64>,
    delete_at: Option<i64>,
    created_by: Uuid,
    created_at: i64,
    updated_at: i64,
    default_id: Option<Uuid>,
}

impl KeyRow {
    fn parse(self, environment: Environment) -> Result<Key> {
        let malformed = || Error::internal("a key in the database is malformed");
        let seconds = |seconds: i64| u64::try_from(seconds).map(Duration::from_secs).map_err(|_| malformed());
        Ok(Key {
            id: Id::from_uuid(self.key_id),
            environment,
            space: self.space.into(),
            name: self.name.parse()?,
            key_type: self.algorithm.parse()?,
            purpose: Purpose::parse(&self.purpose).ok_or_else(malformed)?,
            description: self.description,
            labels: from_json(&self.labels)?,
            tags: from_json::<BTreeMap<String, String>>(&self.tags)?,
            enabled: self.enabled != 0,
            derived: self.derived != 0,
            convergent: self.convergent != 0,
            exportable: self.exportable != 0,
            backupable: self.backupable != 0,
            deletable: self.deletable != 0,
            imported: self.imported != 0,
            is_default: self.default_id.is_some(),
            latest_version: number(self.latest_version)?,
            min_decryption_version: number(self.min_decryption_version)?,
            min_encryption_version: number(self.min_encryption_version)?,
            min_available_version: number(self.min_available_version)?,
            rotate_every: self.rotate_seconds.map(seconds).transpose()?,
            rotate_at: self.rotate_at.map(Timestamp::from_micros),
            rotated_at: self.rotated_at.map(Timestamp::from_micros),
            expires_at: self.expires_at.map(Timestamp::from_micros),
            delete_at: self.delete_at.map(Timestamp::from_micros),
            created_by: Id::from_uuid(self.created_by),
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
        })
    }
}

pub(crate) fn number(value: i64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::internal("a version in the database is malformed"))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("cannot write a column").because(error))
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::internal("cannot read a column").because(error))
}

macro_rules! key {
    ($rest:literal) => {
        concat!(
            "SELECT k.key_id, k.environment_id, k.space, k.name, k.algorithm, k.purpose, k.description, k.labels, k.tags,
               k.enabled, k.derived, k.convergent, k.exportable, k.backupable, k.deletable, k.imported,
               k.latest_version, k.min_decryption_version, k.min_encryption_version, k.min_available_version,
               k.rotate_seconds, k.rotate_at, k.rotated_at, k.expires_at, k.delete_at, k.created_by, k.created_at,
               k.updated_at, d.key_id AS default_id
             FROM named_keys k LEFT JOIN default_keys d
               ON d.tenant_id = $1 AND d.environment_id = k.environment_id AND d.purpose = k.purpose
                 AND d.key_id = k.key_id
             WHERE k.tenant_id = $1 ",
            $rest
        )
    };
}

/// One key; `None` when the tenant has no such.
pub(crate) async fn key(tx: &mut Tx, id: Uuid) -> Result<Option<Key>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, KeyRow>(key!("AND k.key_id = $2")).bind(tenant).bind(id).fetch_optional(conn)
    })?;
    let Some(row) = row else { return Ok(None) };
    let environment = tenancy::environment(tx, Id::from_uuid(row.environment_id)).await?;
    let environment = environment.ok_or_else(|| Error::internal("a key is in no environment"))?;
    row.parse(environment).map(Some)
}

/// The key of this name; `None` when there is none.
pub(crate) async fn key_named(
    tx: &mut Tx,
    environment: Environment,
    space: &str,
    name: &KeyName,
) -> Result<Option<Key>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, KeyRow>(key!("AND k.environment_id = $2 AND k.space = $3 AND k.name = $4"))
            .bind(tenant)
            .bind(environment.id.uuid())
            .bind(space)
            .bind(name.as_str())
            .fetch_optional(conn)
    })?;
    row.map(|row| row.parse(environment)).transpose()
}

/// The id of the key that is used for `purpose` when none is named.
pub(crate) async fn default_key(
    tx: &mut Tx,
    environment: &Environment,
    purpose: Purpose,
) -> Result<Option<Uuid>> {
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, Uuid>(
            "SELECT key_id FROM default_keys WHERE tenant_id = $1 AND environment_id = $2 AND purpose = $3",
        )
        .bind(tenant)
        .bind(environment.id.uuid())
        .bind(purpose.as_str())
        .fetch_optional(conn)
    })
}

/// Every key of one space of one environment, oldest first.
pub(crate) async fn keys(tx: &mut Tx, environment: &Environment, space: &str) -> Result<Vec<Key>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, KeyRow>(key!("AND k.environment_id = $2 AND k.space = $3 ORDER BY k.key_id"))
            .bind(tenant)
            .bind(environment.id.uuid())
            .bind(space)
            .fetch_all(conn)
    })?;
    rows.into_iter().map(|row| row.parse(environment.clone())).collect()
}

pub(crate) async fn insert_key(tx: &mut Tx, key: &Key) -> Result<()> {
    let (labels, tags) = (to_json(&key.labels)?, to_json(&key.tags)?);
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO named_keys (tenant_id, key_id, environment_id, space, name, algorithm, purpose, description,
               labels, tags, enabled, derived, convergent, exportable, backupable, deletable, imported,
               latest_version, min_decryption_version, min_encryption_version, min_available_version, rotate_seconds,
               rotate_at, rotated_at, expires_at, delete_at, created_by, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
               $23, $24, $25, $26, $27, $28, $29)",
        )
        .bind(tenant)
        .bind(key.id.uuid())
        .bind(key.environment.id.uuid())
        .bind(&*key.space)
        .bind(key.name.as_str())
        .bind(key.key_type.as_str())
        .bind(key.purpose.as_str())
        .bind(key.description.as_deref())
        .bind(labels.as_str())
        .bind(tags.as_str())
        .bind(i64::from(key.enabled))
        .bind(i64::from(key.derived))
        .bind(i64::from(key.convergent))
        .bind(i64::from(key.exportable))
        .bind(i64::from(key.backupable))
        .bind(i64::from(key.deletable))
        .bind(i64::from(key.imported))
        .bind(i64::from(key.latest_version))
        .bind(i64::from(key.min_decryption_version))
        .bind(i64::from(key.min_encryption_version))
        .bind(i64::from(key.min_available_version))
        .bind(seconds(key.rotate_every))
        .bind(key.rotate_at.map(Timestamp::micros))
        .bind(key.rotated_at.map(Timestamp::micros))
        .bind(key.expires_at.map(Timestamp::micros))
        .bind(key.delete_at.map(Timestamp::micros))
        .bind(key.created_by.uuid())
        .bind(key.created_at.micros())
        .bind(key.updated_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

fn seconds(period: Option<Duration>) -> Option<i64> {
    period.map(|period| i64::try_from(period.as_secs()).unwrap_or(i64::MAX))
}

/// Writes what can be changed about a key, if it still has `latest` as its newest version. Returns whether it had.
pub(crate) async fn update_key(tx: &mut Tx, key: &Key, latest: u32) -> Result<bool> {
    let (labels, tags) = (to_json(&key.labels)?, to_json(&key.tags)?);
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE named_keys SET name = $4, description = $5, labels = $6, tags = $7, enabled = $8, exportable = $9,
               backupable = $10, deletable = $11, latest_version = $12, min_decryption_version = $13,
               min_encryption_version = $14, min_available_version = $15, rotate_seconds = $16, rotate_at = $17,
               rotated_at = $18, expires_at = $19, delete_at = $20, updated_at = $21
             WHERE tenant_id = $1 AND key_id = $2 AND latest_version = $3",
        )
        .bind(tenant)
        .bind(key.id.uuid())
        .bind(i64::from(latest))
        .bind(key.name.as_str())
        .bind(key.description.as_deref())
        .bind(labels.as_str())
        .bind(tags.as_str())
        .bind(i64::from(key.enabled))
        .bind(i64::from(key.exportable))
        .bind(i64::from(key.backupable))
        .bind(i64::from(key.deletable))
        .bind(i64::from(key.latest_version))
        .bind(i64::from(key.min_decryption_version))
        .bind(i64::from(key.min_encryption_version))
        .bind(i64::from(key.min_available_version))
        .bind(seconds(key.rotate_every))
        .bind(key.rotate_at.map(Timestamp::micros))
        .bind(key.rotated_at.map(Timestamp::micros))
        .bind(key.expires_at.map(Timestamp::micros))
        .bind(key.delete_at.map(Timestamp::micros))
        .bind(key.updated_at.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

pub(crate) async fn set_default(tx: &mut Tx, key: &Key) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO default_keys (tenant_id, environment_id, purpose, key_id) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, environment_id, purpose) DO UPDATE SET key_id = excluded.key_id",
        )
        .bind(tenant)
        .bind(key.environment.id.uuid())
        .bind(key.purpose.as_str())
        .bind(key.id.uuid())
        .execute(conn)
    })?;
    Ok(())
}

/// Removes a key with all its versions.
pub(crate) async fn delete_key(tx: &mut Tx, id: Id<NamedKey>) -> Result<()> {
    for table in [
        "DELETE FROM key_versions WHERE tenant_id = $1 AND key_id = $2",
        "DELETE FROM default_keys WHERE tenant_id = $1 AND key_id = $2",
        "DELETE FROM named_keys WHERE tenant_id = $1 AND key_id = $2",
    ] {
        execute!(tx, |conn, tenant| sqlx::query(table).bind(tenant).bind(id.uuid()).execute(conn))?;
    }
    Ok(())
}

pub(crate) async fn insert_version(
    tx: &mut Tx,
    key: Id<NamedKey>,
    version: &Version,
    sealed: &[u8],
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO key_versions (tenant_id, key_id, version, version_id, sealed, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant)
        .bind(key.uuid())
        .bind(i64::from(version.version))
        .bind(version.id)
        .bind(sealed)
        .bind(version.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// The sealed secret part of one version.
pub(crate) async fn sealed_version(tx: &mut Tx, key: Id<NamedKey>, version: u32) -> Result<Option<Vec<u8>>> {
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, Vec<u8>>(
            "SELECT sealed FROM key_versions WHERE tenant_id = $1 AND key_id = $2 AND version = $3",
        )
        .bind(tenant)
        .bind(key.uuid())
        .bind(i64::from(version))
        .fetch_optional(conn)
    })
}

/// Every version there is of a key, oldest first.
pub(crate) async fn versions(tx: &mut Tx, key: Id<NamedKey>) -> Result<Vec<Version>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64, Uuid, i64)>(
            "SELECT version, version_id, created_at FROM key_versions WHERE tenant_id = $1 AND key_id = $2 ORDER BY version",
        )
        .bind(tenant)
        .bind(key.uuid())
        .fetch_all(conn)
    })?;
    rows.into_iter()
        .map(|(version, id, at)| {
            Ok(Version { version: number(version)?, id, created_at: Timestamp::from_micros(at) })
        })
        .collect()
}

pub(crate) async fn delete_versions_before(tx: &mut Tx, key: Id<NamedKey>, version: u32) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM key_versions WHERE tenant_id = $1 AND key_id = $2 AND version < $3")
            .bind(tenant)
            .bind(key.uuid())
            .bind(i64::from(version))
            .execute(conn)
    })
}

/// The key to which others wrap a key they bring.
pub(crate) async fn wrapping_key(tx: &mut Tx, kind: &str) -> Result<Option<Vec<u8>>> {
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, Vec<u8>>(
            "SELECT sealed FROM wrapping_keys WHERE tenant_id = $1 AND kind = $2",
        )
        .bind(tenant)
        .bind(kind)
        .fetch_optional(conn)
    })
}

/// Keeps a wrapping key, unless there is one of its kind. Returns whether it was kept.
pub(crate) async fn insert_wrapping_key(
    tx: &mut Tx,
    kind: &str,
    sealed: &[u8],
    now: Timestamp,
) -> Result<bool> {
    let added = execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO wrapping_keys (tenant_id, kind, sealed, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, kind) DO NOTHING",
        )
        .bind(tenant)
        .bind(kind)
        .bind(sealed)
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(added == 1)
}

/// Keys, of any tenant, whose next version or whose end is due: the worker's round.
pub(crate) async fn due(tx: &mut SystemTx, now: Timestamp, most: i64) -> Result<Vec<(TenantId, Uuid)>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, Uuid)>(
            "SELECT tenant_id, key_id FROM named_keys WHERE rotate_at <= $1 OR delete_at <= $1 ORDER BY key_id LIMIT $2",
        )
        .bind(now.micros())
        .bind(most)
        .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant, key)| (Id::from_uuid(tenant), key)).collect())
}

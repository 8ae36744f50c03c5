//! The only SQL of this crate.

mod tokens;
mod wraps;

pub(crate) use tokens::*;
pub(crate) use wraps::*;

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Error, Id, Result, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};

use crate::mounts::{Class, Kind, Mount};

/// JSON of a list or map that we wrote ourselves.
fn parsed<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::internal("a column of JSON is malformed").because(error))
}

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal("cannot write a column of JSON").because(error))
}

/// The tenant of this name.
pub(crate) async fn tenant_named(tx: &mut SystemTx, name: &str) -> Result<Option<Uuid>> {
    on!(tx, |conn| {
        sqlx::query_scalar::<_, Uuid>("SELECT tenant_id FROM tenants WHERE name = $1 AND active = 1")
            .bind(name)
            .fetch_optional(conn)
    })
}

pub(crate) async fn version(tx: &mut Tx, environment: Uuid) -> Result<i64> {
    let version = on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, i64>(
            "SELECT version FROM dialect_versions WHERE tenant_id = $1 AND environment_id = $2",
        )
        .bind(tenant)
        .bind(environment)
        .fetch_optional(conn)
    })?;
    Ok(version.unwrap_or(0))
}

pub(crate) async fn count_version(tx: &mut Tx, environment: Uuid) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO dialect_versions (tenant_id, environment_id, version) VALUES ($1, $2, 1)
             ON CONFLICT (tenant_id, environment_id) DO UPDATE SET version = dialect_versions.version + 1",
        )
        .bind(tenant)
        .bind(environment)
        .execute(conn)
    })?;
    Ok(())
}

#[derive(FromRow)]
struct MountRow {
    mount_id: Uuid,
    class: String,
    path: String,
    kind: String,
    accessor: String,
    description: String,
    local: i64,
    seal_wrap: i64,
    external_entropy: i64,
    config: String,
    options: Option<String>,
    created_at: i64,
}

impl MountRow {
    fn parse(self) -> Result<Mount> {
        let kind = Kind::named(&self.kind).ok_or_else(|| Error::internal("a mount is of no known kind"))?;
        Ok(Mount {
            id: Id::from_uuid(self.mount_id),
            class: if self.class == Class::Auth.as_str() { Class::Auth } else { Class::Secret },
            path: self.path,
            kind,
            accessor: self.accessor,
            description: self.description,
            local: self.local != 0,
            seal_wrap: self.seal_wrap != 0,
            external_entropy: self.external_entropy != 0,
            config: parsed(&self.config)?,
            options: self.options.as_deref().map(parsed).transpose()?,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(crate) async fn mounts(tx: &mut Tx, environment: Uuid) -> Result<Vec<Mount>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, MountRow>(
            "SELECT mount_id, class, path, kind, accessor, description, local, seal_wrap, external_entropy, config,
                    options, created_at
             FROM dialect_mounts WHERE tenant_id = $1 AND environment_id = $2",
        )
        .bind(tenant)
        .bind(environment)
        .fetch_all(conn)
    })?;
    rows.into_iter().map(MountRow::parse).collect()
}

/// Writes a mount, new or changed.
pub(crate) async fn put_mount(tx: &mut Tx, environment: Uuid, mount: &Mount) -> Result<()> {
    let (config, options) = (text(&mount.config)?, mount.options.as_ref().map(text).transpose()?);
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO dialect_mounts (tenant_id, mount_id, environment_id, class, path, kind, accessor,
                                         description, local, seal_wrap, external_entropy, config, options, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (tenant_id, mount_id)
             DO UPDATE SET path = $5, description = $8, config = $12, options = $13",
        )
        .bind(tenant)
        .bind(mount.id.uuid())
        .bind(environment)
        .bind(mount.class.as_str())
        .bind(&mount.path)
        .bind(mount.kind.name())
        .bind(&mount.accessor)
        .bind(&mount.description)
        .bind(i64::from(mount.local))
        .bind(i64::from(mount.seal_wrap))
        .bind(i64::from(mount.external_entropy))
        .bind(&config)
        .bind(&options)
        .bind(mount.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn delete_mount(tx: &mut Tx, id: Id<writ_kernel::Mount>) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM dialect_mounts WHERE tenant_id = $1 AND mount_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM dialect_entries WHERE tenant_id = $1 AND mount_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    Ok(())
}

/// A path policy as it was written.
#[derive(FromRow)]
pub(crate) struct PolicyRow {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) version: i64,
    pub(crate) updated_at: i64,
}

pub(crate) async fn policies(tx: &mut Tx, environment: Uuid) -> Result<Vec<PolicyRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, PolicyRow>(
            "SELECT name, text, version, updated_at FROM dialect_policies
             WHERE tenant_id = $1 AND environment_id = $2 ORDER BY name",
        )
        .bind(tenant)
        .bind(environment)
        .fetch_all(conn)
    })
}

pub(crate) async fn put_policy(tx: &mut Tx, environment: Uuid, name: &str, policy: &str) -> Result<()> {
    let now = tx.world().now().micros();
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO dialect_policies (tenant_id, environment_id, name, text, version, updated_at)
             VALUES ($1, $2, $3, $4, 1, $5)
             ON CONFLICT (tenant_id, environment_id, name)
             DO UPDATE SET text = $4, version = dialect_policies.version + 1, updated_at = $5",
        )
        .bind(tenant)
        .bind(environment)
        .bind(name)
        .bind(policy)
        .bind(now)
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn delete_policy(tx: &mut Tx, environment: Uuid, name: &str) -> Result<bool> {
    let rows = execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM dialect_policies WHERE tenant_id = $1 AND environment_id = $2 AND name = $3")
            .bind(tenant)
            .bind(environment)
            .bind(name)
            .execute(conn)
    })?;
    Ok(rows > 0)
}

pub(crate) async fn entry(tx: &mut Tx, mount: Id<writ_kernel::Mount>, path: &str) -> Result<Option<Vec<u8>>> {
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, Vec<u8>>(
            "SELECT sealed FROM dialect_entries WHERE tenant_id = $1 AND mount_id = $2 AND path = $3",
        )
        .bind(tenant)
        .bind(mount.uuid())
        .bind(path)
        .fetch_optional(conn)
    })
}

pub(crate) async fn put_entry(
    tx: &mut Tx,
    mount: Id<writ_kernel::Mount>,
    path: &str,
    sealed: &[u8],
) -> Result<()> {
    let now = tx.world().now().micros();
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO dialect_entries (tenant_id, mount_id, path, sealed, updated_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, mount_id, path) DO UPDATE SET sealed = $4, updated_at = $5",
        )
        .bind(tenant)
        .bind(mount.uuid())
        .bind(path)
        .bind(sealed)
        .bind(now)
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn remove_entry(tx: &mut Tx, mount: Id<writ_kernel::Mount>, path: &str) -> Result<bool> {
    let rows = execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM dialect_entries WHERE tenant_id = $1 AND mount_id = $2 AND path = $3")
            .bind(tenant)
            .bind(mount.uuid())
            .bind(path)
            .execute(conn)
    })?;
    Ok(rows > 0)
}

pub(crate) async fn remove_entries(tx: &mut Tx, mount: Id<writ_kernel::Mount>, prefix: &str) -> Result<u64> {
    let mut removed = 0;
    for path in entry_paths(tx, mount, prefix).await? {
        removed += u64::from(remove_entry(tx, mount, &path).await?);
    }
    Ok(removed)
}

/// The paths that begin with `prefix`, in the order of their bytes.
pub(crate) async fn entry_paths(
    tx: &mut Tx,
    mount: Id<writ_kernel::Mount>,
    prefix: &str,
) -> Result<Vec<String>> {
    // LIKE ignores the case of letters on one of the engines, and collations differ: this only narrows.
    let pattern = prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_") + "%";
    let mut paths = on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, String>(
            "SELECT path FROM dialect_entries WHERE tenant_id = $1 AND mount_id = $2 AND path LIKE $3 ESCAPE '\\'",
        )
        .bind(tenant)
        .bind(mount.uuid())
        .bind(&pattern)
        .fetch_all(conn)
    })?;
    paths.retain(|path| path.starts_with(prefix));
    paths.sort();
    Ok(paths)
}

/// A map that may be absent.
fn map(text: Option<&str>) -> Result<Option<BTreeMap<String, String>>> {
    text.map(parsed).transpose()
}

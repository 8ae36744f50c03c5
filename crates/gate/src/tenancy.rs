//! Tenants and environments: what the guard guards.

use uuid::Uuid;
use writ_kernel::{Error, Id, Name, Result, Tenant, TenantId, Timestamp, World};
use writ_store::Tx;

use crate::{model::Environment, sql};

/// The tenant of those who run the server. It exists from `init` on and can create others.
pub const PLATFORM: TenantId = Id::from_uuid(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));

/// A tenant.
#[derive(Debug, Clone)]
pub struct TenantRecord {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: Name,
    /// The opaque name of its log.
    pub log: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Writes a new tenant into `tx`, which must be bound to `id`.
///
/// # Errors
/// `Conflict` when the name is taken.
pub async fn create_tenant(tx: &mut Tx, world: &World, id: Id<Tenant>, name: &Name) -> Result<TenantRecord> {
    let log = writ_crypto::hash::hex(&world.bytes::<12>());
    let record = TenantRecord { id, name: name.clone(), log, created_at: world.now() };
    sql::insert_tenant(tx, &record).await.map_err(|error| taken(error, "tenant", name))?;
    Ok(record)
}

/// The tenant of `tx`.
///
/// # Errors
/// `NotFound`.
pub async fn tenant(tx: &mut Tx) -> Result<TenantRecord> {
    sql::tenant_record(tx).await?.ok_or_else(|| Error::not_found("tenant"))
}

/// Writes a new environment.
///
/// # Errors
/// `Conflict` when the name is taken.
pub async fn create_environment(tx: &mut Tx, environment: &Environment) -> Result<()> {
    let name = &environment.name;
    sql::insert_environment(tx, environment).await.map_err(|error| taken(error, "environment", name))
}

/// One environment; `None` when the tenant has no such.
///
/// # Errors
/// When the database fails.
pub async fn environment(tx: &mut Tx, id: Id<writ_kernel::Environment>) -> Result<Option<Environment>> {
    sql::environment(tx, id.uuid()).await
}

/// All environments of the tenant, by name.
///
/// # Errors
/// When the database fails.
pub async fn environments(tx: &mut Tx) -> Result<Vec<Environment>> {
    sql::environments(tx).await
}

/// Writes the guard rails of an environment.
///
/// # Errors
/// When the database fails.
pub async fn update_environment(tx: &mut Tx, environment: &Environment) -> Result<()> {
    sql::update_environment(tx, environment).await
}

fn taken(error: Error, what: &str, name: &Name) -> Error {
    if error.kind() == writ_kernel::Kind::Conflict {
        return Error::conflict("name_taken", format!("there is already {what} `{name}`")).at("name");
    }
    error
}

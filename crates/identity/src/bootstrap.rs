//! The first administrator of a tenant: the one principal that no administrator created.

use serde_json::json;
use writ_crypto::SecretString;
use writ_gate::{Done, Gate};
use writ_kernel::{Id, Name, Principal, Result, Scopes, Tenant, TenantId, TraceId};
use writ_store::Tx;

use crate::{
    credentials,
    model::{Binding, PersonRecord},
    sql,
};

/// Creates the tenant `id`, its keys, and a person `admin` with `roles` everywhere in it, inside `tx`, which must be
/// bound to `id`. Returns the person's enrolment token, shown once.
///
/// # Errors
/// `Conflict` when the tenant's name is taken; `Sealed`.
pub(crate) async fn found_tenant(
    gate: &Gate,
    tx: &mut Tx,
    id: Id<Tenant>,
    name: &Name,
    admin: &Name,
    roles: &[&str],
) -> Result<(writ_gate::tenancy::TenantRecord, PersonRecord, SecretString)> {
    let world = gate.world();
    let tenant = writ_gate::tenancy::create_tenant(tx, world, id, name).await?;
    gate.seal().create_tenant(tx).await?;
    let now = world.now();
    let person = PersonRecord {
        id: world.id(),
        name: admin.clone(),
        display_name: None,
        active: true,
        created_at: now,
    };
    sql::insert_person(tx, &person).await?;
    let principal: Id<Principal> = Id::from_uuid(person.id.uuid());
    for role in roles {
        let role = role.parse()?;
        let binding =
            Binding { id: world.id(), principal, role, environment: None, expires_at: None, created_at: now };
        sql::insert_binding(tx, &binding).await?;
    }
    let token = credentials::enrol(tx, world, principal, Scopes::all()).await?;
    Ok((tenant, person, token))
}

/// Founds the platform tenant with its first administrator. Part of `init`, before which nobody could permit anything.
///
/// # Errors
/// `Conflict` when there is one.
pub async fn first_admin(gate: &Gate, platform: TenantId, admin: &Name) -> Result<SecretString> {
    first_admin_within(gate, gate.db().tx(platform).await?, admin).await
}

/// [`first_admin`], committed together with what `tx`, bound to the platform tenant, holds already.
///
/// # Errors
/// `Conflict` when there is one.
pub async fn first_admin_within(gate: &Gate, tx: Tx, admin: &Name) -> Result<SecretString> {
    Ok(found_platform(gate, tx, admin).await?.1)
}

/// [`first_admin_within`], for whom must know who the first administrator is.
///
/// # Errors
/// `Conflict` when there is one.
pub async fn found_platform(gate: &Gate, mut tx: Tx, admin: &Name) -> Result<(Id<Principal>, SecretString)> {
    let (platform, name): (_, Name) = (tx.tenant(), "platform".parse()?);
    let (_, person, token) =
        found_tenant(gate, &mut tx, platform, &name, admin, &["admin", "platform-admin"]).await?;
    let detail = json!({ "tenant": name, "admin": person.id });
    gate.found(tx, TraceId::new(gate.world()), Done::with(detail)).await?;
    Ok((Id::from_uuid(person.id.uuid()), token))
}

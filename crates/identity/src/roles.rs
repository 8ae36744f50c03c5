//! Role bindings: who holds which role, where, and until when.

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Gate, Receipt, Resource, tenancy};
use writ_kernel::{Action, Caller, Error, Id, Name, Page, PageRequest, Result};
use writ_wire::identity::BindRole;

use crate::{model::Binding, sql};

/// Gives a principal a role.
pub(crate) async fn bind(gate: &Gate, caller: &Caller, wanted: BindRole) -> Result<(Binding, Receipt)> {
    let role: Name = wanted.role.parse().map_err(|error: Error| error.at("role"))?;
    let mut entry = gate.enter(caller, Action::RoleBind).await?;
    let environment = match wanted.environment {
        None => None,
        Some(id) => match tenancy::environment(entry.tx(), Id::from_uuid(id)).await? {
            Some(environment) => Some(environment),
            None => return Err(entry.not_found("environment").await),
        },
    };
    if !sql::principal_exists(entry.tx(), wanted.principal).await? {
        return Err(entry.not_found("principal").await);
    }
    let mut resource = Resource::all("role-binding").named(&role).of(Id::from_uuid(wanted.principal));
    resource.grants_role = Some(role.to_string());
    resource.environment.clone_from(&environment);
    let mut grant = entry.admit(resource).await?;
    if role.as_str() == "platform-admin" && grant.tenant() != tenancy::PLATFORM {
        let error =
            Error::forbidden("platform_role", "this role exists only in the platform tenant").at("role");
        return Err(grant.refuse(error).await);
    }
    let now = grant.world().now();
    if wanted.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::invalid("already_over", "a role ends in the future").at("expiresAt"));
    }
    let binding = Binding {
        id: grant.world().id(),
        principal: Id::from_uuid(wanted.principal),
        role,
        environment: environment.map(|environment| environment.id),
        expires_at: wanted.expires_at,
        created_at: now,
    };
    sql::insert_binding(grant.tx(), &binding).await?;
    let detail =
        json!({ "principal": binding.principal, "role": binding.role, "expiresAt": binding.expires_at });
    let receipt = grant.commit(Done::with(detail).created(binding.id)).await?;
    Ok((binding, receipt))
}

/// Lists role bindings, oldest first.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    page: PageRequest,
) -> Result<(Page<Binding>, Receipt)> {
    let mut grant = gate.grant(caller, Action::RoleRead, Resource::all("role-binding")).await?;
    let page = sql::bindings(grant.tx(), &page).await?;
    Ok((page, grant.commit(Done::plain()).await?))
}

/// Takes a role away.
pub(crate) async fn unbind(gate: &Gate, caller: &Caller, id: Uuid) -> Result<Receipt> {
    let mut entry = gate.enter(caller, Action::RoleUnbind).await?;
    let Some(binding) = sql::binding(entry.tx(), id).await? else {
        return Err(entry.not_found("role binding").await);
    };
    let mut resource = Resource::one("role-binding", binding.id).named(&binding.role).of(binding.principal);
    resource.grants_role = Some(binding.role.to_string());
    let mut grant = entry.admit(resource).await?;
    sql::delete_binding(grant.tx(), binding.id).await?;
    grant.commit(Done::with(json!({ "principal": binding.principal, "role": binding.role }))).await
}

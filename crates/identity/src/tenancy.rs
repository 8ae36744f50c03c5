//! Tenants and environments.

use serde_json::json;
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_gate::{Done, Environment, Gate, Outcome, Receipt, Resource, tenancy};
use writ_kernel::{Action, Caller, Error, Id, Name, Page, PageRequest, Result};
use writ_wire::tenancy::{self as wire, CreateEnvironment, CreateTenant, UpdateEnvironment};

use crate::{bootstrap::found_tenant, model::PersonRecord, sql};

/// Creates a tenant with its keys and first administrator. The new tenant's rows are in its own transaction, behind
/// its own wall, so the platform's log has an intent before and an outcome after.
pub(crate) async fn create_tenant(
    gate: &Gate,
    caller: &Caller,
    wanted: CreateTenant,
) -> Result<(tenancy::TenantRecord, PersonRecord, SecretString, Receipt)> {
    let name: Name = wanted.name.parse().map_err(|error: Error| error.at("name"))?;
    let admin: Name = wanted.admin.parse().map_err(|error: Error| error.at("admin"))?;
    let id = gate.world().id();
    let resource = || Resource::one("tenant", id).named(&name);
    let grant = gate.grant(caller, Action::TenantCreate, resource()).await?;
    grant.commit(Done::plain().outcome(Outcome::Intent)).await?;

    let founded = async {
        let mut tx = gate.db().tx(id).await?;
        let founded = found_tenant(gate, &mut tx, id, &name, &admin, &["admin"]).await?;
        let detail = json!({ "tenant": name, "admin": founded.1.id, "by": caller.principal });
        gate.found(tx, caller.trace, Done::with(detail)).await?;
        Ok::<_, Error>(founded)
    };
    let founded = founded.await;
    let outcome = if founded.is_ok() { Outcome::Done } else { Outcome::Fail };
    // Neither haste nor a role that ended meanwhile may keep the outcome from being recorded.
    let worker = Caller { trace: caller.trace, ..Caller::system(caller.tenant, gate.world()) };
    let grant = gate.grant(&worker, Action::TenantCreate, resource()).await?;
    let receipt = grant.commit(Done::with(json!({ "by": caller.principal })).outcome(outcome)).await?;
    let (tenant, person, token) = founded?;
    Ok((tenant, person, token, receipt))
}

/// Lists the tenants of the server, oldest first.
pub(crate) async fn tenants(
    gate: &Gate,
    caller: &Caller,
    page: PageRequest,
) -> Result<(Page<wire::Tenant>, Receipt)> {
    let grant = gate.grant(caller, Action::TenantRead, Resource::all("tenant")).await?;
    let receipt = grant.commit(Done::plain()).await?;
    // The one listing that crosses tenants: platform administrators see names, and nothing inside.
    let mut tx = gate.db().system_read().await?;
    Ok((sql::tenants(&mut tx, &page).await?, receipt))
}

/// Creates an environment.
pub(crate) async fn create_environment(
    gate: &Gate,
    caller: &Caller,
    wanted: CreateEnvironment,
) -> Result<(Environment, Receipt)> {
    let name: Name = wanted.name.parse().map_err(|error: Error| error.at("name"))?;
    let environment = Environment {
        id: gate.world().id(),
        name,
        kind: wanted.kind.as_str().to_owned(),
        required_approvals: approvals(wanted.required_approvals)?,
        minimum_isolation: wanted.minimum_isolation as u8,
        created_at: gate.world().now(),
    };
    let resource = Resource::all("environment").named(&environment.name);
    let mut grant = gate.grant(caller, Action::EnvironmentCreate, resource).await?;
    tenancy::create_environment(grant.tx(), &environment).await?;
    let receipt = grant.commit(Done::with(rails(&environment)).created(environment.id)).await?;
    Ok((environment, receipt))
}

/// Lists environments, by name.
pub(crate) async fn environments(gate: &Gate, caller: &Caller) -> Result<(Vec<Environment>, Receipt)> {
    let mut grant = gate.grant(caller, Action::EnvironmentRead, Resource::all("environment")).await?;
    let environments = tenancy::environments(grant.tx()).await?;
    Ok((environments, grant.commit(Done::plain()).await?))
}

/// Changes the guard rails of an environment.
pub(crate) async fn update_environment(
    gate: &Gate,
    caller: &Caller,
    id: Uuid,
    wanted: UpdateEnvironment,
) -> Result<(Environment, Receipt)> {
    let mut entry = gate.enter(caller, Action::EnvironmentUpdate).await?;
    let Some(mut environment) = tenancy::environment(entry.tx(), Id::from_uuid(id)).await? else {
        return Err(entry.not_found("environment").await);
    };
    let before = rails(&environment);
    let resource =
        Resource::one("environment", environment.id).named(&environment.name).within(environment.clone());
    let mut grant = entry.admit(resource).await?;
    if let Some(number) = wanted.required_approvals {
        environment.required_approvals = approvals(number)?;
    }
    if let Some(level) = wanted.minimum_isolation {
        environment.minimum_isolation = level as u8;
    }
    tenancy::update_environment(grant.tx(), &environment).await?;
    let receipt = grant.commit(Done::with(json!({ "before": before, "after": rails(&environment) }))).await?;
    Ok((environment, receipt))
}

/// An environment as it goes out.
pub(crate) fn to_wire(environment: Environment) -> Result<wire::Environment> {
    let kind = match environment.kind.as_str() {
        "dev" => wire::EnvironmentKind::Dev,
        "research" => wire::EnvironmentKind::Research,
        "staging" => wire::EnvironmentKind::Staging,
        "prod" => wire::EnvironmentKind::Prod,
        _ => return Err(Error::internal("an environment is of no known kind")),
    };
    let minimum_isolation = match environment.minimum_isolation {
        0 => wire::IsolationLevel::None,
        1 => wire::IsolationLevel::Partial,
        _ => wire::IsolationLevel::Full,
    };
    let Environment { id, name, required_approvals, created_at, .. } = environment;
    let name = name.to_string();
    Ok(wire::Environment { id: id.uuid(), name, kind, required_approvals, minimum_isolation, created_at })
}

fn rails(environment: &Environment) -> serde_json::Value {
    json!({
        "kind": environment.kind,
        "requiredApprovals": environment.required_approvals,
        "minimumIsolation": environment.minimum_isolation,
    })
}

fn approvals(number: u8) -> Result<u8> {
    let fits = number <= 9;
    fits.then_some(number).ok_or_else(|| {
        Error::invalid("required_approvals", "0 to 9 approvals can be required").at("requiredApprovals")
    })
}

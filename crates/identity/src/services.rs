//! Service accounts.

use uuid::Uuid;
use writ_gate::{Done, Gate, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Id, Label, Name, Page, PageRequest, Result};
use writ_wire::identity::CreateService;

use crate::{
    model::ServiceRecord,
    people::{end_everything, taken},
    sql,
};

/// Adds a service account that an active person answers for.
pub(crate) async fn create(
    gate: &Gate,
    caller: &Caller,
    wanted: CreateService,
) -> Result<(ServiceRecord, Receipt)> {
    let name: Name = wanted.name.parse().map_err(|error: Error| error.at("name"))?;
    let purpose: Label = wanted.purpose.parse().map_err(|error: Error| error.at("purpose"))?;
    let owner = Id::from_uuid(wanted.owner);
    let resource = Resource::all("service").named(&name);
    let mut grant = gate.grant(caller, Action::ServiceCreate, resource).await?;
    if sql::person(grant.tx(), wanted.owner).await?.is_none_or(|person| !person.active) {
        let error =
            Error::invalid("unknown_owner", "the owner is an active person of this tenant").at("owner");
        return Err(grant.refuse(error).await);
    }
    let (id, created_at) = (grant.world().id(), grant.world().now());
    let service = ServiceRecord { id, name, owner, purpose, active: true, created_at };
    sql::insert_service(grant.tx(), &service)
        .await
        .map_err(|error| taken(error, "service account", &service.name))?;
    let receipt = grant.commit(Done::plain().created(service.id)).await?;
    Ok((service, receipt))
}

/// Lists service accounts, oldest first.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    page: PageRequest,
) -> Result<(Page<ServiceRecord>, Receipt)> {
    let mut grant = gate.grant(caller, Action::ServiceRead, Resource::all("service")).await?;
    let page = sql::services(grant.tx(), &page).await?;
    Ok((page, grant.commit(Done::plain()).await?))
}

/// Retires a service account and ends everything it holds, in one commit.
pub(crate) async fn retire(gate: &Gate, caller: &Caller, id: Uuid) -> Result<Receipt> {
    let mut entry = gate.enter(caller, Action::ServiceRetire).await?;
    let Some(service) = sql::service(entry.tx(), id).await? else {
        return Err(entry.not_found("service account").await);
    };
    let mut grant = entry.admit(Resource::one("service", service.id).named(&service.name)).await?;
    sql::retire_service(grant.tx(), service.id).await?;
    let ended = end_everything(&mut grant, Id::from_uuid(id)).await?;
    grant.commit(Done::with(ended)).await
}

//! People.

use serde_json::json;
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_gate::{Done, Gate, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Id, Kind, Label, Name, Page, PageRequest, Principal, Result};
use writ_wire::identity::CreatePerson;

use crate::{credentials, model::PersonRecord, sql};

/// Adds a person and makes their enrolment token.
pub(crate) async fn create(
    gate: &Gate,
    caller: &Caller,
    wanted: CreatePerson,
) -> Result<(PersonRecord, SecretString, Receipt)> {
    let name: Name = wanted.name.parse().map_err(|error: Error| error.at("name"))?;
    let display_name = wanted.display_name.map(|text| text.parse::<Label>()).transpose();
    let display_name = display_name.map_err(|error| error.at("displayName"))?;
    let mut grant = gate.grant(caller, Action::PersonCreate, Resource::all("person").named(&name)).await?;
    let world = grant.world().clone();
    let person = PersonRecord { id: world.id(), name, display_name, active: true, created_at: world.now() };
    sql::insert_person(grant.tx(), &person).await.map_err(|error| taken(error, "person", &person.name))?;
    let token =
        credentials::enrol(grant.tx(), &world, Id::from_uuid(person.id.uuid()), caller.scopes.clone())
            .await?;
    let receipt = grant.commit(Done::plain().created(person.id)).await?;
    Ok((person, token, receipt))
}

/// Lists people, oldest first.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    page: PageRequest,
) -> Result<(Page<PersonRecord>, Receipt)> {
    let mut grant = gate.grant(caller, Action::PersonRead, Resource::all("person")).await?;
    let page = sql::people(grant.tx(), &page).await?;
    Ok((page, grant.commit(Done::plain()).await?))
}

/// One person.
pub(crate) async fn find(gate: &Gate, caller: &Caller, id: Uuid) -> Result<(PersonRecord, Receipt)> {
    let mut entry = gate.enter(caller, Action::PersonRead).await?;
    let Some(person) = sql::person(entry.tx(), id).await? else {
        return Err(entry.not_found("person").await);
    };
    let grant = entry.admit(Resource::one("person", person.id).named(&person.name)).await?;
    Ok((person, grant.commit(Done::plain()).await?))
}

/// Disables a person and ends everything they hold, in one commit.
pub(crate) async fn disable(gate: &Gate, caller: &Caller, id: Uuid) -> Result<Receipt> {
    let mut entry = gate.enter(caller, Action::PersonDisable).await?;
    let Some(person) = sql::person(entry.tx(), id).await? else {
        return Err(entry.not_found("person").await);
    };
    let mut grant = entry.admit(Resource::one("person", person.id).named(&person.name)).await?;
    if caller.principal.uuid() == id {
        return Err(
            Error::conflict("own_account", "nobody disables themself").hint("ask another administrator")
        );
    }
    sql::set_person_active(grant.tx(), person.id, false).await?;
    let ended = end_everything(&mut grant, Id::from_uuid(id)).await?;
    grant.commit(Done::with(ended)).await
}

/// Revokes the credentials of a principal and removes its roles; says how many of each.
pub(crate) async fn end_everything(
    grant: &mut writ_gate::Grant,
    principal: Id<Principal>,
) -> Result<serde_json::Value> {
    let now = grant.world().now();
    let credentials = sql::revoke_all_credentials(grant.tx(), principal, now).await?;
    let roles = sql::delete_bindings_of(grant.tx(), principal).await?;
    Ok(json!({ "credentialsRevoked": credentials, "rolesRemoved": roles }))
}

/// Says which name is taken, when that is what went wrong.
pub(crate) fn taken(error: Error, what: &str, name: &Name) -> Error {
    if error.kind() == Kind::Conflict {
        return Error::conflict("name_taken", format!("there is already a {what} `{name}`")).at("name");
    }
    error
}

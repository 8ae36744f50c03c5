//! Cloud connections: references, never credentials.

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Gate, Receipt, Resource, tenancy};
use writ_kernel::{Action, Caller, Error, Id, Kind, Name, Page, PageRequest, Result};
use writ_store::serialize_on;
use writ_wire::connections::CreateConnection;

use crate::{
    errands,
    model::{ConnectionRecord, cloud_word},
    references, sql,
};

/// Registers a connection for an environment.
pub(crate) async fn create(
    gate: &Gate,
    caller: &Caller,
    wanted: CreateConnection,
) -> Result<(ConnectionRecord, Receipt)> {
    let name: Name = wanted.name.parse().map_err(|error: Error| error.at("name"))?;
    references::parse(&wanted.target, &wanted.backend, &wanted.allowed_providers)?;
    let mut entry = gate.enter(caller, Action::ConnectionCreate).await?;
    let environment = tenancy::environment(entry.tx(), Id::from_uuid(wanted.environment)).await?;
    let Some(environment) = environment else { return Err(entry.not_found("environment").await) };
    let connection = ConnectionRecord {
        id: gate.world().id(),
        name,
        environment: environment.id,
        target: wanted.target,
        backend: wanted.backend,
        allowed_providers: wanted.allowed_providers,
        created_at: gate.world().now(),
    };
    let mut grant = entry.admit(connection.resource(environment)).await?;
    sql::insert_connection(grant.tx(), &connection).await.map_err(|error| match error.kind() {
        Kind::Conflict => {
            Error::conflict("name_taken", format!("there is already a connection `{}`", connection.name))
                .at("name")
        }
        _ => error,
    })?;
    let detail = json!({ "target": connection.target, "backend": connection.backend });
    let receipt = grant.commit(Done::with(detail)).await?;
    Ok((connection, receipt))
}

/// Lists connections, oldest first.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    page: PageRequest,
) -> Result<(Page<ConnectionRecord>, Receipt)> {
    let mut grant = gate.grant(caller, Action::ConnectionRead, Resource::all("connection")).await?;
    let page = sql::connections(grant.tx(), &page).await?;
    Ok((page, grant.commit(Done::plain()).await?))
}

/// One connection.
pub(crate) async fn find(gate: &Gate, caller: &Caller, id: Uuid) -> Result<(ConnectionRecord, Receipt)> {
    let mut entry = gate.enter(caller, Action::ConnectionRead).await?;
    let Some(connection) = sql::connection(entry.tx(), id).await? else {
        return Err(entry.not_found("connection").await);
    };
    let environment = tenancy::environment(entry.tx(), connection.environment).await?;
    let Some(environment) = environment else { return Err(entry.not_found("environment").await) };
    let grant = entry.admit(connection.resource(environment)).await?;
    Ok((connection, grant.commit(Done::plain()).await?))
}

/// What those serialize on who use a connection or remove it, so that nothing begins with a connection that is gone.
pub(crate) fn lock_name(connection: Uuid) -> String {
    format!("connection|{connection}")
}

/// Removes a connection that no unfinished deployment uses.
pub(crate) async fn remove(gate: &Gate, caller: &Caller, id: Uuid) -> Result<Receipt> {
    let mut entry = gate.enter(caller, Action::ConnectionDelete).await?;
    serialize_on(entry.tx(), &lock_name(id)).await?;
    let Some(connection) = sql::connection(entry.tx(), id).await? else {
        return Err(entry.not_found("connection").await);
    };
    let environment = tenancy::environment(entry.tx(), connection.environment).await?;
    let Some(environment) = environment else { return Err(entry.not_found("environment").await) };
    let mut grant = entry.admit(connection.resource(environment)).await?;
    let used = sql::connection_in_use(grant.tx(), connection.id).await?
        || errands::sql::uses(grant.tx(), connection.id).await?;
    if used {
        let what = "an unfinished deployment, validation or unlock uses the connection";
        return Err(Error::conflict("connection_in_use", what).hint("cancel it or wait for its end"));
    }
    sql::delete_connection(grant.tx(), connection.id).await?;
    grant.commit(Done::with(json!({ "cloud": cloud_word(&connection.target) }))).await
}

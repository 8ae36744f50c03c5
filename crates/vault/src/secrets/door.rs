//! The way to a secret: find it, see whether the caller may know of it, and have the gate decide.

use writ_gate::{Entry, Environment, Gate, Grant, ReadEntry, ReadGrant, Resource, tenancy};
use writ_kernel::{Action, Caller, Error, Id, Result};
use writ_store::{Tx, serialize_on};

use super::{
    model::{Place, SecretRecord},
    sql,
};

/// What there is none of, for who may not know whether a path where they would store something is taken.
pub(crate) const UNKNOWN: &str = "environment";

/// A secret and where it is.
pub(crate) struct Found {
    pub(crate) secret: SecretRecord,
    pub(crate) environment: Environment,
}

impl Found {
    pub(crate) fn resource(&self) -> Resource {
        self.secret.resource(self.environment.clone())
    }
}

/// The secret at `place`, or nothing.
pub(crate) async fn find(tx: &mut Tx, place: &Place) -> Result<Option<Found>> {
    let secret = match place {
        Place::Id(id) => sql::secret(tx, *id).await?,
        Place::Path(environment, path) => sql::secret_at(tx, *environment, path).await?,
    };
    let Some(secret) = secret else { return Ok(None) };
    let environment = tenancy::environment(tx, secret.environment).await?;
    let environment = environment.ok_or_else(|| Error::internal("a secret without its environment"))?;
    Ok(Some(Found { secret, environment }))
}

/// [`find`], with nobody else changing the secret until the transaction ends.
pub(crate) async fn find_to_change(tx: &mut Tx, place: &Place) -> Result<Option<Found>> {
    let Some(found) = find(tx, place).await? else { return Ok(None) };
    serialize_on(tx, &format!("secret {}", found.secret.id)).await?;
    find(tx, &Place::Id(found.secret.id)).await
}

/// The secret at `place` and the grant to do `action` to it. Who may not even list it there learns only that there is
/// no such secret.
pub(crate) async fn to_change(
    gate: &Gate,
    caller: &Caller,
    action: Action,
    place: &Place,
) -> Result<(Found, Grant)> {
    to_change_what(gate, caller, action, place, "secret").await
}

/// [`to_change`], where who may not know of the secret is told that there is no such `what`.
pub(crate) async fn to_change_what(
    gate: &Gate,
    caller: &Caller,
    action: Action,
    place: &Place,
    what: &'static str,
) -> Result<(Found, Grant)> {
    let mut entry = gate.enter(caller, action).await?;
    let Some(found) = find_to_change(entry.tx(), place).await? else {
        return Err(entry.not_found(what).await);
    };
    if !may_know(&entry, action, &found.resource())? {
        return Err(entry.not_found(what).await);
    }
    let grant = entry.admit(found.resource()).await?;
    Ok((found, grant))
}

/// [`to_change`] for what changes nothing.
pub(crate) async fn to_see(
    gate: &Gate,
    caller: &Caller,
    action: Action,
    place: &Place,
) -> Result<(Found, ReadGrant)> {
    let mut entry = gate.enter_to_read(caller, action).await?;
    let Some(found) = find(entry.tx(), place).await? else {
        return Err(entry.not_found("secret").await);
    };
    if !may_know(&entry, action, &found.resource())? {
        return Err(entry.not_found("secret").await);
    }
    let grant = entry.admit(found.resource()).await?;
    Ok((found, grant))
}

/// What can be asked about policy before it decides.
pub(crate) trait Asking {
    fn permits(&self, action: Action, resource: &Resource) -> Result<bool>;
}

impl Asking for Entry {
    fn permits(&self, action: Action, resource: &Resource) -> Result<bool> {
        Self::permits(self, action, resource)
    }
}

impl Asking for ReadEntry {
    fn permits(&self, action: Action, resource: &Resource) -> Result<bool> {
        Self::permits(self, action, resource)
    }
}

/// Whether the caller may know that `resource` exists: by being permitted what it asks for, or to list it.
pub(crate) fn may_know(entry: &impl Asking, action: Action, resource: &Resource) -> Result<bool> {
    Ok(entry.permits(action, resource)? || entry.permits(Action::SecretList, resource)?)
}

/// The environment a caller means: the named one, or the only one its roles hold in, or the tenant's only one.
pub(crate) async fn environment(
    tx: &mut Tx,
    caller: &Caller,
    named: Option<&str>,
) -> Result<Option<Environment>> {
    let all = tenancy::environments(tx).await?;
    if let Some(named) = named {
        let id = named.parse::<Id<writ_kernel::Environment>>().ok();
        let means =
            |environment: &Environment| Some(environment.id) == id || environment.name.as_str() == named;
        return Ok(all.into_iter().find(means));
    }
    let mut own: Vec<_> = caller.roles.iter().map(|role| role.environment).collect();
    own.sort_unstable();
    own.dedup();
    match (own.as_slice(), all.as_slice()) {
        ([Some(only)], _) => Ok(all.iter().find(|environment| environment.id == *only).cloned()),
        (_, [only]) => Ok(Some(only.clone())),
        _ => Err(Error::invalid("environment_required", "say in which environment")
            .at("environment")
            .hint("send `environment`, or use a credential whose roles hold in one environment only")),
    }
}

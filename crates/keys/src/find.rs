//! Which key, and in which environment.

use writ_gate::{Entry, Environment, Grant, ReadEntry, ReadGrant, Resource, tenancy};
use writ_kernel::{Action, Caller, Error, Id, Result};
use writ_store::Tx;

use crate::{
    model::{Key, Place, Wanted, Which},
    sql,
};

/// Either of the two rooms behind the gate from which something can be looked up.
pub(crate) trait Lobby: Sized {
    type Grant;

    fn caller(&self) -> &Caller;
    fn tx(&mut self) -> &mut Tx;
    fn permits(&self, action: Action, resource: &Resource) -> Result<bool>;
    fn admit(self, resource: Resource) -> impl Future<Output = Result<Self::Grant>> + Send;
    fn refuse(self, error: Error) -> impl Future<Output = Error> + Send;
}

macro_rules! lobby {
    ($entry:ident, $grant:ident) => {
        impl Lobby for $entry {
            type Grant = $grant;

            fn caller(&self) -> &Caller {
                $entry::caller(self)
            }

            fn tx(&mut self) -> &mut Tx {
                $entry::tx(self)
            }

            fn permits(&self, action: Action, resource: &Resource) -> Result<bool> {
                $entry::permits(self, action, resource)
            }

            fn admit(self, resource: Resource) -> impl Future<Output = Result<$grant>> + Send {
                $entry::admit(self, resource)
            }

            fn refuse(self, error: Error) -> impl Future<Output = Error> + Send {
                $entry::refuse(self, error)
            }
        }
    };
}
lobby!(Entry, Grant);
lobby!(ReadEntry, ReadGrant);

/// Finds the key and asks policy about it.
///
/// # Errors
/// `NotFound`, when there is none that the caller may know of; `environment_required`; `Forbidden`. All of them on
/// record.
pub(crate) async fn admitted<L: Lobby>(entry: L, action: Action, which: &Which) -> Result<(Key, L::Grant)> {
    let (key, entry) = found(entry, action, which).await?;
    let grant = entry.admit(key.resource()).await?;
    Ok((key, grant))
}

/// As [`admitted`], before policy is asked whether it may be done. Who may neither do it nor see the key learns only
/// that there is none.
pub(crate) async fn found<L: Lobby>(mut entry: L, action: Action, which: &Which) -> Result<(Key, L)> {
    let caller = entry.caller().clone();
    let key = match find(entry.tx(), &caller, which).await {
        Ok(key) => key,
        Err(error) => return Err(entry.refuse(error).await),
    };
    if let Some(key) = key {
        let resource = key.resource();
        if entry.permits(action, &resource)? || entry.permits(Action::NamedKeyRead, &resource)? {
            return Ok((key, entry));
        }
    }
    Err(entry.refuse(Error::not_found("key")).await)
}

/// Finds the environment of `place`, or refuses on record.
pub(crate) async fn placed<L: Lobby>(mut entry: L, place: &Place) -> Result<(Environment, L)> {
    let caller = entry.caller().clone();
    match environment(entry.tx(), &caller, &place.environment).await {
        Ok(Some(environment)) => Ok((environment, entry)),
        Ok(None) => Err(entry.refuse(Error::not_found("environment")).await),
        Err(error) => Err(entry.refuse(error).await),
    }
}

/// The key that is meant, whoever asks.
pub(crate) async fn find(tx: &mut Tx, caller: &Caller, which: &Which) -> Result<Option<Key>> {
    match which {
        Which::Id(id) => sql::key(tx, *id).await,
        Which::Named(place, name) => match environment(tx, caller, &place.environment).await? {
            Some(environment) => sql::key_named(tx, environment, &place.space, name).await,
            None => Ok(None),
        },
        Which::Default(place, purpose) => match environment(tx, caller, &place.environment).await? {
            Some(environment) => match sql::default_key(tx, &environment, *purpose).await? {
                Some(id) => sql::key(tx, id).await,
                None => Err(no_default()),
            },
            None => Ok(None),
        },
    }
}

/// The environment that is meant: the named one, or the only one that the caller's roles hold in, or the tenant's only
/// one; `None` when there is no such.
///
/// # Errors
/// `environment_required` when none is named and more than one could be meant.
pub(crate) async fn environment(
    tx: &mut Tx,
    caller: &Caller,
    wanted: &Wanted,
) -> Result<Option<Environment>> {
    let all = tenancy::environments(tx).await?;
    if let Wanted::Named(text) = wanted {
        let id = text.parse::<Id<writ_kernel::Environment>>().ok();
        let means = |known: &Environment| Some(known.id) == id || known.name.as_str() == text;
        return Ok(all.into_iter().find(means));
    }
    let mut own: Vec<_> = caller.roles.iter().map(|role| role.environment).collect();
    own.sort_unstable();
    own.dedup();
    match (own.as_slice(), all.as_slice()) {
        ([Some(only)], _) => Ok(all.iter().find(|known| known.id == *only).cloned()),
        (_, [only]) => Ok(Some(only.clone())),
        _ => Err(Error::invalid("environment_required", "which environment is meant is not clear")
            .hint("say `environment` in the query or the body, or send the header `Writ-Environment`")
            .at("environment")),
    }
}

fn no_default() -> Error {
    Error::invalid("no_default_key", "no key is named, and there is no default key for this")
        .hint("name a key, or set a default one with `POST /api/v1/keys/{id}/set-default`")
}

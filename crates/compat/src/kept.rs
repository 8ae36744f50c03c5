//! Entries of a mount, read and changed through the gate.

use serde::{Serialize, de::DeserializeOwned};
use writ_gate::Done;
use writ_kernel::{Action, Error};

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    entries,
    fault::{Answer, Fault},
    reply::Reply,
};

/// What entries are, for policy and evidence.
pub(crate) const KIND: &str = "dialect-entry";

/// The entry at `path`, without the gate: for what decides only how the gate is to be asked, and never leaves.
///
/// # Errors
/// When the database fails, or the server is sealed.
pub(crate) async fn peek<T: DeserializeOwned>(
    dialect: &Dialect,
    ask: &Ask,
    path: &str,
) -> Result<Option<T>, Fault> {
    let mut tx = dialect.gate().db().read(ask.view.tenant).await?;
    let keys = dialect.seal().tenant(&mut tx).await?;
    Ok(entries::find(&mut tx, &keys, ask.mount.id, path).await?)
}

/// The entry at `path`, on record.
///
/// # Errors
/// 403.
pub(crate) async fn find<T: DeserializeOwned>(
    dialect: &Dialect,
    ask: &Ask,
    action: Action,
    path: &str,
) -> Result<Option<T>, Fault> {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, action).await?;
    let mut grant = entry.admit(ask.resource(KIND)).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    let found = entries::find(grant.tx(), &keys, ask.mount.id, path).await?;
    grant.record(Done::plain()).await?;
    Ok(found)
}

/// [`find`]; 404 when there is none.
///
/// # Errors
/// 403, 404.
pub(crate) async fn need<T: DeserializeOwned>(
    dialect: &Dialect,
    ask: &Ask,
    action: Action,
    path: &str,
) -> Result<T, Fault> {
    find(dialect, ask, action, path).await?.ok_or_else(Fault::not_found)
}

/// The names directly below `folder`, on record.
///
/// # Errors
/// 403; 404 when there are none.
pub(crate) async fn list(dialect: &Dialect, ask: &Ask, action: Action, folder: &str) -> Answer {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, action).await?;
    let mut grant = entry.admit(ask.resource(KIND)).await?;
    let names = entries::list(grant.tx(), ask.mount.id, folder).await?;
    grant.record(Done::plain()).await?;
    Reply::keys(&names)
}

/// Writes the entry at `path`, on record.
///
/// # Errors
/// 403.
pub(crate) async fn put<T: Serialize>(
    dialect: &Dialect,
    ask: &Ask,
    action: Action,
    path: &str,
    value: &T,
    done: Done,
) -> Result<(), Fault> {
    let mut grant = to_write(dialect, ask, action, path).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    entries::put(grant.tx(), &keys, ask.mount.id, path, value).await?;
    grant.commit(done).await?;
    Ok(())
}

/// The grant to write the entry at `path`: to make it, or to change it.
///
/// # Errors
/// 403.
pub(crate) async fn to_write(
    dialect: &Dialect,
    ask: &Ask,
    action: Action,
    path: &str,
) -> Result<writ_gate::Grant, Fault> {
    let known = peek::<serde::de::IgnoredAny>(dialect, ask, path).await?.is_some();
    let caller =
        if ask.operation == Operation::Write { ask.caller_to_write(known)? } else { ask.caller_as_asked()? };
    let entry = dialect.gate().enter(&caller, action).await?;
    Ok(entry.admit(ask.resource(KIND)).await?)
}

/// Removes the entry at `path` and all below `path/`, on record. What is not there needs no removal.
///
/// # Errors
/// 403.
pub(crate) async fn remove(dialect: &Dialect, ask: &Ask, action: Action, path: &str) -> Answer {
    let entry = dialect.gate().enter(&ask.caller_as_asked()?, action).await?;
    let mut grant = entry.admit(ask.resource(KIND)).await?;
    entries::remove(grant.tx(), ask.mount.id, path).await?;
    entries::remove_below(grant.tx(), ask.mount.id, &format!("{path}/")).await?;
    grant.commit(Done::plain()).await?;
    Ok(Reply::Nothing)
}

/// 500 that nobody can mend.
pub(crate) fn broken(what: &str) -> Fault {
    Error::internal(what.to_owned()).into()
}

//! Storing many secrets at once. Repeating an import changes nothing more.

use serde_json::json;
use writ_gate::{Done, Receipt};
use writ_kernel::{Action, Caller, Error, Id, Result, Secret};

use super::{
    door,
    model::{Place, Value},
    sql,
    write::{self, NewSecret},
};
use crate::Vault;

/// The most items of one import.
pub(crate) const MOST: usize = 500;

/// What became of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fared {
    /// It is new.
    Created(Id<Secret>),
    /// It has a new version.
    Updated(Id<Secret>),
    /// It had that value already.
    Unchanged(Id<Secret>),
}

impl Vault {
    /// Stores a secret, or writes a new version when there is one at that path with another value. Every item is an act of
    /// its own, and on record. Whether the value is another one is told only to who may read it: to anybody else, every
    /// write is an update.
    ///
    /// # Errors
    /// As [`Vault::create`] and [`Vault::write`].
    pub async fn import(&self, caller: &Caller, new: NewSecret) -> Result<(Fared, Receipt)> {
        let mut tx = self.gate().db().read(caller.tenant).await?;
        let environment = door::environment(&mut tx, caller, new.environment.as_deref()).await.ok().flatten();
        let known = match &environment {
            Some(environment) => sql::secret_at(&mut tx, environment.id, &new.path).await?,
            None => None,
        };
        drop(tx);
        match (known, new.value) {
            (Some(secret), Some(value)) => self.write_another(caller, secret.id, value).await,
            (_, value) => {
                let (secret, receipt) = self.create(caller, NewSecret { value, ..new }).await?;
                Ok((Fared::Created(secret.id), receipt))
            }
        }
    }

    async fn write_another(&self, caller: &Caller, id: Id<Secret>, value: Value) -> Result<(Fared, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::SecretWrite).await?;
        let Some(found) = door::find_to_change(entry.tx(), &Place::Id(id)).await? else {
            return Err(entry.not_found(door::UNKNOWN).await);
        };
        if !door::may_know(&entry, Action::SecretWrite, &found.resource())? {
            return Err(entry.not_found(door::UNKNOWN).await);
        }
        let readable = entry.permits(Action::SecretRead, &found.resource())?;
        let mut grant = entry.admit(found.resource()).await?;
        let mut secret = found.secret;
        if let Err(error) = write::writable(&secret, None) {
            return Err(grant.refuse(error).await);
        }
        let (current, now) =
            (sql::version(grant.tx(), secret.id, secret.current).await?, grant.world().now());
        if let Some(current) = current.filter(|current| readable && current.absent(now).is_none()) {
            let sealed = sql::sealed(grant.tx(), secret.id, secret.current).await?;
            let known = write::open(grant.keys(), secret.id, secret.current, &sealed)?;
            if current.format == value.format && known.ct_eq(value.bytes.expose()) {
                let receipt = grant.commit(Done::with(json!({ "unchanged": secret.current }))).await?;
                return Ok((Fared::Unchanged(id), receipt));
            }
        }
        let version = write::add_version(&mut grant, &mut secret, &value, None).await?;
        write::tell(&mut grant, &secret).await?;
        let receipt = grant.commit(Done::with(json!({ "version": version.version }))).await?;
        Ok((Fared::Updated(id), receipt))
    }
}

/// Refuses an import that is too large as a whole.
pub(crate) fn bounded(items: usize) -> Result<()> {
    if items == 0 {
        return Err(Error::invalid("no_items", "an import has at least one item").at("items"));
    }
    (items <= MOST)
        .then_some(())
        .ok_or_else(|| Error::too_large("too_many", "an import has at most 500 items").at("items"))
}

//! Changing what is known of secrets, and taking versions and secrets away.

use serde_json::json;
use writ_crypto::SecretBytes;
use writ_gate::{Done, Grant, Receipt};
use writ_kernel::{Action, Caller, Error, Id, Kind, Result};

use super::{
    door,
    model::{Facts, Keeping, Notes, Place, SecretRecord},
    path::{Folder, SecretPath},
    sql, write,
};
use crate::{Vault, rotation};

/// What is to be known from now on; what is `None` stays.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct Update {
    /// Another path.
    pub path: Option<SecretPath>,
    /// What must be known.
    pub facts: Facts,
    /// What is remembered beside the value.
    pub notes: Notes,
    /// How versions are kept.
    pub keeping: Keeping,
    /// Members of the details to be replaced: a JSON object, and whether it has the seed of one-time passwords.
    pub details: Option<(SecretBytes, bool)>,
}

/// What is done to some versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They count as deleted.
    Delete,
    /// They count no longer as deleted.
    Restore,
    /// Their values are destroyed.
    Destroy,
}

impl Vault {
    /// Changes what is known of a secret.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` with `secret_exists` when another secret has the new path.
    pub async fn update(
        &self,
        caller: &Caller,
        place: &Place,
        update: Update,
    ) -> Result<(SecretRecord, Receipt)> {
        let (found, mut grant) = door::to_change(self.gate(), caller, Action::SecretWrite, place).await?;
        let mut secret = found.secret;
        if let Some(path) = update.path.filter(|path| *path != secret.path) {
            if sql::secret_at(grant.tx(), secret.environment, &path).await?.is_some() {
                return Err(grant.refuse(write::exists()).await);
            }
            secret.path = path;
        }
        let changed = state(&mut secret, update.facts);
        annotate(&mut secret, update.notes);
        secret.keep(update.keeping)?;
        if let Some((members, totp)) = update.details {
            replace_details(&grant, &mut secret, &members)?;
            secret.totp |= totp;
        }
        secret.updated_at = grant.world().now();
        sql::update_secret(grant.tx(), &secret).await?;
        let detail = json!({ "path": secret.path.as_str(), "changed": changed });
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((secret, receipt))
    }

    /// Takes a secret out of use, or puts it back.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_active(
        &self,
        caller: &Caller,
        place: &Place,
        active: bool,
    ) -> Result<(SecretRecord, Receipt)> {
        let (found, mut grant) = door::to_change(self.gate(), caller, Action::SecretDelete, place).await?;
        let mut secret = found.secret;
        secret.active = active;
        secret.updated_at = grant.world().now();
        sql::update_secret(grant.tx(), &secret).await?;
        let receipt = grant.commit(Done::with(json!({ "active": active }))).await?;
        Ok((secret, receipt))
    }

    /// Deletes, restores or destroys versions; the current one when none is named. Versions that are not there, or
    /// destroyed already, are passed over.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for more than a hundred versions.
    pub async fn treat(
        &self,
        caller: &Caller,
        place: &Place,
        versions: &[u32],
        fate: Fate,
    ) -> Result<(SecretRecord, Receipt)> {
        if versions.len() > 100 {
            return Err(Error::invalid("too_many", "at most 100 versions at once").at("versions"));
        }
        let action = if fate == Fate::Destroy { Action::SecretDestroy } else { Action::SecretDelete };
        let (found, mut grant) = door::to_change(self.gate(), caller, action, place).await?;
        let (mut secret, now) = (found.secret, grant.world().now());
        let current = [secret.current];
        let versions = if versions.is_empty() { current.as_slice() } else { versions };
        let mut treated = Vec::new();
        for version in versions {
            let changed = match fate {
                Fate::Delete => sql::set_deleted(grant.tx(), secret.id, *version, Some(now)).await?,
                Fate::Restore => sql::set_deleted(grant.tx(), secret.id, *version, None).await?,
                Fate::Destroy => sql::destroy(grant.tx(), secret.id, *version, now).await?,
            };
            if changed > 0 {
                treated.push(*version);
            }
        }
        secret.updated_at = now;
        sql::update_secret(grant.tx(), &secret).await?;
        let detail = json!({ "fate": format!("{fate:?}").to_lowercase(), "versions": treated });
        let receipt = grant.commit(Done::with(detail)).await?;
        Ok((secret, receipt))
    }

    /// Destroys a secret with all its versions, bindings and links, and what says how it is rotated.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` with `rotating` while a new value is on its way to where it is used.
    pub async fn destroy(&self, caller: &Caller, place: &Place) -> Result<Receipt> {
        let (found, mut grant) = door::to_change(self.gate(), caller, Action::SecretDestroy, place).await?;
        match remove(&mut grant, &found.secret).await {
            Err(error) if error.kind() == Kind::Conflict => return Err(grant.refuse(error).await),
            removed => removed?,
        }
        grant.commit(Done::with(json!({ "version": found.secret.current }))).await
    }
}

impl Vault {
    /// Destroys every secret in `folder` with all its versions, under a grant to take away what holds the folder. How
    /// many there were.
    ///
    /// # Errors
    /// `Conflict` with `rotating` while one of them is being rotated; when the database fails.
    pub async fn clear(
        &self,
        grant: &mut Grant,
        environment: Id<writ_kernel::Environment>,
        folder: &Folder,
    ) -> Result<u64> {
        let (prefix, mut cleared) = (folder.prefix(), 0);
        loop {
            let paths = sql::paths(grant.tx(), environment, &prefix, &prefix, 500).await?;
            if paths.is_empty() {
                return Ok(cleared);
            }
            for path in paths {
                let secret = sql::secret_at(grant.tx(), environment, &path.parse()?).await?;
                let secret =
                    secret.ok_or_else(|| Error::internal("a secret vanished while it was cleared"))?;
                remove(grant, &secret).await?;
                cleared += 1;
            }
        }
    }
}

/// Removes a secret and how it is rotated.
async fn remove(grant: &mut Grant, secret: &SecretRecord) -> Result<()> {
    if rotation::under_way(grant.tx(), secret.id.uuid()).await? {
        // Its new value may be in force already, and would be nowhere.
        let error = Error::conflict("rotating", format!("the secret `{}` is being rotated", secret.path));
        return Err(error.hint("wait until its rotation is over"));
    }
    let now = grant.world().now();
    rotation::forget(grant.tx(), secret.id.uuid(), now).await?;
    sql::delete_secret(grant.tx(), secret.id).await
}

/// Takes over what is stated, and tells what that was. What is stated is assumed no longer.
fn state(secret: &mut SecretRecord, facts: Facts) -> Vec<&'static str> {
    let mut stated = Vec::new();
    if let Some(owner) = facts.owner {
        secret.owner = owner;
        stated.push("owner");
    }
    if let Some(purpose) = facts.purpose {
        secret.purpose = purpose;
        stated.push("purpose");
    }
    if let Some(classification) = facts.classification {
        secret.classification = classification;
        stated.push("classification");
    }
    if facts.expires_at.is_some() || facts.rotate_every.is_some() {
        secret.expires_at = facts.expires_at.or(secret.expires_at);
        secret.rotate_every = facts.rotate_every.or(secret.rotate_every);
        stated.push("rotation");
    }
    secret.assumed.retain(|assumed| !stated.contains(&assumed.as_str()));
    stated
}

fn annotate(secret: &mut SecretRecord, notes: Notes) {
    secret.kind = notes.kind.or_else(|| secret.kind.take());
    secret.description = notes.description.or_else(|| secret.description.take());
    secret.labels = notes.labels.unwrap_or_else(|| std::mem::take(&mut secret.labels));
    secret.custom = notes.custom.unwrap_or_else(|| std::mem::take(&mut secret.custom));
    secret.favourite = notes.favourite.unwrap_or(secret.favourite);
}

/// Replaces members of the sealed details.
fn replace_details(grant: &Grant, secret: &mut SecretRecord, members: &SecretBytes) -> Result<()> {
    use serde_json::{Map, Value};
    let object = |bytes: &[u8]| {
        serde_json::from_slice::<Map<String, Value>>(bytes)
            .map_err(|_| Error::internal("details are not an object"))
    };
    let mut details = match super::read::details(grant.keys(), secret)? {
        Some(known) => object(known.expose())?,
        None => Map::new(),
    };
    details.extend(object(members.expose())?);
    let text = serde_json::to_vec(&details).map_err(|_| Error::internal("details cannot be written"))?;
    let text = SecretBytes::new(text);
    secret.revision += 1;
    let cell = write::details_cell(grant.tenant(), secret.id, secret.revision);
    secret.details = Some(grant.keys().seal(grant.world(), &cell, text.expose()));
    Ok(())
}

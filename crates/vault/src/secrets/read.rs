//! Reading values. Each reading is durable evidence before the value leaves.

use serde_json::json;
use writ_gate::{Done, ReadGrant, Receipt};
use writ_kernel::{Action, Caller, Error, Result, TenantId, Timestamp};
use writ_seal::TenantKeys;

use super::{
    door,
    model::{Place, Reading, SecretRecord, Value, VersionRecord},
    sql, write,
};
use crate::Vault;

/// The most versions a history tells at once.
const LONGEST_HISTORY: u32 = 20;

impl Vault {
    /// Reads a version, the current one unless told.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` with `secret_inactive`; `Gone` with `secret_expired`.
    pub async fn read(
        &self,
        caller: &Caller,
        place: &Place,
        version: Option<u32>,
    ) -> Result<(Reading, Receipt)> {
        let (found, mut grant) = door::to_see(self.gate(), caller, Action::SecretRead, place).await?;
        let secret = found.secret;
        if let Err(error) = readable(&secret, grant.world().now()) {
            return Err(grant.refuse(error).await);
        }
        let wanted = version.filter(|version| *version != 0).unwrap_or(secret.current);
        let Some(version) = sql::version(grant.tx(), secret.id, wanted).await? else {
            return Err(grant.refuse(Error::not_found("version")).await);
        };
        let reading = reading(&mut grant, secret, version).await?;
        let detail = json!({ "version": reading.version.version, "absent": reading.value.is_err() });
        let receipt = grant.record(Done::with(detail)).await?;
        if reading.value.is_ok() {
            let now = self.gate().world().now();
            self.0.readers.note(caller, reading.secret.id, reading.version.version, now);
        }
        Ok((reading, receipt))
    }

    /// Reads the newest `most` versions, newest first.
    ///
    /// # Errors
    /// As [`Vault::read`].
    pub async fn history(
        &self,
        caller: &Caller,
        place: &Place,
        most: u32,
    ) -> Result<(Vec<Reading>, Receipt)> {
        if !(1..=LONGEST_HISTORY).contains(&most) {
            return Err(Error::invalid("out_of_range", "`maxVersions` is 1 to 20").at("maxVersions"));
        }
        let (found, mut grant) = door::to_see(self.gate(), caller, Action::SecretRead, place).await?;
        let secret = found.secret;
        if let Err(error) = readable(&secret, grant.world().now()) {
            return Err(grant.refuse(error).await);
        }
        let versions = sql::versions(grant.tx(), secret.id, secret.current, i64::from(most)).await?;
        let mut readings = Vec::with_capacity(versions.len());
        for version in versions {
            readings.push(reading(&mut grant, secret.clone(), version).await?);
        }
        let numbers: Vec<_> = readings.iter().map(|reading| reading.version.version).collect();
        let receipt = grant.record(Done::with(json!({ "versions": numbers }))).await?;
        self.0.readers.note(caller, secret.id, secret.current, self.gate().world().now());
        Ok((readings, receipt))
    }

    /// Whether there is a secret at `place`, for a surface that must ask the gate differently to store one than to
    /// write to one. Nobody is told.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn knows(&self, tenant: TenantId, place: &Place) -> Result<bool> {
        let mut tx = self.gate().db().read(tenant).await?;
        Ok(door::find(&mut tx, place).await?.is_some())
    }

    /// What is known of a secret, without its values.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn describe(&self, caller: &Caller, place: &Place) -> Result<(SecretRecord, Receipt)> {
        let (found, grant) = door::to_see(self.gate(), caller, Action::SecretList, place).await?;
        Ok((found.secret, grant.record(Done::plain()).await?))
    }

    /// A secret and all its versions that are kept, newest first, without their values.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn versions(
        &self,
        caller: &Caller,
        place: &Place,
    ) -> Result<(SecretRecord, Vec<VersionRecord>, Receipt)> {
        let (found, mut grant) = door::to_see(self.gate(), caller, Action::SecretList, place).await?;
        let secret = found.secret;
        let versions = sql::versions(grant.tx(), secret.id, secret.current, i64::from(u32::MAX)).await?;
        Ok((secret, versions, grant.record(Done::plain()).await?))
    }
}

/// Whether a value may be handed out at all.
pub(crate) fn readable(secret: &SecretRecord, now: Timestamp) -> Result<()> {
    if !secret.active {
        return Err(write::inactive());
    }
    if secret.has_expired(now) {
        return Err(Error::gone("secret_expired", "the secret has expired").hint("give it a later expiry"));
    }
    Ok(())
}

async fn reading(grant: &mut ReadGrant, secret: SecretRecord, version: VersionRecord) -> Result<Reading> {
    let value = if let Some(absence) = version.absent(grant.world().now()) {
        Err(absence)
    } else {
        let sealed = sql::sealed(grant.tx(), secret.id, version.version).await?;
        let bytes = write::open(grant.keys(), secret.id, version.version, &sealed)?;
        Ok(Value { format: version.format, bytes })
    };
    let details = details(grant.keys(), &secret)?;
    Ok(Reading { secret, version, value, details })
}

/// User name, notes and the like, as a JSON object.
pub(crate) fn details(keys: &TenantKeys, secret: &SecretRecord) -> Result<Option<writ_crypto::SecretBytes>> {
    let Some(sealed) = &secret.details else { return Ok(None) };
    keys.open(&write::details_cell(keys.tenant(), secret.id, secret.revision), sealed).map(Some)
}

//! The worker that brings rotations to their end.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_gate::{Done, Outcome};
use writ_kernel::{Action, Caller, Error, Id, Kind, Result, TenantId};
use writ_seal::TenantKeys;
use writ_store::Tx;
use writ_wire::rotation::{RotationState, RotatorSpec};

use super::{
    sql::{self, RotationRecord},
    verbs::{Rotations, pending, text},
};
use crate::{
    Place, Value,
    each::for_each,
    events::{NewEvent, emit},
    leases::{Target, engine_record},
    secrets::{door, sql as secrets, write},
};

const ROUND: i64 = 100;
const ATTEMPT: Duration = Duration::from_mins(2);
const EVERY: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(15);

/// The worker. Several servers may run one each: every attempt is one that only one of them makes.
#[derive(Debug)]
pub struct Turner(Rotations);

impl Turner {
    /// A worker for `rotations`.
    pub fn new(rotations: Rotations) -> Self {
        Self(rotations)
    }

    /// Works until the future is dropped.
    pub async fn run(self) {
        loop {
            if let Err(error) = Box::pin(self.round()).await
                && error.kind() != Kind::Sealed
            {
                tracing::warn!(%error, "a round of the rotation worker failed");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// One look at everything that is due.
    ///
    /// # Errors
    /// When the database fails; what was done so far stays done.
    pub async fn round(&self) -> Result<()> {
        let gate = self.0.vault.gate();
        if gate.seal().is_closed() {
            return Ok(());
        }
        let now = gate.world().now();
        let scheduled = sql::scheduled(&mut gate.db().system_read().await?, now, ROUND).await?;
        for_each(scheduled, |(tenant, secret)| {
            let rotations = self.0.clone();
            async move {
                if let Err(error) = Box::pin(scheduled_now(&rotations, tenant, secret)).await {
                    tracing::warn!(%error, %secret, "a scheduled rotation could not begin");
                }
            }
        })
        .await;
        let due = sql::due(&mut gate.db().system_read().await?, now, ROUND).await?;
        for_each(due, |(tenant, rotation)| {
            let rotations = self.0.clone();
            async move {
                let Err(error) = Box::pin(step(&rotations, tenant, rotation)).await else { return };
                tracing::warn!(%error, %rotation, "a rotation could not be brought forward");
                if let Err(error) = postpone(&rotations, tenant, rotation).await {
                    tracing::warn!(%error, %rotation, "a rotation could not be put off");
                }
            }
        })
        .await;
        Ok(())
    }
}

/// Begins a rotation whose time has come. Where it cannot, it is tried again later: that is on record first.
async fn scheduled_now(rotations: &Rotations, tenant: TenantId, secret: Uuid) -> Result<()> {
    let gate = rotations.vault.gate();
    let mut tx = gate.db().tx(tenant).await?;
    sql::schedule(&mut tx, secret, Some(gate.world().now().plus(LONGEST_BACK_OFF))).await?;
    tx.commit().await?;
    let caller = Caller::system(tenant, gate.world());
    rotations.begin(&caller, secret, ("schedule", None)).await.map(drop)
}

/// What nothing can be done for now makes room for others.
async fn postpone(rotations: &Rotations, tenant: TenantId, rotation: Uuid) -> Result<()> {
    let gate = rotations.vault.gate();
    let now = gate.world().now();
    let mut tx = gate.db().tx(tenant).await?;
    sql::postpone(&mut tx, rotation, now, now.plus(ATTEMPT)).await?;
    tx.commit().await
}

/// What came of applying a value.
enum Applied {
    /// It is in force, and was tried.
    Works,
    /// It was taken back.
    TakenBack(Error),
    /// Nobody knows: it is tried again.
    Unknown(Error),
}

/// Does the next step of a rotation, if it is time to.
pub(crate) async fn step(rotations: &Rotations, tenant: TenantId, id: Uuid) -> Result<()> {
    let gate = rotations.vault.gate();
    let mut tx = gate.db().tx(tenant).await?;
    let Some(mut rotation) = sql::rotation(&mut tx, id).await? else { return Ok(()) };
    let now = gate.world().now();
    if !sql::take(&mut tx, &rotation, now, now.plus(ATTEMPT)).await? {
        return Ok(());
    }
    // Whatever fails from here on, it is not tried again before its time.
    tx.commit().await?;
    rotation.attempts += 1;
    if rotation.state == RotationState::Overlapping {
        return withdraw(rotations, tenant, rotation).await;
    }
    let (new, applied) = match prepare(rotations, tenant, &rotation).await {
        Ok((target, new, old)) => {
            let applied = apply(target, &rotation.spec, &new, old.as_ref()).await;
            (new, applied)
        }
        Err(error) => return again(rotations, tenant, rotation, &error).await,
    };
    match applied {
        Applied::Works => make_current(rotations, tenant, rotation, &new).await,
        Applied::TakenBack(error) => roll_back(rotations, tenant, rotation, &error).await,
        Applied::Unknown(error) => again(rotations, tenant, rotation, &error).await,
    }
}

/// Where the new value is to be in force, the new value, and the old one where there is one.
async fn prepare(
    rotations: &Rotations,
    tenant: TenantId,
    rotation: &RotationRecord,
) -> Result<(Option<Target>, SecretString, Option<SecretString>)> {
    let gate = rotations.vault.gate();
    let mut tx = gate.db().read(tenant).await?;
    let keys = gate.seal().tenant(&mut tx).await?;
    let target = target(&mut tx, tenant, &keys, rotation).await?;
    let old = old_value(&mut tx, &keys, rotation).await?;
    let sealed = rotation.sealed.as_deref().ok_or_else(|| Error::internal("a rotation without its value"))?;
    let new = text(keys.open(&pending(tenant, rotation.id), sealed)?.expose())?;
    Ok((target, new, old))
}

async fn target(
    tx: &mut Tx,
    tenant: TenantId,
    keys: &TenantKeys,
    rotation: &RotationRecord,
) -> Result<Option<Target>> {
    let RotatorSpec::Postgres { engine, .. } = &rotation.spec else { return Ok(None) };
    let engine = engine_record(tx, *engine).await?;
    let engine =
        engine.ok_or_else(|| Error::unavailable("unknown_engine", "the rotator's engine is gone"))?;
    Target::open(&engine, tenant, keys).map(Some)
}

async fn old_value(
    tx: &mut Tx,
    keys: &TenantKeys,
    rotation: &RotationRecord,
) -> Result<Option<SecretString>> {
    let version = rotation.old_version.and_then(|version| u32::try_from(version).ok()).filter(|it| *it > 0);
    let Some(version) = version else { return Ok(None) };
    let secret = Id::from_uuid(rotation.secret);
    if secrets::version(tx, secret, version).await?.is_none_or(|version| version.destroyed_at.is_some()) {
        return Ok(None);
    }
    let sealed = secrets::sealed(tx, secret, version).await?;
    Ok(text(write::open(keys, secret, version, &sealed)?.expose()).ok())
}

async fn apply(
    target: Option<Target>,
    spec: &RotatorSpec,
    new: &SecretString,
    old: Option<&SecretString>,
) -> Applied {
    let (Some(Target::Postgres(server)), RotatorSpec::Postgres { username, .. }) = (target, spec) else {
        return Applied::Works;
    };
    if let Err(error) = server.set_password(username, new).await {
        return Applied::Unknown(error);
    }
    match server.try_password(username, new).await {
        Ok(()) => Applied::Works,
        Err(error) if error.code() == "target_login_refused" => match old {
            Some(old) => match server.set_password(username, old).await {
                Ok(()) => Applied::TakenBack(error),
                Err(error) => Applied::Unknown(error),
            },
            // It has the new password, which is nowhere else: nothing is to be taken back to.
            None => Applied::Unknown(error),
        },
        Err(error) => Applied::Unknown(error),
    }
}

async fn make_current(
    rotations: &Rotations,
    tenant: TenantId,
    rotation: RotationRecord,
    new: &SecretString,
) -> Result<()> {
    let gate = rotations.vault.gate();
    let caller = Caller::system(tenant, gate.world());
    let place = Place::Id(Id::from_uuid(rotation.secret));
    let (found, mut grant) = door::to_change(gate, &caller, Action::SecretRotate, &place).await?;
    let mut secret = found.secret;
    let exposed = rotation.cause == "exposure" || secret.exposed_at.is_some();
    let value = Value::text(new.expose().to_owned())?;
    let version = write::add_version(&mut grant, &mut secret, &value, None).await?;
    let overlap = sql::rotator(grant.tx(), rotation.secret).await?.map(|rotator| rotator.overlap);
    let now = grant.world().now();
    let overlapping = RotationRecord {
        state: RotationState::Overlapping,
        sealed: None,
        new_version: Some(version.version.into()),
        next_at: Some(now.plus(overlap.unwrap_or_default())),
        failure: None,
        ..rotation
    };
    let turned = if exposed {
        // What strangers know is not read for a while longer.
        RotationRecord { state: RotationState::Done, next_at: None, ended_at: Some(now), ..overlapping }
    } else {
        overlapping
    };
    if !sql::settle(grant.tx(), &turned).await? {
        return Ok(());
    }
    let data = json!({
        "version": version.version, "before": turned.old_version, "overlapUntil": turned.next_at,
        "cause": turned.cause, "case": turned.case,
    });
    let event = NewEvent {
        kind: "SecretRotated",
        subject_kind: "secret",
        subject: turned.secret,
        name: Some(secret.path.as_str().to_owned()),
        environment: Some(found.environment.id),
        data: data.clone(),
    };
    emit(&mut grant, event).await?;
    grant.commit(Done::with(data).outcome(Outcome::Done)).await.map(drop)
}

/// The overlap is over: the version before is deleted, as it can be restored.
async fn withdraw(rotations: &Rotations, tenant: TenantId, rotation: RotationRecord) -> Result<()> {
    let gate = rotations.vault.gate();
    let caller = Caller::system(tenant, gate.world());
    let place = Place::Id(Id::from_uuid(rotation.secret));
    let (found, mut grant) = door::to_change(gate, &caller, Action::SecretRotate, &place).await?;
    let now = grant.world().now();
    let old = rotation.old_version.and_then(|version| u32::try_from(version).ok()).filter(|it| *it > 0);
    if let Some(old) = old {
        secrets::set_deleted(grant.tx(), found.secret.id, old, Some(now)).await?;
    }
    let done = RotationRecord { state: RotationState::Done, next_at: None, ended_at: Some(now), ..rotation };
    if !sql::settle(grant.tx(), &done).await? {
        return Ok(());
    }
    grant.commit(Done::with(json!({ "rotation": done.id, "withdrawn": old }))).await.map(drop)
}

async fn roll_back(
    rotations: &Rotations,
    tenant: TenantId,
    rotation: RotationRecord,
    cause: &Error,
) -> Result<()> {
    let gate = rotations.vault.gate();
    let caller = Caller::system(tenant, gate.world());
    let place = Place::Id(Id::from_uuid(rotation.secret));
    let (found, mut grant) = door::to_change(gate, &caller, Action::SecretRotate, &place).await?;
    let over = RotationRecord {
        state: RotationState::RolledBack,
        sealed: None,
        next_at: None,
        failure: Some(cause.public().to_owned()),
        ended_at: Some(grant.world().now()),
        ..rotation
    };
    if !sql::settle(grant.tx(), &over).await? {
        return Ok(());
    }
    let data = json!({ "rotation": over.id, "failure": over.failure, "case": over.case });
    let event = NewEvent {
        kind: "SecretRotationFailed",
        subject_kind: "secret",
        subject: over.secret,
        name: Some(found.secret.path.as_str().to_owned()),
        environment: Some(found.environment.id),
        data: data.clone(),
    };
    emit(&mut grant, event).await?;
    grant.commit(Done::with(data).outcome(Outcome::Fail)).await.map(drop)
}

/// Nobody knows what came of it: it is tried again, and the first failure and ever fewer after it are on record.
async fn again(
    rotations: &Rotations,
    tenant: TenantId,
    rotation: RotationRecord,
    cause: &Error,
) -> Result<()> {
    let gate = rotations.vault.gate();
    let when = gate.world().now().plus(back_off(rotation.attempts));
    let tried = RotationRecord { next_at: Some(when), failure: Some(cause.public().to_owned()), ..rotation };
    tracing::warn!(error = %cause, rotation = %tried.id, attempts = tried.attempts, "a rotation was not applied");
    if !u64::try_from(tried.attempts).is_ok_and(u64::is_power_of_two) {
        let mut tx = gate.db().tx(tenant).await?;
        sql::settle(&mut tx, &tried).await?;
        return tx.commit().await;
    }
    let caller = Caller::system(tenant, gate.world());
    let place = Place::Id(Id::from_uuid(tried.secret));
    let (_, mut grant) = door::to_change(gate, &caller, Action::SecretRotate, &place).await?;
    if !sql::settle(grant.tx(), &tried).await? {
        return Ok(());
    }
    let detail = json!({ "rotation": tried.id, "attempts": tried.attempts, "failure": tried.failure });
    grant.commit(Done::with(detail).outcome(Outcome::Fail)).await.map(drop)
}

/// 2, 4, 8 … seconds, at most a quarter of an hour.
fn back_off(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.clamp(0, 10)).unwrap_or(0);
    Duration::from_secs(2_u64.pow(doublings)).min(LONGEST_BACK_OFF)
}

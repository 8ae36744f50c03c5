//! One leader at a time, by a lease with a fencing epoch.
//!
//! Servers' clocks may differ, so two may believe for a moment that they lead. That is harmless: the epoch
//! grows with every change of leader, and [`fence`] refuses the old one inside the very transaction it
//! tries to write in.

use std::time::Duration;

use uuid::Uuid;
use writ_kernel::{Error, Result};

use crate::{Db, Transactional, execute, on};

/// Which reign it is; grows with every change of leader.
pub type Epoch = i64;

/// Takes or renews the lease `name` for `ttl`. `holder` is unique to the process. Returns the epoch, or `None`
/// while somebody else leads.
pub async fn try_lead(db: &Db, name: &str, holder: Uuid, ttl: Duration) -> Result<Option<Epoch>> {
    let now = db.world().now();
    let mut tx = db.system_tx().await?;
    let epoch = on!(tx, |conn| sqlx::query_scalar::<_, i64>(
        "INSERT INTO leases (name, holder, epoch, expires_at) VALUES ($1, $2, 1, $3)
         ON CONFLICT (name) DO UPDATE SET
           epoch = CASE WHEN leases.holder = excluded.holder THEN leases.epoch ELSE leases.epoch + 1 END,
           holder = excluded.holder, expires_at = excluded.expires_at
         WHERE leases.holder = excluded.holder OR leases.expires_at <= $4
         RETURNING epoch"
    )
    .bind(name)
    .bind(holder)
    .bind(now.plus(ttl).micros())
    .bind(now.micros())
    .fetch_optional(conn))?;
    tx.commit().await?;
    Ok(epoch)
}

/// Gives the lease `name` up, so that another need not wait for it to expire. Nothing happens when `holder`
/// does not lead.
pub async fn resign(db: &Db, name: &str, holder: Uuid) -> Result<()> {
    let mut tx = db.system_tx().await?;
    execute!(tx, |conn| sqlx::query("UPDATE leases SET expires_at = 0 WHERE name = $1 AND holder = $2")
        .bind(name)
        .bind(holder)
        .execute(conn))?;
    tx.commit().await
}

/// Makes sure that `epoch` is still the reign over `name`, and that it stays so until this transaction ends.
///
/// # Errors
/// `Conflict` with `lease_lost` when another reign has begun: stop leading.
pub async fn fence(tx: &mut impl Transactional, name: &str, epoch: Epoch) -> Result<()> {
    // An update that changes nothing locks the row on PostgreSQL, so a successor has to wait.
    let held =
        execute!(tx, |conn| sqlx::query("UPDATE leases SET epoch = epoch WHERE name = $1 AND epoch = $2")
            .bind(name)
            .bind(epoch)
            .execute(conn))?;
    match held {
        0 => Err(Error::conflict("lease_lost", "somebody else leads now")),
        _ => Ok(()),
    }
}

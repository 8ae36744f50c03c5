//! The worker that tells hooks of events.

use std::time::Duration;

use writ_crypto::SecretBytes;
use writ_kernel::{Error, Kind, Result};
use writ_targets::webhook::Webhook;

use super::{
    outbox::Events,
    sql::{self, Due},
};

/// As many deliveries are made in one round.
const ROUND: i64 = 200;
/// An attempt that takes longer than this has been lost.
const ATTEMPT: Duration = Duration::from_mins(1);
/// As often it is tried: for about six hours.
const ATTEMPTS: i64 = 14;
const LONGEST_BACK_OFF: Duration = Duration::from_hours(1);
const EVERY: Duration = Duration::from_secs(1);

/// The worker. Several servers may run one each. A hook may be told the same event twice, under the same id.
#[derive(Debug)]
pub struct Courier(Events);

impl Courier {
    /// A worker for `events`.
    pub fn new(events: Events) -> Self {
        Self(events)
    }

    /// Works until the future is dropped.
    pub async fn run(self) {
        loop {
            if let Err(error) = Box::pin(self.round()).await
                && error.kind() != Kind::Sealed
            {
                tracing::warn!(%error, "a round of the event worker failed");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// One look at everything that is due.
    ///
    /// # Errors
    /// When the database fails; what was done so far stays done.
    pub async fn round(&self) -> Result<()> {
        let gate = &self.0.gate;
        let due = sql::due(&mut gate.db().system_read().await?, gate.world().now(), ROUND).await?;
        for due in due {
            self.deliver(due).await?;
        }
        Ok(())
    }

    async fn deliver(&self, mut due: Due) -> Result<()> {
        let gate = &self.0.gate;
        let (world, tenant) = (gate.world(), due.tenant());
        let mut tx = gate.db().tx(tenant).await?;
        let keys = gate.seal().tenant(&mut tx).await?;
        let now = world.now();
        let Some(hook) = sql::hook(&mut tx, due.hook_id).await? else { return Ok(()) };
        let Some(envelope) = sql::take(&mut tx, &due, now, now.plus(ATTEMPT)).await? else { return Ok(()) };
        tx.commit().await?;
        due.attempts += 1;

        let id = event_id(&envelope);
        let told = match (keys.open(&hook.aad(tenant), &hook.sealed), Webhook::new(&hook.url, self.0.reach)) {
            (Ok(key), Ok(webhook)) => {
                webhook.tell(&id, &key, now, &SecretBytes::new(envelope.into_bytes())).await
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        let mut tx = gate.db().tx(tenant).await?;
        match told {
            Ok(()) => sql::settle(&mut tx, &due, "delivered", None, None).await?,
            Err(error) => {
                tracing::warn!(%error, hook = %hook.id, attempts = due.attempts, "a hook could not be told of an event");
                let (state, next) = match due.attempts {
                    ATTEMPTS.. => ("dead", None),
                    attempts => ("waiting", Some(world.now().plus(back_off(attempts)))),
                };
                sql::settle(&mut tx, &due, state, next, Some(error.public())).await?;
            }
        }
        tx.commit().await
    }
}

fn event_id(envelope: &str) -> String {
    serde_json::from_str::<writ_wire::events::Event>(envelope)
        .map_err(|error| Error::internal("an event cannot be read").because(error))
        .map_or_else(|_| String::new(), |event| event.event_id.to_string())
}

/// 2, 4, 8 … seconds, at most an hour.
fn back_off(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.clamp(0, 12)).unwrap_or(0);
    Duration::from_secs(2_u64.pow(doublings)).min(LONGEST_BACK_OFF)
}

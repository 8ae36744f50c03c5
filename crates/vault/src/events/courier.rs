//! The worker that tells hooks of events.

use std::time::Duration;

use writ_crypto::SecretBytes;
use writ_kernel::{Error, Kind, Result, Timestamp};
use writ_targets::webhook::Webhook;

use crate::each::for_each;

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
#[derive(Debug, Clone)]
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
        if gate.seal().is_closed() {
            return Ok(());
        }
        let due = sql::due(&mut gate.db().system_read().await?, gate.world().now(), ROUND).await?;
        for_each(due, |due| {
            let courier = self.clone();
            async move {
                if let Err(error) = Box::pin(courier.deliver(due)).await {
                    tracing::warn!(%error, hook = %due.hook_id, position = due.position, "an event could not be delivered");
                }
            }
        })
        .await;
        Ok(())
    }

    async fn deliver(&self, mut due: Due) -> Result<()> {
        let gate = &self.0.gate;
        let (world, tenant) = (gate.world(), due.tenant());
        let now = world.now();
        // Whatever fails from here on, it is not tried again before its time.
        let mut tx = gate.db().tx(tenant).await?;
        if !sql::take(&mut tx, &due, now, now.plus(ATTEMPT)).await? {
            return Ok(());
        }
        tx.commit().await?;
        due.attempts += 1;
        let told = self.tell(&due, now).await;
        let mut tx = gate.db().tx(tenant).await?;
        match told {
            Ok(()) => sql::settle(&mut tx, &due, "delivered", None, None).await?,
            Err(error) => {
                tracing::warn!(%error, hook = %due.hook_id, attempts = due.attempts, "a hook could not be told of an event");
                let (state, next) = match due.attempts {
                    ATTEMPTS.. => ("dead", None),
                    attempts => ("waiting", Some(world.now().plus(back_off(attempts)))),
                };
                sql::settle(&mut tx, &due, state, next, Some(error.public())).await?;
            }
        }
        tx.commit().await
    }

    async fn tell(&self, due: &Due, now: Timestamp) -> Result<()> {
        let (gate, tenant) = (&self.0.gate, due.tenant());
        let mut tx = gate.db().read(tenant).await?;
        let hook = sql::hook(&mut tx, due.hook_id).await?;
        let envelope = sql::envelope_at(&mut tx, due.position).await?;
        let (Some(hook), Some(envelope)) = (hook, envelope) else {
            return Err(Error::internal("a delivery without its hook or event"));
        };
        let keys = gate.seal().tenant(&mut tx).await?;
        drop(tx);
        let key = keys.open(&hook.aad(tenant), &hook.sealed)?;
        let webhook = Webhook::new(&hook.url, self.0.reach)?;
        webhook.tell(&event_id(&envelope), &key, now, &SecretBytes::new(envelope.into_bytes())).await
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

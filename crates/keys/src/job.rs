//! The worker that rotates keys by their period, and destroys those whose grace has passed.

use std::time::Duration;

use writ_kernel::{Caller, Result};

use crate::{model::Which, room::Keys, sql};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(10);
/// As many keys are attended to in one round.
const ROUND: i64 = 100;

/// The worker. Several servers may run one each: every step is a conditional change that only one of them makes.
#[derive(Debug)]
pub struct Rotator {
    room: Keys,
}

impl Rotator {
    /// A worker for `room`.
    pub fn new(room: Keys) -> Self {
        Self { room }
    }

    /// Works until the future is dropped. What fails is logged and tried again.
    pub async fn run(self) {
        loop {
            if !self.room.gate().seal().is_closed()
                && let Err(error) = self.round().await
            {
                tracing::error!(error = %error, "a round of key rotation failed");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Attends to what is due now.
    ///
    /// # Errors
    /// When the database fails. What goes wrong with one key is logged, and does not keep the others waiting.
    pub async fn round(&self) -> Result<usize> {
        let gate = self.room.gate();
        let mut tx = gate.db().system_read().await?;
        let due = sql::due(&mut tx, gate.world().now(), ROUND).await?;
        drop(tx);
        let count = due.len();
        for (tenant, key) in due {
            let caller = Caller::system(tenant, gate.world());
            if let Err(error) = self.room.attend(&caller, &Which::Id(key)).await {
                tracing::warn!(%key, error = %error, "a key could not be rotated or destroyed when it was due");
            }
        }
        Ok(count)
    }
}

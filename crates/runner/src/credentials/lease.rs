//! The credentials of now, and their renewal.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;
use writ_kernel::{Error, Result, Timestamp, World};

use super::{CredentialEvent, CredentialEventKind as Kind, Lease, OnNewValues, Recorder, Renewal, Resolver};
use crate::aws::Credentials;

/// The longest wait between two attempts to renew.
const LONGEST_BACK_OFF: Duration = Duration::from_mins(1);

pub(super) struct Leases {
    world: World,
    resolver: Resolver,
    on_new_values: OnNewValues,
    recorder: Recorder,
    renewal: Renewal,
    /// Held while renewing, so that there is one renewal at a time and everyone waits for it.
    held: Mutex<Held>,
}

struct Held {
    current: Option<(Arc<Credentials>, Lease)>,
    failures: u32,
    not_again_before: Timestamp,
    wiped: bool,
}

impl Leases {
    pub(super) fn new(
        world: World,
        resolver: Resolver,
        on_new_values: OnNewValues,
        recorder: Recorder,
        renewal: Renewal,
    ) -> Self {
        let not_again_before = Timestamp::from_micros(i64::MIN);
        let held = Mutex::new(Held { current: None, failures: 0, not_again_before, wiped: false });
        Self { world, resolver, on_new_values, recorder, renewal, held }
    }

    /// Credentials worth serving, renewed if they end soon.
    pub(super) async fn current(&self) -> Result<(Arc<Credentials>, Lease)> {
        let mut held = self.held.lock().await;
        let renewed = self.renew(&mut held, self.renewal.ahead).await;
        match &held.current {
            Some((credentials, lease)) if self.left(lease) > self.renewal.reserve => {
                Ok((Arc::clone(credentials), lease.clone()))
            }
            _ => Err(renewed
                .err()
                .unwrap_or_else(|| Error::unavailable("no_lease", "there are no credentials"))),
        }
    }

    /// Renews unless the lease has `wanted` left, and says what it has.
    pub(super) async fn at_least(&self, wanted: Duration) -> Result<Duration> {
        let mut held = self.held.lock().await;
        self.renew(&mut held, wanted).await?;
        Ok(self.left_in(&held))
    }

    pub(super) async fn remaining(&self) -> Duration {
        self.left_in(&*self.held.lock().await)
    }

    /// Forgets the credentials for good.
    pub(super) async fn wipe(&self) {
        let mut held = self.held.lock().await;
        held.wiped = true;
        held.current = None;
    }

    /// Tells what happened, and waits until it is on record.
    pub(super) async fn tell(&self, kind: Kind) -> Result<()> {
        (self.recorder.0)(CredentialEvent { time: self.world.now(), kind }).await
    }

    async fn renew(&self, held: &mut Held, wanted: Duration) -> Result<()> {
        if held.wiped {
            return Err(Error::unavailable("closed", "the run is over"));
        }
        if self.left_in(held) > wanted {
            return Ok(());
        }
        let now = self.world.now();
        if now < held.not_again_before {
            return Err(Error::unavailable("backing_off", "the credentials cannot be renewed right now"));
        }
        match (self.resolver)().await {
            Ok(credentials) => {
                let (key_hash, not_after) = (credentials.key_hash(), credentials.expiration);
                let lease = Lease { key_hash, not_before: now, not_after };
                // The redactor knows the values before anyone can have them.
                (self.on_new_values)(&credentials);
                self.tell(Kind::Refreshed(lease.clone())).await?;
                held.current = Some((Arc::new(credentials), lease));
                held.failures = 0;
                Ok(())
            }
            Err(error) => {
                let wait =
                    self.renewal.back_off.saturating_mul(1 << held.failures.min(16)).min(LONGEST_BACK_OFF);
                held.failures = held.failures.saturating_add(1);
                held.not_again_before = self.world.now().plus(wait);
                self.tell(Kind::Failed { code: error.code() }).await?;
                Err(error)
            }
        }
    }

    fn left_in(&self, held: &Held) -> Duration {
        held.current.as_ref().map_or(Duration::ZERO, |(_, lease)| self.left(lease))
    }

    fn left(&self, lease: &Lease) -> Duration {
        lease.not_after.since(self.world.now())
    }
}

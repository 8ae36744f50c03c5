//! Rate limits: a neighbour never suffers for somebody else's haste.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use uuid::Uuid;
use writ_kernel::{Caller, Error, PrincipalKind, Timestamp};

/// How many requests, and how many in a burst.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Requests a second, sustained.
    pub per_second: u32,
    /// Requests at once after a pause.
    pub burst: u32,
}

/// The limits of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of all principals of one tenant together.
    pub tenant: Rate,
    /// Of one principal.
    pub principal: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tenant: Rate { per_second: 500, burst: 1_000 },
            principal: Rate { per_second: 100, burst: 200 },
        }
    }
}

/// What is left to a principal of its rate.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Requests at once after a pause.
    pub limit: u32,
    /// Requests it could make now.
    pub remaining: u32,
    /// When the limit is whole again, if it makes none.
    pub whole_at: Timestamp,
}

/// Buckets beyond this many are forgotten, the longest unused first: an attacker cannot fill memory with names.
const BUCKETS: usize = 65_536;

/// Token buckets, by tenant and by principal.
#[derive(Debug)]
pub(crate) struct Buckets {
    limits: Limits,
    buckets: Mutex<HashMap<(Uuid, Uuid), Bucket>>,
}

/// One request.
const ONE: u64 = 1_000_000;

/// In millionths of a request, so that a slow refill is not rounded away.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    micro_tokens: u64,
    at: Timestamp,
    /// When a refusal was last worth a record.
    told: Option<Timestamp>,
}

/// Somebody was too hasty.
#[derive(Debug)]
pub(crate) struct Hasty {
    pub(crate) error: Error,
    /// Whether this refusal is worth a record: one a minute, or haste would fill the log of its own tenant.
    pub(crate) on_record: bool,
}

/// So long after a recorded refusal another one is recorded.
const TELL_EVERY: Duration = Duration::from_mins(1);

impl Buckets {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, buckets: Mutex::default() }
    }

    /// What is left to the caller; takes nothing.
    pub(crate) fn left(&self, caller: &Caller, now: Timestamp) -> Allowance {
        let rate = self.limits.principal;
        let buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let full = u64::from(rate.burst) * ONE;
        let refilled = |bucket: &Bucket| {
            let elapsed = u64::try_from(now.since(bucket.at).as_micros()).unwrap_or(u64::MAX);
            bucket.micro_tokens.saturating_add(elapsed.saturating_mul(u64::from(rate.per_second))).min(full)
        };
        let tokens = buckets.get(&(caller.tenant.uuid(), caller.principal.uuid())).map_or(full, refilled);
        let wait = Duration::from_micros((full - tokens).div_ceil(u64::from(rate.per_second).max(1)));
        let remaining = u32::try_from(tokens / ONE).unwrap_or(rate.burst);
        Allowance { limit: rate.burst, remaining, whole_at: now.plus(wait) }
    }

    /// Takes one request of the caller and one of its tenant. Workers and runners of the server are not limited:
    /// the work they do was.
    pub(crate) fn take(&self, caller: &Caller, now: Timestamp) -> Result<(), Hasty> {
        if matches!(caller.kind, PrincipalKind::System | PrincipalKind::Runner) {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let tenant = caller.tenant.uuid();
        take(&mut buckets, (tenant, caller.principal.uuid()), self.limits.principal, now)?;
        take(&mut buckets, (tenant, Uuid::nil()), self.limits.tenant, now)?;
        if buckets.len() > BUCKETS {
            buckets.retain(|_, bucket| now.since(bucket.at) < Duration::from_mins(1));
        }
        Ok(())
    }
}

fn take(
    buckets: &mut HashMap<(Uuid, Uuid), Bucket>,
    key: (Uuid, Uuid),
    rate: Rate,
    now: Timestamp,
) -> Result<(), Hasty> {
    let full = u64::from(rate.burst) * ONE;
    let bucket = buckets.entry(key).or_insert(Bucket { micro_tokens: full, at: now, told: None });
    let elapsed = u64::try_from(now.since(bucket.at).as_micros()).unwrap_or(u64::MAX);
    // One token a second is one millionth of a token a microsecond.
    let refill = elapsed.saturating_mul(u64::from(rate.per_second));
    bucket.micro_tokens = bucket.micro_tokens.saturating_add(refill).min(full);
    bucket.at = bucket.at.max(now);
    if let Some(rest) = bucket.micro_tokens.checked_sub(ONE) {
        bucket.micro_tokens = rest;
        return Ok(());
    }
    let missing = ONE - bucket.micro_tokens;
    let wait = Duration::from_micros(missing.div_ceil(u64::from(rate.per_second).max(1)));
    let on_record = bucket.told.is_none_or(|told| now.since(told) >= TELL_EVERY);
    if on_record {
        bucket.told = Some(now);
    }
    let error = Error::exhausted("rate_limited", "too many requests", wait.max(Duration::from_secs(1)));
    Err(Hasty { error, on_record })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2, burst: 3 };

    fn drain(buckets: &mut HashMap<(Uuid, Uuid), Bucket>, now: Timestamp) -> usize {
        (0..100).take_while(|_| take(buckets, (Uuid::nil(), Uuid::nil()), RATE, now).is_ok()).count()
    }

    #[test]
    fn a_burst_is_served_and_then_the_sustained_rate() {
        let (mut buckets, start) = (HashMap::new(), Timestamp::from_micros(0));
        assert_eq!(drain(&mut buckets, start), 3);
        assert_eq!(drain(&mut buckets, start.plus(Duration::from_secs(1))), 2);
        assert_eq!(drain(&mut buckets, start.plus(Duration::from_mins(1))), 3);
    }

    #[test]
    fn a_clock_that_jumps_back_gives_nothing_away() {
        let (mut buckets, start) = (HashMap::new(), Timestamp::from_micros(10_000_000));
        drain(&mut buckets, start);
        assert_eq!(drain(&mut buckets, Timestamp::from_micros(0)), 0);
        assert_eq!(drain(&mut buckets, start), 0);
    }

    #[test]
    fn whoever_must_wait_is_told_how_long() {
        let (mut buckets, start) = (HashMap::new(), Timestamp::from_micros(0));
        drain(&mut buckets, start);
        let hasty = take(&mut buckets, (Uuid::nil(), Uuid::nil()), RATE, start).unwrap_err();
        assert!(hasty.error.retry_after().unwrap() >= Duration::from_millis(500));
    }

    #[test]
    fn one_refusal_a_minute_is_worth_a_record() {
        let (mut buckets, start) = (HashMap::new(), Timestamp::from_micros(0));
        drain(&mut buckets, start);
        let refused = |buckets: &mut HashMap<_, _>, at| {
            drain(buckets, at);
            take(buckets, (Uuid::nil(), Uuid::nil()), RATE, at).unwrap_err().on_record
        };
        // The draining itself ended with a recorded refusal.
        assert!(!refused(&mut buckets, start));
        assert!(!refused(&mut buckets, start.plus(Duration::from_secs(59))));
        buckets.clear();
        drain(&mut buckets, start);
        let later = start.plus(Duration::from_mins(2));
        (0..3).for_each(|_| take(&mut buckets, (Uuid::nil(), Uuid::nil()), RATE, later).unwrap());
        assert!(take(&mut buckets, (Uuid::nil(), Uuid::nil()), RATE, later).unwrap_err().on_record);
    }
}

//! What the tests of borrowed credentials stand on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use writ_crypto::SecretString;
use writ_kernel::{Chance, Clock, Timestamp, World};
use writ_runner::aws::{
    AssumeRole, Http, Identity, Limits, Patience, SessionDuration, SessionPolicy, SessionTag, Sts,
};

/// When it is, in a held world.
pub(crate) const NOON: &str = "2026-11-22T12:00:00Z";

/// A clock that stands until it is moved.
pub(crate) struct Held(AtomicI64);

impl Held {
    pub(crate) fn at(time: &str) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.parse::<Timestamp>().unwrap().micros())))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Held {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Bytes that differ each time, and mean nothing.
struct Counter(AtomicU64);

impl Chance for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            *byte = next.to_be_bytes()[0];
        }
    }
}

pub(crate) fn world(clock: &Arc<impl Clock + 'static>) -> World {
    World::new(Arc::clone(clock) as Arc<dyn Clock>, Arc::new(Counter(AtomicU64::new(7))))
}

/// The real time, for services that have one.
pub(crate) struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the emulator tells the real time")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }
}

pub(crate) fn sts(world: World, url: &str) -> Sts {
    let limits =
        Limits { connect: Duration::from_secs(2), total: Duration::from_millis(700), body: 16 * 1024 };
    sts_within(world, url, limits)
}

pub(crate) fn sts_within(world: World, url: &str, limits: Limits) -> Sts {
    let patience = Patience { tries: 3, first: Duration::from_millis(2), most: Duration::from_millis(4) };
    Sts::new(world, Http::new(limits).unwrap(), "eu-central-1".parse().unwrap(), Some(url), patience).unwrap()
}

pub(crate) fn identity() -> Identity {
    Identity {
        access_key_id: SecretString::new("AKIDEXAMPLE".into()),
        secret_access_key: SecretString::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into()),
        session_token: None,
    }
}

pub(crate) fn assume(external_id: &str) -> AssumeRole {
    AssumeRole {
        role: "arn:aws:iam::123456789012:role/deploy".parse().unwrap(),
        external_id: external_id.parse().unwrap(),
        session_name: "writ-run-0192".parse().unwrap(),
        source_identity: None,
        duration: SessionDuration::from_seconds(1800).unwrap(),
        tags: vec![
            SessionTag::new("writ:tenant", "acme").unwrap(),
            SessionTag::new("writ:deployment", "0192-web").unwrap(),
        ],
        policy: SessionPolicy::default(),
    }
}

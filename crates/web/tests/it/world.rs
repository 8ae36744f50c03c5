//! A world that stands still.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use writ_kernel::{Chance, Clock, Timestamp, World};

struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

#[derive(Default)]
struct Counter(AtomicU8);

impl Chance for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

pub(crate) fn noon() -> Timestamp {
    "2027-01-31T12:00:00Z".parse().unwrap()
}

pub(crate) fn world() -> World {
    World::new(Arc::new(Still(noon())), Arc::new(Counter::default()))
}

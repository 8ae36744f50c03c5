//! Counters for the metrics page.

use std::sync::atomic::{AtomicU64, Ordering};

/// How busy the database is. Counters start at zero when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Transactions made durable.
    pub commits: u64,
    /// Flushes to disk that carried them: fewer than `commits` when group commit is at work.
    pub batches: u64,
    /// Transactions in the latest batch.
    pub last_batch: u64,
    /// Transactions in the largest batch so far.
    pub largest_batch: u64,
    /// Connections in use: of the pool, or of SQLite's read pool.
    pub in_use: u64,
    /// Connections open, of the same pool.
    pub open: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    batches: AtomicU64,
    last_batch: AtomicU64,
    largest_batch: AtomicU64,
}

impl Counters {
    /// Notes a flush that carried `size` transactions.
    pub(crate) fn committed(&self, size: u64) {
        self.commits.fetch_add(size, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.last_batch.store(size, Ordering::Relaxed);
        self.largest_batch.fetch_max(size, Ordering::Relaxed);
    }

    /// The counters, and the state of the pool.
    pub(crate) fn stats<D: sqlx::Database>(&self, pool: &sqlx::Pool<D>) -> Stats {
        let open = u64::from(pool.size());
        let idle = u64::try_from(pool.num_idle()).unwrap_or(u64::MAX);
        Stats {
            commits: self.commits.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            last_batch: self.last_batch.load(Ordering::Relaxed),
            largest_batch: self.largest_batch.load(Ordering::Relaxed),
            in_use: open.saturating_sub(idle),
            open,
        }
    }
}

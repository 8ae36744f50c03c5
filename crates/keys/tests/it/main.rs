//! The room of keys, as clients see it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod backup;
mod fields;
mod hostile;
mod life;
mod stage;
mod using;

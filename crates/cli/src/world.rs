//! The operating system's clock and randomness, for what the command line does itself.

use std::sync::Arc;

use writ_crypto::Entropy;
use writ_kernel::{SystemClock, World};

/// The world as it is.
pub(crate) fn world() -> World {
    World::new(Arc::new(SystemClock), Arc::new(Entropy::os()))
}

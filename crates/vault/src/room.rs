//! The handle that every verb of this room hangs on.

use std::{fmt, sync::Arc};

use writ_gate::Gate;

use crate::{ports::People, readers::Readers};

/// The vault. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Vault(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) gate: Gate,
    pub(crate) people: Arc<dyn People>,
    pub(crate) readers: Readers,
}

impl Vault {
    /// The room behind `gate`.
    pub fn new(gate: Gate, people: Arc<dyn People>) -> Self {
        Self(Arc::new(Inner { gate, people, readers: Readers::default() }))
    }

    /// The one door.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

//! How things stand in a tenant: what every decision there begins with.
//!
//! Where this process alone can change the database, it is remembered until something changes who may do what. Where
//! others can, it is read each time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use writ_kernel::TenantId;

use crate::policy::Policies;

/// An active tenant, its log, and the policies that hold in it.
#[derive(Clone)]
pub(crate) struct Standing {
    pub(crate) log: Arc<str>,
    pub(crate) policies: Arc<Policies>,
}

/// How often the authority of a tenant has changed. What was known at another number is not known any more.
pub type Generation = u64;

/// As many tenants are remembered.
const TENANTS: usize = 10_000;

#[derive(Default)]
pub(crate) struct Standings {
    /// Whether anything may be remembered.
    exclusive: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Never shrinks: a number that came back would make old knowledge look new.
    generations: HashMap<TenantId, Generation>,
    known: HashMap<TenantId, (Generation, Standing)>,
}

impl Standings {
    pub(crate) fn new(exclusive: bool) -> Self {
        Self { exclusive, state: Mutex::default() }
    }

    /// The number to compare later; `None` when nothing may be remembered.
    pub(crate) fn generation(&self, tenant: TenantId) -> Option<Generation> {
        self.exclusive.then(|| self.state().generations.get(&tenant).copied().unwrap_or(0))
    }

    pub(crate) fn find(&self, tenant: TenantId) -> Option<Standing> {
        let state = self.state();
        let now = state.generations.get(&tenant).copied().unwrap_or(0);
        state.known.get(&tenant).filter(|(then, _)| *then == now).map(|(_, standing)| standing.clone())
    }

    /// Remembers what was read at `then`, the generation before the reading began.
    pub(crate) fn remember(&self, tenant: TenantId, then: Option<Generation>, standing: Standing) {
        let Some(then) = then else { return };
        let mut state = self.state();
        if state.known.len() >= TENANTS {
            state.known.clear();
        }
        state.known.insert(tenant, (then, standing));
    }

    /// Who may do what has changed, or may have: whatever was known is not known any more.
    pub(crate) fn changed(&self, tenant: TenantId) {
        *self.state().generations.entry(tenant).or_insert(0) += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

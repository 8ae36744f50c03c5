//! The face itself.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use uuid::Uuid;
use writ_gate::Gate;
use writ_identity::Identity;
use writ_kernel::{TenantId, World};
use writ_keys::Keys;
use writ_seal::Seal;
use writ_vault::Vault;

use crate::view::View;

/// On what terms tokens are given.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a token lives that does not say.
    pub default_ttl: Duration,
    /// How long a token can be made to live, unless it is periodic.
    pub max_ttl: Duration,
    /// How long the root token lives that `init` gives. Nobody holds standing power.
    pub root_ttl: Duration,
    /// Whether who vouches for somebody (an issuer, a cluster) may be at an address of this machine or of a private
    /// network. Whoever configures a way to sign in could reach, through us, whatever we can.
    pub private_networks: bool,
}

impl Default for Terms {
    fn default() -> Self {
        let month = Duration::from_hours(32 * 24);
        Self {
            default_ttl: month,
            max_ttl: month,
            root_ttl: Duration::from_hours(24),
            private_networks: false,
        }
    }
}

/// The Vault dialect over the rooms. Cheap to clone.
#[derive(Clone)]
pub struct Dialect(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) gate: Gate,
    pub(crate) identity: Identity,
    pub(crate) vault: Vault,
    pub(crate) keys: Keys,
    pub(crate) terms: Terms,
    views: Mutex<HashMap<(TenantId, Uuid), Arc<View>>>,
}

/// As many environments are kept in memory.
const VIEWS: usize = 4096;

impl Dialect {
    /// The dialect behind `gate`.
    pub fn new(gate: Gate, identity: Identity, vault: Vault, keys: Keys, terms: Terms) -> Self {
        Self(Arc::new(Inner { gate, identity, vault, keys, terms, views: Mutex::default() }))
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(crate) fn seal(&self) -> &Seal {
        self.0.gate.seal()
    }

    pub(crate) fn world(&self) -> &World {
        self.0.gate.world()
    }

    pub(crate) fn terms(&self) -> Terms {
        self.0.terms
    }

    /// The view of an environment, if it is kept and still of this version.
    pub(crate) fn kept(&self, tenant: TenantId, environment: Uuid, version: i64) -> Option<Arc<View>> {
        let views = self.0.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.get(&(tenant, environment)).filter(|view| view.version == version).cloned()
    }

    pub(crate) fn keep(&self, view: &Arc<View>) {
        let mut views = self.0.views.lock().unwrap_or_else(PoisonError::into_inner);
        if views.len() >= VIEWS {
            views.clear();
        }
        views.insert((view.tenant, view.environment.id.uuid()), Arc::clone(view));
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialect").field("terms", &self.0.terms).finish_non_exhaustive()
    }
}

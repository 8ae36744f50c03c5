//! What this room needs of the house.

use std::{future::Future, pin::Pin};

use uuid::Uuid;
use writ_crypto::SecretString;
use writ_kernel::{Caller, Deployment, Id, Principal, Result, Run, TenantId, Timestamp, TraceId};

/// A future in a box, as ports return them.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who a principal is now: the identity room knows.
pub trait Principals: Send + Sync {
    /// `principal` with the roles it holds at this moment; `None` when it is unknown or disabled.
    fn current(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
        trace: TraceId,
    ) -> Boxed<'_, Result<Option<Caller>>>;

    /// The person who answers for `principal`, when that is a service account.
    fn accountable(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
    ) -> Boxed<'_, Result<Option<Id<Principal>>>>;
}

/// Starts runners: a process beside the server, or a job in a cluster.
pub trait Launcher: Send + Sync {
    /// Starts the runner of `launch` and returns once it runs on its own, with a name that [`Launcher::gone`] knows it
    /// by, also after a restart. What becomes of it, the run itself tells.
    fn launch(&self, launch: Launch) -> Boxed<'_, Result<String>>;

    /// Whether the process is certainly dead. `false` when that cannot be known.
    fn gone(&self, process: &str) -> bool;
}

/// What a new runner is given. Everything else it fetches itself, with the token.
#[expect(missing_debug_implementations, reason = "holds the run's one-time token")]
pub struct Launch {
    /// The tenant.
    pub tenant: TenantId,
    /// The deployment; the errand, when the run is one of an errand.
    pub deployment: Id<Deployment>,
    /// The run.
    pub run: Id<Run>,
    /// The trace of the deployment: what the runner does belongs to it.
    pub trace: TraceId,
    /// The one-time token.
    pub token: SecretString,
    /// When everything must be over.
    pub deadline: Timestamp,
    /// Names the state file of targets whose state is local: `<tenant>/<environment>/<target>/`. `None` when the run
    /// is about no target.
    pub local_state: Option<LocalState>,
}

/// Where a local state belongs.
#[derive(Debug, Clone)]
pub struct LocalState {
    /// The environment.
    pub environment: Uuid,
    /// The target.
    pub target: String,
}

//! Engines, their roles, and leases, as the verbs see them.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Notify;
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_gate::{Environment, Gate, Resource};
use writ_kernel::{Engine, Id, Lease, Name, Principal, TenantId, Timestamp};
use writ_wire::leases::{self as wire, EngineConfig, LeaseState, RoleSpec};

use super::ports::{Holders, Tokens};

/// Engines and leases. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Leases(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) gate: Gate,
    pub(crate) holders: Arc<dyn Holders>,
    pub(crate) tokens: Arc<dyn Tokens>,
    pub(crate) terms: Terms,
    pub(crate) changed: Notify,
}

/// How much there may be, and how patient the worker is.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Leases of one tenant that are not over.
    pub of_tenant: u32,
    /// Leases of one holder that are not over.
    pub of_holder: u32,
    /// How often the worker looks for work that nobody announced.
    pub every: Duration,
    /// How often the worker asks whether holders are still there.
    pub roll_call: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            of_tenant: 10_000,
            of_holder: 1_000,
            every: Duration::from_secs(1),
            roll_call: Duration::from_secs(15),
        }
    }
}

impl Leases {
    /// Engines and leases behind `gate`.
    pub fn new(gate: Gate, holders: Arc<dyn Holders>, tokens: Arc<dyn Tokens>, terms: Terms) -> Self {
        Self(Arc::new(Inner { gate, holders, tokens, terms, changed: Notify::new() }))
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// There is work for the worker.
    pub(crate) fn wake(&self) {
        self.0.changed.notify_one();
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("terms", &self.0.terms).finish_non_exhaustive()
    }
}

/// An engine.
#[derive(Debug, Clone)]
pub struct EngineRecord {
    /// Its id.
    pub id: Id<Engine>,
    /// Its name, unique in its environment.
    pub name: Name,
    /// Its environment.
    pub environment: Id<writ_kernel::Environment>,
    /// Where it makes credentials.
    pub config: EngineConfig,
    /// What it works with, sealed.
    pub(crate) sealed: Option<Vec<u8>>,
    /// Counts changes; part of what the credential is sealed with.
    pub(crate) version: i64,
    /// How long a lease lasts unless asked otherwise.
    pub default_ttl: Duration,
    /// How long a lease lasts at most.
    pub max_ttl: Duration,
    /// When it was set up.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl EngineRecord {
    /// What policy decides about.
    pub(crate) fn resource(&self, environment: Environment) -> Resource {
        let path = Some(self.name.to_string());
        Resource { path, ..Resource::one("engine", self.id).named(&self.name).within(environment) }
    }

    /// What the credential is sealed with.
    pub(crate) fn aad(&self, tenant: TenantId) -> Vec<u8> {
        let version = u64::try_from(self.version).unwrap_or(0);
        writ_crypto::Aad::cell(tenant, "engines", self.id.uuid().as_bytes(), "sealed", version)
    }

    /// The word for its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self.config {
            EngineConfig::Postgres { .. } => "postgres",
            EngineConfig::Aws { .. } => "aws",
            EngineConfig::Tokens { .. } => "tokens",
        }
    }
}

/// What may be borrowed from an engine.
#[derive(Debug, Clone)]
pub struct RoleRecord {
    /// Its engine.
    pub engine: Id<Engine>,
    /// Its name.
    pub name: Name,
    /// What is made.
    pub spec: RoleSpec,
    /// How long a lease lasts unless asked otherwise.
    pub default_ttl: Duration,
    /// How long a lease lasts at most.
    pub max_ttl: Duration,
    /// When it was written first.
    pub created_at: Timestamp,
}

/// A borrowed credential.
#[derive(Debug, Clone)]
pub struct LeaseRecord {
    /// Its id.
    pub id: Id<Lease>,
    /// The engine that made it.
    pub engine: Id<Engine>,
    /// Its environment.
    pub environment: Id<writ_kernel::Environment>,
    /// What was borrowed.
    pub role: Name,
    /// What was made, as it was said then.
    pub(crate) spec: RoleSpec,
    /// Who borrowed it.
    pub holder: Id<Principal>,
    /// What sort of principal: `person`, `service`, or `token` for one of the Vault dialect.
    pub(crate) holder_kind: String,
    /// The token of the Vault dialect it was borrowed with; it ends with the token.
    pub(crate) credential: Option<Uuid>,
    /// What has become of it.
    pub state: LeaseState,
    /// What the target knows it by.
    pub handle: String,
    /// Whether it can be borrowed for longer.
    pub renewable: bool,
    /// When it was borrowed.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it ends at the latest.
    pub max_expires_at: Timestamp,
    /// When the worker looks at it.
    pub(crate) next_at: Option<Timestamp>,
    /// How often ending it was tried.
    pub attempts: i64,
    /// Why it ends before its time.
    pub reason: Option<String>,
    /// Why ending it has not succeeded yet.
    pub failure: Option<String>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl LeaseRecord {
    /// What policy decides about.
    pub(crate) fn resource(&self, engine: &EngineRecord, environment: Environment) -> Resource {
        let path = format!("{}/{}", engine.name, self.role);
        Resource {
            path: Some(path.clone()),
            ..Resource::one("lease", self.id).named(path).within(environment).by(self.holder).of(self.holder)
        }
    }
}

/// A fresh lease with its credential, by the names of its parts.
#[expect(missing_debug_implementations, reason = "holds a credential")]
pub struct Borrowed {
    /// The lease.
    pub lease: LeaseRecord,
    /// The parts of the credential.
    pub credential: Parts,
}

/// A credential by the names of its parts.
pub type Parts = Vec<(&'static str, SecretString)>;

/// A number of seconds, for the wire and the database.
pub(crate) fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

impl From<EngineRecord> for wire::Engine {
    fn from(engine: EngineRecord) -> Self {
        Self {
            id: engine.id.uuid(),
            name: engine.name.to_string(),
            environment: engine.environment.uuid(),
            config: engine.config,
            default_ttl_seconds: seconds(engine.default_ttl),
            max_ttl_seconds: seconds(engine.max_ttl),
            created_at: engine.created_at,
            updated_at: engine.updated_at,
        }
    }
}

impl From<RoleRecord> for wire::Role {
    fn from(role: RoleRecord) -> Self {
        Self {
            name: role.name.to_string(),
            spec: role.spec,
            default_ttl_seconds: seconds(role.default_ttl),
            max_ttl_seconds: seconds(role.max_ttl),
            created_at: role.created_at,
        }
    }
}

impl From<LeaseRecord> for wire::Lease {
    fn from(lease: LeaseRecord) -> Self {
        Self {
            id: lease.id.uuid(),
            engine: lease.engine.uuid(),
            role: lease.role.to_string(),
            environment: lease.environment.uuid(),
            holder: lease.holder.uuid(),
            next_try_at: lease.next_at.filter(|_| lease.state == LeaseState::Revoking),
            state: lease.state,
            handle: lease.handle,
            renewable: lease.renewable,
            issued_at: lease.issued_at,
            expires_at: lease.expires_at,
            max_expires_at: lease.max_expires_at,
            reason: lease.reason,
            attempts: u32::try_from(lease.attempts).unwrap_or(u32::MAX),
            failure: lease.failure,
            ended_at: lease.ended_at,
        }
    }
}

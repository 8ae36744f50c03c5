//! The room and its rows, parsed.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;
use writ_gate::{Environment, Gate, Resource};
use writ_kernel::{
    Configuration, Connection, Deployment, Error, Id, Label, Name, Principal, Result, Run, Timestamp, TraceId,
};
use writ_wire::{
    configurations as configurations_wire,
    connections::{self as connections_wire, Cloud, StateBackend},
    deployments::{self as wire, Mode, Outcome, Plan, State},
};

use crate::{errands::Errand, ports::Principals};

/// As many readers of output wait at once; waiting must not take the places of those who act.
const READERS: usize = 256;

/// The deploy room. Cheap to clone.
#[derive(Clone)]
pub struct Deploy(pub(crate) Arc<Room>);

pub(crate) struct Room {
    pub(crate) gate: Gate,
    pub(crate) principals: Arc<dyn Principals>,
    /// How many readers of output may wait at once.
    pub(crate) waiting: Semaphore,
    /// Something changed that a worker or a reader of output may wait for.
    pub(crate) changed: Notify,
}

impl Deploy {
    /// The room behind `gate`.
    pub fn new(gate: Gate, principals: Arc<dyn Principals>) -> Self {
        let waiting = Semaphore::new(READERS);
        Self(Arc::new(Room { gate, principals, waiting, changed: Notify::new() }))
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Wakes whoever waits for work or output.
    pub(crate) fn wake(&self) {
        self.0.changed.notify_waiters();
    }
}

impl std::fmt::Debug for Deploy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deploy").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ConnectionRecord {
    pub(crate) id: Id<Connection>,
    pub(crate) name: Name,
    pub(crate) environment: Id<writ_kernel::Environment>,
    pub(crate) target: Cloud,
    pub(crate) backend: StateBackend,
    pub(crate) allowed_providers: Vec<String>,
    pub(crate) created_at: Timestamp,
}

impl ConnectionRecord {
    pub(crate) fn resource(&self, environment: Environment) -> Resource {
        let mut resource = Resource::one("connection", self.id).named(&self.name).within(environment);
        resource.cloud = Some(cloud_word(&self.target).to_owned());
        resource.state = Some(backend_word(&self.backend).to_owned());
        resource
    }
}

/// `aws`, `azure`, `gcp` or `local`.
pub(crate) const fn cloud_word(cloud: &Cloud) -> &'static str {
    match cloud {
        Cloud::Aws { .. } => "aws",
        Cloud::Azure { .. } => "azure",
        Cloud::Gcp { .. } => "gcp",
        Cloud::Local {} => "local",
    }
}

/// `s3`, `azurerm`, `gcs` or `local`.
pub(crate) const fn backend_word(backend: &StateBackend) -> &'static str {
    match backend {
        StateBackend::S3 { .. } => "s3",
        StateBackend::Azurerm { .. } => "azurerm",
        StateBackend::Gcs { .. } => "gcs",
        StateBackend::Local {} => "local",
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ConfigurationRecord {
    pub(crate) id: Id<Configuration>,
    pub(crate) digest: String,
    pub(crate) files: Vec<String>,
    pub(crate) size: u64,
    pub(crate) origin: Option<Label>,
    pub(crate) author: Id<Principal>,
    pub(crate) created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct DeploymentRecord {
    pub(crate) id: Id<Deployment>,
    pub(crate) target: Name,
    pub(crate) environment: Id<writ_kernel::Environment>,
    pub(crate) connection: Id<Connection>,
    pub(crate) configuration: Id<Configuration>,
    pub(crate) mode: Mode,
    pub(crate) state: State,
    pub(crate) author: Id<Principal>,
    /// The circumstances of the request, sealed; absent in rows of a release that did not keep them.
    pub(crate) asked: Option<Vec<u8>>,
    pub(crate) reason: Option<Label>,
    /// The input variables, sealed: opened only for a run.
    pub(crate) sealed_variables: Vec<u8>,
    pub(crate) timeout_seconds: u32,
    pub(crate) plan_salt: String,
    pub(crate) plan: Option<Plan>,
    pub(crate) approval: Option<Uuid>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) cancel_requested: bool,
    pub(crate) trace: TraceId,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl DeploymentRecord {
    pub(crate) fn resource(&self, connection: &ConnectionRecord, environment: Environment) -> Resource {
        let mut resource =
            Resource::one("deployment", self.id).named(&self.target).within(environment).by(self.author);
        resource.cloud = Some(cloud_word(&connection.target).to_owned());
        resource.state = Some(backend_word(&connection.backend).to_owned());
        resource
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Starting,
    Claimed,
    Finished,
    Lost,
}

impl RunState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Claimed => "claimed",
            Self::Finished => "finished",
            Self::Lost => "lost",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        [Self::Starting, Self::Claimed, Self::Finished, Self::Lost]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::internal("a run is in no known state"))
    }
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Deployment(Id<Deployment>),
    Validation(Id<Errand>),
    Unlock(Id<Errand>),
}

impl Work {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment(_) => "deployment",
            Self::Validation(_) => "validation",
            Self::Unlock(_) => "unlock",
        }
    }

    /// What it is called in evidence.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Deployment(_) => "deployment",
            Self::Validation(_) | Self::Unlock(_) => "errand",
        }
    }

    /// The deployment, or the errand.
    pub(crate) const fn id(self) -> Uuid {
        match self {
            Self::Deployment(id) => id.uuid(),
            Self::Validation(id) | Self::Unlock(id) => id.uuid(),
        }
    }

    pub(crate) fn parse(word: &str, id: Uuid) -> Result<Self> {
        match word {
            "deployment" => Ok(Self::Deployment(Id::from_uuid(id))),
            "validation" => Ok(Self::Validation(Id::from_uuid(id))),
            "unlock" => Ok(Self::Unlock(Id::from_uuid(id))),
            _ => Err(Error::internal("a run is for nothing known")),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct RunRecord {
    pub(crate) id: Id<Run>,
    pub(crate) work: Work,
    pub(crate) environment: Id<writ_kernel::Environment>,
    pub(crate) state: RunState,
    pub(crate) canary: String,
    pub(crate) isolation: Option<u8>,
    pub(crate) permit: Option<Uuid>,
    /// Whether its launcher has seen it dead: only then may its state lock be released.
    pub(crate) gone: bool,
    pub(crate) heartbeat_at: Timestamp,
    pub(crate) deadline: Timestamp,
}

impl From<ConnectionRecord> for connections_wire::Connection {
    fn from(connection: ConnectionRecord) -> Self {
        let ConnectionRecord { id, name, environment, target, backend, allowed_providers, created_at } =
            connection;
        let (id, name, environment) = (id.uuid(), name.to_string(), environment.uuid());
        Self { id, name, environment, target, backend, allowed_providers, created_at }
    }
}

impl From<ConfigurationRecord> for configurations_wire::Configuration {
    fn from(configuration: ConfigurationRecord) -> Self {
        let ConfigurationRecord { id, digest, files, size, origin, created_at, author: _ } = configuration;
        Self { id: id.uuid(), digest, files, size, origin: origin.map(|label| label.to_string()), created_at }
    }
}

impl From<DeploymentRecord> for wire::Deployment {
    fn from(deployment: DeploymentRecord) -> Self {
        Self {
            id: deployment.id.uuid(),
            target: deployment.target.to_string(),
            environment: deployment.environment.uuid(),
            connection: deployment.connection.uuid(),
            configuration: deployment.configuration.uuid(),
            mode: deployment.mode,
            state: deployment.state,
            author: deployment.author.uuid(),
            reason: deployment.reason.map(|label| label.to_string()),
            plan: deployment.plan,
            approval: deployment.approval,
            outcome: deployment.outcome,
            created_at: deployment.created_at,
            updated_at: deployment.updated_at,
        }
    }
}

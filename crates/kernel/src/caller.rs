//! Who asks.

use std::{net::IpAddr, sync::Arc};

use uuid::Uuid;

use crate::{Action, Environment, Fence, Id, Name, Principal, Scopes, TenantId, Timestamp, TraceId, World};

/// What sort of principal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A human being.
    Person,
    /// A service account.
    Service,
    /// The runner of one run.
    Runner,
    /// Whoever holds a link or a wrapping token: nobody we know, with the authority to receive once.
    Bearer,
    /// A worker of the server itself.
    System,
}

impl Kind {
    /// The lower-case word for databases, policies and evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
            Self::Runner => "runner",
            Self::Bearer => "bearer",
            Self::System => "system",
        }
    }
}

/// A role somebody holds, everywhere in the tenant or in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The name policies know it by: `viewer`, `developer`, `operator`, `auditor`, `admin`, `approver` or a custom one.
    pub name: Name,
    /// The only environment it holds in; `None` for all.
    pub environment: Option<Id<Environment>>,
}

/// What the caller showed to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A session.
    Session(Uuid),
    /// An API key.
    ApiKey(Uuid),
    /// The one-time token of a run.
    RunToken(Uuid),
    /// A token of the Vault dialect.
    DialectToken(Uuid),
    /// A link, or a wrapping token.
    Link(Uuid),
    /// None: a worker inside the server.
    Internal,
}

/// An authenticated principal and the circumstances of this request. Built by authentication alone, never
/// from anything the client says about itself.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant it belongs to. It can act in no other.
    pub tenant: TenantId,
    /// Who.
    pub principal: Id<Principal>,
    /// What sort of principal.
    pub kind: Kind,
    /// The roles it holds now.
    pub roles: Arc<[Role]>,
    /// What its credential may be used for.
    pub scopes: Scopes,
    /// How far the credential reaches by path, when it is one of the Vault dialect.
    pub fence: Option<Fence>,
    /// What it showed.
    pub credential: Credential,
    /// When it authenticated; step-up looks at the age.
    pub authenticated_at: Timestamp,
    /// Whether more than one factor was shown.
    pub mfa: bool,
    /// Where the request came from.
    pub source: Option<IpAddr>,
    /// The trace this request belongs to.
    pub trace: TraceId,
}

impl Caller {
    /// The worker `name` of this server, acting inside `tenant`.
    pub fn system(tenant: TenantId, world: &World) -> Self {
        Self {
            tenant,
            principal: Id::from_uuid(Uuid::nil()),
            kind: Kind::System,
            roles: Arc::new([]),
            scopes: Scopes::all(),
            fence: None,
            credential: Credential::Internal,
            authenticated_at: world.now(),
            mfa: false,
            source: None,
            trace: TraceId::new(world),
        }
    }

    /// Whether the caller's credential may be used for `action` at all.
    pub fn may_try(&self, action: Action) -> bool {
        self.scopes.cover(action) && self.fence.as_ref().is_none_or(Fence::permits)
    }
}

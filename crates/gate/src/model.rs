//! What the gate decides about, and what it answers with.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use writ_kernel::{Action, Id, Name, Principal, Timestamp};

/// An environment's guard rails, as policies see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: Id<writ_kernel::Environment>,
    /// Its name.
    pub name: Name,
    /// `dev`, `research`, `staging` or `prod`.
    pub kind: String,
    /// How many others must approve a change: 0 to 9.
    pub required_approvals: u8,
    /// How well a runner must be isolated: 0 none, 1 partial, 2 full.
    pub minimum_isolation: u8,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What an action is done to. Built by a room from rows of the caller's own tenant, never from what a client says.
#[derive(Debug, Clone, Default)]
pub struct Resource {
    /// The noun: `deployment`, `person`, `log`, …
    pub kind: &'static str,
    /// Which one; `None` for a listing or for what does not exist yet.
    pub id: Option<Uuid>,
    /// What people call it.
    pub name: Option<String>,
    /// The environment it belongs to.
    pub environment: Option<Environment>,
    /// Who asked for it.
    pub author: Option<Id<Principal>>,
    /// Who answers for it, or whose it is.
    pub owner: Option<Id<Principal>>,
    /// The cloud it acts on: `aws`, `azure`, `gcp` or `local`.
    pub cloud: Option<String>,
    /// Where its state is kept: `s3`, `azurerm`, `gcs` or `local`.
    pub state: Option<String>,
    /// The role that a binding gives.
    pub grants_role: Option<String>,
    /// How closely a secret is to be kept: `public`, `internal`, `confidential` or `restricted`.
    pub classification: Option<String>,
    /// Where a secret or a key is found, like `billing/database`.
    pub path: Option<String>,
}

impl Resource {
    /// All things of one kind.
    pub fn all(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    /// One thing.
    pub fn one<T>(kind: &'static str, id: Id<T>) -> Self {
        Self { kind, id: Some(id.uuid()), ..Self::default() }
    }

    /// The same thing, by the name people use.
    #[must_use]
    pub fn named(self, name: impl fmt::Display) -> Self {
        Self { name: Some(name.to_string()), ..self }
    }

    /// The same thing, in its environment.
    #[must_use]
    pub fn within(self, environment: Environment) -> Self {
        Self { environment: Some(environment), ..self }
    }

    /// The same thing, by its author.
    #[must_use]
    pub fn by(self, author: Id<Principal>) -> Self {
        Self { author: Some(author), ..self }
    }

    /// The same thing, with its owner.
    #[must_use]
    pub fn of(self, owner: Id<Principal>) -> Self {
        Self { owner: Some(owner), ..self }
    }
}

/// What policies may know of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Resources to create.
    pub create: u32,
    /// Resources to change in place.
    pub update: u32,
    /// Resources to delete.
    pub delete: u32,
    /// Resources to delete and create anew.
    pub replace: u32,
    /// Resource types.
    pub types: Vec<String>,
    /// Regions and locations.
    pub regions: Vec<String>,
    /// Images.
    pub images: Vec<String>,
    /// Providers.
    pub providers: Vec<String>,
}

/// Circumstances of a decision that a room knows and the caller does not bring.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// How many others agreed to exactly this; counted by the server.
    pub approvals: u8,
    /// The plan to be made real.
    pub plan: Option<Plan>,
    /// The isolation the runner reached: 0 none, 1 partial, 2 full.
    pub isolation: Option<u8>,
}

/// Everything policy looks at, in its own words.
#[derive(Debug, Clone)]
pub struct Facts {
    pub(crate) tenant: String,
    pub(crate) principal: String,
    pub(crate) principal_kind: &'static str,
    pub(crate) roles: Vec<String>,
    pub(crate) resource: ResourceFacts,
    pub(crate) now: Timestamp,
    pub(crate) mfa: bool,
    pub(crate) session_age: Duration,
    pub(crate) source: Option<IpAddr>,
    pub(crate) approvals: u8,
    pub(crate) plan: Option<Plan>,
    pub(crate) isolation: Option<u8>,
}

/// The resource, in policy's words.
#[derive(Debug, Clone)]
pub(crate) struct ResourceFacts {
    pub(crate) kind: &'static str,
    pub(crate) id: Option<Uuid>,
    pub(crate) environment: Option<Environment>,
    pub(crate) author: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) cloud: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) grants_role: Option<String>,
    pub(crate) classification: Option<String>,
    pub(crate) path: Option<String>,
}

impl Facts {
    /// The facts of a request.
    pub fn new(
        caller: &writ_kernel::Caller,
        resource: &Resource,
        around: &Circumstances,
        now: Timestamp,
    ) -> Self {
        let environment = resource.environment.as_ref().map(|environment| environment.id);
        let holds = |role: &&writ_kernel::Role| role.environment.is_none() || role.environment == environment;
        Self {
            tenant: caller.tenant.to_string(),
            principal: caller.principal.to_string(),
            principal_kind: caller.kind.as_str(),
            roles: caller.roles.iter().filter(holds).map(|role| role.name.to_string()).collect(),
            resource: ResourceFacts {
                kind: resource.kind,
                id: resource.id,
                environment: resource.environment.clone(),
                author: resource.author.map(|id| id.to_string()),
                owner: resource.owner.map(|id| id.to_string()),
                cloud: resource.cloud.clone(),
                state: resource.state.clone(),
                grants_role: resource.grants_role.clone(),
                classification: resource.classification.clone(),
                path: resource.path.clone(),
            },
            now,
            mfa: caller.mfa,
            session_age: now.since(caller.authenticated_at),
            source: caller.source,
            approvals: around.approvals,
            plan: around.plan.clone(),
            isolation: around.isolation,
        }
    }
}

impl Facts {
    /// A text that is the same for the same facts, apart from the time and the plan, and for no others: each part with
    /// its length before it.
    pub(crate) fn key(&self, action: Action) -> String {
        let mut key = String::with_capacity(256);
        let mut part = |text: &str| {
            let _ = write!(key, "{}:{text},", text.len());
        };
        part(action.name());
        part(&self.tenant);
        part(&self.principal);
        part(self.principal_kind);
        part(&self.roles.len().to_string());
        self.roles.iter().for_each(|role| part(role));
        let resource = &self.resource;
        part(resource.kind);
        part(&resource.id.map_or_else(String::new, |id| id.to_string()));
        if let Some(environment) = &resource.environment {
            part(&environment.id.to_string());
            part(&environment.kind);
            part(&format!("{} {}", environment.required_approvals, environment.minimum_isolation));
        }
        let optional = [
            &resource.author,
            &resource.owner,
            &resource.cloud,
            &resource.state,
            &resource.grants_role,
            &resource.classification,
            &resource.path,
        ];
        for text in optional {
            match text {
                Some(text) => {
                    part("+");
                    part(text);
                }
                None => part("-"),
            }
        }
        part(&format!("{} {} {:?} {:?}", self.mfa, self.approvals, self.isolation, self.source));
        key
    }
}

/// What came of an act, as it stands in evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was allowed, and it happened in the same commit.
    Allow,
    /// It was refused, and nothing happened.
    Refuse,
    /// It was allowed and is about to happen outside of our database.
    Intent,
    /// It happened outside of our database.
    Done,
    /// It was tried outside of our database and failed, or what came of it is unknown.
    Fail,
}

impl Outcome {
    /// The lower-case word of the leaf.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
            Self::Intent => "intent",
            Self::Done => "done",
            Self::Fail => "fail",
        }
    }
}

/// What a verb tells evidence when it commits. Never holds a secret.
#[derive(Debug, Clone)]
pub struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) object: Option<(Uuid, Option<String>)>,
    pub(crate) detail: Value,
}

impl Done {
    /// It happened, and there is nothing to add.
    pub fn plain() -> Self {
        Self { outcome: Outcome::Allow, object: None, detail: Value::Null }
    }

    /// It happened; `detail` says what an auditor will ask.
    pub fn with(detail: Value) -> Self {
        Self { detail, ..Self::plain() }
    }

    /// The thing that came into being.
    #[must_use]
    pub fn created<T>(self, id: Id<T>) -> Self {
        Self { object: Some((id.uuid(), None)), ..self }
    }

    /// Another outcome than [`Outcome::Allow`].
    #[must_use]
    pub fn outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }
}

/// Proof that an act was recorded: the leaf is durable. Text form, as in the response header:
/// `recorded id=<leaf id>, leaf=sha256:<hex>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The leaf.
    pub leaf: Id<writ_kernel::LeafId>,
    /// The leaf's hash in the tree (RFC 6962 §2.1).
    pub hash: [u8; 32],
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recorded id={}, leaf=sha256:{}", self.leaf, writ_crypto::hash::hex(&self.hash))
    }
}

//! What is kept about principals and their credentials.

use writ_kernel::{
    Environment, Id, Label, Name, Person, Principal, PrincipalKind, Scopes, Service, Timestamp,
};
use writ_wire::identity as wire;

/// What sort of credential it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    ApiKey,
    Session,
    Enrolment,
}

impl CredentialKind {
    /// The word of the database and of the token: `writ_<word>_…`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "key",
            Self::Session => "session",
            Self::Enrolment => "enrol",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::ApiKey, Self::Session, Self::Enrolment].into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct PersonRecord {
    pub(crate) id: Id<Person>,
    pub(crate) name: Name,
    pub(crate) display_name: Option<Label>,
    pub(crate) active: bool,
    pub(crate) created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct ServiceRecord {
    pub(crate) id: Id<Service>,
    pub(crate) name: Name,
    pub(crate) owner: Id<Person>,
    pub(crate) purpose: Label,
    pub(crate) active: bool,
    pub(crate) created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) id: Id<()>,
    pub(crate) principal: Id<Principal>,
    pub(crate) role: Name,
    pub(crate) environment: Option<Id<Environment>>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct CredentialRecord {
    pub(crate) id: Id<()>,
    pub(crate) kind: CredentialKind,
    pub(crate) principal: Id<Principal>,
    pub(crate) principal_kind: PrincipalKind,
    pub(crate) label: Option<Label>,
    pub(crate) scopes: Scopes,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

impl From<PersonRecord> for wire::Person {
    fn from(person: PersonRecord) -> Self {
        Self {
            id: person.id.uuid(),
            name: person.name.to_string(),
            display_name: person.display_name.map(|label| label.to_string()),
            active: person.active,
            created_at: person.created_at,
        }
    }
}

impl From<ServiceRecord> for wire::Service {
    fn from(service: ServiceRecord) -> Self {
        Self {
            id: service.id.uuid(),
            name: service.name.to_string(),
            owner: service.owner.uuid(),
            purpose: service.purpose.to_string(),
            active: service.active,
            created_at: service.created_at,
        }
    }
}

impl From<Binding> for wire::RoleBinding {
    fn from(binding: Binding) -> Self {
        Self {
            id: binding.id.uuid(),
            principal: binding.principal.uuid(),
            role: binding.role.to_string(),
            environment: binding.environment.map(Id::uuid),
            expires_at: binding.expires_at,
            created_at: binding.created_at,
        }
    }
}

impl From<CredentialRecord> for wire::ApiKey {
    fn from(key: CredentialRecord) -> Self {
        Self {
            id: key.id.uuid(),
            label: key.label.map(|label| label.to_string()).unwrap_or_default(),
            principal: key.principal.uuid(),
            scopes: key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

impl From<CredentialRecord> for wire::Session {
    fn from(session: CredentialRecord) -> Self {
        Self {
            id: session.id.uuid(),
            principal: session.principal.uuid(),
            label: session.label.map(|label| label.to_string()),
            created_at: session.created_at,
            expires_at: session.expires_at,
            revoked_at: session.revoked_at,
        }
    }
}

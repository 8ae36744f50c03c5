//! Typed identifiers: a UUIDv7 that knows what it names.

use std::{fmt, hash::Hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Error;

/// The identifier of one `T`. Text form: lower-case hyphenated UUID. Ordered by time of creation.
pub struct Id<T> {
    uuid: Uuid,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// Names an existing thing, for instance one read from a database.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, of: PhantomData }
    }

    /// The bare UUID, for a database column or a wire field.
    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, f)
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, f)
    }
}
impl<T> FromStr for Id<T> {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Uuid::try_parse(text)
            .map(Self::from_uuid)
            .map_err(|_| Error::invalid("malformed_id", "an identifier is a UUID in its hyphenated form"))
    }
}
impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.uuid.serialize(serializer)
    }
}
impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}

macro_rules! nouns {
    ($($(#[$doc:meta])* $noun:ident),+ $(,)?) => {
        $($(#[$doc])* #[derive(Debug)] pub enum $noun {})+
    };
}

nouns! {
    /// A customer or business unit: the hard boundary.
    Tenant,
    /// A stage inside a tenant: dev, research, staging or prod.
    Environment,
    /// Whoever can act: a person, a service account, a runner or a worker of the server.
    Principal,
    /// A human being.
    Person,
    /// A service account.
    Service,
    /// A long-lived credential of a principal, stored as a hash.
    ApiKey,
    /// A signed-in stretch of time of a person.
    Session,
    /// References to a customer's cloud: never a credential.
    Connection,
    /// An uploaded set of infrastructure configuration files.
    Configuration,
    /// One intended change of one environment.
    Deployment,
    /// One life of one runner process working on a deployment.
    Run,
    /// A request that somebody else agree to a change.
    Approval,
    /// One version of a tenant's policies.
    PolicySet,
    /// A secret with its versions.
    Secret,
    /// A link or wrapping token behind which something waits to be received.
    Link,
    /// A consumer's reference to a secret.
    Binding,
    /// What makes credentials on demand.
    Engine,
    /// A borrowed credential.
    Lease,
    /// Something that happened and that consumers act upon.
    Event,
    /// A named key with its versions.
    NamedKey,
    /// A set of columns that are encrypted field by field.
    FieldSet,
    /// An engine or a way to sign in at its path in the Vault dialect.
    Mount,
    /// A token of the Vault dialect.
    DialectToken,
    /// One record in the evidence log.
    LeafId,
}

/// The identifier of a tenant, the most common one.
pub type TenantId = Id<Tenant>;

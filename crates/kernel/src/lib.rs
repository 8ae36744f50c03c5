#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod action;
mod caller;
mod error;
mod fence;
mod id;
mod name;
mod page;
mod time;
mod trace;
mod world;

pub use action::{ACTIONS, Action, Effect, Scope, Scopes};
pub use caller::{Caller, Credential, Kind as PrincipalKind, Role};
pub use error::{Error, Kind, Result};
pub use fence::{Capability, Demands, Fence, Reach, Rule, Rules, Values, Wanted};
pub use id::{
    ApiKey, Approval, Binding, Configuration, Connection, Deployment, DialectToken, Engine, Environment,
    Event, FieldSet, Id, LeafId, Lease, Link, Mount, NamedKey, Person, PolicySet, Principal, Run, Secret,
    Service, Session, Tenant, TenantId,
};
pub use name::{Label, Name};
pub use page::{Cursor, Page, PageRequest};
pub use time::Timestamp;
pub use trace::{SpanId, TraceId, Traceparent};
pub use world::{Chance, Clock, SystemClock, World};

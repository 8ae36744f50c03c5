//! The words every other crate of Writ speaks.
//!
//! Nouns: typed identifiers ([`Id`]), names ([`Name`]), points in time ([`Timestamp`]), what may be done
//! ([`Action`]), who asks ([`Caller`]), pages of a listing ([`Page`]) and the one [`Error`].
//! Time and chance enter through [`World`], so that a test can hold both still.
//!
//! There is no I/O here, no HTTP, no SQL and no cryptography.

#![forbid(unsafe_code)]

mod action;
mod caller;
mod error;
mod id;
mod name;
mod page;
mod time;
mod trace;
mod world;

pub use action::{ACTIONS, Action, Effect, Scope, Scopes};
pub use caller::{Caller, Credential, Kind as PrincipalKind, Role};
pub use error::{Error, Kind, Result};
pub use id::{
    ApiKey, Approval, Configuration, Connection, Deployment, Environment, Id, LeafId, Person, PolicySet,
    Principal, Run, Service, Session, Tenant, TenantId,
};
pub use name::{Label, Name};
pub use page::{Cursor, Page, PageRequest};
pub use time::Timestamp;
pub use trace::TraceId;
pub use world::{Chance, Clock, SystemClock, World};

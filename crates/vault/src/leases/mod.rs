//! Credentials made on demand and lent for a while.
//!
//! A lease is `pending` while its credential is made, `active` while it works, `revoking` from the moment it is to end,
//! and `ended` once the target has confirmed that it does not work any more. Whatever happens at a target stands between
//! two leaves: an intent before, an outcome after. What a crash leaves in between, the worker ends.

mod engines;
mod http;
mod lending;
mod made;
mod model;
pub mod ports;
mod sql;
mod worker;

pub(crate) use made::Target;
pub(crate) use sql::engine as engine_record;

pub use http::routes;
pub use lending::Filter;
pub use model::{Borrowed, EngineRecord, LeaseRecord, Leases, Parts, RoleRecord, Terms};
pub use worker::{Census, Keeper, census};

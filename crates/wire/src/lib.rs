//! Request and response types of Writ's own API: serde and schema, no logic.
//!
//! JSON is camelCase; identifiers are UUIDs; times are RFC 3339 in UTC. Requests refuse unknown members, so a
//! misspelt one is an error and not a silently ignored wish. Nothing here can hold a credential except the
//! types whose documentation says that it is shown once.

#![forbid(unsafe_code)]

pub mod approvals;
pub mod configurations;
pub mod connections;
pub mod deployments;
pub mod evidence;
pub mod identity;
pub mod page;
pub mod policies;
pub mod runner;
pub mod sys;
pub mod tenancy;

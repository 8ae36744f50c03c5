#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod authenticate;
mod bootstrap;
mod credentials;
mod http;
mod known;
mod lending;
mod model;
mod people;
mod policies;
mod roles;
mod services;
mod sql;
mod tenancy;

pub use bootstrap::{first_admin, first_admin_within, found_platform};
pub use http::{Identity, routes};
pub use lending::LentKey;
pub use policies::try_policies;

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod approvals;
mod bounds;
mod gate;
mod leaf;
mod limits;
mod model;
pub mod policy;
pub mod policy_sets;
mod reading;
mod record;
mod recorder;
mod sql;
mod standing;
pub mod tenancy;

pub use gate::{Entry, Gate, Grant};
pub use limits::{Allowance, Limits, Rate};
pub use model::{Circumstances, Done, Environment, Facts, Outcome, Plan, Receipt, Resource};
pub use reading::{ReadEntry, ReadGrant};
pub use standing::Generation;

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod protection;
mod seal;
mod sql;
mod tenant;

pub use protection::{Protection, Shares};
pub use seal::{Seal, Status};
pub use tenant::TenantKeys;

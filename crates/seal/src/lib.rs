#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod device;
mod protection;
mod seal;
mod sql;
mod tenant;

pub use device::{Device, Pin};
pub use protection::{Protection, Shares};
pub use seal::{Prepared, Seal, Status};
pub use tenant::TenantKeys;

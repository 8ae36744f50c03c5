#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod approvals;
pub mod configurations;
pub mod connections;
pub mod deployments;
pub mod encryption;
pub mod errands;
pub mod events;
pub mod evidence;
pub mod fields;
pub mod identity;
pub mod keys;
pub mod leases;
pub mod page;
pub mod policies;
pub mod randomness;
pub mod rotation;
pub mod runner;
pub mod secrets;
pub mod sharing;
pub mod status;
pub mod sys;
pub mod tenancy;

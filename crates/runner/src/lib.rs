//! The disposable runner: borrows credentials, runs OpenTofu or Terraform, redacts, reports, dies

#![forbid(unsafe_code)]

pub use writ_aws as aws;
pub mod credentials;
pub mod run;
pub mod sandbox;
pub mod static_gate;
pub mod tool;
pub mod workspace;

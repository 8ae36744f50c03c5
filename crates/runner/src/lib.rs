//! The disposable runner: borrows credentials, runs OpenTofu or Terraform, redacts, reports, dies

#![forbid(unsafe_code)]

pub mod aws;
pub mod credentials;
pub mod run;
pub mod sandbox;
pub mod static_gate;
pub mod tool;
pub mod workspace;

//! The disposable runner: borrows credentials, runs OpenTofu or Terraform, redacts, reports, dies

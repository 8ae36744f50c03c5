//! Deploying: from files on this machine to the end of a deployment.

pub(crate) mod follow;
pub(crate) mod git;
pub(crate) mod pack;
pub(crate) mod plan;
pub(crate) mod source;

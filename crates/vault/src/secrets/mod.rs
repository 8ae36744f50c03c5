//! Secrets: versions of a value at a path, and what is known about them.

pub(crate) mod change;
pub(crate) mod door;
pub(crate) mod holds;
pub(crate) mod import;
pub(crate) mod insights;
pub(crate) mod list;
pub(crate) mod model;
pub(crate) mod path;
pub(crate) mod read;
pub(crate) mod sql;
pub(crate) mod write;

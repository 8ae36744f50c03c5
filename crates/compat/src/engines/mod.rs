//! What holds secrets and keys, one module for each kind of mount.

pub(crate) mod cubbyhole;
pub(crate) mod identity;
pub(crate) mod kv;
pub(crate) mod transit;

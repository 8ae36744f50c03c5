//! Ways to sign in, one module for each kind of mount.

pub(crate) mod approle;
pub(crate) mod jwt;
pub(crate) mod kubernetes;
mod sign_in;
mod terms;
pub(crate) mod token;
pub(crate) mod userpass;

use terms::policies_of;
pub(crate) use terms::without_root;

use crate::{ask::Operation, mounts::Kind};

/// Whether `rest` of a way to sign in needs nobody: whoever signs in is nobody yet.
pub(crate) fn open(kind: Kind, operation: Operation, rest: &str) -> bool {
    match (kind, operation) {
        (Kind::AppRole | Kind::Jwt | Kind::Kubernetes, Operation::Write) => rest == "login",
        (Kind::UserPass, Operation::Write) => {
            rest.strip_prefix("login/").is_some_and(|name| !name.is_empty())
        }
        _ => false,
    }
}

//! `sys/`: mounts, policies, leases, wrapping, and the life of the server.

mod capabilities;
pub(crate) mod early;
mod internal;
mod leases;
mod mounts;
mod policies;
mod server;
mod tools;
mod wrapping;

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
};

/// Whether a path below `sys/` needs nobody, and no rule: it looks for itself at what was shown.
pub(crate) fn open(operation: Operation, rest: &str) -> bool {
    let wrapped = matches!(rest, "wrapping/lookup" | "wrapping/unwrap" | "wrapping/rewrap");
    let internal = rest == "internal/ui/mounts" || rest.starts_with("internal/ui/mounts/");
    wrapped || internal && operation == Operation::Read
}

/// Whether a path below `sys/` is for whom a rule gives `sudo`.
pub(crate) fn sudo(rest: &str) -> bool {
    const EXACT: &[&str] =
        &["audit", "seal", "rotate", "rotate/keyring", "rotate/root", "step-down", "remount", "config/cors"];
    const BELOW: &[&str] = &[
        "auth/",
        "audit/",
        "raw/",
        "leases/revoke-prefix/",
        "leases/revoke-force/",
        "leases/lookup/",
        "revoke-prefix/",
        "revoke-force/",
        "rotate/root/",
        "generate-root-token/",
        "plugins/catalog/",
        "config/auditing/",
        "config/ui/headers",
    ];
    // To list is not to look up.
    if rest == "leases/lookup/" {
        return true;
    }
    let rest = rest.trim_end_matches('/');
    let below = BELOW.iter().any(|prefix| rest.starts_with(prefix)) && !rest.ends_with("/tune");
    EXACT.contains(&rest) || below
}

/// Answers for `sys/`.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let rest = ask.rest.trim_end_matches('/');
    let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
    let old = policies::Manner::Old;
    match first {
        "mounts" | "auth" | "remount" => mounts::handle(dialect, ask, first, below).await,
        "policy" => policies::handle(dialect, ask, old, below).await,
        "policies" => match below.strip_prefix("acl").map(|name| name.strip_prefix('/').unwrap_or(name)) {
            Some(name) => policies::handle(dialect, ask, policies::Manner::New, name).await,
            None => Err(Fault::unsupported_path()),
        },
        "capabilities" | "capabilities-self" | "capabilities-accessor" if below.is_empty() => {
            match ask.operation {
                Operation::Write => capabilities::handle(dialect, ask, first).await,
                _ => Err(Fault::unsupported_operation()),
            }
        }
        "leases" => leases::handle(dialect, ask, below).await,
        "renew" | "revoke" | "revoke-prefix" | "revoke-force" => leases::handle(dialect, ask, rest).await,
        "wrapping" => wrapping::handle(dialect, ask, below).await,
        "internal" => internal::handle(dialect, ask, below).await,
        "tools" => tools::handle(dialect, ask, below).await,
        _ => server::handle(dialect, ask, first, below).await,
    }
}

//! `sys/`: mounts, policies, leases, wrapping, and the life of the server.

pub(crate) mod early;
mod mounts;

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
};

/// Whether a path below `sys/` needs nobody.
pub(crate) fn open(_operation: Operation, rest: &str) -> bool {
    matches!(rest, "internal/ui/mounts" | "internal/ui/mounts/")
}

/// Whether a path below `sys/` is for whom a rule gives `sudo`.
pub(crate) fn sudo(rest: &str) -> bool {
    let rest = rest.trim_end_matches('/');
    let exact = ["auth", "audit", "seal", "rotate", "rotate/keyring", "step-down", "remount", "internal/counters"];
    let below = [
        "auth/", "audit/", "raw/", "replication/", "leases/revoke-prefix/", "leases/revoke-force/", "leases/lookup/",
        "revoke-prefix/", "revoke-force/", "rotate/root/", "generate-root-token/", "plugins/catalog/", "config/cors",
        "config/auditing/", "config/ui/headers", "namespaces/api-lock/",
    ];
    rest != "auth" && exact.contains(&rest)
        || below.iter().any(|prefix| rest.starts_with(prefix)) && !rest.ends_with("/tune")
}

/// Answers for `sys/`.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let rest = ask.rest.trim_end_matches('/');
    let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
    match first {
        "mounts" | "auth" | "remount" => mounts::handle(dialect, ask, first, below).await,
        _ => Err(Fault::unsupported_path()),
    }
}

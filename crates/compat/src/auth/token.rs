//! `auth/token/`: tokens that beget, look at and end tokens.

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
};

mod accessors;
mod create;
mod life;
mod lookup;
mod origin;
mod roles;

/// Whether a path is for whom a rule gives `sudo`.
pub(crate) fn sudo(rest: &str) -> bool {
    matches!(rest.trim_end_matches('/'), "revoke-orphan" | "accessors")
}

/// Answers for `auth/token/`.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    use Operation::{Delete, List, Read, Write};
    match (ask.operation, ask.rest.as_str()) {
        (Write, "create") => create::create(dialect, ask, create::Parent::Self_).await,
        (Write, "create-orphan") => create::create(dialect, ask, create::Parent::None).await,
        (Read | Write, "lookup-self") => lookup::own(dialect, ask).await,
        (Write, "lookup") => lookup::by_text(dialect, ask).await,
        (Write, "lookup-accessor") => lookup::by_accessor(dialect, ask).await,
        (Write, "renew-self") => life::renew_own(dialect, ask).await,
        (Write, "renew") => life::renew(dialect, ask).await,
        (Write, "renew-accessor") => life::renew_accessor(dialect, ask).await,
        (Write, "revoke-self") => life::revoke_own(dialect, ask).await,
        (Write, "revoke") => life::revoke(dialect, ask).await,
        (Write, "revoke-accessor") => life::revoke_accessor(dialect, ask).await,
        (Write, "revoke-orphan") => life::revoke_orphan(dialect, ask).await,
        (Write, "tidy") => life::tidy(dialect, ask).await,
        (List, "accessors/") => accessors::list(dialect, ask).await,
        (List, "roles/") => roles::list(dialect, ask).await,
        (operation, rest) => {
            if let (Write, Some(role)) = (operation, rest.strip_prefix("create/")) {
                return create::create_under(dialect, ask, role).await;
            }
            match (
                operation,
                rest.strip_prefix("roles/").filter(|name| !name.is_empty() && !name.contains('/')),
            ) {
                (Read, Some(name)) => roles::read(dialect, ask, name).await,
                (Write, Some(name)) => roles::write(dialect, ask, name).await,
                (Delete, Some(name)) => roles::delete(dialect, ask, name).await,
                _ if known(rest) => Err(Fault::unsupported_operation()),
                _ => Err(Fault::unsupported_path()),
            }
        }
    }
}

/// Lets `token` live for another while; for how many seconds.
pub(crate) async fn prolonged(dialect: &Dialect, ask: &Ask, token: &crate::tokens::Token) -> Answer<i64> {
    Ok(life::prolonged(dialect, ask, token).await?.0)
}

fn known(rest: &str) -> bool {
    let rest = rest.trim_end_matches('/');
    matches!(
        rest,
        "create"
            | "create-orphan"
            | "lookup-self"
            | "lookup"
            | "lookup-accessor"
            | "renew-self"
            | "renew"
            | "renew-accessor"
            | "revoke-self"
            | "revoke"
            | "revoke-accessor"
            | "revoke-orphan"
            | "tidy"
            | "accessors"
            | "roles"
    ) || rest.starts_with("roles/")
        || rest.starts_with("create/")
}

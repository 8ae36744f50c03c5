//! From a path to its engine.

use writ_kernel::{Action, Capability};

use crate::{
    ask::{Ask, Operation},
    auth,
    dialect::Dialect,
    engines,
    fault::Answer,
    mounts::Kind,
    sys,
};

/// Whether `rest`, below a mount of `kind`, needs nobody.
pub(crate) fn open(kind: Kind, operation: Operation, rest: &str) -> bool {
    match kind {
        Kind::System => sys::open(operation, rest),
        Kind::AppRole | Kind::UserPass | Kind::Jwt | Kind::Kubernetes => auth::open(kind, operation, rest),
        Kind::Cubbyhole | Kind::Identity | Kind::Kv | Kind::Transit | Kind::Token => false,
    }
}

/// Whether `rest` may be used only by whom a rule gives `sudo`.
pub(crate) fn sudo(kind: Kind, rest: &str) -> bool {
    match kind {
        Kind::System => sys::sudo(rest),
        Kind::Token => auth::token::sudo(rest),
        _ => false,
    }
}

/// `rest` in the one form in which an engine of `kind` reads it: rules about any other form would speak of nothing. Only
/// what lists ends with a slash; secrets and what a token keeps have their own word on that. Names that do not differ by
/// their case are in lower case.
pub(crate) fn one_form(kind: Kind, operation: Operation, rest: &str) -> String {
    let named: &[&str] = match kind {
        Kind::Kv if rest == "config/" && !operation.lists() => &[],
        Kind::Kv | Kind::Cubbyhole => return rest.to_owned(),
        Kind::System => &["policies/acl/", "policy/"],
        Kind::UserPass => &["login/", "users/"],
        Kind::AppRole | Kind::Jwt | Kind::Kubernetes => &["role/"],
        Kind::Identity | Kind::Transit | Kind::Token => &[],
    };
    let rest = if operation.lists() { rest } else { rest.trim_end_matches('/') };
    let found = named.iter().find_map(|area| Some((*area, rest.strip_prefix(area)?)));
    match found {
        // Whatever is below a name is told in lower case as well.
        Some((area, below)) => format!("{area}{}", below.to_lowercase()),
        None => rest.to_owned(),
    }
}

/// Has the engine of the mount answer. What the rules of the token do not allow in any case is refused here, on
/// record, before the engine looks at anything.
pub(crate) async fn dispatch(dialect: &Dialect, ask: &Ask) -> Answer {
    if !open(ask.mount.kind, ask.operation, &ask.rest) && !ask.may_try() {
        let caller = ask.caller(ask.operation.capabilities().first().copied().unwrap_or(Capability::Sudo))?;
        return match dialect.gate().enter(&caller, Action::CredentialUse).await {
            Ok(entry) => Err(entry
                .refuse(writ_kernel::Error::forbidden("forbidden", "permission denied"))
                .await
                .into()),
            Err(error) => Err(error.into()),
        };
    }
    match ask.mount.kind {
        Kind::System => sys::handle(dialect, ask).await,
        Kind::Cubbyhole => engines::cubbyhole::handle(dialect, ask).await,
        Kind::Identity => engines::identity::handle(dialect, ask).await,
        Kind::Kv => engines::kv::handle(dialect, ask).await,
        Kind::Transit => engines::transit::handle(dialect, ask).await,
        Kind::Token => auth::token::handle(dialect, ask).await,
        Kind::AppRole => auth::approle::handle(dialect, ask).await,
        Kind::UserPass => auth::userpass::handle(dialect, ask).await,
        Kind::Jwt => auth::jwt::handle(dialect, ask).await,
        Kind::Kubernetes => auth::kubernetes::handle(dialect, ask).await,
    }
}

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

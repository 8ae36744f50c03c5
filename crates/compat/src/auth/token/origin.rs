//! What gave a token: a role or an account, without which nothing renews it.

use serde::de::IgnoredAny;
use writ_kernel::Result;
use writ_store::Tx;

use crate::{ask::Ask, dialect::Dialect, entries, mounts::Kind, tokens::Token};

/// Whether the role or account that gave `token` is still there.
///
/// # Errors
/// When the database fails.
pub(super) async fn stands(dialect: &Dialect, tx: &mut Tx, ask: &Ask, token: &Token) -> Result<bool> {
    let Some((mount, _)) = ask.view.mount_of(&token.path) else { return Ok(false) };
    let said = |name: &str| token.metadata.as_ref().and_then(|metadata| metadata.get(name));
    let at = match mount.kind {
        Kind::AppRole => said("role_name").map(|name| format!("role/{name}")),
        Kind::UserPass => said("username").map(|name| format!("user/{name}")),
        Kind::Jwt | Kind::Kubernetes => said("role").map(|name| format!("role/{name}")),
        _ if token.role.is_empty() => return Ok(true),
        _ => Some(format!("roles/{}", token.role)),
    };
    let Some(at) = at else { return Ok(false) };
    let keys = dialect.seal().tenant(tx).await?;
    Ok(entries::find::<IgnoredAny>(tx, &keys, mount.id, &at).await?.is_some())
}

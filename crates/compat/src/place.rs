//! Which environment a request is about.

use std::sync::Arc;

use uuid::Uuid;
use writ_gate::tenancy::{self, PLATFORM};
use writ_kernel::{Id, Result, TenantId};

use crate::{dialect::Dialect, fault::Fault, sql, tokens::Who, view::View};

/// The environment that a request without a namespace is about, when its credential names none.
const DEFAULT: &str = "root";

/// The view of the environment that `namespace` (`<environment>` or `<tenant>/<environment>`) names for `who`.
///
/// # Errors
/// 404 for what does not exist and for what is not theirs alike.
pub(crate) async fn find(dialect: &Dialect, who: Option<&Who>, namespace: &str) -> Result<Arc<View>, Fault> {
    let own = who.and_then(|who| who.view.as_ref());
    let tenant = who.map_or(PLATFORM, |who| who.caller.tenant);
    let segments: Vec<_> =
        namespace.trim_matches('/').split('/').filter(|segment| !segment.is_empty()).collect();
    let (tenant, environment) = match (segments.as_slice(), own) {
        ([], Some(view)) => return Ok(Arc::clone(view)),
        ([], None) => (tenant, DEFAULT),
        ([environment], _) => (tenant, *environment),
        ([name, environment], _) => (named(dialect, name).await?, *environment),
        _ => return Err(unknown()),
    };
    if who.is_some_and(|who| who.caller.tenant != tenant) {
        return Err(unknown());
    }
    let view = open(dialect, tenant, environment).await?.ok_or_else(unknown)?;
    match own {
        Some(own) if own.environment.id != view.environment.id => Err(unknown()),
        _ => Ok(view),
    }
}

/// The view of the environment of this name.
async fn open(dialect: &Dialect, tenant: TenantId, environment: &str) -> Result<Option<Arc<View>>> {
    let mut tx = dialect.gate().db().read(tenant).await?;
    let all = tenancy::environments(&mut tx).await?;
    let Some(found) = all.into_iter().find(|known| known.name.as_str() == environment) else {
        return Ok(None);
    };
    View::of(dialect, &mut tx, found.id.uuid()).await
}

async fn named(dialect: &Dialect, name: &str) -> Result<TenantId, Fault> {
    let mut tx = dialect.gate().db().system_read().await?;
    let found: Option<Uuid> = sql::tenant_named(&mut tx, name).await?;
    found.map(Id::from_uuid).ok_or_else(unknown)
}

fn unknown() -> Fault {
    Fault::nowhere("namespace not found")
}

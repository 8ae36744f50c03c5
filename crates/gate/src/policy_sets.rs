//! Versions of a tenant's own policies.

use uuid::Uuid;
use writ_kernel::{Error, Id, PolicySet, Principal, Result, Timestamp, World};
use writ_store::Tx;

use crate::{policy::Policies, sql};

/// The active version of a tenant's own policies.
#[derive(Debug, Clone)]
pub struct Active {
    /// Its id; `None` when only the built-in policies hold.
    pub id: Option<Id<PolicySet>>,
    /// The tenant's own policies.
    pub text: String,
    /// When it was activated.
    pub created_at: Option<Timestamp>,
}

/// The version that holds now.
///
/// # Errors
/// When the database fails.
pub async fn active(tx: &mut Tx) -> Result<Active> {
    let row = sql::active_policy_set(tx).await?;
    Ok(row.unwrap_or(Active { id: None, text: String::new(), created_at: None }))
}

/// Makes `text` the tenant's own policies, if it compiles and `replaces` (when given) is what holds now.
///
/// # Errors
/// `Invalid` when it does not compile; `Conflict` when another version holds.
pub async fn activate(
    tx: &mut Tx,
    world: &World,
    author: Id<Principal>,
    text: &str,
    replaces: Option<Uuid>,
) -> Result<(Id<PolicySet>, Policies)> {
    let policies = Policies::compile(text)?;
    let current = active(tx).await?.id.map(Id::uuid);
    if replaces.is_some() && replaces != current {
        return Err(Error::conflict("stale_policy_set", "another version of the policies is active by now")
            .at("replaces")
            .hint("read the active version, merge, and try again"));
    }
    let id = world.id::<PolicySet>();
    sql::insert_policy_set(tx, id.uuid(), text, policies.digest(), author.uuid(), world.now()).await?;
    if !sql::activate_policy_set(tx, id.uuid(), current).await? {
        return Err(Error::conflict(
            "stale_policy_set",
            "the policies were changed at the same moment; try again",
        ));
    }
    Ok((id, policies))
}

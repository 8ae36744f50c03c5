//! The accessors of all tokens.

use serde_json::json;
use writ_gate::Done;
use writ_kernel::{Action, Capability};

use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::Reply,
    sql,
};

/// Every token that lives, by its accessor.
pub(super) async fn list(dialect: &Dialect, ask: &Ask) -> Answer {
    let entry = dialect.gate().enter_to_read(&ask.caller(Capability::List)?, Action::TokenRead).await?;
    let mut grant = entry.admit(ask.resource("token")).await?;
    let now = dialect.world().now();
    let accessors = sql::accessors(grant.tx(), ask.view.environment.id.uuid(), now).await?;
    grant.record(Done::with(json!({ "accessors": accessors.len() }))).await?;
    if accessors.is_empty() {
        Err(Fault::not_found())
    } else {
        Ok(Reply::data(&json!({ "keys": accessors })))
    }
}

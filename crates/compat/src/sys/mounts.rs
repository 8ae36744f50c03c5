//! Mounts.

use serde_json::{Map, Value};
use writ_gate::Done;
use writ_kernel::Action;

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    mounts::Class,
    reply::Reply,
    view::View,
};

/// Answers for `sys/mounts`, `sys/auth` and `sys/remount`.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, first: &str, below: &str) -> Answer {
    let class = if first == "auth" { Class::Auth } else { Class::Secret };
    match (ask.operation, below) {
        (Operation::Read, "") if first != "remount" => list(dialect, ask, class).await,
        _ => Err(Fault::unsupported_operation()),
    }
}

async fn list(dialect: &Dialect, ask: &Ask, class: Class) -> Answer {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, Action::MountRead).await?;
    entry.admit(ask.resource("mount")).await?.record(Done::plain()).await?;
    Ok(Reply::doubled(&shown(&ask.view, class)))
}

/// The mounts of a class, by their paths.
pub(super) fn shown(view: &View, class: Class) -> Value {
    let mounts = view.mounts.iter().filter(|mount| mount.class == class);
    Value::Object(mounts.map(|mount| (mount.path.clone(), mount.to_json())).collect::<Map<_, _>>())
}

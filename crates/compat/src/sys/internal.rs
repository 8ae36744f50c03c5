//! What command lines and user interfaces ask before they act.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use writ_gate::Done;
use writ_kernel::{Action, Capability, Fence, Rule};

use super::mounts::shown;
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    mounts::Class,
    reply::Reply,
};

/// Answers for `sys/internal/`.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, below: &str) -> Answer {
    let read = ask.operation == Operation::Read;
    match below {
        "ui/mounts" if read => mounts(dialect, ask).await,
        "ui/resultant-acl" if read => resultant(dialect, ask).await,
        "specs/openapi" => Ok(Reply::Bare(StatusCode::OK, specification())),
        "ui/mounts" | "ui/resultant-acl" => Err(Fault::unsupported_operation()),
        _ => match below.strip_prefix("ui/mounts/") {
            Some(path) if read => preflight(dialect, ask, path).await,
            Some(_) => Err(Fault::unsupported_operation()),
            None => Err(Fault::unsupported_path()),
        },
    }
}

/// Whether whoever asks may do anything at all below `path`.
fn reaches(ask: &Ask, path: &str) -> bool {
    let fence = ask.who.as_ref().and_then(|who| who.caller.fence.as_ref());
    fence.is_none_or(|fence| fence.rules().reach_below(path))
}

/// Whether whoever asks is somebody, and one who may see mounts: by the rules of a token, else by policy.
async fn sees(dialect: &Dialect, ask: &Ask) -> Result<bool, Fault> {
    match &ask.who {
        None => Ok(false),
        Some(who) if who.caller.fence.is_some() => Ok(true),
        Some(who) => {
            let entry = dialect.gate().enter_to_read(&who.caller, Action::MountRead).await?;
            entry.admit(ask.resource("mount")).await?.record(Done::plain()).await?;
            Ok(true)
        }
    }
}

/// The mounts that somebody can do anything with; nobody sees none.
async fn mounts(dialect: &Dialect, ask: &Ask) -> Answer {
    let somebody = sees(dialect, ask).await?;
    let visible = |class: Class| -> Value {
        let all = shown(&ask.view, class);
        let prefix = if class == Class::Auth { "auth/" } else { "" };
        let mounts = all.as_object().cloned().unwrap_or_default().into_iter();
        Value::Object(
            mounts
                .filter(|(path, _)| somebody && reaches(ask, &format!("{prefix}{path}")))
                .collect::<Map<_, _>>(),
        )
    };
    Ok(Reply::data(&json!({ "auth": visible(Class::Auth), "secret": visible(Class::Secret) })))
}

/// The mount that contains `path`, for whom may do something below it.
async fn preflight(dialect: &Dialect, ask: &Ask, path: &str) -> Answer {
    let path = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
    let denied = || {
        Fault::status(
            StatusCode::FORBIDDEN,
            format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}\""
            ),
        )
    };
    let (mount, _) = ask.view.mount_of(&path).ok_or_else(denied)?;
    if !sees(dialect, ask).await? || !reaches(ask, &mount.whole_path()) {
        return Err(denied());
    }
    let mut data = mount.to_json();
    if let Some(data) = data.as_object_mut() {
        data.insert("path".to_owned(), json!(mount.path));
    }
    Ok(Reply::data(&data))
}

/// All rules of the token that asks.
async fn resultant(dialect: &Dialect, ask: &Ask) -> Answer {
    let entry = dialect.gate().enter_to_read(&ask.caller(Capability::Read)?, Action::TokenRead).await?;
    entry.admit(ask.resource("token")).await?.record(Done::plain()).await?;
    let fence = ask.who.as_ref().and_then(|who| who.caller.fence.as_ref());
    let Some(rules) = fence.map(Fence::rules).filter(|rules| !rules.are_root()) else {
        return Ok(Reply::data(&json!({ "root": true })));
    };
    let words = |rule: &Rule| -> Value {
        let capabilities: Vec<_> = rule.capabilities().iter().map(|capability| capability.as_str()).collect();
        json!({ "capabilities": if rule.denies() { vec!["deny"] } else { capabilities } })
    };
    let (mut exact, mut globs) = (Map::new(), Map::new());
    for rule in rules.iter() {
        match rule.pattern().strip_suffix('*') {
            Some(prefix) => globs.insert(prefix.to_owned(), words(rule)),
            None if rule.pattern().split('/').any(|segment| segment == "+") => {
                globs.insert(rule.pattern().to_owned(), words(rule))
            }
            None => exact.insert(rule.pattern().to_owned(), words(rule)),
        };
    }
    Ok(Reply::data(&json!({ "root": false, "exact_paths": exact, "glob_paths": globs })))
}

fn specification() -> Value {
    json!({
        "openapi": "3.0.2",
        "info": { "title": "Vault dialect", "version": super::early::VERSION },
        "paths": {},
        "components": { "schemas": {} },
    })
}

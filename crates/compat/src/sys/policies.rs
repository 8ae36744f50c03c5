//! Path policies.

use data_encoding::BASE64;
use serde_json::{Value, json};
use writ_gate::Done;
use writ_kernel::{Action, Capability};

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    policy::{self, ROOT},
    reply::Reply,
    sql, view,
};

/// What the two families of paths call things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// `sys/policies/acl`.
    New,
    /// `sys/policy`, with the data at the top as well.
    Old,
}

/// Answers for `sys/policies/acl` and `sys/policy`; `name` is empty for all of them.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, manner: Manner, name: &str) -> Answer {
    // As in tokens, names are in lower case.
    let name = name.to_lowercase();
    match (ask.operation, name.as_str()) {
        (Operation::List, "") => list(dialect, ask, manner).await,
        (Operation::Read, "") if manner == Manner::Old => list(dialect, ask, manner).await,
        (_, "") => Err(Fault::unsupported_operation()),
        (Operation::Read, name) => read(dialect, ask, manner, name).await,
        (Operation::Write, name) => write(dialect, ask, name).await,
        (Operation::Delete, name) => delete(dialect, ask, name).await,
        _ => Err(Fault::unsupported_operation()),
    }
}

async fn looked(dialect: &Dialect, ask: &Ask, name: &str) -> Result<(), Fault> {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, Action::PathPolicyRead).await?;
    entry.admit(ask.resource("path-policy").named(name)).await?.record(Done::plain()).await?;
    Ok(())
}

async fn list(dialect: &Dialect, ask: &Ask, manner: Manner) -> Answer {
    looked(dialect, ask, "").await?;
    let mut names: Vec<_> = ask.view.policies.keys().map(String::as_str).chain([ROOT]).collect();
    names.sort_unstable();
    Ok(match manner {
        Manner::New => Reply::data(&json!({ "keys": names })),
        Manner::Old => Reply::doubled(&json!({ "keys": names, "policies": names })),
    })
}

async fn read(dialect: &Dialect, ask: &Ask, manner: Manner, name: &str) -> Answer {
    looked(dialect, ask, name).await?;
    let policy = ask.view.policies.get(name);
    if policy.is_none() && name != ROOT {
        return Err(Fault::not_found());
    }
    let text = policy.map_or("", |policy| &policy.text);
    let mut data =
        json!({ "name": name, "version": policy.map_or(0, |policy| policy.version), "cas_required": false });
    if let Some(data) = data.as_object_mut() {
        if let Some(policy) = policy {
            data.insert("modified".to_owned(), json!(policy.updated_at));
        }
        let member = if manner == Manner::New { "policy" } else { "rules" };
        data.insert(member.to_owned(), json!(text));
    }
    Ok(if manner == Manner::New { Reply::data(&data) } else { Reply::doubled(&data) })
}

/// The text of a policy as it was sent: plain, in Base64, or as the JSON itself.
fn sent(ask: &Ask) -> Result<String, Fault> {
    let missing = || Fault::invalid("'policy' parameter not supplied or empty");
    if let Some(narrowing) = ["expiration", "ttl"].iter().find(|name| ask.fields.has(name)) {
        return Err(Fault::invalid(format!("`{narrowing}` of a policy is not supported")));
    }
    let value = ask.fields.value("policy").or_else(|| ask.fields.value("rules")).ok_or_else(missing)?;
    let text = match value {
        Value::String(text) => text,
        object @ Value::Object(_) => object.to_string(),
        _ => return Err(missing()),
    };
    if text.trim().is_empty() {
        return Err(missing());
    }
    let decoded = BASE64.decode(text.trim().as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(decoded.unwrap_or(text))
}

async fn write(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    if name == ROOT {
        return Err(Fault::invalid("cannot update \"root\" policy"));
    }
    if name.len() > 256 {
        return Err(Fault::invalid("the name of a policy is at most 256 bytes long"));
    }
    let text = sent(ask)?;
    let paths = policy::parse(&text)?.len();
    let resource = ask.resource("path-policy").named(name);
    let caller = ask.caller(Capability::Update)?;
    let mut grant = dialect.gate().grant(&caller, Action::PathPolicyWrite, resource).await?;
    let environment = ask.view.environment.id.uuid();
    sql::put_policy(grant.tx(), environment, name, &text).await?;
    view::changed(grant.tx(), environment).await?;
    let digest = writ_crypto::hash::hex(&writ_crypto::hash::sha256(text.as_bytes()));
    grant.commit(Done::with(json!({ "policy": name, "paths": paths, "sha256": digest }))).await?;
    Ok(Reply::Nothing)
}

async fn delete(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    match name {
        ROOT => return Err(Fault::invalid("cannot delete \"root\" policy")),
        "default" => return Err(Fault::invalid("cannot delete default policy")),
        _ => {}
    }
    let resource = ask.resource("path-policy").named(name);
    let caller = ask.caller(Capability::Delete)?;
    let mut grant = dialect.gate().grant(&caller, Action::PathPolicyWrite, resource).await?;
    let environment = ask.view.environment.id.uuid();
    let deleted = sql::delete_policy(grant.tx(), environment, name).await?;
    view::changed(grant.tx(), environment).await?;
    grant.commit(Done::with(json!({ "policy": name, "deleted": deleted }))).await?;
    Ok(Reply::Nothing)
}

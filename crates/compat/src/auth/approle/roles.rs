//! Roles and their fields.

use serde_json::{Map, Value, json};
use uuid::Uuid;
use writ_gate::Done;
use writ_kernel::{Action, Error};

use super::{Role, role_at, role_id_at};
use crate::{
    ask::{Ask, Operation},
    auth::terms::TokenTerms,
    body::Fields,
    dialect::Dialect,
    entries,
    fault::{Answer, Fault},
    kept,
    reply::Reply,
};

pub(super) const READ: Action = Action::AuthRead;
pub(super) const WRITE: Action = Action::AuthWrite;

/// The fields that have a path of their own.
const FIELDS: &[&str] = &[
    "bind-secret-id",
    "local-secret-ids",
    "secret-id-bound-cidrs",
    "secret-id-num-uses",
    "secret-id-ttl",
    "token-bound-cidrs",
    "token-max-ttl",
    "token-num-uses",
    "token-period",
    "token-policies",
    "token-ttl",
];

pub(super) async fn handle(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    match ask.operation {
        Operation::Read => {
            let role: Role = kept::need(dialect, ask, READ, &role_at(name)).await?;
            Ok(Reply::data(&Value::Object(shown(&role))))
        }
        Operation::Write => {
            let known = kept::peek::<Role>(dialect, ask, &role_at(name)).await?;
            let before = known.as_ref().map(|role| role.role_id.clone());
            let mut role = match known {
                Some(role) => role,
                None => new(dialect, ask)?,
            };
            take(&mut role, &ask.fields)?;
            put(dialect, ask, name, &role, before).await
        }
        Operation::Delete => delete(dialect, ask, name).await,
        _ => Err(Fault::unsupported_operation()),
    }
}

fn new(dialect: &Dialect, ask: &Ask) -> Result<Role, Fault> {
    let world = dialect.world();
    let owner = ask.caller_to_write(false)?.principal.uuid();
    Ok(Role {
        id: world.uuid(),
        owner,
        role_id: random_uuid(dialect).to_string(),
        digest_key: world.bytes(),
        bind_secret_id: true,
        local_secret_ids: false,
        secret_id_bound_cidrs: Vec::new(),
        secret_id_num_uses: 0,
        secret_id_ttl: 0,
        terms: TokenTerms { token_type: "default".to_owned(), ..TokenTerms::default() },
    })
}

/// A UUID that says nothing, not even when it was made.
pub(super) fn random_uuid(dialect: &Dialect) -> Uuid {
    uuid::Builder::from_random_bytes(dialect.world().bytes()).into_uuid()
}

fn take(role: &mut Role, fields: &Fields) -> Result<(), Fault> {
    role.bind_secret_id = fields.boolean("bind_secret_id")?.unwrap_or(role.bind_secret_id);
    role.local_secret_ids = fields.boolean("local_secret_ids")?.unwrap_or(role.local_secret_ids);
    let cidrs = if fields.has("secret_id_bound_cidrs") { "secret_id_bound_cidrs" } else { "bound_cidr_list" };
    if let Some(cidrs) = fields.list(cidrs)? {
        role.secret_id_bound_cidrs = cidrs;
    }
    if let Some(uses) = fields.integer("secret_id_num_uses")? {
        role.secret_id_num_uses = uses.max(0);
    }
    if let Some(ttl) = fields.seconds("secret_id_ttl")? {
        role.secret_id_ttl = ttl.max(0);
    }
    if let Some(role_id) = fields.text("role_id")?.filter(|role_id| !role_id.is_empty()) {
        role.role_id = role_id;
    }
    role.terms.take(fields)?;
    sound(role)
}

fn sound(role: &Role) -> Result<(), Fault> {
    if !role.bind_secret_id
        && role.secret_id_bound_cidrs.is_empty()
        && role.terms.token_bound_cidrs.is_empty()
    {
        return Err(Fault::invalid("at least one constraint should be enabled on the role"));
    }
    Ok(())
}

/// Writes the role, and whose its role id is, in one commit.
async fn put(dialect: &Dialect, ask: &Ask, name: &str, role: &Role, before: Option<String>) -> Answer {
    let mut grant = kept::to_write(dialect, ask, WRITE, &role_at(name)).await?;
    let (keys, mount) = (dialect.seal().tenant(grant.tx()).await?, ask.mount.id);
    let holder: Option<String> = entries::find(grant.tx(), &keys, mount, &role_id_at(&role.role_id)).await?;
    if holder.is_some_and(|holder| holder != name) {
        return Err(grant.refuse(Error::invalid("role_id_taken", "role_id already in use")).await.into());
    }
    if let Some(before) = before.filter(|before| *before != role.role_id) {
        entries::remove(grant.tx(), mount, &role_id_at(&before)).await?;
    }
    entries::put(grant.tx(), &keys, mount, &role_at(name), role).await?;
    entries::put(grant.tx(), &keys, mount, &role_id_at(&role.role_id), &name).await?;
    let detail = json!({ "role": name, "owner": role.owner, "policies": role.terms.token_policies });
    grant.commit(Done::with(detail)).await?;
    Ok(Reply::Nothing)
}

async fn delete(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let entry = dialect.gate().enter(&ask.caller_as_asked()?, WRITE).await?;
    let mut grant = entry.admit(ask.resource(kept::KIND)).await?;
    let (keys, mount) = (dialect.seal().tenant(grant.tx()).await?, ask.mount.id);
    if let Some(role) = entries::find::<Role>(grant.tx(), &keys, mount, &role_at(name)).await? {
        entries::remove(grant.tx(), mount, &role_at(name)).await?;
        entries::remove(grant.tx(), mount, &role_id_at(&role.role_id)).await?;
        entries::remove_below(grant.tx(), mount, &format!("secret/{}/", role.id)).await?;
        entries::remove_below(grant.tx(), mount, &format!("accessor/{}/", role.id)).await?;
    }
    grant.commit(Done::with(json!({ "role": name }))).await?;
    Ok(Reply::Nothing)
}

/// `role-id` below a role.
pub(super) async fn role_id(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    match ask.operation {
        Operation::Read => {
            let role: Role = kept::need(dialect, ask, READ, &role_at(name)).await?;
            Ok(Reply::data(&json!({ "role_id": role.role_id })))
        }
        Operation::Write => {
            ask.fields.required("role_id")?;
            rewrite(dialect, ask, name, &["role_id"]).await
        }
        _ => Err(Fault::unsupported_operation()),
    }
}

/// One field of a role at a path of its own, like `token-ttl` or `policies`.
pub(super) async fn field(dialect: &Dialect, ask: &Ask, name: &str, field: &str) -> Answer {
    let member = match field {
        "policies" => "token_policies".to_owned(),
        "period" => "token_period".to_owned(),
        "bound-cidr-list" => "secret_id_bound_cidrs".to_owned(),
        field if FIELDS.contains(&field) => field.replace('-', "_"),
        _ => return Err(Fault::unsupported_path()),
    };
    // What the field was called before.
    let before = match &*member {
        "secret_id_bound_cidrs" => "bound_cidr_list",
        member => member.strip_prefix("token_").unwrap_or(member),
    };
    match ask.operation {
        Operation::Read => {
            let role: Role = kept::need(dialect, ask, READ, &role_at(name)).await?;
            let value = shown(&role).remove(&member).ok_or_else(Fault::unsupported_path)?;
            // The name from before is answered with, too.
            Ok(Reply::data(&json!({ member: value.clone(), field.replace('-', "_"): value })))
        }
        Operation::Write => rewrite(dialect, ask, name, &[&member, before]).await,
        Operation::Delete => {
            let role =
                kept::peek::<Role>(dialect, ask, &role_at(name)).await?.ok_or_else(Fault::not_found)?;
            let reset = reset(dialect, ask, &role, &member)?;
            kept::put(dialect, ask, WRITE, &role_at(name), &reset, Done::with(json!({ "reset": member })))
                .await?;
            Ok(Reply::Nothing)
        }
        _ => Err(Fault::unsupported_operation()),
    }
}

/// Changes nothing but the fields of these names.
async fn rewrite(dialect: &Dialect, ask: &Ask, name: &str, names: &[&str]) -> Answer {
    let mut role = kept::peek::<Role>(dialect, ask, &role_at(name)).await?.ok_or_else(Fault::not_found)?;
    let before = Some(role.role_id.clone());
    take(&mut role, &ask.fields.only(names))?;
    put(dialect, ask, name, &role, before).await
}

/// The role with one field as it is in a new one.
fn reset(dialect: &Dialect, ask: &Ask, role: &Role, member: &str) -> Result<Role, Fault> {
    let (mut members, fresh) = (json!(role), json!(new(dialect, ask)?));
    if !shown(role).contains_key(member) {
        return Err(Fault::unsupported_path());
    }
    if let (Some(members), Some(value)) = (members.as_object_mut(), fresh.get(member)) {
        members.insert(member.to_owned(), value.clone());
    }
    let role = serde_json::from_value(members).map_err(|_| kept::broken("a role cannot be read back"))?;
    sound(&role)?;
    Ok(role)
}

/// The role as it is read.
fn shown(role: &Role) -> Map<String, Value> {
    let mut members = role.terms.members();
    let cidrs = Some(&role.secret_id_bound_cidrs).filter(|cidrs| !cidrs.is_empty());
    members.insert("bind_secret_id".to_owned(), json!(role.bind_secret_id));
    members.insert("local_secret_ids".to_owned(), json!(role.local_secret_ids));
    members.insert("secret_id_bound_cidrs".to_owned(), json!(cidrs));
    members.insert("secret_id_num_uses".to_owned(), json!(role.secret_id_num_uses));
    members.insert("secret_id_ttl".to_owned(), json!(role.secret_id_ttl));
    members
}

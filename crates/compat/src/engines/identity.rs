//! `identity/`: who stands behind tokens. Entities come about by signing in, or by hand; groups give policies to them.

mod groups;

use serde_json::{Value, json};
use uuid::Uuid;
use writ_gate::{Done, Grant};
use writ_kernel::Action;

use crate::{
    ask::{Ask, Operation},
    auth::without_root,
    dialect::Dialect,
    entity::Entity,
    entries,
    fault::{Answer, Fault},
    identity::{self, Group, alias_at, entity_at, entity_named},
    kept,
    reply::Reply,
    view,
};

const READ: Action = Action::AuthRead;
const WRITE: Action = Action::AuthWrite;

/// Answers for the engine.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let segments: Vec<_> = ask.rest.trim_end_matches('/').splitn(3, '/').collect();
    match (segments.as_slice(), ask.operation) {
        (["entity"], Operation::Write) => write(dialect, ask, None).await,
        (["entity", "id"], Operation::List) => kept::list(dialect, ask, READ, "entity/id/").await,
        (["entity", "name"], Operation::List) => names(dialect, ask).await,
        (["entity", "id", id], _) => {
            let id = Uuid::try_parse(id).map_err(|_| Fault::not_found())?;
            one(dialect, ask, Some(id)).await
        }
        (["entity", "name", name], Operation::Write) => write(dialect, ask, Some(name)).await,
        (["entity", "name", name], _) => {
            let id = kept::peek(dialect, ask, &entity_named(name)).await?;
            one(dialect, ask, id).await
        }
        (["lookup", "entity"], Operation::Write) => lookup(dialect, ask).await,
        (["group", ..] | ["lookup", "group"], _) => groups::handle(dialect, ask, &segments).await,
        (["entity" | "lookup", ..], _) => Err(Fault::unsupported_operation()),
        _ => Err(Fault::unsupported_path()),
    }
}

/// One entity: read, changed or removed.
async fn one(dialect: &Dialect, ask: &Ask, id: Option<Uuid>) -> Answer {
    match ask.operation {
        Operation::Read => {
            let at = entity_at(id.unwrap_or_default());
            let entity: Entity = kept::need(dialect, ask, READ, &at).await?;
            Ok(Reply::data(&shown(&entity, ask)))
        }
        Operation::Write => {
            let entity = kept::peek(dialect, ask, &entity_at(id.unwrap_or_default())).await?;
            change(dialect, ask, entity.ok_or_else(Fault::not_found)?, true).await
        }
        Operation::Delete => {
            let mut grant = granted(dialect, ask).await?;
            let keys = dialect.seal().tenant(grant.tx()).await?;
            let at = entity_at(id.unwrap_or_default());
            if let Some(entity) = entries::find::<Entity>(grant.tx(), &keys, ask.mount.id, &at).await? {
                identity::remove(grant.tx(), &ask.view, &entity).await?;
            }
            grant.commit(Done::with(json!({ "removed": id }))).await?;
            Ok(Reply::Nothing)
        }
        _ => Err(Fault::unsupported_operation()),
    }
}

async fn granted(dialect: &Dialect, ask: &Ask) -> Result<Grant, Fault> {
    let entry = dialect.gate().enter(&ask.caller_as_asked()?, WRITE).await?;
    Ok(entry.admit(ask.resource(kept::KIND)).await?)
}

/// Makes an entity, or changes the one of that name.
async fn write(dialect: &Dialect, ask: &Ask, name: Option<&str>) -> Answer {
    let name = match name {
        Some(name) => Some(name.to_owned()),
        None => ask.fields.text("name")?.filter(|name| !name.is_empty()),
    };
    let id = match (&name, ask.fields.text("id")?) {
        (_, Some(id)) => Some(Uuid::try_parse(&id).map_err(|_| Fault::invalid("entity not found from id"))?),
        (Some(name), None) => kept::peek(dialect, ask, &entity_named(name)).await?,
        (None, None) => None,
    };
    let known: Option<Entity> = match id {
        Some(id) => kept::peek(dialect, ask, &entity_at(id)).await?,
        None => None,
    };
    let is_known = known.is_some();
    let fresh = || {
        let id = dialect.world().uuid();
        let name = name.clone().unwrap_or_else(|| format!("entity_{id}"));
        Entity {
            id,
            name,
            metadata: std::collections::BTreeMap::new(),
            policies: Vec::new(),
            disabled: false,
            aliases: Vec::new(),
            groups: Vec::new(),
        }
    };
    change(dialect, ask, known.unwrap_or_else(fresh), is_known).await
}

async fn change(dialect: &Dialect, ask: &Ask, mut entity: Entity, known: bool) -> Answer {
    let before = entity.name.clone();
    if let Some(name) = ask.fields.text("name")?.filter(|name| !name.is_empty()) {
        entity.name = name;
    }
    entity.metadata = ask.fields.map("metadata")?.unwrap_or(entity.metadata);
    entity.disabled = ask.fields.boolean("disabled")?.unwrap_or(entity.disabled);
    if let Some(policies) = ask.fields.list("policies")? {
        entity.policies = without_root(policies)?;
    }
    let mut grant = granted(dialect, ask).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    let holder: Option<Uuid> =
        entries::find(grant.tx(), &keys, ask.mount.id, &entity_named(&entity.name)).await?;
    if holder.is_some_and(|holder| holder != entity.id) {
        let error = writ_kernel::Error::invalid("entity_name_taken", "entity name is already in use");
        return Err(grant.refuse(error).await.into());
    }
    if before != entity.name {
        entries::remove(grant.tx(), ask.mount.id, &entity_named(&before)).await?;
    }
    identity::put(dialect, grant.tx(), &ask.view, &entity).await?;
    view::changed(grant.tx(), ask.view.environment.id.uuid()).await?;
    grant.commit(Done::with(json!({ "entity": entity.id, "policies": entity.policies }))).await?;
    if known {
        return Ok(Reply::Nothing);
    }
    let aliases: Vec<_> = entity.aliases.iter().map(|alias| alias.id).collect();
    Ok(Reply::data(&json!({ "aliases": aliases, "id": entity.id, "name": entity.name })))
}

async fn names(dialect: &Dialect, ask: &Ask) -> Answer {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, READ).await?;
    let mut grant = entry.admit(ask.resource(kept::KIND)).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    let mut names = Vec::new();
    for path in entries::paths(grant.tx(), ask.mount.id, "entity/id/").await? {
        let entity: Option<Entity> = entries::find(grant.tx(), &keys, ask.mount.id, &path).await?;
        names.extend(entity.map(|entity| entity.name));
    }
    names.sort();
    grant.record(Done::plain()).await?;
    Reply::keys(&names)
}

/// The entity that some of its names belong to; 204 when there is none.
async fn lookup(dialect: &Dialect, ask: &Ask) -> Answer {
    let fields = &ask.fields;
    let id: Option<Uuid> = if let Some(id) = fields.text("id")? {
        Uuid::try_parse(&id).ok()
    } else if let Some(name) = fields.text("name")? {
        kept::peek(dialect, ask, &entity_named(&name)).await?
    } else if let (Some(name), Some(accessor)) =
        (fields.text("alias_name")?, fields.text("alias_mount_accessor")?)
    {
        kept::peek(dialect, ask, &alias_at(&accessor, &name)).await?
    } else {
        return Err(Fault::invalid(
            "one of id, name, or alias_name with alias_mount_accessor must be supplied",
        ));
    };
    let at = entity_at(id.unwrap_or_default());
    let entity: Option<Entity> = kept::find(dialect, ask, READ, &at).await?;
    Ok(entity.map_or(Reply::Nothing, |entity| Reply::data(&shown(&entity, ask))))
}

fn shown(entity: &Entity, ask: &Ask) -> Value {
    let aliases: Vec<_> = entity
        .aliases
        .iter()
        .map(|alias| {
            let mount = ask.view.mounts.iter().find(|mount| mount.accessor == alias.mount_accessor);
            json!({
                "canonical_id": entity.id,
                "id": alias.id,
                "metadata": alias.metadata,
                "mount_accessor": alias.mount_accessor,
                "mount_path": mount.map(|mount| mount.whole_path()),
                "mount_type": mount.map(|mount| mount.kind.name()),
                "name": alias.name,
            })
        })
        .collect();
    let groups: Vec<_> = entity.groups.iter().map(|group| group.id).collect();
    json!({
        "aliases": aliases,
        "direct_group_ids": groups,
        "disabled": entity.disabled,
        "group_ids": groups,
        "id": entity.id,
        "inherited_group_ids": [],
        "metadata": entity.metadata,
        "name": entity.name,
        "namespace_id": ask.view.environment.id,
        "policies": entity.policies,
    })
}

/// A group as its members know it.
fn membership(group: &Group) -> crate::entity::Group {
    crate::entity::Group { id: group.id, name: group.name.clone() }
}

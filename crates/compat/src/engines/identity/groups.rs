//! Groups: policies for several entities at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;
use writ_gate::Done;
use writ_kernel::{Error, Result};

use super::{READ, granted, membership};
use crate::{
    ask::{Ask, Operation},
    auth::without_root,
    dialect::Dialect,
    entity::Entity,
    entries,
    fault::{Answer, Fault},
    identity::{Group, entity_at, group_at, group_named},
    kept,
    reply::Reply,
    view,
};

pub(super) async fn handle(dialect: &Dialect, ask: &Ask, segments: &[&str]) -> Answer {
    match (segments, ask.operation) {
        (["group"], Operation::Write) => write(dialect, ask, None).await,
        (["group", "id"], Operation::List) => kept::list(dialect, ask, READ, "group/id/").await,
        (["group", "id", id], _) => one(dialect, ask, Uuid::try_parse(id).ok()).await,
        (["group", "name", name], Operation::Write) => write(dialect, ask, Some(name)).await,
        (["group", "name", name], _) => {
            let id = kept::peek(dialect, ask, &group_named(name)).await?;
            one(dialect, ask, id).await
        }
        (["lookup", "group"], Operation::Write) => {
            let id = match (ask.fields.text("id")?, ask.fields.text("name")?) {
                (Some(id), _) => Uuid::try_parse(&id).ok(),
                (None, Some(name)) => kept::peek(dialect, ask, &group_named(&name)).await?,
                (None, None) => return Err(Fault::invalid("one of id or name must be supplied")),
            };
            let group: Option<Group> =
                kept::find(dialect, ask, READ, &group_at(id.unwrap_or_default())).await?;
            Ok(group.map_or(Reply::Nothing, |group| Reply::data(&shown(&group, ask))))
        }
        _ => Err(Fault::unsupported_operation()),
    }
}

async fn one(dialect: &Dialect, ask: &Ask, id: Option<Uuid>) -> Answer {
    let at = group_at(id.unwrap_or_default());
    match ask.operation {
        Operation::Read => {
            let group: Group = kept::need(dialect, ask, READ, &at).await?;
            Ok(Reply::data(&shown(&group, ask)))
        }
        Operation::Write => {
            let group: Option<Group> = kept::peek(dialect, ask, &at).await?;
            let name = group.ok_or_else(Fault::not_found)?.name;
            write(dialect, ask, Some(&name)).await
        }
        Operation::Delete => {
            let mut grant = granted(dialect, ask).await?;
            let keys = dialect.seal().tenant(grant.tx()).await?;
            if let Some(group) = entries::find::<Group>(grant.tx(), &keys, ask.mount.id, &at).await? {
                join(
                    dialect,
                    grant.tx(),
                    ask,
                    &Group { members: Vec::new(), ..group.clone() },
                    &group.members,
                )
                .await?;
                entries::remove(grant.tx(), ask.mount.id, &at).await?;
                entries::remove(grant.tx(), ask.mount.id, &group_named(&group.name)).await?;
                view::changed(grant.tx(), ask.view.environment.id.uuid()).await?;
            }
            grant.commit(Done::with(json!({ "removed": id }))).await?;
            Ok(Reply::Nothing)
        }
        _ => Err(Fault::unsupported_operation()),
    }
}

async fn write(dialect: &Dialect, ask: &Ask, name: Option<&str>) -> Answer {
    let fields = &ask.fields;
    if fields.text("type")?.is_some_and(|kind| kind != "internal") {
        return Err(Fault::invalid("groups outside are not supported: only the type \"internal\" is"));
    }
    let name = match name {
        Some(name) => Some(name.to_owned()),
        None => fields.text("name")?.filter(|name| !name.is_empty()),
    };
    let name = name.unwrap_or_else(|| format!("group_{}", dialect.world().uuid()));
    let known: Option<Uuid> = kept::peek(dialect, ask, &group_named(&name)).await?;
    let known: Option<Group> = match known {
        Some(id) => kept::peek(dialect, ask, &group_at(id)).await?,
        None => None,
    };
    let is_known = known.is_some();
    let mut group = known.unwrap_or_else(|| Group {
        id: dialect.world().uuid(),
        name,
        policies: Vec::new(),
        metadata: BTreeMap::new(),
        members: Vec::new(),
    });
    let before = group.members.clone();
    if let Some(policies) = fields.list("policies")? {
        group.policies = without_root(policies)?;
    }
    group.metadata = fields.map("metadata")?.unwrap_or(group.metadata);
    if let Some(members) = fields.list("member_entity_ids")? {
        let members = members.iter().map(|id| Uuid::try_parse(id));
        let members = members.collect::<std::result::Result<_, _>>();
        group.members = members.map_err(|_| Fault::invalid("a member entity id is a UUID"))?;
    }
    let mut grant = granted(dialect, ask).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    if let Err(error) = join(dialect, grant.tx(), ask, &group, &before).await {
        return Err(grant.refuse(error).await.into());
    }
    entries::put(grant.tx(), &keys, ask.mount.id, &group_at(group.id), &group).await?;
    entries::put(grant.tx(), &keys, ask.mount.id, &group_named(&group.name), &group.id).await?;
    view::changed(grant.tx(), ask.view.environment.id.uuid()).await?;
    grant.commit(Done::with(json!({ "group": group.id, "policies": group.policies }))).await?;
    if is_known {
        return Ok(Reply::Nothing);
    }
    Ok(Reply::data(&json!({ "id": group.id, "name": group.name })))
}

/// Tells those who came and those who left.
async fn join(
    dialect: &Dialect,
    tx: &mut writ_store::Tx,
    ask: &Ask,
    group: &Group,
    before: &[Uuid],
) -> Result<()> {
    let keys = dialect.seal().tenant(tx).await?;
    let mut all: Vec<_> = group.members.iter().chain(before).copied().collect();
    all.sort_unstable();
    all.dedup();
    for id in all {
        let at = entity_at(id);
        let Some(mut entity) = entries::find::<Entity>(tx, &keys, ask.mount.id, &at).await? else {
            if group.members.contains(&id) {
                return Err(Error::invalid("unknown_entity", format!("invalid entity ID `{id}`")));
            }
            continue;
        };
        entity.groups.retain(|known| known.id != group.id);
        if group.members.contains(&id) {
            entity.groups.push(membership(group));
        }
        entries::put(tx, &keys, ask.mount.id, &at, &entity).await?;
    }
    Ok(())
}

fn shown(group: &Group, ask: &Ask) -> Value {
    json!({
        "alias": {},
        "id": group.id,
        "member_entity_ids": group.members,
        "member_group_ids": [],
        "metadata": group.metadata,
        "name": group.name,
        "namespace_id": ask.view.environment.id,
        "policies": group.policies,
        "type": "internal",
    })
}

//! Entities and groups, as logins make them and policies speak of them. They are kept in the entries of `identity/`:
//! `entity/id/<id>`, by name, and by what they are called at a mount.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use writ_crypto::hash;
use writ_kernel::{Error, Id, Result};
use writ_store::Tx;

use crate::{
    dialect::Dialect,
    entity::{Alias, Entity},
    entries,
    mounts::{Kind, Mount},
    policy::ROOT,
    view::{self, View},
};

/// What somebody is called at a mount.
pub(crate) struct Named<'a> {
    pub(crate) mount: &'a Mount,
    pub(crate) name: &'a str,
    pub(crate) metadata: &'a BTreeMap<String, String>,
}

/// An entity, and what there is to write about it.
pub(crate) struct Known {
    pub(crate) entity: Entity,
    news: News,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    Nothing,
    Made,
    Changed,
}

/// A group. Kept at `group/id/<id>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) policies: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) members: Vec<Uuid>,
}

pub(crate) fn entity_at(id: Uuid) -> String {
    format!("entity/id/{id}")
}

pub(crate) fn entity_named(name: &str) -> String {
    format!("entity/name/{}", digest(name))
}

pub(crate) fn alias_at(accessor: &str, name: &str) -> String {
    format!("alias/{accessor}/{}", digest(name))
}

pub(crate) fn group_at(id: Uuid) -> String {
    format!("group/id/{id}")
}

pub(crate) fn group_named(name: &str) -> String {
    format!("group/name/{}", digest(name))
}

/// Names are anything; paths are not.
fn digest(name: &str) -> String {
    hash::hex(&hash::sha256(name.as_bytes()))
}

/// The mount of entities of an environment.
///
/// # Errors
/// Never: every environment has it.
pub(crate) fn mount(view: &View) -> Result<&Arc<Mount>> {
    let mount = view.mounts.iter().find(|mount| mount.kind == Kind::Identity);
    mount.ok_or_else(|| Error::internal("an environment without `identity/`"))
}

/// The entity of whoever is called so, made up when they are new; nothing is written before [`Known::keep`].
///
/// # Errors
/// When the database fails.
pub(crate) async fn of_alias(
    dialect: &Dialect,
    tx: &mut Tx,
    view: &View,
    named: &Named<'_>,
) -> Result<Known> {
    let (keys, at) = (dialect.seal().tenant(tx).await?, mount(view)?.id);
    let alias = alias_at(&named.mount.accessor, named.name);
    let known: Option<Uuid> = entries::find(tx, &keys, at, &alias).await?;
    let known: Option<Entity> = match known {
        Some(id) => entries::find(tx, &keys, at, &entity_at(id)).await?,
        None => None,
    };
    let Some(mut entity) = known else {
        return Ok(Known { entity: made(tx, named), news: News::Made });
    };
    let called =
        |alias: &&mut Alias| alias.mount_accessor == named.mount.accessor && alias.name == named.name;
    let stale = entity.aliases.iter_mut().find(called).filter(|alias| alias.metadata != *named.metadata);
    let news = match stale {
        Some(alias) => {
            alias.metadata = named.metadata.clone();
            News::Changed
        }
        None => News::Nothing,
    };
    Ok(Known { entity, news })
}

fn made(tx: &Tx, named: &Named<'_>) -> Entity {
    let world = tx.world();
    let id = world.uuid();
    let alias = Alias {
        id: world.uuid(),
        mount_accessor: named.mount.accessor.clone(),
        name: named.name.to_owned(),
        metadata: named.metadata.clone(),
    };
    let short = hash::hex(&hash::sha256(id.as_bytes())).chars().take(8).collect::<String>();
    Entity {
        id,
        name: format!("entity_{short}"),
        metadata: BTreeMap::new(),
        policies: Vec::new(),
        disabled: false,
        aliases: vec![alias],
        groups: Vec::new(),
    }
}

impl Known {
    /// Writes what is new.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn keep(&self, dialect: &Dialect, tx: &mut Tx, view: &View) -> Result<()> {
        match self.news {
            News::Nothing => Ok(()),
            // Nobody can have asked about it before.
            News::Made => put(dialect, tx, view, &self.entity).await,
            News::Changed => {
                put(dialect, tx, view, &self.entity).await?;
                view::changed(tx, view.environment.id.uuid()).await
            }
        }
    }
}

/// Writes an entity and the ways to find it.
///
/// # Errors
/// When the database fails.
pub(crate) async fn put(dialect: &Dialect, tx: &mut Tx, view: &View, entity: &Entity) -> Result<()> {
    let (keys, at) = (dialect.seal().tenant(tx).await?, mount(view)?.id);
    entries::put(tx, &keys, at, &entity_at(entity.id), entity).await?;
    entries::put(tx, &keys, at, &entity_named(&entity.name), &entity.id).await?;
    for alias in &entity.aliases {
        entries::put(tx, &keys, at, &alias_at(&alias.mount_accessor, &alias.name), &entity.id).await?;
    }
    Ok(())
}

/// Removes an entity and the ways to find it.
///
/// # Errors
/// When the database fails.
pub(crate) async fn remove(tx: &mut Tx, view: &View, entity: &Entity) -> Result<()> {
    let at: Id<writ_kernel::Mount> = mount(view)?.id;
    entries::remove(tx, at, &entity_at(entity.id)).await?;
    entries::remove(tx, at, &entity_named(&entity.name)).await?;
    for alias in &entity.aliases {
        entries::remove(tx, at, &alias_at(&alias.mount_accessor, &alias.name)).await?;
    }
    view::changed(tx, view.environment.id.uuid()).await
}

impl Entity {
    /// Its policies and those of the groups it is in, sorted, each once; `root` is none of them.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn all_policies(
        &self,
        dialect: &Dialect,
        tx: &mut Tx,
        view: &View,
    ) -> Result<Vec<String>> {
        let mut policies = self.policies.clone();
        if !self.groups.is_empty() {
            let (keys, at) = (dialect.seal().tenant(tx).await?, mount(view)?.id);
            for group in &self.groups {
                let group: Option<Group> = entries::find(tx, &keys, at, &group_at(group.id)).await?;
                policies.extend(group.into_iter().flat_map(|group| group.policies));
            }
        }
        policies.retain(|policy| policy != ROOT);
        policies.sort();
        policies.dedup();
        Ok(policies)
    }
}

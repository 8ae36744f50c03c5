//! Entities: who stands behind tokens of several ways to sign in. Templated policies speak of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use writ_kernel::Result;
use writ_store::Tx;

use crate::{dialect::Dialect, entries, mounts::Kind, view::View};

/// An entity. Kept in the entries of `identity/` at `entity/id/<id>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entity {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) policies: Vec<String>,
    #[serde(default)]
    pub(crate) disabled: bool,
    #[serde(default)]
    pub(crate) aliases: Vec<Alias>,
    /// The groups it is in.
    #[serde(default)]
    pub(crate) groups: Vec<Group>,
}

/// What an entity is called at one way to sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Alias {
    pub(crate) id: Uuid,
    pub(crate) mount_accessor: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A group as its members know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: Uuid,
    pub(crate) name: String,
}

impl Entity {
    /// The entity of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn find(dialect: &Dialect, tx: &mut Tx, view: &View, id: Uuid) -> Result<Option<Self>> {
        let Some(mount) = view.mounts.iter().find(|mount| mount.kind == Kind::Identity) else {
            return Ok(None);
        };
        let keys = dialect.seal().tenant(tx).await?;
        entries::find(tx, &keys, mount.id, &format!("entity/id/{id}")).await
    }
}

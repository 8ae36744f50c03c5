//! How a mount keeps versions.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use writ_gate::Done;
use writ_vault::Keeping;

use super::{settings, span};
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    kept,
    reply::Reply,
};

const AT: &str = "config";

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Config {
    pub(super) max_versions: u32,
    pub(super) cas_required: bool,
    /// Seconds; 0 for never.
    pub(super) delete_version_after: u64,
}

impl Config {
    /// What new secrets begin with.
    pub(super) fn keeping(&self) -> Keeping {
        Keeping {
            cas_required: None,
            max_versions: Some(self.max_versions),
            delete_after: Some(Duration::from_secs(self.delete_version_after)),
        }
    }
}

/// The configuration of the mount.
pub(super) async fn of(dialect: &Dialect, ask: &Ask) -> Result<Config, Fault> {
    Ok(kept::peek(dialect, ask, AT).await?.unwrap_or_default())
}

pub(super) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let action = settings(ask.operation);
    if ask.operation == Operation::Read {
        let config: Config = kept::find(dialect, ask, action, AT).await?.unwrap_or_default();
        return Ok(Reply::data(&json!({
            "max_versions": config.max_versions,
            "cas_required": config.cas_required,
            "delete_version_after": span(Duration::from_secs(config.delete_version_after)),
        })));
    }
    let mut config = of(dialect, ask).await?;
    let fields = &ask.fields;
    let wrong = |name: &str| Fault::invalid(format!("{name} is out of range"));
    if let Some(most) = fields.integer("max_versions")? {
        config.max_versions = u32::try_from(most).map_err(|_| wrong("max_versions"))?;
    }
    config.cas_required = fields.boolean("cas_required")?.unwrap_or(config.cas_required);
    if let Some(after) = fields.seconds("delete_version_after")? {
        // A negative span takes the setting back.
        config.delete_version_after = u64::try_from(after).unwrap_or(0);
    }
    kept::put(dialect, ask, action, AT, &config, Done::plain()).await?;
    Ok(Reply::Nothing)
}

//! Path policies: parsed once when they are written and once for each version that is loaded, never per request.

mod hcl;
mod parse;
mod template;

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;
use writ_kernel::{Result, Rule, Timestamp};
use writ_store::Tx;

use crate::{entity::Entity, sql};

pub(crate) use parse::parse;

/// What every token has unless it says otherwise. Anybody with the right may write another.
pub(crate) const DEFAULT: &str = include_str!("default.hcl");

/// The name of the policy that stands in nobody's way. It has no text and cannot be changed.
pub(crate) const ROOT: &str = "root";

/// A path policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) version: i64,
    pub(crate) updated_at: Timestamp,
    paths: Vec<Path>,
}

/// What a policy says of one pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// As it was written, perhaps with `{{…}}` in it.
    pattern: String,
    rule: Rule,
}

impl Policy {
    fn new(name: String, text: String, version: i64, updated_at: Timestamp) -> Self {
        // What could not be parsed was never stored; should a later release understand less, the policy gives nothing.
        let paths = parse(&text).unwrap_or_default();
        Self { name, text, version, updated_at, paths }
    }

    /// Whether it speaks of the entity behind a token.
    pub(crate) fn templated(&self) -> bool {
        self.paths.iter().any(|path| path.pattern.contains("{{"))
    }

    /// Its rules for a token of `entity`. A path about an entity that there is not, or that has no such name, is left
    /// out.
    pub(crate) fn rules(&self, entity: Option<&Entity>) -> Vec<Rule> {
        self.paths.iter().filter_map(|path| path.rule(entity)).collect()
    }
}

impl Path {
    fn rule(&self, entity: Option<&Entity>) -> Option<Rule> {
        if !self.pattern.contains("{{") {
            return Some(self.rule.clone());
        }
        let pattern = template::resolve(&self.pattern, entity?)?;
        Some(self.rule.clone().about(&pattern))
    }
}

/// The policies of an environment, by name. `default` is there even when nobody wrote it; `root` is not, since it has
/// no rules.
///
/// # Errors
/// When the database fails.
pub(crate) async fn load(tx: &mut Tx, environment: Uuid) -> Result<BTreeMap<String, Arc<Policy>>> {
    let rows = sql::policies(tx, environment).await?.into_iter();
    let stored = rows.map(|row| {
        let at = Timestamp::from_micros(row.updated_at);
        Policy::new(row.name, row.text, row.version, at)
    });
    let built_in = Policy::new("default".to_owned(), DEFAULT.to_owned(), 1, Timestamp::default());
    let all = std::iter::once(built_in).chain(stored);
    Ok(all.map(|policy| (policy.name.clone(), Arc::new(policy))).collect())
}

//! What the dialect knows of one environment: its mounts and its path policies, of one version.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;
use writ_gate::{Environment, tenancy};
use writ_kernel::{Id, Result, Rules, TenantId};
use writ_store::Tx;

use crate::{
    dialect::Dialect,
    entity::Entity,
    mounts::{self, Mount},
    policy::{self, Policy},
    sql,
};

/// Everything of one environment that rarely changes. Whoever changes any of it counts the version up in the same
/// transaction ([`changed`]), and every request looks at the version first.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) tenant: TenantId,
    pub(crate) environment: Environment,
    pub(crate) version: i64,
    pub(crate) mounts: Vec<Arc<Mount>>,
    pub(crate) policies: BTreeMap<String, Arc<Policy>>,
    /// Compiled rules, by the names of the policies and, when one of them speaks of it, the entity.
    rules: Mutex<Compiled>,
}

type Compiled = HashMap<(Vec<String>, Option<Uuid>), Arc<Rules>>;

/// As many sets of compiled rules are kept for one environment.
const COMPILED: usize = 4096;

impl View {
    /// The view of `environment`; `None` when the tenant has no such.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn of(dialect: &Dialect, tx: &mut Tx, environment: Uuid) -> Result<Option<Arc<Self>>> {
        let Some(environment) = tenancy::environment(tx, Id::from_uuid(environment)).await? else {
            return Ok(None);
        };
        let (tenant, version) = (tx.tenant(), sql::version(tx, environment.id.uuid()).await?);
        if let Some(view) = dialect.kept(tenant, environment.id.uuid(), version)
            && view.environment == environment
        {
            return Ok(Some(view));
        }
        let mounts = mounts::load(tx, &environment).await?;
        let policies = policy::load(tx, environment.id.uuid()).await?;
        let view = Arc::new(Self { tenant, environment, version, mounts, policies, rules: Mutex::default() });
        dialect.keep(&view);
        Ok(Some(view))
    }

    /// The rules of these policies together, as a token has them all ([`crate::tokens::Token::all_policies`]). Policies
    /// that do not exist give nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn rules(
        &self,
        dialect: &Dialect,
        tx: &mut Tx,
        names: &[String],
        entity: Option<Uuid>,
    ) -> Result<Arc<Rules>> {
        if names.iter().any(|name| name == policy::ROOT) {
            return Ok(Arc::new(Rules::root()));
        }
        let policies: Vec<_> = names.iter().filter_map(|name| self.policies.get(name)).collect();
        let about = entity.filter(|_| policies.iter().any(|policy| policy.templated()));
        let key = (names.to_vec(), about);
        if let Some(rules) = self.compiled().get(&key) {
            return Ok(Arc::clone(rules));
        }
        let entity = match about {
            Some(id) => Entity::find(dialect, tx, self, id).await?,
            None => None,
        };
        let rules = policies.iter().flat_map(|policy| policy.rules(entity.as_ref()));
        let rules = Arc::new(Rules::new(rules));
        let mut compiled = self.compiled();
        if compiled.len() >= COMPILED {
            compiled.clear();
        }
        compiled.insert(key, Arc::clone(&rules));
        Ok(rules)
    }

    /// The mount that `path` is below, and the rest of the path: the longest one wins.
    pub(crate) fn mount_of<'a>(&self, path: &'a str) -> Option<(&Arc<Mount>, &'a str)> {
        let fits = |mount: &'_ &Arc<Mount>| path.starts_with(&*mount.whole_path());
        let mount = self.mounts.iter().filter(fits).max_by_key(|mount| mount.whole_path().len())?;
        Some((mount, path.strip_prefix(&*mount.whole_path()).unwrap_or_default()))
    }

    fn compiled(&self) -> MutexGuard<'_, Compiled> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the version of `environment` up: mounts, policies or entities have changed in `tx`.
///
/// # Errors
/// When the database fails.
pub(crate) async fn changed(tx: &mut Tx, environment: Uuid) -> Result<()> {
    sql::count_version(tx, environment).await
}

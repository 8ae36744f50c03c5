//! Engines and their roles.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Entry, Environment, Grant, Receipt, Resource, tenancy};
use writ_kernel::{Action, Caller, Error, Id, Kind, Name, Page, PageRequest, Result, Scopes};
use writ_wire::leases::{CreateEngine, EngineConfig, RoleSpec, UpdateEngine, WriteRole};

use super::{
    made::{Target, check_role},
    model::{EngineRecord, Leases, RoleRecord, seconds},
    sql,
};

const DEFAULT_TTL: Duration = Duration::from_hours(1);
const MAX_TTL: Duration = Duration::from_hours(24);
const LONGEST: Duration = Duration::from_hours(32 * 24);

impl Leases {
    /// Sets up an engine in an environment.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`, `Conflict` when the name is taken.
    pub async fn create_engine(
        &self,
        caller: &Caller,
        wanted: CreateEngine,
    ) -> Result<(EngineRecord, Receipt)> {
        let name: Name = wanted.name.parse().map_err(|error: Error| error.at("name"))?;
        let max_ttl = wanted.max_ttl_seconds.map_or(MAX_TTL, |ttl| Duration::from_secs(ttl.into()));
        let default_ttl = wanted
            .default_ttl_seconds
            .map_or(DEFAULT_TTL.min(max_ttl), |ttl| Duration::from_secs(ttl.into()));
        check_ttl(default_ttl, max_ttl, LONGEST)?;
        let world = self.gate().world();
        Target::check(&wanted.config, wanted.credential.as_deref(), world)?;
        self.may_lend(caller, &wanted.config).await?;
        let mut entry = self.gate().enter(caller, Action::EngineWrite).await?;
        let environment = tenancy::environment(entry.tx(), Id::from_uuid(wanted.environment)).await?;
        let Some(environment) = environment else { return Err(entry.not_found("environment").await) };
        let mut engine = EngineRecord {
            id: world.id(),
            name,
            environment: environment.id,
            config: wanted.config,
            sealed: None,
            version: 1,
            default_ttl,
            max_ttl,
            created_at: world.now(),
            updated_at: world.now(),
        };
        let mut grant = entry.admit(engine.resource(environment)).await?;
        seal(&grant, &mut engine, wanted.credential.as_deref());
        sql::insert_engine(grant.tx(), &engine).await.map_err(|error| match error.kind() {
            Kind::Conflict => {
                Error::conflict("name_taken", format!("there is already an engine `{}`", engine.name))
                    .at("name")
            }
            _ => error,
        })?;
        let receipt = grant.commit(Done::with(detail(&engine))).await?;
        Ok((engine, receipt))
    }

    /// Changes an engine. Leases that are under way are ended with what it is then, so it does not point elsewhere
    /// while there are any.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`, `Conflict` when another changed it meanwhile, and with `engine_in_use`.
    pub async fn update_engine(
        &self,
        caller: &Caller,
        id: Uuid,
        wanted: UpdateEngine,
    ) -> Result<(EngineRecord, Receipt)> {
        if let Some(config) = &wanted.config {
            self.may_lend(caller, config).await?;
        }
        self.may_widen(caller, id).await?;
        let mut entry = self.gate().enter(caller, Action::EngineWrite).await?;
        let Some((before, environment)) = engine_in(&mut entry, id).await? else {
            return Err(entry.not_found("engine").await);
        };
        let mut grant = entry.admit(before.resource(environment)).await?;
        let engine = changed(&grant, &before, wanted)?;
        if elsewhere(&before.config, &engine.config) {
            // Nothing is lent from here on until the change is in force.
            writ_store::serialize_on(grant.tx(), "leases").await?;
            if sql::of_engine(grant.tx(), id).await? > 0 {
                let error = Error::conflict(
                    "engine_in_use",
                    "what was lent is ended where the engine points now",
                )
                .at("config")
                .hint(
                    "revoke its leases, and wait until the target has confirmed it; or set up another engine",
                );
                return Err(grant.refuse(error).await);
            }
        }
        if !sql::update_engine(grant.tx(), &engine).await? {
            return Err(Error::conflict("changed_meanwhile", "somebody else changed the engine meanwhile"));
        }
        let receipt = grant.commit(Done::with(detail(&engine))).await?;
        Ok((engine, receipt))
    }

    /// Lists engines, oldest first: of one environment or of all.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn engines(
        &self,
        caller: &Caller,
        environment: Option<Uuid>,
        page: PageRequest,
    ) -> Result<(Page<EngineRecord>, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::EngineRead).await?;
        let Some(resource) = listing(&mut entry, "engine", environment).await? else {
            return Err(entry.not_found("environment").await);
        };
        let mut grant = entry.admit(resource).await?;
        let page = sql::engines(grant.tx(), environment, &page).await?;
        Ok((page, grant.commit(Done::plain()).await?))
    }

    /// One engine.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn engine(&self, caller: &Caller, id: Uuid) -> Result<(EngineRecord, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::EngineRead).await?;
        let Some((engine, environment)) = engine_in(&mut entry, id).await? else {
            return Err(entry.not_found("engine").await);
        };
        let grant = entry.admit(engine.resource(environment)).await?;
        Ok((engine, grant.commit(Done::plain()).await?))
    }

    /// One engine by the name it has in its environment.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn engine_named(
        &self,
        caller: &Caller,
        environment: Uuid,
        name: &str,
    ) -> Result<(EngineRecord, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::EngineRead).await?;
        let found = sql::engine_named(entry.tx(), environment, name).await?;
        let place = tenancy::environment(entry.tx(), Id::from_uuid(environment)).await?;
        let (Some(engine), Some(place)) = (found, place) else {
            return Err(entry.not_found("engine").await);
        };
        let grant = entry.admit(engine.resource(place)).await?;
        Ok((engine, grant.commit(Done::plain()).await?))
    }

    /// Removes an engine of which nothing is lent.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Conflict` while a lease of it is not over.
    pub async fn delete_engine(&self, caller: &Caller, id: Uuid) -> Result<Receipt> {
        let mut entry = self.gate().enter(caller, Action::EngineWrite).await?;
        let Some((engine, environment)) = engine_in(&mut entry, id).await? else {
            return Err(entry.not_found("engine").await);
        };
        let mut grant = entry.admit(engine.resource(environment)).await?;
        writ_store::serialize_on(grant.tx(), "leases").await?;
        if sql::of_engine(grant.tx(), id).await? > 0 {
            return Err(Error::conflict("leases_left", "leases of the engine are not over")
                .hint("revoke them, and wait until the target has confirmed it"));
        }
        sql::delete_engine(grant.tx(), id).await?;
        grant.commit(Done::with(json!({ "removed": true, "kind": engine.kind() }))).await
    }

    /// Writes a role of an engine.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`.
    pub async fn write_role(
        &self,
        caller: &Caller,
        engine: Uuid,
        name: &str,
        wanted: WriteRole,
    ) -> Result<(RoleRecord, Receipt)> {
        let name: Name = name.parse().map_err(|error: Error| error.at("name"))?;
        self.may_widen(caller, engine).await?;
        let mut entry = self.gate().enter(caller, Action::EngineWrite).await?;
        let Some((engine, environment)) = engine_in(&mut entry, engine).await? else {
            return Err(entry.not_found("engine").await);
        };
        let mut grant = entry.admit(engine.resource(environment)).await?;
        let ttl = |wanted: Option<u32>, else_| wanted.map_or(else_, |ttl| Duration::from_secs(ttl.into()));
        let max_ttl = ttl(wanted.max_ttl_seconds, engine.max_ttl);
        let default_ttl = ttl(wanted.default_ttl_seconds, engine.default_ttl.min(max_ttl));
        check_ttl(default_ttl, max_ttl, engine.max_ttl)?;
        check_role(&engine.config, &wanted.spec, default_ttl, max_ttl)?;
        if let RoleSpec::Tokens { scopes } = &wanted.spec {
            let scopes: Scopes = scopes.join(" ").parse()?;
            if !caller.scopes.contain(&scopes) {
                let error = Error::forbidden("wider_scope", "a key cannot have scopes that you lack");
                return Err(grant.refuse(error.at("spec")).await);
            }
        }
        let before = sql::role(grant.tx(), engine.id.uuid(), name.as_str()).await?;
        let created_at = before.map_or(grant.world().now(), |role| role.created_at);
        let role =
            RoleRecord { engine: engine.id, name, spec: wanted.spec, default_ttl, max_ttl, created_at };
        sql::write_role(grant.tx(), &role).await?;
        let said = json!({ "role": role.name, "spec": role.spec, "maxTtlSeconds": seconds(max_ttl) });
        let receipt = grant.commit(Done::with(said)).await?;
        Ok((role, receipt))
    }

    /// The roles of an engine, by name.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn roles(&self, caller: &Caller, engine: Uuid) -> Result<(Vec<RoleRecord>, Receipt)> {
        let mut entry = self.gate().enter(caller, Action::EngineRead).await?;
        let Some((engine, environment)) = engine_in(&mut entry, engine).await? else {
            return Err(entry.not_found("engine").await);
        };
        let mut grant = entry.admit(engine.resource(environment)).await?;
        let roles = sql::roles(grant.tx(), engine.id.uuid()).await?;
        Ok((roles, grant.commit(Done::plain()).await?))
    }

    /// Removes a role. Leases of it go on.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn delete_role(&self, caller: &Caller, engine: Uuid, name: &str) -> Result<Receipt> {
        let mut entry = self.gate().enter(caller, Action::EngineWrite).await?;
        let Some((engine, environment)) = engine_in(&mut entry, engine).await? else {
            return Err(entry.not_found("engine").await);
        };
        let Some(role) = sql::role(entry.tx(), engine.id.uuid(), name).await? else {
            return Err(entry.not_found("role").await);
        };
        let mut grant = entry.admit(engine.resource(environment)).await?;
        sql::delete_role(grant.tx(), engine.id.uuid(), name).await?;
        grant.commit(Done::with(json!({ "removedRole": role.name }))).await
    }

    /// Whether the caller may set up an engine, and so may have it do other things.
    pub(crate) async fn may_direct(&self, caller: &Caller, id: Uuid) -> Result<()> {
        let mut entry = self.gate().enter(caller, Action::EngineWrite).await?;
        let Some((engine, environment)) = engine_in(&mut entry, id).await? else {
            return Err(entry.not_found("engine").await);
        };
        // Only to ask: dropping the grant does nothing, and a refusal is on record.
        drop(entry.admit(engine.resource(environment)).await?);
        Ok(())
    }

    /// Whether the caller may have an engine lend more, or for longer: of tokens, who may set one up. Whether there is
    /// such an engine is found by whoever asks.
    async fn may_widen(&self, caller: &Caller, engine: Uuid) -> Result<()> {
        match sql::engine(&mut self.gate().db().read(caller.tenant).await?, engine).await? {
            Some(engine) => self.may_lend(caller, &engine.config).await,
            None => Ok(()),
        }
    }

    /// An engine of tokens is a way to keys of a service account: it takes somebody who may make those.
    async fn may_lend(&self, caller: &Caller, config: &EngineConfig) -> Result<()> {
        let EngineConfig::Tokens { service } = config else { return Ok(()) };
        let key = Resource::all("api-key").of(Id::from_uuid(*service));
        // Only to ask: dropping the grant does nothing, and a refusal is on record.
        drop(self.gate().grant(caller, Action::KeyCreate, key).await?);
        if self.0.holders.active(caller.tenant, Id::from_uuid(*service)).await? {
            return Ok(());
        }
        Err(Error::invalid("unknown_service", "the service account is an active one of this tenant")
            .at("config"))
    }
}

/// An engine of the caller's tenant, with its environment.
pub(crate) async fn engine_in(entry: &mut Entry, id: Uuid) -> Result<Option<(EngineRecord, Environment)>> {
    let Some(engine) = sql::engine(entry.tx(), id).await? else { return Ok(None) };
    let environment = tenancy::environment(entry.tx(), engine.environment).await?;
    Ok(environment.map(|environment| (engine, environment)))
}

/// All things of a kind: of one environment, if there is such, or of all.
pub(crate) async fn listing(
    entry: &mut Entry,
    kind: &'static str,
    environment: Option<Uuid>,
) -> Result<Option<Resource>> {
    let Some(id) = environment else { return Ok(Some(Resource::all(kind))) };
    let environment = tenancy::environment(entry.tx(), Id::from_uuid(id)).await?;
    Ok(environment.map(|environment| Resource::all(kind).within(environment)))
}

/// The engine as it is to be, its credential sealed for that.
fn changed(grant: &Grant, before: &EngineRecord, wanted: UpdateEngine) -> Result<EngineRecord> {
    let ttl = |wanted: Option<u32>, before| wanted.map_or(before, |ttl| Duration::from_secs(ttl.into()));
    let mut engine = EngineRecord {
        config: wanted.config.unwrap_or_else(|| before.config.clone()),
        default_ttl: ttl(wanted.default_ttl_seconds, before.default_ttl),
        max_ttl: ttl(wanted.max_ttl_seconds, before.max_ttl),
        version: before.version + 1,
        updated_at: grant.world().now(),
        ..before.clone()
    };
    check_ttl(engine.default_ttl, engine.max_ttl, LONGEST)?;
    if engine.kind() != before.kind() {
        return Err(Error::invalid("other_kind", "an engine does not change its kind").at("config"));
    }
    // A credential is not sent where it was not set up for: a new address comes with the credential for it.
    if wanted.credential.is_none() && engine.config != before.config && before.sealed.is_some() {
        return Err(Error::invalid("credential_needed", "a new address or user comes with its credential")
            .at("credential"));
    }
    match (&wanted.credential, &before.sealed) {
        (None, Some(sealed)) => {
            let opened = grant.keys().open(&before.aad(grant.tenant()), sealed)?;
            let aad = engine.aad(grant.tenant());
            engine.sealed = Some(grant.keys().seal(grant.world(), &aad, opened.expose()));
        }
        (credential, _) => {
            Target::check(&engine.config, credential.as_deref(), grant.world())?;
            seal(grant, &mut engine, credential.as_deref());
        }
    }
    Ok(engine)
}

/// Whether the engine would make and end credentials in another place: leases of the first are not over in the second.
fn elsewhere(before: &EngineConfig, after: &EngineConfig) -> bool {
    use EngineConfig::{Aws, Postgres, Tokens};
    match (before, after) {
        (
            Postgres { host, port, database, .. },
            Postgres { host: other_host, port: other_port, database: other_database, .. },
        ) => (host, port, database) != (other_host, other_port, other_database),
        (Aws { region, endpoint, .. }, Aws { region: other_region, endpoint: other_endpoint, .. }) => {
            (region, endpoint) != (other_region, other_endpoint)
        }
        (Tokens { service }, Tokens { service: other }) => service != other,
        _ => true,
    }
}

fn seal(grant: &Grant, engine: &mut EngineRecord, credential: Option<&str>) {
    let aad = engine.aad(grant.tenant());
    engine.sealed = credential.map(|text| grant.keys().seal(grant.world(), &aad, text.as_bytes()));
}

fn detail(engine: &EngineRecord) -> serde_json::Value {
    json!({ "config": engine.config, "maxTtlSeconds": seconds(engine.max_ttl), "version": engine.version })
}

fn check_ttl(default: Duration, most: Duration, bound: Duration) -> Result<()> {
    if default.is_zero() || default > most || most > bound {
        let bound = bound.as_secs();
        return Err(Error::invalid("lease_lifetime", "a lease cannot last that long, or not at all").hint(
            format!("at least a second, by default no longer than at most, and at most {bound} seconds"),
        ));
    }
    Ok(())
}

//! Deployments: asked for, looked at, stopped.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use uuid::Uuid;
use writ_crypto::{Aad, hash};
use writ_gate::{Done, Entry, Environment, Gate, Grant, Receipt, Resource, tenancy};
use writ_kernel::{
    Action, Caller, Configuration, Connection, Deployment, Error, Id, Label, Name, Page, PageRequest, Result,
    TenantId,
};
use writ_seal::TenantKeys;
use writ_store::serialize_on;
use writ_wire::deployments::{
    CreateDeployment, DeploymentQuery, Mode, Outcome, Output, OutputQuery, Rollback, State,
};

use crate::{
    circumstances::{Asked, Author},
    connections::lock_name,
    decision, errands,
    model::{ConnectionRecord, Deploy, DeploymentRecord},
    preflight, runs, sql,
};

/// As many deployments of one tenant may be unfinished at once.
const UNFINISHED: i64 = 200;
const VARIABLES: usize = 64 * 1024;

/// Asks for a change. With an idempotency key, asking again for the same is answered with the same deployment.
pub(crate) async fn create(
    room: &Deploy,
    caller: &Caller,
    wanted: CreateDeployment,
    key: Option<String>,
) -> Result<(DeploymentRecord, Receipt)> {
    let target: Name = wanted.target.parse().map_err(|error: Error| error.at("target"))?;
    let reason = label(wanted.reason)?;
    let timeout_seconds = timeout(wanted.timeout_seconds)?;
    let (connection, configuration) = (Id::from_uuid(wanted.connection), Id::from_uuid(wanted.configuration));
    let new = New {
        target,
        reason,
        timeout_seconds,
        connection,
        configuration,
        mode: wanted.mode,
        variables: wanted.variables,
    };
    begin(room, caller, new, key).await
}

/// Asks for the configuration and variables of an earlier deployment again.
pub(crate) async fn roll_back(
    room: &Deploy,
    caller: &Caller,
    to: Uuid,
    wanted: Rollback,
    key: Option<String>,
) -> Result<(DeploymentRecord, Receipt)> {
    let mut entry = room.gate().enter(caller, Action::DeploymentRead).await?;
    let Some(place) = place(&mut entry, to).await? else { return Err(entry.not_found("deployment").await) };
    let earlier = place.deployment.clone();
    let grant = entry.admit(place.resource()).await?;
    let variables = variables(grant.keys(), caller.tenant, &earlier)?;
    if earlier.state != State::Succeeded || earlier.mode != Mode::Apply {
        let error = Error::conflict("not_applied", "that deployment was not applied")
            .hint("name an earlier deployment that succeeded");
        return Err(grant.refuse(error).await);
    }
    grant.commit(Done::plain()).await?;
    let new = New {
        target: earlier.target,
        reason: label(wanted.reason)?,
        timeout_seconds: earlier.timeout_seconds,
        connection: earlier.connection,
        configuration: earlier.configuration,
        mode: Mode::Apply,
        variables,
    };
    begin(room, caller, new, key).await
}

/// Lists deployments, newest first.
pub(crate) async fn list(
    gate: &Gate,
    caller: &Caller,
    query: DeploymentQuery,
) -> Result<(Page<DeploymentRecord>, Receipt)> {
    let page = PageRequest::new(query.after, query.limit)?;
    let target = query.target.map(|text| text.parse::<Name>()).transpose();
    let target = target.map_err(|error| error.at("target"))?;
    let mut entry = gate.enter(caller, Action::DeploymentRead).await?;
    let mut resource = Resource::all("deployment");
    if let Some(id) = query.environment {
        resource.environment = tenancy::environment(entry.tx(), Id::from_uuid(id)).await?;
        if resource.environment.is_none() {
            return Err(entry.not_found("environment").await);
        }
    }
    let mut grant = entry.admit(resource).await?;
    let page =
        sql::deployments(grant.tx(), query.environment, target.as_ref().map(Name::as_str), &page).await?;
    Ok((page, grant.commit(Done::plain()).await?))
}

/// One deployment.
pub(crate) async fn find(gate: &Gate, caller: &Caller, id: Uuid) -> Result<(DeploymentRecord, Receipt)> {
    let (place, grant) = admitted(gate, caller, Action::DeploymentRead, id).await?;
    Ok((place.deployment, grant.commit(Done::plain()).await?))
}

/// Redacted output after a line, waiting for some if there is none yet and the deployment goes on.
pub(crate) async fn output(
    room: &Deploy,
    caller: &Caller,
    id: Uuid,
    query: OutputQuery,
) -> Result<(Output, Receipt)> {
    let (_, grant) = admitted(room.gate(), caller, Action::DeploymentRead, id).await?;
    let receipt = grant.commit(Done::plain()).await?;
    // So many wait at once and no more: a reader who does not get a place is answered at once.
    let place = room.0.waiting.try_acquire();
    let longest = if place.is_ok() { 30 } else { 0 };
    let patience = Duration::from_secs(u64::from(query.wait.min(longest)));
    let give_up = tokio::time::Instant::now() + patience;
    loop {
        // Registered before looking, so that nothing that happens in between is slept through.
        let changed = room.0.changed.notified();
        let mut tx = room.gate().db().read(caller.tenant).await?;
        let deployment = sql::deployment(&mut tx, id).await?.ok_or_else(|| Error::not_found("deployment"))?;
        let lines = runs::sql::output(&mut tx, deployment.id, query.after, 1_000).await?;
        drop(tx);
        let moved = query.state.is_some_and(|known| known != deployment.state);
        if moved || !lines.is_empty() || deployment.state.is_final() || tokio::time::Instant::now() >= give_up
        {
            let next = lines.last().map_or(query.after, |line| line.sequence);
            return Ok((Output { lines, next, state: deployment.state }, receipt));
        }
        // Another replica may have changed it, so the wait is never longer than a second.
        let nap = give_up.min(tokio::time::Instant::now() + Duration::from_secs(1));
        let _ = tokio::time::timeout_at(nap, changed).await;
    }
}

/// Stops a deployment: at once when nobody works on it, else as soon as its runner hears of it.
pub(crate) async fn cancel(room: &Deploy, caller: &Caller, id: Uuid) -> Result<(DeploymentRecord, Receipt)> {
    let (Place { mut deployment, .. }, mut grant) =
        admitted(room.gate(), caller, Action::DeploymentCancel, id).await?;
    let before = deployment.state;
    let now = grant.world().now();
    let stopped = match before {
        state if state.is_final() => {
            return Err(Error::conflict("deployment_over", format!("the deployment has {}", state.as_str())));
        }
        State::Planning | State::Applying => {
            deployment.cancel_requested = true;
            sql::request_cancel(grant.tx(), deployment.id, now).await?
        }
        _ => {
            deployment.state = State::Cancelled;
            deployment.outcome = Some(outcome("cancelled", "cancelled before anything was changed", None));
            sql::advance(grant.tx(), before, &deployment, now).await?
        }
    };
    if !stopped {
        return Err(Error::conflict(
            "deployment_moved",
            "the deployment moved on at the same moment; try again",
        ));
    }
    let receipt = grant.commit(Done::with(json!({ "state": before }))).await?;
    room.wake();
    Ok((deployment, receipt))
}

/// A deployment with everything around it that a decision needs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) deployment: DeploymentRecord,
    pub(crate) connection: ConnectionRecord,
    pub(crate) environment: Environment,
}

impl Place {
    pub(crate) fn resource(&self) -> Resource {
        self.deployment.resource(&self.connection, self.environment.clone())
    }

    /// Whose act it is when the deployment is decided about.
    pub(crate) fn author(&self, tenant: TenantId) -> Author<'_> {
        Author {
            tenant,
            principal: self.deployment.author,
            trace: self.deployment.trace,
            table: "deployments",
            row: self.deployment.id.uuid(),
            asked: self.deployment.asked.as_deref(),
        }
    }
}

/// Finds a deployment and what is around it; `None` when the tenant has no such.
pub(crate) async fn place(entry: &mut Entry, id: Uuid) -> Result<Option<Place>> {
    let Some(deployment) = sql::deployment(entry.tx(), id).await? else { return Ok(None) };
    let connection = sql::connection(entry.tx(), deployment.connection.uuid()).await?;
    let environment = tenancy::environment(entry.tx(), deployment.environment).await?;
    let (Some(connection), Some(environment)) = (connection, environment) else {
        return Err(Error::gone("connection_removed", "the deployment's connection was removed"));
    };
    Ok(Some(Place { deployment, connection, environment }))
}

async fn admitted(gate: &Gate, caller: &Caller, action: Action, id: Uuid) -> Result<(Place, Grant)> {
    let mut entry = gate.enter(caller, action).await?;
    let Some(place) = place(&mut entry, id).await? else { return Err(entry.not_found("deployment").await) };
    let grant = entry.admit(place.resource()).await?;
    Ok((place, grant))
}

struct New {
    target: Name,
    reason: Option<Label>,
    timeout_seconds: u32,
    connection: Id<Connection>,
    configuration: Id<Configuration>,
    mode: Mode,
    variables: BTreeMap<String, Value>,
}

async fn begin(
    room: &Deploy,
    caller: &Caller,
    new: New,
    key: Option<String>,
) -> Result<(DeploymentRecord, Receipt)> {
    let mut entry = room.gate().enter(caller, Action::DeploymentCreate).await?;
    // Whoever asks for a change that applies by itself needs the scope for that, too.
    let applies = decision::action_of(new.mode);
    if new.mode != Mode::Plan && !caller.may_try(applies) {
        let error =
            Error::forbidden("insufficient_scope", format!("the credential has no scope for `{applies}`"));
        return Err(entry
            .refuse(error.hint("ask for a plan only, or use a credential with that scope"))
            .await);
    }
    serialize_on(entry.tx(), &lock_name(new.connection.uuid())).await?;
    let Some(connection) = sql::connection(entry.tx(), new.connection.uuid()).await? else {
        return Err(entry.not_found("connection").await);
    };
    let Some(environment) = tenancy::environment(entry.tx(), connection.environment).await? else {
        return Err(entry.not_found("environment").await);
    };
    if sql::configuration(entry.tx(), new.configuration.uuid()).await?.is_none() {
        return Err(entry.not_found("configuration").await);
    }
    let deputy = errands::sql::last_finding(entry.tx(), connection.id, preflight::CONFUSED_DEPUTY).await?;
    let blocking = preflight::blocking(&connection, &environment, deputy);
    let deployment = record(room, caller, &environment, &new, entry.keys())?;
    let request = digest(&new)?;
    let mut grant = entry.admit(deployment.resource(&connection, environment)).await?;
    if let Some(failed) = blocking {
        let error = Error::conflict("preflight_failed", format!("preflight check `{}` failed", failed.check));
        return Err(grant.refuse(error.hint(failed.fix.unwrap_or_default())).await);
    }
    if let Some(key) = &key
        && let Some(known) = sql::idempotency_key(grant.tx(), caller.principal, key).await?
    {
        return repeated(grant, known, &request).await;
    }
    if sql::unfinished(grant.tx()).await? >= UNFINISHED {
        let error = Error::exhausted(
            "too_many_deployments",
            "the tenant has 200 unfinished deployments",
            Duration::from_secs(30),
        );
        return Err(grant.refuse(error).await);
    }
    sql::insert_deployment(grant.tx(), &deployment).await?;
    if let Some(key) = key {
        let row = sql::KeyRow { request_digest: request, deployment_id: deployment.id.uuid() };
        sql::insert_idempotency_key(grant.tx(), caller.principal, &key, &row, deployment.created_at).await?;
    }
    let detail = json!({ "mode": deployment.mode, "configuration": deployment.configuration,
        "connection": deployment.connection, "reason": deployment.reason });
    let receipt = grant.commit(Done::with(detail)).await?;
    room.wake();
    Ok((deployment, receipt))
}

async fn repeated(
    mut grant: Grant,
    known: sql::KeyRow,
    request: &str,
) -> Result<(DeploymentRecord, Receipt)> {
    if known.request_digest != request {
        return Err(Error::conflict(
            "idempotency_key_reused",
            "the idempotency key was used for another request",
        )
        .at("Idempotency-Key"));
    }
    let deployment = sql::deployment(grant.tx(), known.deployment_id).await?;
    let deployment =
        deployment.ok_or_else(|| Error::internal("an idempotency key without its deployment"))?;
    let receipt = grant.commit(Done::with(json!({ "repeated": deployment.id }))).await?;
    Ok((deployment, receipt))
}

fn record(
    room: &Deploy,
    caller: &Caller,
    environment: &Environment,
    new: &New,
    keys: &TenantKeys,
) -> Result<DeploymentRecord> {
    let world = room.gate().world();
    let (id, now) = (world.id(), world.now());
    let variables = sql::to_json(&new.variables)?;
    if variables.len() > VARIABLES {
        return Err(Error::too_large("variables_too_large", "variables are at most 64 KiB").at("variables"));
    }
    Ok(DeploymentRecord {
        id,
        target: new.target.clone(),
        environment: environment.id,
        connection: new.connection,
        configuration: new.configuration,
        mode: new.mode,
        state: State::Queued,
        author: caller.principal,
        asked: Some(Asked::by(caller).seal(keys, world, caller.tenant, "deployments", id.uuid())?),
        reason: new.reason.clone(),
        sealed_variables: keys.seal(world, &variables_place(caller.tenant, id), variables.as_bytes()),
        timeout_seconds: new.timeout_seconds,
        plan_salt: hash::hex(&world.bytes::<16>()),
        plan: None,
        approval: None,
        outcome: None,
        cancel_requested: false,
        trace: caller.trace,
        created_at: now,
        updated_at: now,
    })
}

/// The input variables of a deployment, opened.
pub(crate) fn variables(
    keys: &TenantKeys,
    tenant: TenantId,
    deployment: &DeploymentRecord,
) -> Result<BTreeMap<String, Value>> {
    let text = keys.open(&variables_place(tenant, deployment.id), &deployment.sealed_variables)?;
    let text = std::str::from_utf8(text.expose()).map_err(|_| Error::internal("variables are not text"))?;
    sql::from_json(text)
}

fn variables_place(tenant: TenantId, id: Id<Deployment>) -> Vec<u8> {
    Aad::cell(tenant, "deployments", id.uuid().as_bytes(), "variables", 1)
}

/// How a deployment ended, in a line.
pub(crate) fn outcome(code: &str, detail: impl Into<String>, hint: Option<&str>) -> Outcome {
    let (code, hint) = (code.to_owned(), hint.map(str::to_owned));
    Outcome { code, detail: detail.into(), hint, outputs: BTreeMap::new() }
}

fn digest(new: &New) -> Result<String> {
    let whole = json!({ "target": new.target, "connection": new.connection, "configuration": new.configuration,
        "mode": new.mode, "variables": new.variables, "timeout": new.timeout_seconds, "reason": new.reason });
    Ok(hash::hex(&hash::sha256(sql::to_json(&whole)?.as_bytes())))
}

fn label(text: Option<String>) -> Result<Option<Label>> {
    text.map(|text| text.parse::<Label>()).transpose().map_err(|error| error.at("reason"))
}

fn timeout(seconds: Option<u32>) -> Result<u32> {
    let seconds = seconds.unwrap_or(3_600);
    (60..=14_400)
        .contains(&seconds)
        .then_some(seconds)
        .ok_or_else(|| Error::invalid("timeout", "a run may take 60 to 14400 seconds").at("timeoutSeconds"))
}

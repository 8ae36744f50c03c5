//! The room's face: translate, call a verb, translate back.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use utoipa::IntoParams;
use uuid::Uuid;
use writ_gate::{Gate, Receipt};
use writ_kernel::{Kind, Label, PageRequest};
use writ_web::{
    Authenticated, From, Json, Outcome, Path, Peer, Query, Recorded, Trace, created, listing,
    openapi::{OpenApiRouter, routes},
    paging,
};
use writ_wire::{
    identity::{self as wire, BindRole, CreateApiKey, CreatePerson, CreateService, Login},
    page::{Page, PageQuery},
    policies::{PolicySet, PolicyTestReport, TestPolicies, WritePolicySet},
    tenancy::{self, CreateEnvironment, CreateTenant, UpdateEnvironment},
};

use crate::{
    credentials, known::Known, model::CredentialKind, people, policies, roles, services, sql,
    tenancy as places,
};

/// The identity room.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) gate: Gate,
    pub(crate) known: Arc<Known>,
}

impl Identity {
    /// The room behind `gate`.
    pub fn new(gate: Gate) -> Self {
        Self { gate, known: Arc::default() }
    }
}

/// The room's operations under `/api/v1`.
pub fn routes(room: Identity) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create_tenant, list_tenants))
        .routes(routes!(create_environment, list_environments))
        .routes(routes!(update_environment))
        .routes(routes!(create_person, list_people))
        .routes(routes!(show_person))
        .routes(routes!(disable_person))
        .routes(routes!(create_service, list_services))
        .routes(routes!(retire_service))
        .routes(routes!(bind_role, list_bindings))
        .routes(routes!(unbind_role))
        .routes(routes!(create_key, list_keys))
        .routes(routes!(revoke_key))
        .routes(routes!(log_in, list_sessions))
        .routes(routes!(log_out))
        .routes(routes!(revoke_session))
        .routes(routes!(who_am_i))
        .routes(routes!(read_policies, write_policies))
        .routes(routes!(test_policies))
        .with_state(room)
}

type Answer<T> = Outcome<Recorded<Json<T>>>;

fn answer<T>(receipt: &Receipt, body: T) -> Recorded<Json<T>> {
    Recorded(receipt.to_string(), Json(body))
}

fn nothing(receipt: &Receipt) -> Recorded<StatusCode> {
    Recorded(receipt.to_string(), StatusCode::NO_CONTENT)
}

fn came<T: serde::Serialize>(receipt: &Receipt, location: &str, body: T) -> Outcome<Recorded<Response>> {
    Ok(Recorded(receipt.to_string(), created(location, body)?))
}

/// Create a tenant and its first administrator.
#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenancy", request_body = CreateTenant,
    responses((status = 201, body = tenancy::CreatedTenant)))]
async fn create_tenant(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateTenant>,
) -> Outcome<Recorded<Response>> {
    let (tenant, admin, token, receipt) = places::create_tenant(&room.gate, &caller, wanted).await?;
    let location = format!("/api/v1/tenants/{}", tenant.id);
    let tenant = tenancy::Tenant {
        id: tenant.id.uuid(),
        name: tenant.name.to_string(),
        created_at: tenant.created_at,
    };
    let body =
        tenancy::CreatedTenant { tenant, admin: admin.into(), enrolment_token: token.expose().to_owned() };
    came(&receipt, &location, body)
}

/// List the tenants of the server.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenancy", params(PageQuery),
    responses((status = 200, body = Page<tenancy::Tenant>)))]
async fn list_tenants(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Query(query): Query<PageQuery>,
) -> Answer<Page<tenancy::Tenant>> {
    let (page, receipt) = places::tenants(&room.gate, &caller, paging(query)?).await?;
    Ok(Recorded(receipt.to_string(), listing(page)))
}

/// Create an environment.
#[utoipa::path(post, path = "/api/v1/environments", tag = "tenancy", request_body = CreateEnvironment,
    responses((status = 201, body = tenancy::Environment)))]
async fn create_environment(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateEnvironment>,
) -> Outcome<Recorded<Response>> {
    let (environment, receipt) = places::create_environment(&room.gate, &caller, wanted).await?;
    let location = format!("/api/v1/environments/{}", environment.id);
    came(&receipt, &location, places::to_wire(environment)?)
}

/// List environments.
#[utoipa::path(get, path = "/api/v1/environments", tag = "tenancy",
    responses((status = 200, body = Page<tenancy::Environment>)))]
async fn list_environments(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<tenancy::Environment>> {
    let (environments, receipt) = places::environments(&room.gate, &caller).await?;
    let items = environments.into_iter().map(places::to_wire).collect::<Result<_, _>>()?;
    Ok(answer(&receipt, Page { items, next: None }))
}

/// Change the guard rails of an environment.
#[utoipa::path(patch, path = "/api/v1/environments/{id}", tag = "tenancy", params(("id" = Uuid, Path)),
    request_body = UpdateEnvironment, responses((status = 200, body = tenancy::Environment)))]
async fn update_environment(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
    Json(wanted): Json<UpdateEnvironment>,
) -> Answer<tenancy::Environment> {
    let (environment, receipt) = places::update_environment(&room.gate, &caller, id, wanted).await?;
    Ok(answer(&receipt, places::to_wire(environment)?))
}

/// Add a person.
#[utoipa::path(post, path = "/api/v1/people", tag = "identity", request_body = CreatePerson,
    responses((status = 201, body = wire::CreatedPerson)))]
async fn create_person(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreatePerson>,
) -> Outcome<Recorded<Response>> {
    let (person, token, receipt) = people::create(&room.gate, &caller, wanted).await?;
    let location = format!("/api/v1/people/{}", person.id);
    let body = wire::CreatedPerson { person: person.into(), enrolment_token: token.expose().to_owned() };
    came(&receipt, &location, body)
}

/// List people.
#[utoipa::path(get, path = "/api/v1/people", tag = "identity", params(PageQuery),
    responses((status = 200, body = Page<wire::Person>)))]
async fn list_people(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Query(query): Query<PageQuery>,
) -> Answer<Page<wire::Person>> {
    let (page, receipt) = people::list(&room.gate, &caller, paging(query)?).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Show a person.
#[utoipa::path(get, path = "/api/v1/people/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 200, body = wire::Person)))]
async fn show_person(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Answer<wire::Person> {
    let (person, receipt) = people::find(&room.gate, &caller, id).await?;
    Ok(answer(&receipt, person.into()))
}

/// Disable a person and end everything they hold.
#[utoipa::path(post, path = "/api/v1/people/{id}/disable", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn disable_person(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&people::disable(&room.gate, &caller, id).await?))
}

/// Add a service account.
#[utoipa::path(post, path = "/api/v1/services", tag = "identity", request_body = CreateService,
    responses((status = 201, body = wire::Service)))]
async fn create_service(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateService>,
) -> Outcome<Recorded<Response>> {
    let (service, receipt) = services::create(&room.gate, &caller, wanted).await?;
    let location = format!("/api/v1/services/{}", service.id);
    came(&receipt, &location, wire::Service::from(service))
}

/// List service accounts.
#[utoipa::path(get, path = "/api/v1/services", tag = "identity", params(PageQuery),
    responses((status = 200, body = Page<wire::Service>)))]
async fn list_services(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Query(query): Query<PageQuery>,
) -> Answer<Page<wire::Service>> {
    let (page, receipt) = services::list(&room.gate, &caller, paging(query)?).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Retire a service account and end everything it holds.
#[utoipa::path(post, path = "/api/v1/services/{id}/retire", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn retire_service(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&services::retire(&room.gate, &caller, id).await?))
}

/// Give a principal a role.
#[utoipa::path(post, path = "/api/v1/role-bindings", tag = "identity", request_body = BindRole,
    responses((status = 201, body = wire::RoleBinding)))]
async fn bind_role(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<BindRole>,
) -> Outcome<Recorded<Response>> {
    let (binding, receipt) = roles::bind(&room.gate, &caller, wanted).await?;
    let location = format!("/api/v1/role-bindings/{}", binding.id);
    came(&receipt, &location, wire::RoleBinding::from(binding))
}

/// List role bindings.
#[utoipa::path(get, path = "/api/v1/role-bindings", tag = "identity", params(PageQuery),
    responses((status = 200, body = Page<wire::RoleBinding>)))]
async fn list_bindings(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Query(query): Query<PageQuery>,
) -> Answer<Page<wire::RoleBinding>> {
    let (page, receipt) = roles::list(&room.gate, &caller, paging(query)?).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Take a role away.
#[utoipa::path(delete, path = "/api/v1/role-bindings/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn unbind_role(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&roles::unbind(&room.gate, &caller, id).await?))
}

/// Create an API key. Its text is shown once.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "identity", request_body = CreateApiKey,
    responses((status = 201, body = wire::CreatedApiKey)))]
async fn create_key(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<CreateApiKey>,
) -> Outcome<Recorded<Response>> {
    let (key, text, receipt) = credentials::create_key(&room.gate, &caller, wanted).await?;
    let location = format!("/api/v1/api-keys/{}", key.id);
    came(&receipt, &location, wire::CreatedApiKey { key: key.into(), secret: text.expose().to_owned() })
}

/// Whose credentials are wanted.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CredentialQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// The most items wanted, 1 to 200; 50 unless told.
    limit: Option<u16>,
    /// Only of this principal.
    principal: Option<Uuid>,
}

/// List API keys, without their texts.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "identity", params(CredentialQuery),
    responses((status = 200, body = Page<wire::ApiKey>)))]
async fn list_keys(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Query(query): Query<CredentialQuery>,
) -> Answer<Page<wire::ApiKey>> {
    let page = PageRequest::new(query.after, query.limit)?;
    let (page, receipt) =
        credentials::list(&room.gate, &caller, CredentialKind::ApiKey, query.principal, page).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// Revoke an API key.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn revoke_key(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&credentials::revoke(&room.gate, &caller, CredentialKind::ApiKey, id).await?))
}

/// Begin a session. Its token is shown once.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "identity", request_body = Login, security(()),
    responses((status = 201, body = wire::LoggedIn)))]
async fn log_in(
    State(room): State<Identity>,
    peer: Peer,
    trace: Trace,
    Json(wanted): Json<Login>,
) -> Outcome<Recorded<Response>> {
    let label =
        wanted.label.map(|text| text.parse::<Label>()).transpose().map_err(|error| error.at("label"))?;
    let from = From { peer, trace: trace.id() };
    let (session, text, person, tenant, receipt) =
        credentials::log_in(&room.gate, &wanted.token, label, from).await?;
    let location = format!("/api/v1/sessions/{}", session.id);
    let tenant = tenancy::Tenant {
        id: tenant.id.uuid(),
        name: tenant.name.to_string(),
        created_at: tenant.created_at,
    };
    let token = text.expose().to_owned();
    came(
        &receipt,
        &location,
        wire::LoggedIn { session: session.into(), token, person: person.into(), tenant },
    )
}

/// List sessions.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "identity", params(CredentialQuery),
    responses((status = 200, body = Page<wire::Session>)))]
async fn list_sessions(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Query(query): Query<CredentialQuery>,
) -> Answer<Page<wire::Session>> {
    let page = PageRequest::new(query.after, query.limit)?;
    let (page, receipt) =
        credentials::list(&room.gate, &caller, CredentialKind::Session, query.principal, page).await?;
    Ok(Recorded(receipt.to_string(), listing(page.map(Into::into))))
}

/// End the session this is called with.
#[utoipa::path(delete, path = "/api/v1/sessions/current", tag = "identity", responses((status = 204)))]
async fn log_out(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
) -> Outcome<Recorded<StatusCode>> {
    let writ_kernel::Credential::Session(id) = caller.credential else {
        return Err(writ_kernel::Error::new(
            Kind::Conflict,
            "no_session",
            "this call is not made in a session",
        )
        .into());
    };
    Ok(nothing(&credentials::revoke(&room.gate, &caller, CredentialKind::Session, id).await?))
}

/// End a session.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn revoke_session(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Path(id): Path<Uuid>,
) -> Outcome<Recorded<StatusCode>> {
    Ok(nothing(&credentials::revoke(&room.gate, &caller, CredentialKind::Session, id).await?))
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/v1/whoami", tag = "identity", responses((status = 200, body = wire::WhoAmI)))]
async fn who_am_i(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
) -> Outcome<Json<wire::WhoAmI>> {
    let mut tx = room.gate.db().read(caller.tenant).await?;
    let id = caller.principal.uuid();
    let name = match caller.kind {
        writ_kernel::PrincipalKind::Service => sql::service(&mut tx, id).await?.map(|service| service.name),
        _ => sql::person(&mut tx, id).await?.map(|person| person.name),
    };
    let role = |role: &writ_kernel::Role| match role.environment {
        Some(environment) => format!("{}@{environment}", role.name),
        None => role.name.to_string(),
    };
    Ok(Json(wire::WhoAmI {
        tenant: caller.tenant.uuid(),
        principal: id,
        kind: caller.kind.as_str().to_owned(),
        name: name.map(|name| name.to_string()).unwrap_or_default(),
        roles: caller.roles.iter().map(role).collect(),
        scopes: caller.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
    }))
}

/// Read the policies that hold.
#[utoipa::path(get, path = "/api/v1/policies", tag = "policy", responses((status = 200, body = PolicySet)))]
async fn read_policies(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
) -> Answer<PolicySet> {
    let (set, receipt) = policies::read(&room.gate, &caller).await?;
    Ok(answer(&receipt, set))
}

/// Replace the tenant's own policies.
#[utoipa::path(put, path = "/api/v1/policies", tag = "policy", request_body = WritePolicySet,
    responses((status = 200, body = PolicySet)))]
async fn write_policies(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<WritePolicySet>,
) -> Answer<PolicySet> {
    let (set, receipt) = policies::write(&room.gate, &caller, wanted).await?;
    Ok(answer(&receipt, set))
}

/// Try requests against policies without any effect.
#[utoipa::path(post, path = "/api/v1/policies/test", tag = "policy", request_body = TestPolicies,
    responses((status = 200, body = PolicyTestReport)))]
async fn test_policies(
    State(room): State<Identity>,
    Authenticated(caller): Authenticated,
    Json(wanted): Json<TestPolicies>,
) -> Answer<PolicyTestReport> {
    let (report, receipt) = policies::test(&room.gate, &caller, wanted).await?;
    Ok(answer(&receipt, report))
}

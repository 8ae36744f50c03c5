//! The only SQL of this room.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{
    Error, Id, Label, Page, PageRequest, Person, Principal, PrincipalKind, Result, Service, TenantId,
    Timestamp,
};
use writ_store::{SystemTx, Tx, execute, on};
use writ_wire::tenancy::Tenant;

use crate::model::{Binding, CredentialKind, CredentialRecord, PersonRecord, ServiceRecord};

/// The id after which a page begins, and how many rows to fetch: one more than the page holds.
fn window(page: &PageRequest) -> Result<(Uuid, i64)> {
    let after = page.after.as_ref().map(|cursor| cursor.0.parse::<Id<()>>()).transpose();
    let after = after.map_err(|error| error.at("after"))?.map_or(Uuid::nil(), Id::uuid);
    Ok((after, i64::from(page.limit) + 1))
}

#[derive(FromRow)]
struct TenantRow {
    tenant_id: Uuid,
    name: String,
    created_at: i64,
}

pub(crate) async fn tenants(tx: &mut SystemTx, page: &PageRequest) -> Result<Page<Tenant>> {
    let (after, limit) = window(page)?;
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, TenantRow>(
            "SELECT tenant_id, name, created_at FROM tenants WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let page = Page::cut(rows, page.limit, |row| row.tenant_id.to_string());
    Ok(page.map(|row| Tenant {
        id: row.tenant_id,
        name: row.name,
        created_at: Timestamp::from_micros(row.created_at),
    }))
}

#[derive(FromRow)]
struct PersonRow {
    person_id: Uuid,
    name: String,
    display_name: Option<String>,
    active: i64,
    created_at: i64,
}

impl PersonRow {
    fn parse(self) -> Result<PersonRecord> {
        Ok(PersonRecord {
            id: Id::from_uuid(self.person_id),
            name: self.name.parse()?,
            display_name: self.display_name.map(|text| text.parse()).transpose()?,
            active: self.active != 0,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(crate) async fn insert_person(tx: &mut Tx, person: &PersonRecord) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO people (tenant_id, person_id, name, display_name, active, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant)
        .bind(person.id.uuid())
        .bind(person.name.as_str())
        .bind(person.display_name.as_ref().map(Label::as_str))
        .bind(i64::from(person.active))
        .bind(person.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn person(tx: &mut Tx, id: Uuid) -> Result<Option<PersonRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, PersonRow>("SELECT * FROM people WHERE tenant_id = $1 AND person_id = $2")
            .bind(tenant)
            .bind(id)
            .fetch_optional(conn)
    })?;
    row.map(PersonRow::parse).transpose()
}

pub(crate) async fn people(tx: &mut Tx, page: &PageRequest) -> Result<Page<PersonRecord>> {
    let (after, limit) = window(page)?;
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, PersonRow>(
            "SELECT * FROM people WHERE tenant_id = $1 AND person_id > $2 ORDER BY person_id LIMIT $3",
        )
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(PersonRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |person| person.id.to_string()))
}

pub(crate) async fn set_person_active(tx: &mut Tx, id: Id<Person>, active: bool) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE people SET active = $3 WHERE tenant_id = $1 AND person_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .bind(i64::from(active))
            .execute(conn)
    })?;
    Ok(())
}

#[derive(FromRow)]
struct ServiceRow {
    service_id: Uuid,
    name: String,
    owner: Uuid,
    purpose: String,
    active: i64,
    created_at: i64,
}

impl ServiceRow {
    fn parse(self) -> Result<ServiceRecord> {
        Ok(ServiceRecord {
            id: Id::from_uuid(self.service_id),
            name: self.name.parse()?,
            owner: Id::from_uuid(self.owner),
            purpose: self.purpose.parse()?,
            active: self.active != 0,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(crate) async fn insert_service(tx: &mut Tx, service: &ServiceRecord) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO services (tenant_id, service_id, name, owner, purpose, active, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(tenant)
        .bind(service.id.uuid())
        .bind(service.name.as_str())
        .bind(service.owner.uuid())
        .bind(service.purpose.as_str())
        .bind(i64::from(service.active))
        .bind(service.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn service(tx: &mut Tx, id: Uuid) -> Result<Option<ServiceRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ServiceRow>("SELECT * FROM services WHERE tenant_id = $1 AND service_id = $2")
            .bind(tenant)
            .bind(id)
            .fetch_optional(conn)
    })?;
    row.map(ServiceRow::parse).transpose()
}

pub(crate) async fn services(tx: &mut Tx, page: &PageRequest) -> Result<Page<ServiceRecord>> {
    let (after, limit) = window(page)?;
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ServiceRow>(
            "SELECT * FROM services WHERE tenant_id = $1 AND service_id > $2 ORDER BY service_id LIMIT $3",
        )
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(ServiceRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |service| service.id.to_string()))
}

pub(crate) async fn retire_service(tx: &mut Tx, id: Id<Service>) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE services SET active = 0 WHERE tenant_id = $1 AND service_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    Ok(())
}

/// Whether `id` is an active person or service account.
pub(crate) async fn principal_exists(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let person = person(tx, id).await?.is_some_and(|person| person.active);
    Ok(person || service(tx, id).await?.is_some_and(|service| service.active))
}

#[derive(FromRow)]
struct BindingRow {
    binding_id: Uuid,
    principal: Uuid,
    role: String,
    environment_id: Option<Uuid>,
    expires_at: Option<i64>,
    created_at: i64,
}

impl BindingRow {
    fn parse(self) -> Result<Binding> {
        Ok(Binding {
            id: Id::from_uuid(self.binding_id),
            principal: Id::from_uuid(self.principal),
            role: self.role.parse()?,
            environment: self.environment_id.map(Id::from_uuid),
            expires_at: self.expires_at.map(Timestamp::from_micros),
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(crate) async fn insert_binding(tx: &mut Tx, binding: &Binding) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO role_bindings (tenant_id, binding_id, principal, role, environment_id, expires_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(tenant)
        .bind(binding.id.uuid())
        .bind(binding.principal.uuid())
        .bind(binding.role.as_str())
        .bind(binding.environment.map(Id::uuid))
        .bind(binding.expires_at.map(Timestamp::micros))
        .bind(binding.created_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn binding(tx: &mut Tx, id: Uuid) -> Result<Option<Binding>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, BindingRow>(
            "SELECT * FROM role_bindings WHERE tenant_id = $1 AND binding_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    row.map(BindingRow::parse).transpose()
}

pub(crate) async fn bindings_of(tx: &mut Tx, principal: Id<Principal>) -> Result<Vec<Binding>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, BindingRow>("SELECT * FROM role_bindings WHERE tenant_id = $1 AND principal = $2")
            .bind(tenant)
            .bind(principal.uuid())
            .fetch_all(conn)
    })?;
    rows.into_iter().map(BindingRow::parse).collect()
}

pub(crate) async fn bindings(tx: &mut Tx, page: &PageRequest) -> Result<Page<Binding>> {
    let (after, limit) = window(page)?;
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, BindingRow>(
            "SELECT * FROM role_bindings WHERE tenant_id = $1 AND binding_id > $2 ORDER BY binding_id LIMIT $3",
        )
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(BindingRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |binding| binding.id.to_string()))
}

pub(crate) async fn delete_binding(tx: &mut Tx, id: Id<()>) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM role_bindings WHERE tenant_id = $1 AND binding_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    Ok(())
}

pub(crate) async fn delete_bindings_of(tx: &mut Tx, principal: Id<Principal>) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM role_bindings WHERE tenant_id = $1 AND principal = $2")
            .bind(tenant)
            .bind(principal.uuid())
            .execute(conn)
    })
}

#[derive(FromRow)]
struct CredentialRow {
    tenant_id: Uuid,
    credential_id: Uuid,
    kind: String,
    principal: Uuid,
    principal_kind: String,
    label: Option<String>,
    scopes: String,
    created_at: i64,
    expires_at: i64,
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl CredentialRow {
    fn parse(self) -> Result<CredentialRecord> {
        let malformed = || Error::internal("a credential in the database is malformed");
        Ok(CredentialRecord {
            id: Id::from_uuid(self.credential_id),
            kind: CredentialKind::parse(&self.kind).ok_or_else(malformed)?,
            principal: Id::from_uuid(self.principal),
            principal_kind: match self.principal_kind.as_str() {
                "person" => PrincipalKind::Person,
                "service" => PrincipalKind::Service,
                _ => return Err(malformed()),
            },
            label: self.label.map(|text| text.parse()).transpose()?,
            scopes: self.scopes.parse()?,
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
            last_used_at: self.last_used_at.map(Timestamp::from_micros),
            revoked_at: self.revoked_at.map(Timestamp::from_micros),
        })
    }
}

pub(crate) async fn insert_credential(tx: &mut Tx, record: &CredentialRecord, hash: &[u8; 32]) -> Result<()> {
    let hash: &[u8] = hash;
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO credentials (tenant_id, credential_id, kind, principal, principal_kind, hash, label, scopes, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(tenant)
        .bind(record.id.uuid())
        .bind(record.kind.as_str())
        .bind(record.principal.uuid())
        .bind(record.principal_kind.as_str())
        .bind(hash)
        .bind(record.label.as_ref().map(Label::as_str))
        .bind(record.scopes.to_string())
        .bind(record.created_at.micros())
        .bind(record.expires_at.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// The one look-up before the tenant is known: a token does not name its tenant, its hash finds it.
pub(crate) async fn credential_by_hash(
    tx: &mut SystemTx,
    hash: &[u8; 32],
) -> Result<Option<(TenantId, CredentialRecord)>> {
    let hash: &[u8] = hash;
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, CredentialRow>(
            "SELECT tenant_id, credential_id, kind, principal, principal_kind, label, scopes, created_at, expires_at,
                    last_used_at, revoked_at
             FROM credentials WHERE hash = $1",
        )
        .bind(hash)
        .fetch_optional(conn)
    })?;
    row.map(|row| Ok((Id::from_uuid(row.tenant_id), row.parse()?))).transpose()
}

pub(crate) async fn credential(tx: &mut Tx, id: Uuid) -> Result<Option<CredentialRecord>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, CredentialRow>(
            "SELECT tenant_id, credential_id, kind, principal, principal_kind, label, scopes, created_at, expires_at,
                    last_used_at, revoked_at
             FROM credentials WHERE tenant_id = $1 AND credential_id = $2",
        )
        .bind(tenant)
        .bind(id)
        .fetch_optional(conn)
    })?;
    row.map(CredentialRow::parse).transpose()
}

pub(crate) async fn credentials(
    tx: &mut Tx,
    kind: CredentialKind,
    principal: Option<Uuid>,
    page: &PageRequest,
) -> Result<Page<CredentialRecord>> {
    let (after, limit) = window(page)?;
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, CredentialRow>(
            "SELECT tenant_id, credential_id, kind, principal, principal_kind, label, scopes, created_at, expires_at,
                    last_used_at, revoked_at
             FROM credentials
             WHERE tenant_id = $1 AND credential_id > $2 AND kind = $3 AND principal = coalesce($4, principal)
             ORDER BY credential_id LIMIT $5",
        )
        .bind(tenant)
        .bind(after)
        .bind(kind.as_str())
        .bind(principal)
        .bind(limit)
        .fetch_all(conn)
    })?;
    let records = rows.into_iter().map(CredentialRow::parse).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(records, page.limit, |record| record.id.to_string()))
}

/// Whether it was in force until now.
pub(crate) async fn revoke_credential(tx: &mut Tx, id: Id<()>, now: Timestamp) -> Result<bool> {
    let changed = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE credentials SET revoked_at = $3 WHERE tenant_id = $1 AND credential_id = $2 AND revoked_at IS NULL",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(changed == 1)
}

pub(crate) async fn revoke_all_credentials(
    tx: &mut Tx,
    principal: Id<Principal>,
    now: Timestamp,
) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE credentials SET revoked_at = $3 WHERE tenant_id = $1 AND principal = $2 AND revoked_at IS NULL",
        )
        .bind(tenant)
        .bind(principal.uuid())
        .bind(now.micros())
        .execute(conn)
    })
}

pub(crate) async fn touch_credential(tx: &mut Tx, id: Id<()>, now: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE credentials SET last_used_at = $3 WHERE tenant_id = $1 AND credential_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .bind(now.micros())
            .execute(conn)
    })?;
    Ok(())
}

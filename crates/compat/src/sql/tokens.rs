//! Tokens.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Error, Id, PrincipalKind, Result, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};

use super::{map, parsed, text};
use crate::tokens::{Kind, Token};

#[derive(FromRow)]
struct TokenRow {
    tenant_id: Uuid,
    token_id: Uuid,
    environment_id: Uuid,
    accessor: String,
    kind: String,
    parent_id: Option<Uuid>,
    principal: Uuid,
    principal_kind: String,
    entity_id: Option<Uuid>,
    policies: String,
    identity_policies: String,
    display_name: String,
    path: String,
    metadata: Option<String>,
    role: String,
    cidrs: String,
    renewable: i64,
    created_at: i64,
    creation_ttl: i64,
    expires_at: Option<i64>,
    explicit_max_ttl: i64,
    max_ttl: i64,
    period: i64,
    uses: Option<i64>,
    renewed_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TokenRow {
    fn parse(self) -> Result<(TenantId, Token)> {
        let principal_kind = match self.principal_kind.as_str() {
            "person" => PrincipalKind::Person,
            "service" => PrincipalKind::Service,
            _ => return Err(Error::internal("a token belongs to no known kind of principal")),
        };
        let token = Token {
            id: Id::from_uuid(self.token_id),
            environment: Id::from_uuid(self.environment_id),
            accessor: self.accessor,
            kind: if self.kind == Kind::Batch.as_str() { Kind::Batch } else { Kind::Service },
            parent: self.parent_id.map(Id::from_uuid),
            principal: Id::from_uuid(self.principal),
            principal_kind,
            entity: self.entity_id,
            policies: parsed(&self.policies)?,
            identity_policies: parsed(&self.identity_policies)?,
            display_name: self.display_name,
            path: self.path,
            metadata: map(self.metadata.as_deref())?,
            role: self.role,
            cidrs: parsed(&self.cidrs)?,
            renewable: self.renewable != 0,
            created_at: Timestamp::from_micros(self.created_at),
            creation_ttl: self.creation_ttl,
            expires_at: self.expires_at.map(Timestamp::from_micros),
            explicit_max_ttl: self.explicit_max_ttl,
            max_ttl: self.max_ttl,
            period: self.period,
            uses: self.uses,
            renewed_at: self.renewed_at.map(Timestamp::from_micros),
            revoked_at: self.revoked_at.map(Timestamp::from_micros),
        };
        Ok((Id::from_uuid(self.tenant_id), token))
    }
}

/// The token of this hash, whosever it is.
pub(crate) async fn token_by_hash(tx: &mut SystemTx, hash: &[u8]) -> Result<Option<(TenantId, Token)>> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, TokenRow>(
            "SELECT tenant_id, token_id, environment_id, accessor, kind, parent_id, principal, principal_kind,
                    entity_id, policies, identity_policies, display_name, path, metadata, role, cidrs, renewable,
                    created_at, creation_ttl, expires_at, explicit_max_ttl, max_ttl, period, uses, renewed_at,
                    revoked_at
             FROM dialect_tokens WHERE hash = $1",
        )
        .bind(hash)
        .fetch_optional(conn)
    })?;
    row.map(TokenRow::parse).transpose()
}

/// The token of this hash in this tenant and environment.
pub(crate) async fn token_of_hash(tx: &mut Tx, environment: Uuid, hash: &[u8]) -> Result<Option<Token>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, TokenRow>(
            "SELECT tenant_id, token_id, environment_id, accessor, kind, parent_id, principal, principal_kind,
                    entity_id, policies, identity_policies, display_name, path, metadata, role, cidrs, renewable,
                    created_at, creation_ttl, expires_at, explicit_max_ttl, max_ttl, period, uses, renewed_at,
                    revoked_at
             FROM dialect_tokens WHERE tenant_id = $1 AND environment_id = $2 AND hash = $3",
        )
        .bind(tenant)
        .bind(environment)
        .bind(hash)
        .fetch_optional(conn)
    })?;
    Ok(row.map(TokenRow::parse).transpose()?.map(|(_, token)| token))
}

/// The token of this accessor in this tenant and environment.
pub(crate) async fn token_of_accessor(
    tx: &mut Tx,
    environment: Uuid,
    accessor: &str,
) -> Result<Option<Token>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, TokenRow>(
            "SELECT tenant_id, token_id, environment_id, accessor, kind, parent_id, principal, principal_kind,
                    entity_id, policies, identity_policies, display_name, path, metadata, role, cidrs, renewable,
                    created_at, creation_ttl, expires_at, explicit_max_ttl, max_ttl, period, uses, renewed_at,
                    revoked_at
             FROM dialect_tokens WHERE tenant_id = $1 AND environment_id = $2 AND accessor = $3",
        )
        .bind(tenant)
        .bind(environment)
        .bind(accessor)
        .fetch_optional(conn)
    })?;
    Ok(row.map(TokenRow::parse).transpose()?.map(|(_, token)| token))
}

/// The token of this id in this tenant and environment.
pub(crate) async fn token_of_id(
    tx: &mut Tx,
    environment: Uuid,
    id: Id<writ_kernel::DialectToken>,
) -> Result<Option<Token>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, TokenRow>(
            "SELECT tenant_id, token_id, environment_id, accessor, kind, parent_id, principal, principal_kind,
                    entity_id, policies, identity_policies, display_name, path, metadata, role, cidrs, renewable,
                    created_at, creation_ttl, expires_at, explicit_max_ttl, max_ttl, period, uses, renewed_at,
                    revoked_at
             FROM dialect_tokens WHERE tenant_id = $1 AND environment_id = $2 AND token_id = $3",
        )
        .bind(tenant)
        .bind(environment)
        .bind(id.uuid())
        .fetch_optional(conn)
    })?;
    Ok(row.map(TokenRow::parse).transpose()?.map(|(_, token)| token))
}

/// What the leases of service tokens that live at `now` and end are called: their paths and ids.
pub(crate) async fn lease_names(tx: &mut Tx, environment: Uuid, now: Timestamp) -> Result<Vec<String>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (String, Uuid)>(
            "SELECT path, token_id FROM dialect_tokens
             WHERE tenant_id = $1 AND environment_id = $2 AND kind = 'service' AND revoked_at IS NULL
               AND expires_at > $3",
        )
        .bind(tenant)
        .bind(environment)
        .bind(now.micros())
        .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(path, id)| format!("{path}/{id}")).collect())
}

/// The accessors of tokens that are neither revoked nor expired at `now`.
pub(crate) async fn accessors(tx: &mut Tx, environment: Uuid, now: Timestamp) -> Result<Vec<String>> {
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, String>(
            "SELECT accessor FROM dialect_tokens
             WHERE tenant_id = $1 AND environment_id = $2 AND kind = 'service' AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > $3) ORDER BY token_id",
        )
        .bind(tenant)
        .bind(environment)
        .bind(now.micros())
        .fetch_all(conn)
    })
}

/// Writes a new token; whether its text was still free.
pub(crate) async fn insert_token(tx: &mut Tx, token: &Token, hash: &[u8]) -> Result<bool> {
    let (policies, identity_policies) = (text(&token.policies)?, text(&token.identity_policies)?);
    let (metadata, cidrs) = (token.metadata.as_ref().map(text).transpose()?, text(&token.cidrs)?);
    let rows = execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO dialect_tokens (tenant_id, token_id, environment_id, hash, accessor, kind, parent_id,
                principal, principal_kind, entity_id, policies, identity_policies, display_name, path, metadata, role,
                cidrs, renewable, created_at, creation_ttl, expires_at, explicit_max_ttl, max_ttl, period, uses)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                $22, $23, $24, $25)
             ON CONFLICT (hash) DO NOTHING",
        )
        .bind(tenant)
        .bind(token.id.uuid())
        .bind(token.environment.uuid())
        .bind(hash)
        .bind(&token.accessor)
        .bind(token.kind.as_str())
        .bind(token.parent.map(Id::uuid))
        .bind(token.principal.uuid())
        .bind(token.principal_kind.as_str())
        .bind(token.entity)
        .bind(&policies)
        .bind(&identity_policies)
        .bind(&token.display_name)
        .bind(&token.path)
        .bind(&metadata)
        .bind(&token.role)
        .bind(&cidrs)
        .bind(i64::from(token.renewable))
        .bind(token.created_at.micros())
        .bind(token.creation_ttl)
        .bind(token.expires_at.map(Timestamp::micros))
        .bind(token.explicit_max_ttl)
        .bind(token.max_ttl)
        .bind(token.period)
        .bind(token.uses)
        .execute(conn)
    })?;
    Ok(rows == 1)
}

/// Lets a token live until `until`.
pub(crate) async fn renew_token(
    tx: &mut Tx,
    id: Id<writ_kernel::DialectToken>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let rows = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE dialect_tokens SET expires_at = $3, renewed_at = $4
             WHERE tenant_id = $1 AND token_id = $2 AND revoked_at IS NULL",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(until.map(Timestamp::micros))
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(rows == 1)
}

/// Takes one use of a token that has a number of them; whether there was one left.
pub(crate) async fn use_token(tx: &mut Tx, id: Id<writ_kernel::DialectToken>) -> Result<bool> {
    let rows = execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE dialect_tokens SET uses = uses - 1 WHERE tenant_id = $1 AND token_id = $2 AND uses > 0",
        )
        .bind(tenant)
        .bind(id.uuid())
        .execute(conn)
    })?;
    Ok(rows == 1)
}

/// Revokes a token and everything it begot; how many there were.
pub(crate) async fn revoke_tree(
    tx: &mut Tx,
    id: Id<writ_kernel::DialectToken>,
    now: Timestamp,
) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "WITH RECURSIVE tree (id) AS (
               SELECT token_id FROM dialect_tokens WHERE tenant_id = $1 AND token_id = $2
               UNION
               SELECT child.token_id FROM dialect_tokens child JOIN tree ON child.parent_id = tree.id
               WHERE child.tenant_id = $1)
             UPDATE dialect_tokens SET revoked_at = $3
             WHERE tenant_id = $1 AND revoked_at IS NULL AND token_id IN (SELECT id FROM tree)",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })
}

/// Revokes one token; what it begot has no parent from now on.
pub(crate) async fn revoke_alone(
    tx: &mut Tx,
    id: Id<writ_kernel::DialectToken>,
    now: Timestamp,
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query("UPDATE dialect_tokens SET parent_id = NULL WHERE tenant_id = $1 AND parent_id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .execute(conn)
    })?;
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "UPDATE dialect_tokens SET revoked_at = $3 WHERE tenant_id = $1 AND token_id = $2 AND revoked_at IS NULL",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(now.micros())
        .execute(conn)
    })?;
    Ok(())
}

/// Whether an ancestor of a token is revoked, expired at `now` or forgotten. `parent` is the token's parent.
pub(crate) async fn orphaned_by_force(
    tx: &mut Tx,
    parent: Id<writ_kernel::DialectToken>,
    now: Timestamp,
) -> Result<bool> {
    let dead = on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, i64>(
            "WITH RECURSIVE line (id) AS (
               SELECT parent_id FROM dialect_tokens WHERE tenant_id = $1 AND parent_id = $2
               UNION
               SELECT child.parent_id FROM dialect_tokens child JOIN line ON child.token_id = line.id
               WHERE child.tenant_id = $1 AND child.parent_id IS NOT NULL)
             SELECT count(*) FROM line LEFT JOIN dialect_tokens token ON token.tenant_id = $1 AND token.token_id = line.id
             WHERE token.token_id IS NULL OR token.revoked_at IS NOT NULL OR token.expires_at <= $3",
        )
        .bind(tenant)
        .bind(parent.uuid())
        .bind(now.micros())
        .fetch_one(conn)
    })?;
    Ok(dead > 0)
}

/// The tokens that came from `prefix`, which ends with no slash, or below it, and still live at `now`.
pub(crate) async fn tokens_of_path(
    tx: &mut Tx,
    environment: Uuid,
    prefix: &str,
    now: Timestamp,
) -> Result<Vec<Id<writ_kernel::DialectToken>>> {
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (Uuid, String)>(
            "SELECT token_id, path FROM dialect_tokens
             WHERE tenant_id = $1 AND environment_id = $2 AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > $3)",
        )
        .bind(tenant)
        .bind(environment)
        .bind(now.micros())
        .fetch_all(conn)
    })?;
    let below =
        |path: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let rows = rows.into_iter().filter(|(_, path)| below(path));
    Ok(rows.map(|(id, _)| Id::from_uuid(id)).collect())
}

/// Revokes whatever tokens that have ended at `now` begot.
pub(crate) async fn revoke_heirs(tx: &mut Tx, environment: Uuid, now: Timestamp) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "WITH RECURSIVE tree (id) AS (
               SELECT token_id FROM dialect_tokens
               WHERE tenant_id = $1 AND environment_id = $2 AND (revoked_at IS NOT NULL OR expires_at <= $3)
               UNION
               SELECT child.token_id FROM dialect_tokens child JOIN tree ON child.parent_id = tree.id
               WHERE child.tenant_id = $1)
             UPDATE dialect_tokens SET revoked_at = $3
             WHERE tenant_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
               AND token_id IN (SELECT id FROM tree)",
        )
        .bind(tenant)
        .bind(environment)
        .bind(now.micros())
        .execute(conn)
    })
}

/// The tokens that ended before `before`.
pub(crate) async fn ended_tokens(
    tx: &mut Tx,
    environment: Uuid,
    before: Timestamp,
) -> Result<Vec<Id<writ_kernel::DialectToken>>> {
    let ids = on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, Uuid>(
            "SELECT token_id FROM dialect_tokens WHERE tenant_id = $1 AND environment_id = $2
               AND (revoked_at < $3 OR expires_at < $3)",
        )
        .bind(tenant)
        .bind(environment)
        .bind(before.micros())
        .fetch_all(conn)
    })?;
    Ok(ids.into_iter().map(Id::from_uuid).collect())
}

/// Forgets tokens that ended before `before`.
pub(crate) async fn forget_tokens(tx: &mut Tx, environment: Uuid, before: Timestamp) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "DELETE FROM dialect_tokens WHERE tenant_id = $1 AND environment_id = $2
               AND (revoked_at < $3 OR expires_at < $3)",
        )
        .bind(tenant)
        .bind(environment)
        .bind(before.micros())
        .execute(conn)
    })
}

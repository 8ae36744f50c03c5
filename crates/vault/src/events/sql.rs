//! The only SQL of events.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Error, Id, Name, Page, PageRequest, Result, TenantId, Timestamp};
use writ_store::{SystemTx, Tx, execute, on};
use writ_wire::events::{Delivery, DeliveryState, Event as Envelope, Hook};

/// Whom events are told to.
#[derive(Debug, Clone)]
pub struct HookRecord {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: Name,
    /// The environment whose events it is told.
    pub environment: Uuid,
    /// Where.
    pub url: String,
    /// Of these types only; of all when there are none.
    pub types: Vec<String>,
    pub(crate) sealed: Vec<u8>,
    /// When it was set up.
    pub created_at: Timestamp,
}

impl From<HookRecord> for Hook {
    fn from(hook: HookRecord) -> Self {
        Self {
            id: hook.id,
            name: hook.name.to_string(),
            environment: hook.environment,
            url: hook.url,
            types: hook.types,
            created_at: hook.created_at,
        }
    }
}

fn position(page: &PageRequest) -> Result<(i64, i64)> {
    let after = page.after.as_ref().map_or(Ok(0), |cursor| cursor.0.parse::<i64>());
    let after =
        after.map_err(|_| Error::invalid("malformed_cursor", "the cursor is none of ours").at("after"))?;
    Ok((after, i64::from(page.limit) + 1))
}

fn envelope(text: &str) -> Result<Envelope> {
    serde_json::from_str(text).map_err(|error| Error::internal("an event cannot be read").because(error))
}

pub(crate) async fn insert_event(tx: &mut Tx, event: &Envelope) -> Result<i64> {
    let text = serde_json::to_string(event)
        .map_err(|error| Error::internal("an event cannot be written").because(error))?;
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, i64>(
        "INSERT INTO events (tenant_id, position, event_id, type, subject_kind, subject, environment_id, envelope, at)
         SELECT $1, coalesce(max(position), 0) + 1, $2, $3, $4, $5, $6, $7, $8 FROM events WHERE tenant_id = $1
         RETURNING position"
    )
    .bind(tenant)
    .bind(event.event_id)
    .bind(&event.kind)
    .bind(&event.subject.kind)
    .bind(event.subject.id)
    .bind(event.environment)
    .bind(&text)
    .bind(event.time.micros())
    .fetch_one(conn)
    })
}

pub(crate) async fn events(
    tx: &mut Tx,
    environment: Option<Uuid>,
    page: &PageRequest,
) -> Result<Page<(i64, Envelope)>> {
    let (after, limit) = position(page)?;
    let rows = on!(tx, |conn, tenant| sqlx::query_as::<_, (i64, String)>(
        "SELECT position, envelope FROM events
          WHERE tenant_id = $1 AND position > $2 AND ($3 IS NULL OR environment_id = $3)
          ORDER BY position LIMIT $4"
    )
    .bind(tenant)
    .bind(after)
    .bind(environment)
    .bind(limit)
    .fetch_all(conn))?;
    let rows = rows.into_iter().map(|(position, text)| Ok((position, envelope(&text)?)));
    Ok(Page::cut(rows.collect::<Result<Vec<_>>>()?, page.limit, |(position, _)| position.to_string()))
}

#[derive(FromRow)]
struct HookRow {
    hook_id: Uuid,
    name: String,
    environment_id: Uuid,
    url: String,
    types: String,
    sealed: Vec<u8>,
    created_at: i64,
}

impl HookRow {
    fn parse(self) -> Result<HookRecord> {
        Ok(HookRecord {
            id: self.hook_id,
            name: self.name.parse()?,
            environment: self.environment_id,
            url: self.url,
            types: self.types.split_ascii_whitespace().map(str::to_owned).collect(),
            sealed: self.sealed,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

pub(crate) async fn insert_hook(tx: &mut Tx, hook: &HookRecord) -> Result<()> {
    execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO event_hooks (tenant_id, hook_id, name, environment_id, url, types, sealed, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    .bind(tenant)
    .bind(hook.id)
    .bind(hook.name.as_str())
    .bind(hook.environment)
    .bind(&hook.url)
    .bind(hook.types.join(" "))
    .bind(hook.sealed.as_slice())
    .bind(hook.created_at.micros())
    .execute(conn))
    .map(drop)
}

pub(crate) async fn count_hooks(tx: &mut Tx, environment: Uuid) -> Result<i64> {
    on!(tx, |conn, tenant| sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM event_hooks WHERE tenant_id = $1 AND environment_id = $2"
    )
    .bind(tenant)
    .bind(environment)
    .fetch_one(conn))
}

pub(crate) async fn hooks(tx: &mut Tx, environment: Uuid) -> Result<Vec<HookRecord>> {
    let rows = on!(tx, |conn, tenant| sqlx::query_as::<_, HookRow>(
        "SELECT hook_id, name, environment_id, url, types, sealed, created_at FROM event_hooks
          WHERE tenant_id = $1 AND environment_id = $2 ORDER BY name"
    )
    .bind(tenant)
    .bind(environment)
    .fetch_all(conn))?;
    rows.into_iter().map(HookRow::parse).collect()
}

pub(crate) async fn hook(tx: &mut Tx, id: Uuid) -> Result<Option<HookRecord>> {
    let row = on!(tx, |conn, tenant| sqlx::query_as::<_, HookRow>(
        "SELECT hook_id, name, environment_id, url, types, sealed, created_at FROM event_hooks
          WHERE tenant_id = $1 AND hook_id = $2"
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional(conn))?;
    row.map(HookRow::parse).transpose()
}

pub(crate) async fn delete_hook(tx: &mut Tx, id: Uuid) -> Result<()> {
    for statement in [
        "DELETE FROM event_deliveries WHERE tenant_id = $1 AND hook_id = $2",
        "DELETE FROM event_hooks WHERE tenant_id = $1 AND hook_id = $2",
    ] {
        execute!(tx, |conn, tenant| sqlx::query(statement).bind(tenant).bind(id).execute(conn))?;
    }
    Ok(())
}

pub(crate) async fn insert_delivery(tx: &mut Tx, hook: Uuid, position: i64, due: Timestamp) -> Result<()> {
    execute!(tx, |conn, tenant| sqlx::query(
        "INSERT INTO event_deliveries (tenant_id, hook_id, position, state, attempts, next_at)
         VALUES ($1, $2, $3, 'waiting', 0, $4)"
    )
    .bind(tenant)
    .bind(hook)
    .bind(position)
    .bind(due.micros())
    .execute(conn))
    .map(drop)
}

/// A delivery that is due.
#[derive(Debug, Clone, Copy, FromRow)]
pub(crate) struct Due {
    pub(crate) tenant_id: Uuid,
    pub(crate) hook_id: Uuid,
    pub(crate) position: i64,
    pub(crate) attempts: i64,
}

impl Due {
    pub(crate) fn tenant(&self) -> TenantId {
        Id::from_uuid(self.tenant_id)
    }
}

/// Deliveries that are due, of any tenant.
pub(crate) async fn due(tx: &mut SystemTx, now: Timestamp, limit: i64) -> Result<Vec<Due>> {
    on!(tx, |conn| sqlx::query_as::<_, Due>(
        "SELECT tenant_id, hook_id, position, attempts FROM event_deliveries WHERE next_at <= $1
          ORDER BY next_at, position LIMIT $2"
    )
    .bind(now.micros())
    .bind(limit)
    .fetch_all(conn))
}

/// Takes the next attempt, until another may. Returns whether it is ours.
pub(crate) async fn take(tx: &mut Tx, due: &Due, now: Timestamp, until: Timestamp) -> Result<bool> {
    let taken = execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE event_deliveries SET attempts = attempts + 1, next_at = $6
          WHERE tenant_id = $1 AND hook_id = $2 AND position = $3 AND attempts = $4 AND next_at <= $5"
    )
    .bind(tenant)
    .bind(due.hook_id)
    .bind(due.position)
    .bind(due.attempts)
    .bind(now.micros())
    .bind(until.micros())
    .execute(conn))?;
    Ok(taken == 1)
}

/// The event at a position, as it is told.
pub(crate) async fn envelope_at(tx: &mut Tx, position: i64) -> Result<Option<String>> {
    on!(tx, |conn, tenant| sqlx::query_scalar::<_, String>(
        "SELECT envelope FROM events WHERE tenant_id = $1 AND position = $2"
    )
    .bind(tenant)
    .bind(position)
    .fetch_optional(conn))
}

/// Ends the attempt `due.attempts`, if it is still the last one.
pub(crate) async fn settle(
    tx: &mut Tx,
    due: &Due,
    state: &str,
    next: Option<Timestamp>,
    failure: Option<&str>,
) -> Result<()> {
    execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE event_deliveries SET state = $5, next_at = $6, failure = $7
          WHERE tenant_id = $1 AND hook_id = $2 AND position = $3 AND attempts = $4"
    )
    .bind(tenant)
    .bind(due.hook_id)
    .bind(due.position)
    .bind(due.attempts)
    .bind(state)
    .bind(next.map(Timestamp::micros))
    .bind(failure)
    .execute(conn))
    .map(drop)
}

pub(crate) async fn dead(tx: &mut Tx, hook: Uuid, page: &PageRequest) -> Result<Page<(i64, Delivery)>> {
    let (after, limit) = position(page)?;
    let rows = on!(tx, |conn, tenant| sqlx::query_as::<_, (i64, i64, Option<String>, String)>(
        "SELECT d.position, d.attempts, d.failure, e.envelope FROM event_deliveries d
           JOIN events e ON e.tenant_id = d.tenant_id AND e.position = d.position
          WHERE d.tenant_id = $1 AND d.hook_id = $2 AND d.state = 'dead' AND d.position > $3
          ORDER BY d.position LIMIT $4"
    )
    .bind(tenant)
    .bind(hook)
    .bind(after)
    .bind(limit)
    .fetch_all(conn))?;
    let rows = rows.into_iter().map(|(position, attempts, failure, text)| {
        let (event, attempts) = (envelope(&text)?, u32::try_from(attempts).unwrap_or(u32::MAX));
        Ok((position, Delivery { event, state: DeliveryState::Dead, attempts, failure }))
    });
    Ok(Page::cut(rows.collect::<Result<Vec<_>>>()?, page.limit, |(position, _)| position.to_string()))
}

pub(crate) async fn replay(tx: &mut Tx, hook: Uuid, now: Timestamp) -> Result<u64> {
    execute!(tx, |conn, tenant| sqlx::query(
        "UPDATE event_deliveries SET state = 'waiting', attempts = 0, next_at = $3, failure = NULL
          WHERE tenant_id = $1 AND hook_id = $2 AND state = 'dead'"
    )
    .bind(tenant)
    .bind(hook)
    .bind(now.micros())
    .execute(conn))
}

//! The only SQL of this room.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Error, Id, Result, TenantId, Timestamp};
use writ_merkle::Frontier;
use writ_store::{SystemTx, Transactional, Tx, execute, leader::Epoch, on};

use crate::model::{Log, LogName, META, Record, from_row, internal, to_row};

/// The tenants whose logs have leaves without a place.
pub(crate) async fn tenants_pending(tx: &mut SystemTx) -> Result<Vec<TenantId>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid,)>("SELECT DISTINCT tenant_id FROM evidence_leaves WHERE position IS NULL")
            .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant,)| Id::from_uuid(tenant)).collect())
}

/// How many leaves of all tenants wait to be put into their logs.
pub(crate) async fn count_pending(tx: &mut SystemTx) -> Result<i64> {
    let (count,) = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>("SELECT count(*) FROM evidence_leaves WHERE position IS NULL")
            .fetch_one(conn)
    })?;
    Ok(count)
}

/// The logs with leaves that no checkpoint covers yet.
pub(crate) async fn logs_unsigned(tx: &mut SystemTx) -> Result<Vec<LogName>> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (Uuid, String)>(
            "SELECT tenant_id, log FROM evidence_logs WHERE signed_size < size",
        )
        .fetch_all(conn)
    })?;
    Ok(rows.into_iter().map(|(tenant, log)| LogName { tenant: Id::from_uuid(tenant), log }).collect())
}

/// A checkpoint that the log of logs does not have yet.
#[derive(FromRow)]
pub(crate) struct Unentered {
    pub(crate) tenant_id: Uuid,
    pub(crate) log: String,
    pub(crate) signed_size: i64,
    pub(crate) checkpoint: String,
}

pub(crate) async fn checkpoints_unentered(tx: &mut SystemTx, limit: i64) -> Result<Vec<Unentered>> {
    on!(tx, |conn| {
        sqlx::query_as::<_, Unentered>(
            "SELECT tenant_id, log, signed_size, checkpoint FROM evidence_logs
             WHERE entered_size < signed_size AND log <> $1 ORDER BY tenant_id, log LIMIT $2",
        )
        .bind(META)
        .bind(limit)
        .fetch_all(conn)
    })
}

#[derive(FromRow)]
struct LogRow {
    origin: String,
    size: i64,
    frontier: Vec<u8>,
    checkpoint: Option<String>,
    signed_size: i64,
}

impl LogRow {
    fn parse(self) -> Result<Log> {
        let frontier = Frontier::from_bytes(&self.frontier).map_err(internal)?;
        if frontier.size() != from_row(self.size)? {
            return Err(Error::internal("a log's size is not that of its frontier"));
        }
        let (origin, signed_size) = (self.origin.parse().map_err(internal)?, from_row(self.signed_size)?);
        Ok(Log { origin, frontier, checkpoint: self.checkpoint, signed_size })
    }
}

pub(crate) async fn create_log(tx: &mut impl Transactional, name: &LogName, origin: &str) -> Result<()> {
    execute!(tx, |conn| {
        sqlx::query(
            "INSERT INTO evidence_logs (tenant_id, log, origin, epoch, size, frontier, signed_size, entered_size)
             VALUES ($1, $2, $3, 0, 0, $4, 0, 0) ON CONFLICT (tenant_id, log) DO NOTHING",
        )
        .bind(name.tenant.uuid())
        .bind(&name.log)
        .bind(origin)
        .bind(Frontier::new().to_bytes())
        .execute(conn)
    })
    .map(drop)
}

/// Takes the log for the reign `epoch`: until the transaction ends nobody else writes to it, and no earlier reign ever
/// will again.
///
/// # Errors
/// `Conflict` with `lease_lost` when a later reign has it.
pub(crate) async fn hold_log(tx: &mut impl Transactional, name: &LogName, epoch: Epoch) -> Result<Log> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, LogRow>(
            "UPDATE evidence_logs SET epoch = $3 WHERE tenant_id = $1 AND log = $2 AND epoch <= $3
             RETURNING origin, size, frontier, checkpoint, signed_size",
        )
        .bind(name.tenant.uuid())
        .bind(&name.log)
        .bind(epoch)
        .fetch_optional(conn)
    })?;
    row.ok_or_else(lease_lost)?.parse()
}

/// Puts the grown tree in the place of the tree of `old` leaves.
///
/// # Errors
/// `Conflict` with `lease_lost` when the log is not of that size, or not this reign's.
pub(crate) async fn advance_log(
    tx: &mut impl Transactional,
    name: &LogName,
    epoch: Epoch,
    old: u64,
    grown: &Frontier,
) -> Result<()> {
    let (old, size) = (to_row(old)?, to_row(grown.size())?);
    let changed = execute!(tx, |conn| {
        sqlx::query(
            "UPDATE evidence_logs SET size = $5, frontier = $6
             WHERE tenant_id = $1 AND log = $2 AND epoch = $3 AND size = $4",
        )
        .bind(name.tenant.uuid())
        .bind(&name.log)
        .bind(epoch)
        .bind(old)
        .bind(size)
        .bind(grown.to_bytes())
        .execute(conn)
    })?;
    if changed == 1 { Ok(()) } else { Err(lease_lost()) }
}

/// Publishes a signed checkpoint of `size` leaves, unless one as large is there.
pub(crate) async fn sign_log(
    tx: &mut Tx,
    name: &LogName,
    epoch: Epoch,
    size: u64,
    checkpoint: &str,
) -> Result<()> {
    let size = to_row(size)?;
    execute!(tx, |conn| {
        sqlx::query(
            "UPDATE evidence_logs SET signed_size = $4, checkpoint = $5
             WHERE tenant_id = $1 AND log = $2 AND epoch = $3 AND signed_size < $4 AND size >= $4",
        )
        .bind(name.tenant.uuid())
        .bind(&name.log)
        .bind(epoch)
        .bind(size)
        .bind(checkpoint)
        .execute(conn)
    })
    .map(drop)
}

/// Notes that the log of logs has the checkpoint of `size`.
pub(crate) async fn mark_entered(tx: &mut SystemTx, name: &LogName, size: i64) -> Result<()> {
    execute!(tx, |conn| {
        sqlx::query(
            "UPDATE evidence_logs SET entered_size = $3 WHERE tenant_id = $1 AND log = $2 AND entered_size < $3",
        )
        .bind(name.tenant.uuid())
        .bind(&name.log)
        .bind(size)
        .execute(conn)
    })
    .map(drop)
}

pub(crate) async fn log(tx: &mut Tx, name: &LogName) -> Result<Option<Log>> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, LogRow>(
            "SELECT origin, size, frontier, checkpoint, signed_size FROM evidence_logs WHERE tenant_id = $1 AND log = $2",
        )
        .bind(name.tenant.uuid())
        .bind(&name.log)
        .fetch_optional(conn)
    })?;
    row.map(LogRow::parse).transpose()
}

/// Gives up to `limit` leaves without a place the places from `first` on, oldest first of those visible, and returns
/// each with its place, its text and the hash in its receipt, in the order of the log. The transaction holds the log, so
/// nobody else gives out places meanwhile.
pub(crate) async fn place_leaves(tx: &mut Tx, first: u64, limit: i64) -> Result<Vec<(i64, String, Vec<u8>)>> {
    let first = to_row(first)?;
    let mut placed = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (i64, String, Vec<u8>)>(
            "UPDATE evidence_leaves SET position = picked.place
             FROM (SELECT leaf_id AS picked_id, $2 + row_number() OVER (ORDER BY leaf_id) - 1 AS place
                   FROM evidence_leaves WHERE tenant_id = $1 AND position IS NULL ORDER BY leaf_id LIMIT $3) AS picked
             WHERE tenant_id = $1 AND leaf_id = picked.picked_id
             RETURNING position, leaf, leaf_hash",
        )
        .bind(tenant)
        .bind(first)
        .bind(limit)
        .fetch_all(conn)
    })?;
    placed.sort_unstable_by_key(|(position, ..)| *position);
    Ok(placed)
}

pub(crate) async fn insert_meta_leaf(tx: &mut SystemTx, position: u64, leaf: &str) -> Result<()> {
    let tenant = LogName::meta().tenant.uuid();
    let position = to_row(position)?;
    execute!(tx, |conn| {
        sqlx::query("INSERT INTO meta_leaves (tenant_id, position, leaf) VALUES ($1, $2, $3)")
            .bind(tenant)
            .bind(position)
            .bind(leaf)
            .execute(conn)
    })
    .map(drop)
}

/// The leaves from `first` to before `end`, in the order of the log.
pub(crate) async fn entries(tx: &mut Tx, name: &LogName, first: u64, end: u64) -> Result<Vec<String>> {
    const OF_TENANT: &str = "SELECT leaf FROM evidence_leaves
         WHERE tenant_id = $1 AND position >= $2 AND position < $3 ORDER BY position";
    const OF_META: &str = "SELECT leaf FROM meta_leaves
         WHERE tenant_id = $1 AND position >= $2 AND position < $3 ORDER BY position";
    let sql = if name.is_meta() { OF_META } else { OF_TENANT };
    let (first, end) = (to_row(first)?, to_row(end)?);
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, String>(sql).bind(tenant).bind(first).bind(end).fetch_all(conn)
    })
}

pub(crate) async fn tile(
    tx: &mut impl Transactional,
    name: &LogName,
    level: u8,
    tile: u64,
) -> Result<Option<Vec<u8>>> {
    let tile = to_row(tile)?;
    on!(tx, |conn| {
        sqlx::query_scalar::<_, Vec<u8>>(
            "SELECT hashes FROM evidence_tiles WHERE tenant_id = $1 AND log = $2 AND level = $3 AND tile = $4",
        )
        .bind(name.tenant.uuid())
        .bind(&name.log)
        .bind(i64::from(level))
        .bind(tile)
        .fetch_optional(conn)
    })
}

pub(crate) async fn put_tile(
    tx: &mut impl Transactional,
    name: &LogName,
    level: u8,
    tile: u64,
    hashes: &[u8],
) -> Result<()> {
    let tile = to_row(tile)?;
    execute!(tx, |conn| {
        sqlx::query(
            "INSERT INTO evidence_tiles (tenant_id, log, level, tile, hashes) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, log, level, tile) DO UPDATE SET hashes = excluded.hashes",
        )
        .bind(name.tenant.uuid())
        .bind(&name.log)
        .bind(i64::from(level))
        .bind(tile)
        .bind(hashes)
        .execute(conn)
    })
    .map(drop)
}

/// The sealed seeds of the keys that sign checkpoints, by the name of their algorithm.
pub(crate) async fn log_keys(tx: &mut Tx) -> Result<Vec<(String, Vec<u8>)>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, (String, Vec<u8>)>(
            "SELECT algorithm, sealed FROM log_keys WHERE tenant_id = $1 ORDER BY algorithm",
        )
        .bind(tenant)
        .fetch_all(conn)
    })
}

/// Keeps a key, unless there is one of that algorithm.
pub(crate) async fn insert_log_key(
    tx: &mut Tx,
    algorithm: &str,
    sealed: &[u8],
    now: Timestamp,
) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO log_keys (tenant_id, algorithm, sealed, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, algorithm) DO NOTHING",
        )
        .bind(tenant)
        .bind(algorithm)
        .bind(sealed)
        .bind(now.micros())
        .execute(conn)
    })
    .map(drop)
}

#[derive(FromRow)]
struct RecordRow {
    leaf_id: Uuid,
    at: i64,
    action: String,
    outcome: String,
    position: Option<i64>,
    leaf: String,
    leaf_hash: Vec<u8>,
    key_id: Uuid,
    payload: Vec<u8>,
    kept: Option<Uuid>,
}

impl RecordRow {
    fn parse(self) -> Result<Record> {
        Ok(Record {
            id: self.leaf_id,
            at: self.at,
            action: self.action,
            outcome: self.outcome,
            index: self.position.map(from_row).transpose()?,
            leaf: self.leaf,
            leaf_hash: self.leaf_hash,
            key: self.key_id,
            payload: self.payload,
            erased: self.kept.is_none(),
        })
    }
}

macro_rules! records {
    ($rest:literal) => {
        concat!(
            "SELECT l.leaf_id, l.at, l.action, l.outcome, l.position, l.leaf, l.leaf_hash, l.key_id, l.payload,
                    k.key_id AS kept
             FROM evidence_leaves l LEFT JOIN evidence_keys k ON k.tenant_id = l.tenant_id AND k.key_id = l.key_id
             WHERE l.tenant_id = $1 ",
            $rest
        )
    };
}

pub(crate) async fn record(tx: &mut Tx, id: Uuid) -> Result<Option<Record>> {
    let row = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, RecordRow>(records!("AND l.leaf_id = $2"))
            .bind(tenant)
            .bind(id)
            .fetch_optional(conn)
    })?;
    row.map(RecordRow::parse).transpose()
}

/// The records with places from `first` to before `end`, in the order of the log.
pub(crate) async fn records_placed(tx: &mut Tx, first: u64, end: u64) -> Result<Vec<Record>> {
    let (first, end) = (to_row(first)?, to_row(end)?);
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, RecordRow>(records!(
            "AND l.position >= $2 AND l.position < $3 ORDER BY l.position"
        ))
        .bind(tenant)
        .bind(first)
        .bind(end)
        .fetch_all(conn)
    })?;
    rows.into_iter().map(RecordRow::parse).collect()
}

/// Which records are wanted. All that are given must fit.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) action: Option<&'static str>,
    pub(crate) outcome: Option<String>,
    /// The pseudonym of what was acted upon.
    pub(crate) object: Option<String>,
    pub(crate) trace: Option<String>,
}

/// Records before `before`, newest first.
pub(crate) async fn records(tx: &mut Tx, filter: &Filter, before: Uuid, limit: i64) -> Result<Vec<Record>> {
    // One text for each index, so that a rare trace or object is not looked for in everything.
    let sql = match (&filter.object, &filter.trace) {
        (None, None) => records!(
            "AND l.leaf_id < $2 AND l.action = coalesce($3, l.action) AND l.outcome = coalesce($4, l.outcome)
             AND coalesce($5, $6) IS NULL ORDER BY l.leaf_id DESC LIMIT $7"
        ),
        (Some(_), _) => records!(
            "AND l.leaf_id < $2 AND l.action = coalesce($3, l.action) AND l.outcome = coalesce($4, l.outcome)
             AND l.object = $5 AND l.trace = coalesce($6, l.trace) ORDER BY l.leaf_id DESC LIMIT $7"
        ),
        (None, Some(_)) => records!(
            "AND l.leaf_id < $2 AND l.action = coalesce($3, l.action) AND l.outcome = coalesce($4, l.outcome)
             AND coalesce($5, $6) = $6 AND l.trace = $6 ORDER BY l.leaf_id DESC LIMIT $7"
        ),
    };
    let rows = on!(tx, |conn, tenant| {
        sqlx::query_as::<_, RecordRow>(sql)
            .bind(tenant)
            .bind(before)
            .bind(filter.action)
            .bind(&filter.outcome)
            .bind(&filter.object)
            .bind(&filter.trace)
            .bind(limit)
            .fetch_all(conn)
    })?;
    rows.into_iter().map(RecordRow::parse).collect()
}

pub(crate) async fn pseudonym(tx: &mut Tx, subject: Uuid) -> Result<Option<String>> {
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, String>(
            "SELECT pseudonym FROM evidence_subjects WHERE tenant_id = $1 AND subject = $2",
        )
        .bind(tenant)
        .bind(subject)
        .fetch_optional(conn)
    })
}

/// Destroys what ties a subject to its pseudonym. From then on the gate gives it another one.
pub(crate) async fn delete_subject(tx: &mut Tx, subject: Uuid) -> Result<Option<String>> {
    on!(tx, |conn, tenant| {
        sqlx::query_scalar::<_, String>(
            "DELETE FROM evidence_subjects WHERE tenant_id = $1 AND subject = $2 RETURNING pseudonym",
        )
        .bind(tenant)
        .bind(subject)
        .fetch_optional(conn)
    })
}

/// Destroys the payload keys of a subject, and says how many.
pub(crate) async fn delete_keys(tx: &mut Tx, subject: Uuid) -> Result<u64> {
    execute!(tx, |conn, tenant| {
        sqlx::query("DELETE FROM evidence_keys WHERE tenant_id = $1 AND subject = $2")
            .bind(tenant)
            .bind(subject)
            .execute(conn)
    })
}

fn lease_lost() -> Error {
    Error::conflict("lease_lost", "another sequencer leads now")
}

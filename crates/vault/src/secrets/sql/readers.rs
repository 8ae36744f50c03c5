//! The SQL of who read what.

use sqlx::FromRow;
use uuid::Uuid;
use writ_kernel::{Id, Result, Secret, Timestamp};
use writ_store::{Tx, execute, on};

use crate::{readers::Tally, secrets::insights::Reader};

/// Adds to what is known of a reader, if the secret is still there.
pub(crate) async fn add(tx: &mut Tx, secret: Id<Secret>, reader: Uuid, tally: &Tally) -> Result<()> {
    execute!(tx, |conn, tenant| {
        sqlx::query(
            "INSERT INTO secret_readers (tenant_id, secret_id, reader, reader_kind, reads, first_at, last_at, last_version)
             SELECT tenant_id, secret_id, $3, $4, $5, $6, $7, $8 FROM secrets WHERE tenant_id = $1 AND secret_id = $2
             ON CONFLICT (tenant_id, secret_id, reader) DO UPDATE SET
               reads = secret_readers.reads + excluded.reads, last_at = excluded.last_at,
               last_version = excluded.last_version",
        )
        .bind(tenant)
        .bind(secret.uuid())
        .bind(reader)
        .bind(tally.kind)
        .bind(tally.reads)
        .bind(tally.first_at.micros())
        .bind(tally.last_at.micros())
        .bind(i64::from(tally.version))
        .execute(conn)
    })?;
    Ok(())
}

/// Somebody who read a secret.
#[derive(FromRow)]
pub(crate) struct ReaderRow {
    reader: Uuid,
    reader_kind: String,
    reads: i64,
    first_at: i64,
    last_at: i64,
    last_version: i64,
}

impl ReaderRow {
    pub(crate) fn parse(self) -> Reader {
        Reader {
            principal: Id::from_uuid(self.reader),
            kind: self.reader_kind,
            reads: u64::try_from(self.reads).unwrap_or(0),
            first_at: Timestamp::from_micros(self.first_at),
            last_at: Timestamp::from_micros(self.last_at),
            last_version: u32::try_from(self.last_version).unwrap_or(0),
        }
    }
}

/// The readers of a secret, the latest first, at most a hundred.
pub(crate) async fn of(tx: &mut Tx, secret: Id<Secret>) -> Result<Vec<ReaderRow>> {
    on!(tx, |conn, tenant| {
        sqlx::query_as::<_, ReaderRow>(
            "SELECT reader, reader_kind, reads, first_at, last_at, last_version FROM secret_readers
             WHERE tenant_id = $1 AND secret_id = $2 ORDER BY last_at DESC LIMIT 100",
        )
        .bind(tenant)
        .bind(secret.uuid())
        .fetch_all(conn)
    })
}

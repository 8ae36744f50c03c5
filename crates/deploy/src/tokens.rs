//! The keys that sign run tokens.

use std::time::Duration;

use uuid::Uuid;
use writ_crypto::{Aad, SecretKey, SecretString, runner_token};
use writ_gate::{Gate, tenancy::PLATFORM};
use writ_kernel::{Error, Result, Timestamp};
use writ_store::Tx;

use crate::runs::sql;

/// A new key signs after this long; the one before is still accepted.
const ROTATE: Duration = Duration::from_hours(24);

/// Signs the claims of a new run.
pub(crate) async fn sign(gate: &Gate, claims: &runner_token::RunnerClaims) -> Result<SecretString> {
    let mut tx = gate.db().tx(PLATFORM).await?;
    let now = gate.world().now();
    let mut keys = keys(gate, &mut tx).await?;
    if keys.first().is_none_or(|key| now.since(key.created_at) >= ROTATE) {
        let fresh =
            Key { id: gate.world().uuid(), secret: SecretKey::generate(gate.world()), created_at: now };
        let tenant = gate.seal().tenant(&mut tx).await?;
        let sealed = tenant.seal(gate.world(), &place(fresh.id), fresh.secret.expose());
        sql::insert_token_key(&mut tx, fresh.id, &sealed, now).await?;
        keys.insert(0, fresh);
    }
    tx.commit().await?;
    let newest = keys.first().ok_or_else(|| Error::internal("no key to sign run tokens with"))?;
    runner_token::sign(claims, &newest.id.to_string(), &newest.secret)
}

/// The claims of a run token signed with the current key or the one before.
///
/// # Errors
/// `Unauthenticated`.
pub(crate) async fn verify(gate: &Gate, token: &str) -> Result<runner_token::RunnerClaims> {
    let mut tx = gate.db().read(PLATFORM).await?;
    let keys = keys(gate, &mut tx).await?;
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let accepted: Vec<(&str, &SecretKey)> =
        ids.iter().map(String::as_str).zip(keys.iter().map(|key| &key.secret)).collect();
    runner_token::verify(token, &accepted, gate.world().now())
}

struct Key {
    id: Uuid,
    secret: SecretKey,
    created_at: Timestamp,
}

/// The two newest keys, newest first.
async fn keys(gate: &Gate, tx: &mut Tx) -> Result<Vec<Key>> {
    let tenant = gate.seal().tenant(tx).await?;
    let open = |row: sql::TokenKeyRow| {
        let secret = SecretKey::from_slice(tenant.open(&place(row.key_id), &row.sealed)?.expose())?;
        Ok(Key { id: row.key_id, secret, created_at: Timestamp::from_micros(row.created_at) })
    };
    sql::token_keys(tx).await?.into_iter().map(open).collect()
}

fn place(id: Uuid) -> Vec<u8> {
    Aad::cell(PLATFORM, "run_token_keys", id.as_bytes(), "sealed", 1)
}

//! What engines keep: values at paths below their mount, sealed under the tenant's keys.

use serde::{Serialize, de::DeserializeOwned};
use writ_crypto::Aad;
use writ_kernel::{Error, Id, Mount, Result};
use writ_seal::TenantKeys;
use writ_store::Tx;

use crate::sql;

/// The value at `path` of `mount`.
///
/// # Errors
/// When the database fails, or the value was moved or altered.
pub(crate) async fn find<T: DeserializeOwned>(
    tx: &mut Tx,
    keys: &TenantKeys,
    mount: Id<Mount>,
    path: &str,
) -> Result<Option<T>> {
    let Some(sealed) = sql::entry(tx, mount, path).await? else { return Ok(None) };
    let plain = keys.open(&aad(tx, mount, path), &sealed)?;
    let value = serde_json::from_slice(plain.expose());
    value.map(Some).map_err(|error| Error::internal("an entry of an engine is malformed").because(error))
}

/// Writes the value at `path` of `mount`, whatever was there.
///
/// # Errors
/// When the database fails.
pub(crate) async fn put<T: Serialize>(
    tx: &mut Tx,
    keys: &TenantKeys,
    mount: Id<Mount>,
    path: &str,
    value: &T,
) -> Result<()> {
    let plain =
        serde_json::to_vec(value).map_err(|error| Error::internal("an entry of an engine").because(error))?;
    let plain = writ_crypto::SecretBytes::new(plain);
    let sealed = keys.seal(&tx.world().clone(), &aad(tx, mount, path), plain.expose());
    sql::put_entry(tx, mount, path, &sealed).await
}

/// Removes the value at `path` of `mount`; whether there was one.
///
/// # Errors
/// When the database fails.
pub(crate) async fn remove(tx: &mut Tx, mount: Id<Mount>, path: &str) -> Result<bool> {
    sql::remove_entry(tx, mount, path).await
}

/// Removes whatever is at paths of `mount` that begin with `prefix`.
///
/// # Errors
/// When the database fails.
pub(crate) async fn remove_below(tx: &mut Tx, mount: Id<Mount>, prefix: &str) -> Result<u64> {
    sql::remove_entries(tx, mount, prefix).await
}

/// The whole paths of `mount` that begin with `prefix`, sorted.
///
/// # Errors
/// When the database fails.
pub(crate) async fn paths(tx: &mut Tx, mount: Id<Mount>, prefix: &str) -> Result<Vec<String>> {
    sql::entry_paths(tx, mount, prefix).await
}

/// The names directly below `prefix` (which ends with a slash or is empty), sorted; a folder ends with a slash.
///
/// # Errors
/// When the database fails.
pub(crate) async fn list(tx: &mut Tx, mount: Id<Mount>, prefix: &str) -> Result<Vec<String>> {
    Ok(folded(&paths(tx, mount, prefix).await?, prefix))
}

/// The names directly below `prefix` of sorted `paths`; a folder ends with a slash.
pub(crate) fn folded(paths: &[String], prefix: &str) -> Vec<String> {
    let rests = paths.iter().filter_map(|path| path.strip_prefix(prefix)).filter(|rest| !rest.is_empty());
    let mut names: Vec<_> = rests
        .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(folder, _)| format!("{folder}/")))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn aad(tx: &Tx, mount: Id<Mount>, path: &str) -> Vec<u8> {
    let row = Aad::new().field(mount.uuid().as_bytes()).field(path.as_bytes()).finish();
    Aad::cell(tx.tenant(), "dialect_entries", &row, "sealed", 0)
}

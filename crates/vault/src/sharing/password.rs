//! Passwords of links: derived with Argon2id, and what was derived is sealed, so that a stolen database gives nothing to
//! try passwords against.

use std::time::Duration;

use tokio::{sync::Semaphore, task::spawn_blocking};
use writ_crypto::{Aad, SecretBytes, SecretString, password};
use writ_kernel::{Error, Id, Link, Result, TenantId, Timestamp, World};
use writ_seal::TenantKeys;

use super::model::LinkRecord;

/// One derivation at a time: each takes 64 MiB.
static TURN: Semaphore = Semaphore::const_new(1);
/// So many derivations wait at most: whoever comes then is told to come again.
static QUEUE: Semaphore = Semaphore::const_new(32);
/// So many wrong passwords in a row, and nobody may try for a while.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_mins(15);
/// The longest password, in bytes.
const LONGEST: usize = 1024;
const SALT: usize = 16;

/// A password as it is stored: a salt and the key it yields.
pub(super) struct Derived(SecretBytes);

impl Derived {
    pub(super) async fn new(world: &World, password: SecretString) -> Result<Self> {
        if password.is_empty() || password.len() > LONGEST {
            return Err(Error::invalid("malformed_password", "a password is 1 to 1024 bytes").at("password"));
        }
        derive(password, world.bytes()).await
    }

    pub(super) fn seal(&self, keys: &TenantKeys, world: &World, link: Id<Link>) -> Vec<u8> {
        keys.seal(world, &cell(keys.tenant(), link), self.0.expose())
    }
}

async fn derive(password: SecretString, salt: [u8; SALT]) -> Result<Derived> {
    let Ok(_place) = QUEUE.try_acquire() else {
        return Err(Error::exhausted("busy", "too many passwords are being tried", Duration::from_secs(5)));
    };
    let _turn = TURN.acquire().await.map_err(|_| Error::internal("a semaphore was closed"))?;
    let derived = spawn_blocking(move || password::derive(&password, &salt, password::Params::default()));
    let key = derived.await.map_err(|error| Error::internal("a derivation broke off").because(error))??;
    Ok(Derived(SecretBytes::new([salt.as_slice(), key.expose().as_slice()].concat())))
}

/// Whether `password` opens `link`; `None` when it takes none.
///
/// # Errors
/// `Exhausted` after too many wrong ones; `Invalid` with `password_required`.
pub(super) async fn fits(
    keys: &TenantKeys,
    link: &LinkRecord,
    password: Option<SecretString>,
    now: Timestamp,
) -> Result<bool> {
    let Some(sealed) = &link.password else { return Ok(true) };
    let password = password
        .filter(|password| password.len() <= LONGEST)
        .ok_or_else(|| Error::invalid("password_required", "this link takes a password").at("password"))?;
    not_paused(link, now)?;
    let stored = keys.open(&cell(keys.tenant(), link.id), sealed)?;
    let salt =
        stored.expose().first_chunk::<SALT>().ok_or_else(|| Error::internal("a password too short"))?;
    let shown = derive(password, *salt).await?;
    Ok(stored.ct_eq(shown.0.expose()))
}

/// Whether passwords may be tried now.
///
/// # Errors
/// `Exhausted` after too many wrong ones.
pub(super) fn not_paused(link: &LinkRecord, now: Timestamp) -> Result<()> {
    let until = link.failed_at.filter(|_| link.failed >= TRIES).map(|failed_at| failed_at.plus(PAUSE));
    match until.filter(|until| now < *until) {
        Some(until) => {
            Err(Error::exhausted("too_many_passwords", "too many wrong passwords", until.since(now)))
        }
        None => Ok(()),
    }
}

fn cell(tenant: TenantId, link: Id<Link>) -> Vec<u8> {
    Aad::cell(tenant, "secret_links", link.uuid().as_bytes(), "password", 1)
}

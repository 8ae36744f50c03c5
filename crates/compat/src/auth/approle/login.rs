//! Signing in by role id and secret id.

use writ_crypto::hash;
use writ_gate::Entry;
use writ_kernel::Result;
use writ_seal::TenantKeys;

use super::{Role, role_at, role_id_at, secret_ids::SecretId};
use crate::{
    ask::Ask,
    auth::sign_in::{self, Proven},
    dialect::Dialect,
    entries,
    fault::Answer,
    kept,
};

/// What is said of every wrong pair alike.
const WRONG: &str = "invalid role or secret ID";

pub(super) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let role_id = ask.fields.required("role_id")?;
    let secret_id = ask.fields.text("secret_id")?.unwrap_or_default();
    let known: Option<String> = kept::peek(dialect, ask, &role_id_at(&role_id)).await?;
    let claimed: Option<Role> = match &known {
        Some(name) => kept::peek(dialect, ask, &role_at(name)).await?,
        None => None,
    };
    let subject = claimed.map_or(ask.mount.id.uuid(), |role| role.id);
    let mut entry = sign_in::enter(dialect, ask, subject).await?;
    let keys = dialect.seal().tenant(entry.tx()).await?;
    let name = known.unwrap_or_default();
    let Some(role) = entries::find::<Role>(entry.tx(), &keys, ask.mount.id, &role_at(&name)).await? else {
        // Takes as long as it does for a role that there is.
        let at = hash::hex(&hash::hmac_sha256(&[0; 32], &[secret_id.as_bytes()]));
        entries::find::<SecretId>(entry.tx(), &keys, ask.mount.id, &format!("secret/none/{at}")).await?;
        return Err(sign_in::refuse(entry, WRONG).await);
    };
    let secret = match proof(&mut entry, ask, &keys, &role, &secret_id).await? {
        Ok(secret) => secret,
        Err(why) => return Err(sign_in::refuse(entry, why).await),
    };
    let mut metadata = secret.as_ref().map(|secret| secret.metadata.clone()).unwrap_or_default();
    metadata.insert("role_name".to_owned(), name.clone());
    let proven = Proven {
        terms: &role.terms,
        alias: role.role_id.clone(),
        alias_metadata: metadata.clone(),
        metadata,
        display_name: ask.mount.path.trim_end_matches('/').to_owned(),
        role: name,
        owner: role.owner,
        cidrs: secret.map(|secret| secret.token_cidrs).unwrap_or_default(),
    };
    sign_in::complete(dialect, ask, entry, proven).await
}

/// What proves the role, with one use of it taken; or why nothing does.
async fn proof(
    entry: &mut Entry,
    ask: &Ask,
    keys: &TenantKeys,
    role: &Role,
    secret_id: &str,
) -> Result<std::result::Result<Option<SecretId>, &'static str>> {
    let outside = |cidrs: &[String]| !cidrs.is_empty() && !sign_in::within(cidrs, ask);
    if !role.bind_secret_id {
        return Ok(if outside(&role.secret_id_bound_cidrs) { Err(WRONG) } else { Ok(None) });
    }
    if secret_id.is_empty() {
        return Ok(Err("missing secret_id"));
    }
    let (at, mount, now) = (role.secret_at(secret_id), ask.mount.id, entry.tx().world().now());
    writ_store::serialize_on(entry.tx(), &at).await?;
    let Some(mut secret) = entries::find::<SecretId>(entry.tx(), keys, mount, &at).await? else {
        return Ok(Err(WRONG));
    };
    if !secret.lives(now) {
        return Ok(Err(WRONG));
    }
    if outside(&secret.cidrs) || outside(&role.secret_id_bound_cidrs) {
        return Ok(Err("source address unauthorized through CIDR restrictions on the secret ID"));
    }
    match secret.uses {
        0 => {}
        1 => {
            entries::remove(entry.tx(), mount, &at).await?;
            entries::remove(entry.tx(), mount, &role.accessor_at(&secret.accessor)).await?;
        }
        _ => {
            (secret.uses, secret.updated_at) = (secret.uses - 1, now);
            entries::put(entry.tx(), keys, mount, &at, &secret).await?;
        }
    }
    Ok(Ok(Some(secret)))
}

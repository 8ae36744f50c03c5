//! `approle`: a role id that says who, and a secret id that proves it. A role is a service with an owner: whoever made
//! it.

mod login;
mod roles;
mod secret_ids;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use writ_crypto::hash;

use super::terms::TokenTerms;
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    kept,
};

/// Answers for the mount.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let (area, rest) =
        ask.rest.trim_end_matches('/').split_once('/').unwrap_or((ask.rest.trim_end_matches('/'), ""));
    match (area, rest, ask.operation) {
        ("login", "", Operation::Write) => login::handle(dialect, ask).await,
        ("role", "", Operation::List) => kept::list(dialect, ask, roles::READ, "role/").await,
        ("tidy", "secret-id", Operation::Write) => secret_ids::tidy(dialect, ask).await,
        ("role", rest, _) if !rest.is_empty() => {
            let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
            let name = name.to_lowercase();
            match below {
                "" => roles::handle(dialect, ask, &name).await,
                "role-id" => roles::role_id(dialect, ask, &name).await,
                "secret-id"
                | "custom-secret-id"
                | "secret-id/lookup"
                | "secret-id/destroy"
                | "secret-id-accessor/lookup"
                | "secret-id-accessor/destroy" => secret_ids::handle(dialect, ask, &name, below).await,
                field => roles::field(dialect, ask, &name, field).await,
            }
        }
        _ => Err(Fault::unsupported_path()),
    }
}

/// A role. Kept at `role/<name>`. Not `Debug`: a key is in it.
#[derive(Clone, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the dialect's name of the field")]
struct Role {
    id: Uuid,
    /// Whoever made it.
    owner: Uuid,
    role_id: String,
    /// Keys the digests under which its secret ids are kept.
    digest_key: [u8; 32],
    bind_secret_id: bool,
    local_secret_ids: bool,
    secret_id_bound_cidrs: Vec<String>,
    secret_id_num_uses: i64,
    secret_id_ttl: i64,
    #[serde(flatten)]
    terms: TokenTerms,
}

impl Role {
    /// Where a secret id of the role is kept.
    fn secret_at(&self, secret_id: &str) -> String {
        let digest = hash::hmac_sha256(&self.digest_key, &[secret_id.as_bytes()]);
        format!("secret/{}/{}", self.id, hash::hex(&digest))
    }

    /// Where it is kept at which place the secret id of `accessor` is.
    fn accessor_at(&self, accessor: &str) -> String {
        format!("accessor/{}/{}", self.id, hash::hex(&hash::sha256(accessor.as_bytes())))
    }
}

/// Where it is kept whose `role_id` is.
fn role_id_at(role_id: &str) -> String {
    format!("role-id/{}", hash::hex(&hash::sha256(role_id.as_bytes())))
}

fn role_at(name: &str) -> String {
    format!("role/{name}")
}

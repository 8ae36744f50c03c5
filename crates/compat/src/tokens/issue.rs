//! Making tokens.

use std::{collections::BTreeMap, time::Duration};

use data_encoding::BASE32_NOPAD;
use uuid::Uuid;
use writ_crypto::{SecretString, hash, token::Token as Text};
use writ_kernel::{DialectToken, Environment, Error, Id, Principal, PrincipalKind, Result, World};
use writ_store::Tx;

use super::{Kind, Token};
use crate::{reply::Auth, sql};

/// A token to be made.
pub(crate) struct New {
    pub(crate) kind: Kind,
    pub(crate) parent: Option<Id<DialectToken>>,
    pub(crate) principal: Id<Principal>,
    pub(crate) principal_kind: PrincipalKind,
    pub(crate) entity: Option<Uuid>,
    pub(crate) policies: Vec<String>,
    pub(crate) identity_policies: Vec<String>,
    pub(crate) display_name: String,
    pub(crate) path: String,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    pub(crate) role: String,
    pub(crate) cidrs: Vec<String>,
    pub(crate) renewable: bool,
    /// Seconds; 0 for one that does not end by itself.
    pub(crate) ttl: i64,
    pub(crate) explicit_max_ttl: i64,
    pub(crate) max_ttl: i64,
    pub(crate) period: i64,
    /// 0 for any number of uses.
    pub(crate) num_uses: i64,
    /// A text that somebody chose.
    pub(crate) chosen: Option<SecretString>,
}

impl New {
    /// A service token of `principal` with these policies, made at `path`, that ends after `ttl` seconds.
    pub(crate) fn service(
        principal: Id<Principal>,
        principal_kind: PrincipalKind,
        policies: Vec<String>,
        path: &str,
        ttl: i64,
    ) -> Self {
        Self {
            kind: Kind::Service,
            parent: None,
            principal,
            principal_kind,
            entity: None,
            policies,
            identity_policies: Vec::new(),
            display_name: "token".to_owned(),
            path: path.to_owned(),
            metadata: None,
            role: String::new(),
            cidrs: Vec::new(),
            renewable: true,
            ttl,
            explicit_max_ttl: 0,
            max_ttl: 0,
            period: 0,
            num_uses: 0,
            chosen: None,
        }
    }
}

/// Writes a new token into `tx`. Its text is returned, and nowhere else.
///
/// # Errors
/// `Invalid` when the text that somebody chose is taken.
pub(crate) async fn issue(
    tx: &mut Tx,
    environment: Id<Environment>,
    new: New,
) -> Result<(Token, SecretString)> {
    let world = tx.world().clone();
    let now = world.now();
    let (text, hash) = match new.chosen {
        Some(text) => {
            let hash = hash::sha256(text.expose().as_bytes());
            (text, hash)
        }
        None => Text::generate(&world, if new.kind == Kind::Batch { "batch" } else { "token" }),
    };
    let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let token = Token {
        id: world.id(),
        environment,
        accessor: if new.kind == Kind::Batch { String::new() } else { accessor(&world) },
        kind: new.kind,
        parent: new.parent,
        principal: new.principal,
        principal_kind: new.principal_kind,
        entity: new.entity,
        policies: new.policies,
        identity_policies: new.identity_policies,
        display_name: new.display_name,
        path: new.path,
        metadata: new.metadata.filter(|metadata| !metadata.is_empty()),
        role: new.role,
        cidrs: new.cidrs,
        renewable: new.renewable && new.kind == Kind::Service && new.ttl > 0,
        created_at: now,
        creation_ttl: new.ttl,
        expires_at: (new.ttl > 0).then(|| now.plus(seconds(new.ttl))),
        explicit_max_ttl: new.explicit_max_ttl,
        max_ttl: new.max_ttl,
        period: new.period,
        uses: (new.num_uses > 0).then_some(new.num_uses),
        renewed_at: None,
        revoked_at: None,
    };
    if !sql::insert_token(tx, &token, &hash).await? {
        return Err(Error::invalid("token_taken", "cannot create a token with a duplicate ID"));
    }
    Ok((token, text))
}

/// A fresh accessor: 130 bits, in lower-case base32.
pub(crate) fn accessor(world: &World) -> String {
    let mut text = BASE32_NOPAD.encode(&world.bytes::<17>());
    text.truncate(26);
    text.make_ascii_lowercase();
    text
}

/// The token as it is handed out, with its text.
pub(crate) fn auth(token: &Token, text: &SecretString) -> Auth {
    Auth {
        client_token: text.expose().to_owned(),
        accessor: token.accessor.clone(),
        policies: token.all_policies(),
        token_policies: token.policies.clone(),
        identity_policies: (!token.identity_policies.is_empty()).then(|| token.identity_policies.clone()),
        metadata: token.metadata.clone(),
        lease_duration: token.creation_ttl,
        renewable: token.renewable,
        entity_id: token.entity.map(|entity| entity.to_string()).unwrap_or_default(),
        token_type: token.kind.as_str(),
        orphan: token.parent.is_none(),
        mfa_requirement: None,
        num_uses: token.uses.unwrap_or(0),
    }
}

/// `wanted` seconds, `otherwise` when none are, and no more than any of `limits` that is not 0.
pub(crate) fn clamp(wanted: i64, otherwise: i64, limits: &[i64]) -> i64 {
    let wanted = if wanted > 0 { wanted } else { otherwise };
    limits.iter().copied().filter(|limit| *limit > 0).fold(wanted, i64::min)
}

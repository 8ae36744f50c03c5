//! Runner tokens: `writ_run_<claims>.<mac>`, both in base64url without padding.
//!
//! `claims` is canonical JSON (RFC 8785); `mac` is HMAC-SHA-256 over `writ/run/v1` and the claims under the
//! key that `kid` names. Verifying says who signed and for what; that a token is used once is the business
//! of whoever keeps the runs.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use writ_kernel::{Deployment, Error, Id, Result, Run, TenantId, Timestamp};

use crate::{
    hash,
    secret::{SecretKey, SecretString},
};

/// How far ahead of ours the clock of a signer may be, in seconds.
pub const SKEW_SECONDS: i64 = 60;

const PREFIX: &str = "writ_run_";
const LABEL: &[u8] = b"writ/run/v1";
const MAX_LEN: usize = 2048;

/// What a runner token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerClaims {
    /// The tenant it acts in.
    pub tenant: TenantId,
    /// The deployment it carries out.
    pub deployment: Id<Deployment>,
    /// The one run it may claim.
    pub run: Id<Run>,
    /// Unique to this token.
    pub nonce: String,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
}

/// The claims as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    kid: String,
    tenant: TenantId,
    deployment: Id<Deployment>,
    run: Id<Run>,
    nonce: String,
    iat: i64,
    exp: i64,
}

/// Signs `claims` under `key`, which verifiers know as `kid`.
///
/// # Errors
/// `Internal` when the claims have no canonical form: a time beyond 2^53.
pub fn sign(claims: &RunnerClaims, kid: &str, key: &SecretKey) -> Result<SecretString> {
    let RunnerClaims { tenant, deployment, run, nonce, iat, exp } = claims.clone();
    let signed = Signed { kid: kid.to_owned(), tenant, deployment, run, nonce, iat, exp };
    let json = serde_json_canonicalizer::to_vec(&signed).map_err(|error| {
        Error::internal("the claims of a runner token have no canonical form").because(error)
    })?;
    let mac = hash::hmac_sha256(key.expose(), &[LABEL, &json]);
    Ok(SecretString::new(format!(
        "{PREFIX}{}.{}",
        BASE64URL_NOPAD.encode(&json),
        BASE64URL_NOPAD.encode(&mac)
    )))
}

/// The claims of a token signed under one of `keys` (the current one and the previous) and valid at `now`.
///
/// # Errors
/// `Unauthenticated`, by code: `malformed_token`, `unknown_key`, `wrong_signature`, `token_not_yet_valid`,
/// `token_expired`. Times are looked at only once the signature is good.
pub fn verify(text: &str, keys: &[(&str, &SecretKey)], now: Timestamp) -> Result<RunnerClaims> {
    let (json, mac) = parts(text).ok_or_else(malformed)?;
    let signed: Signed = serde_json::from_slice(&json).map_err(|_| malformed())?;
    let (_, key) = keys.iter().find(|(name, _)| *name == signed.kid).ok_or_else(|| {
        Error::unauthenticated("unknown_key", "the token is signed with a key that is not in use")
    })?;
    if !hash::hmac_verify(key.expose(), &[LABEL, &json], &mac) {
        return Err(Error::unauthenticated("wrong_signature", "the signature of the token does not verify"));
    }
    if signed.iat > now.seconds().saturating_add(SKEW_SECONDS) {
        return Err(Error::unauthenticated("token_not_yet_valid", "the token is from the future")
            .hint("set the clock of this machine"));
    }
    if signed.exp <= now.seconds() {
        return Err(Error::unauthenticated("token_expired", "the token has expired"));
    }
    let Signed { tenant, deployment, run, nonce, iat, exp, .. } = signed;
    Ok(RunnerClaims { tenant, deployment, run, nonce, iat, exp })
}

fn parts(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (claims, mac) = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_LEN)?.split_once('.')?;
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).ok();
    Some((decode(claims)?, decode(mac)?))
}

fn malformed() -> Error {
    Error::unauthenticated("malformed_token", "this is not a runner token")
}

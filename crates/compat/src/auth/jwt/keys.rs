//! The keys of an issuer: configured, published as a JWK set (RFC 7517), or found by discovery.

use reqwest::Method;
use serde_json::Value;
use writ_crypto::named::PublicKey;
use writ_kernel::{Error, Result};

use super::{Config, token::Token};
use crate::outside::{self, Request};

/// As many keys of a set are looked at.
const MOST: usize = 64;

/// What an issuer publishes.
pub(super) struct Published {
    pub(super) keys: Vec<PublicKey>,
    /// The issuer it says it is; empty when it does not.
    pub(super) issuer: String,
}

/// A key in PEM.
///
/// # Errors
/// `malformed_public_key`.
pub(super) fn pem(text: &str) -> Result<PublicKey> {
    PublicKey::from_pem(text.trim())
}

/// The keys that may have signed `token`.
///
/// # Errors
/// When the issuer cannot be asked.
pub(super) async fn of(config: &Config, token: &Token, private_networks: bool) -> Result<Published> {
    if !config.jwt_validation_pubkeys.is_empty() {
        let keys = config.jwt_validation_pubkeys.iter().filter_map(|text| pem(text).ok()).collect();
        return Ok(Published { keys, issuer: String::new() });
    }
    if !config.jwks_url.is_empty() {
        let keys = fetched(&config.jwks_url, &config.jwks_ca_pem, token, private_networks).await?;
        return Ok(Published { keys, issuer: String::new() });
    }
    let url = format!("{}/.well-known/openid-configuration", config.oidc_discovery_url);
    let document = get(&url, &config.oidc_discovery_ca_pem, private_networks).await?;
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
    // OpenID Connect Discovery 1.0, section 4.3.
    if text("issuer").trim_end_matches('/') != config.oidc_discovery_url {
        return Err(Error::unavailable("other_issuer", "who is discovered says to be another issuer"));
    }
    let keys = fetched(text("jwks_uri"), &config.oidc_discovery_ca_pem, token, private_networks).await?;
    Ok(Published { keys, issuer: text("issuer").to_owned() })
}

async fn get(url: &str, authorities: &str, private_networks: bool) -> Result<Value> {
    outside::json(Request {
        method: Method::GET,
        url,
        private_networks,
        authorities,
        bearer: None,
        body: None,
    })
    .await
}

/// The keys of a set that go by the id that the token names, or all when it names none.
async fn fetched(
    url: &str,
    authorities: &str,
    token: &Token,
    private_networks: bool,
) -> Result<Vec<PublicKey>> {
    let set = get(url, authorities, private_networks).await?;
    let keys = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let fits = |key: &&Value| match (&token.key_id, key.get("kid").and_then(Value::as_str)) {
        (Some(wanted), Some(known)) => wanted == known,
        _ => true,
    };
    let signs = |key: &&Value| key.get("use").and_then(Value::as_str).is_none_or(|it| it == "sig");
    let keys = keys.iter().take(MOST).filter(fits).filter(signs);
    Ok(keys.filter_map(|key| PublicKey::from_jwk(&key.to_string()).ok()).collect())
}

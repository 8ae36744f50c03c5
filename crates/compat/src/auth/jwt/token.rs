//! A signed token (RFC 7515, compact), taken apart. Signatures are checked by `writ-crypto`.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};
use writ_crypto::named::{PublicKey, jose};
use writ_kernel::Timestamp;

use super::Claims;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 64 * 1024;

/// A token of which nothing is verified yet.
pub(super) struct Token {
    pub(super) algorithm: String,
    pub(super) key_id: Option<String>,
    pub(super) claims: Claims,
    signed: String,
    signature: Vec<u8>,
}

/// What may be clocks apart.
pub(super) struct Leeway {
    pub(super) expiration: Duration,
    pub(super) not_before: Duration,
    pub(super) clock_skew: Duration,
}

/// Whether tokens may be signed so. `none` and codes of authenticity never are believed.
pub(super) fn supports(algorithm: &str) -> bool {
    jose(algorithm).is_some()
}

impl Token {
    /// Takes a compact token apart.
    ///
    /// # Errors
    /// Why it is none, or none that is believed.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let malformed = "compact JWS format must have three parts";
        if text.len() > LONGEST {
            return Err("the token is too long");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed)?;
        let (header, payload) =
            signed.split_once('.').filter(|(_, payload)| !payload.contains('.')).ok_or(malformed)?;
        let bytes = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| "malformed jwt");
        let object = |text: &str| -> Result<Map<String, Value>, &'static str> {
            serde_json::from_slice(&bytes(text)?).map_err(|_| "malformed jwt")
        };
        let header = object(header)?;
        // What must be understood is not (RFC 7515, section 4.1.11).
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err("the token has critical headers");
        }
        let member = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        let algorithm = member("alg").unwrap_or_default();
        if !supports(&algorithm) {
            return Err("unsupported signing algorithm");
        }
        Ok(Self {
            algorithm,
            key_id: member("kid"),
            claims: object(payload)?,
            signed: signed.to_owned(),
            signature: bytes(signature)?,
        })
    }

    /// Whether `key` signed it, with an algorithm of its own type.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let Some((types, scheme)) = jose(&self.algorithm) else { return false };
        types.contains(&key.key_type())
            && key.verify(&scheme, self.signed.as_bytes(), &self.signature).unwrap_or(false)
    }

    /// Whether it is of now. A token must say when it ends, begins or was issued.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn check_times(&self, now: Timestamp, leeway: &Leeway) -> Result<(), &'static str> {
        let at = |name: &str| -> Result<Option<Timestamp>, &'static str> {
            let Some(value) = self.claims.get(name) else { return Ok(None) };
            let seconds = value
                .as_f64()
                .filter(|seconds| (0.0..1e12).contains(seconds))
                .ok_or("malformed time claim")?;
            Ok(Some(Timestamp::from_micros(0).plus(Duration::from_secs_f64(seconds))))
        };
        let (issued, begins, ends) = (at("iat")?, at("nbf")?, at("exp")?);
        if issued.is_none() && begins.is_none() && ends.is_none() {
            return Err("no issued at (iat), not before (nbf), or expiration time (exp) claims in token");
        }
        let start = begins.or(issued);
        // One that does not say when it ends does so soon after it began.
        let ends = ends.or_else(|| start.map(|start| start.plus(leeway.expiration)));
        if ends.is_some_and(|end| now >= end.plus(leeway.clock_skew)) {
            return Err("invalid expiration time (exp) claim: token is expired");
        }
        let begins = begins.or_else(|| issued.map(|issued| issued.minus(leeway.not_before)));
        if begins.is_some_and(|begin| now.plus(leeway.clock_skew) < begin) {
            return Err("invalid not before (nbf) claim: token not yet valid");
        }
        if issued.is_some_and(|issued| now.plus(leeway.clock_skew) < issued) {
            return Err("invalid issued at (iat) claim: token issued in the future");
        }
        Ok(())
    }
}

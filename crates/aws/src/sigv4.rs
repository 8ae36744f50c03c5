//! AWS Signature Version 4 in the `Authorization` header, as the AWS General Reference describes it ("Create a
//! signed AWS API request").
//!
//! The path is signed as it is sent, without resolving dot segments, and every byte of it but the unreserved ones
//! and `/` is encoded once. Query strings are not signed into, chunked bodies are not covered.

use writ_crypto::{
    SecretKey, SecretString,
    hash::{hex, hmac_sha256, sha256},
};
use writ_kernel::Timestamp;

use crate::Identity;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A request to sign: exactly what will be sent, but not yet encoded.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `POST`.
    pub method: &'a str,
    /// The absolute path, decoded.
    pub path: &'a str,
    /// Names and values of the query, decoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Names and values of the headers to sign, `host` among them. A name may come more than once.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Where and when a signature is valid.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The region, like `eu-central-1`.
    pub region: &'a str,
    /// The service, like `sts`.
    pub service: &'a str,
    /// The time of signing; services accept it for some minutes.
    pub time: Timestamp,
}

/// A header to send along.
pub type Header = (&'static str, String);

/// The headers that sign `request` as `identity`: `x-amz-date`, `authorization`, and `x-amz-security-token` when
/// the identity is a session.
pub fn sign(request: &Request<'_>, identity: &Identity, scope: &Scope<'_>) -> Vec<Header> {
    let (date, instant) = dates(scope.time);
    let mut added = vec![("x-amz-date", instant.clone())];
    added.extend(
        identity.session_token.as_ref().map(|token| ("x-amz-security-token", token.expose().to_owned())),
    );
    let signed = signed_headers(request.headers, &added);
    let names = signed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");

    let credential = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let digest = hex(&sha256(canonical(request, &signed, &names).as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{instant}\n{credential}\n{digest}");
    let key = key(identity.secret_access_key.expose(), &date, scope);
    let signature = hex(&hmac_sha256(key.expose(), &[to_sign.as_bytes()]));
    let id = identity.access_key_id.expose();
    added.push((
        "authorization",
        format!("{ALGORITHM} Credential={id}/{credential}, SignedHeaders={names}, Signature={signature}"),
    ));
    added
}

/// `YYYYMMDD` and `YYYYMMDDThhmmssZ`.
fn dates(time: Timestamp) -> (String, String) {
    let seconds = time.micros() - time.micros().rem_euclid(1_000_000);
    let instant: String =
        Timestamp::from_micros(seconds).to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    (instant.chars().take(8).collect(), instant)
}

/// The derived key: chained over date, region and service, so that it is useless elsewhere.
fn key(secret: &str, date: &str, scope: &Scope<'_>) -> SecretKey {
    let step = |key: &[u8], part: &str| SecretKey::new(hmac_sha256(key, &[part.as_bytes()]));
    let start = SecretString::new(format!("AWS4{secret}"));
    let of_date = step(start.expose().as_bytes(), date);
    let of_region = step(of_date.expose(), scope.region);
    let of_service = step(of_region.expose(), scope.service);
    step(of_service.expose(), "aws4_request")
}

/// Lower-case names in order, each once, with its values in order of appearance, spaces squeezed.
fn signed_headers(given: &[(&str, &str)], added: &[Header]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = given
        .iter()
        .copied()
        .chain(added.iter().map(|(name, value)| (*name, value.as_str())))
        .map(|(name, value)| {
            (name.to_ascii_lowercase(), value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b)); // stable: values keep their order
    let mut merged: Vec<(String, String)> = Vec::with_capacity(all.len());
    for (name, value) in all {
        match merged.last_mut() {
            Some((last, values)) if *last == name => {
                values.push(',');
                values.push_str(&value);
            }
            _ => merged.push((name, value)),
        }
    }
    merged
}

fn canonical(request: &Request<'_>, signed: &[(String, String)], names: &str) -> String {
    let mut query: Vec<(String, String)> =
        request.query.iter().map(|(name, value)| (encode(name, false), encode(value, false))).collect();
    query.sort();
    let query = query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let headers: String = signed.iter().flat_map(|(name, value)| [name, ":", value, "\n"]).collect();
    let path = encode(request.path, true);
    format!("{}\n{path}\n{query}\n{headers}\n{names}\n{}", request.method, hex(&sha256(request.body)))
}

/// Percent-encodes every byte but the unreserved ones of RFC 3986, and `/` in a path.
fn encode(text: &str, path: bool) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (path && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
        out
    })
}

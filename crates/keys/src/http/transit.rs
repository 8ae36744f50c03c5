//! Keys by their names, in the shapes of transit.

use axum::extract::State;
use data_encoding::BASE64;
use writ_crypto::{
    SecretBytes,
    named::{Marshaling, Padding, Scheme},
};
use writ_kernel::{Error, Result};
use writ_web::{
    Authenticated, Json, Path,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::encryption as wire;

use super::{Answer, Env, EnvironmentQuery, answer, from_base64, named, some_base64, words};
use crate::{
    crypt::{Binding, Encrypt, Plain, Sealed, Work, one},
    room::Keys,
    sign::{Claim, Message, Proof, hash_of},
};

pub(super) fn routes() -> OpenApiRouter<Keys> {
    OpenApiRouter::new()
        .routes(routes!(transit_encrypt))
        .routes(routes!(transit_decrypt))
        .routes(routes!(transit_rewrap))
        .routes(routes!(transit_hmac))
        .routes(routes!(transit_sign))
        .routes(routes!(transit_verify))
        .routes(routes!(transit_batch_encrypt))
        .routes(routes!(transit_batch_decrypt))
}

/// Encrypt with a named key.
#[utoipa::path(post, path = "/api/v1/transit/encrypt/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::TransitEncrypt,
    responses((status = 200, body = wire::TransitCiphertext)))]
async fn transit_encrypt(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::TransitEncrypt>,
) -> Answer<wire::TransitCiphertext> {
    let encrypt = Encrypt { key: named(env, &text)?, work: Work::One(plain(wanted)?), upsert: None };
    let (key, made, receipt) = room.encrypt(&caller, encrypt).await?;
    let made = one(made)?;
    let body = wire::TransitCiphertext {
        ciphertext: made.to_string(),
        key_name: key.name.to_string(),
        key_version: made.version,
    };
    Ok(answer(&receipt, body))
}

/// Decrypt with a named key.
#[utoipa::path(post, path = "/api/v1/transit/decrypt/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::TransitDecrypt,
    responses((status = 200, body = wire::TransitPlaintext)))]
async fn transit_decrypt(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::TransitDecrypt>,
) -> Answer<wire::TransitPlaintext> {
    let work = Work::One(sealed(wanted)?);
    let (_, opened, receipt) = room.decrypt(&caller, &named(env, &text)?, &work).await?;
    let plaintext = BASE64.encode(one(opened)?.expose());
    Ok(answer(&receipt, wire::TransitPlaintext { plaintext }))
}

/// Encrypt anew under the newest version of a named key. Nobody sees the plaintext.
#[utoipa::path(post, path = "/api/v1/transit/rewrap/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::TransitDecrypt,
    responses((status = 200, body = wire::TransitCiphertext)))]
async fn transit_rewrap(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::TransitDecrypt>,
) -> Answer<wire::TransitCiphertext> {
    let work = Work::One(sealed(wanted)?);
    let (key, made, receipt) = room.rewrap(&caller, &named(env, &text)?, &work).await?;
    let made = one(made)?;
    let body = wire::TransitCiphertext {
        ciphertext: made.to_string(),
        key_name: key.name.to_string(),
        key_version: made.version,
    };
    Ok(answer(&receipt, body))
}

/// Compute a code of authenticity with a named key.
#[utoipa::path(post, path = "/api/v1/transit/hmac/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::TransitMac,
    responses((status = 200, body = wire::TransitMacked)))]
async fn transit_hmac(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::TransitMac>,
) -> Answer<wire::TransitMacked> {
    let hash = hash_of(wanted.algorithm.as_deref())?;
    let message = Message { input: from_base64(&wanted.data, "data")?, version: wanted.key_version };
    let (_, made, receipt) = room.mac(&caller, &named(env, &text)?, hash, &Work::One(message)).await?;
    let made = one(made)?;
    let body = wire::TransitMacked {
        hmac: made.to_string(),
        algorithm: hash.as_str().to_owned(),
        key_version: made.version,
    };
    Ok(answer(&receipt, body))
}

/// Sign with a named key.
#[utoipa::path(post, path = "/api/v1/transit/sign/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::TransitSign,
    responses((status = 200, body = wire::TransitSigned)))]
async fn transit_sign(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::TransitSign>,
) -> Answer<wire::TransitSigned> {
    let choices = [&wanted.algorithm, &wanted.padding, &wanted.marshaling];
    let scheme = scheme(choices.map(Option::as_deref), wanted.prehashed)?;
    let message = Message { input: from_base64(&wanted.data, "data")?, version: wanted.key_version };
    let (key, made, receipt) = room.sign(&caller, &named(env, &text)?, &scheme, &Work::One(message)).await?;
    let made = one(made)?;
    let body = wire::TransitSigned {
        signature: made.to_text(scheme.marshaling),
        algorithm: words::algorithm(key.key_type),
        key_name: key.name.to_string(),
        key_version: made.version,
    };
    Ok(answer(&receipt, body))
}

/// Verify a signature or a code of authenticity of a named key.
#[utoipa::path(post, path = "/api/v1/transit/verify/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::TransitVerify,
    responses((status = 200, body = wire::TransitVerified)))]
async fn transit_verify(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::TransitVerify>,
) -> Answer<wire::TransitVerified> {
    let input = from_base64(&wanted.data, "data")?;
    let key = named(env, &text)?;
    let (valid, receipt) = match (wanted.signature, wanted.hmac) {
        (Some(signature), None) => {
            let choices = [&wanted.algorithm, &wanted.padding, &wanted.marshaling];
            let scheme = scheme(choices.map(Option::as_deref), wanted.prehashed)?;
            let claim = Claim { input, proof: Proof::Text(signature) };
            let (_, valid, receipt) = room.verify(&caller, &key, &scheme, &Work::One(claim)).await?;
            (valid, receipt)
        }
        (None, Some(mac)) => {
            let hash = hash_of(wanted.algorithm.as_deref())?;
            let claim = Claim { input, proof: Proof::Text(mac) };
            let (_, valid, receipt) = room.verify_mac(&caller, &key, hash, &Work::One(claim)).await?;
            (valid, receipt)
        }
        _ => {
            let error = Error::invalid("missing_field", "either `signature` or `hmac` is needed");
            return Err(error.at("signature").into());
        }
    };
    Ok(answer(&receipt, wire::TransitVerified { valid: one(valid)? }))
}

/// Encrypt several items with a named key. Each fails by itself.
#[utoipa::path(post, path = "/api/v1/transit/batch/encrypt/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::BatchEncrypt,
    responses((status = 200, body = wire::BatchEncrypted)))]
async fn transit_batch_encrypt(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::BatchEncrypt>,
) -> Answer<wire::BatchEncrypted> {
    let (good, mut bad) = sorted(wanted.items, plain);
    let encrypt = Encrypt { key: named(env, &text)?, work: Work::Many(good), upsert: None };
    let (key, made, receipt) = room.encrypt(&caller, encrypt).await?;
    let mut made = made.into_iter();
    let results = bad
        .drain(..)
        .map(|failed| failed.map_or_else(|| made.next().unwrap_or_else(|| Err(lost())), Err))
        .enumerate()
        .map(|(index, made)| match made {
            Ok(made) => wire::BatchCiphertext {
                index,
                ciphertext: Some(made.to_string()),
                error: None,
                message: None,
            },
            Err(error) => wire::BatchCiphertext {
                index,
                ciphertext: None,
                error: Some(error.code().to_owned()),
                message: Some(error.public().to_owned()),
            },
        })
        .collect();
    let body =
        wire::BatchEncrypted { results, key_name: key.name.to_string(), key_version: key.latest_version };
    Ok(answer(&receipt, body))
}

/// Decrypt several items with a named key. Each fails by itself.
#[utoipa::path(post, path = "/api/v1/transit/batch/decrypt/{name}", tag = "transit",
    params(("name" = String, Path), EnvironmentQuery), request_body = wire::BatchDecrypt,
    responses((status = 200, body = wire::BatchDecrypted)))]
async fn transit_batch_decrypt(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Path(text): Path<String>,
    Json(wanted): Json<wire::BatchDecrypt>,
) -> Answer<wire::BatchDecrypted> {
    let (good, mut bad) = sorted(wanted.items, sealed);
    let (_, opened, receipt) = room.decrypt(&caller, &named(env, &text)?, &Work::Many(good)).await?;
    let mut opened = opened.into_iter();
    let results = bad
        .drain(..)
        .map(|failed| failed.map_or_else(|| opened.next().unwrap_or_else(|| Err(lost())), Err))
        .enumerate()
        .map(|(index, opened)| match opened {
            Ok(opened) => wire::BatchPlaintext {
                index,
                plaintext: Some(BASE64.encode(opened.expose())),
                error: None,
                message: None,
            },
            Err(error) => wire::BatchPlaintext {
                index,
                plaintext: None,
                error: Some(error.code().to_owned()),
                message: Some(error.public().to_owned()),
            },
        })
        .collect();
    Ok(answer(&receipt, wire::BatchDecrypted { results }))
}

/// The items that could be read; and for each item, why it could not.
fn sorted<W, T>(items: Vec<W>, read: impl Fn(W) -> Result<T>) -> (Vec<T>, Vec<Option<Error>>) {
    let (mut good, mut bad) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for item in items {
        match read(item) {
            Ok(item) => {
                good.push(item);
                bad.push(None);
            }
            Err(error) => bad.push(Some(error)),
        }
    }
    (good, bad)
}

fn lost() -> Error {
    Error::internal("an item of a batch was lost")
}

fn plain(wanted: wire::TransitEncrypt) -> Result<Plain> {
    let plaintext = match wanted.encoding.as_deref() {
        None | Some("base64") => from_base64(&wanted.plaintext, "plaintext")?,
        Some("utf8" | "utf-8") => wanted.plaintext.into_bytes(),
        Some(_) => {
            return Err(Error::invalid("invalid_value", "an encoding is `base64` or `utf8`").at("encoding"));
        }
    };
    Ok(Plain {
        plaintext: SecretBytes::new(plaintext),
        binding: binding(wanted.context.as_deref(), wanted.associated_data.as_deref())?,
        version: wanted.key_version,
    })
}

fn sealed(wanted: wire::TransitDecrypt) -> Result<Sealed> {
    let binding = binding(wanted.context.as_deref(), wanted.associated_data.as_deref())?;
    Ok(Sealed { ciphertext: wanted.ciphertext, binding, version: wanted.key_version })
}

fn binding(context: Option<&str>, associated_data: Option<&str>) -> Result<Binding> {
    Ok(Binding {
        context: some_base64(context, "context")?,
        associated_data: some_base64(associated_data, "associatedData")?.unwrap_or_default(),
    })
}

/// Hash, padding and marshaling, by their words.
fn scheme([algorithm, padding, marshaling]: [Option<&str>; 3], prehashed: bool) -> Result<Scheme> {
    let unknown = |what: &str, field| Err(Error::invalid("invalid_value", what.to_owned()).at(field));
    let padding = match padding {
        None | Some("pss") => Padding::Pss,
        Some("pkcs1v15") => Padding::Pkcs1v15,
        Some(_) => return unknown("a padding is `pss` or `pkcs1v15`", "padding"),
    };
    let marshaling = match marshaling {
        None | Some("asn1") => Marshaling::Asn1,
        Some("jws") => Marshaling::Jws,
        Some(_) => return unknown("marshaling is `asn1` or `jws`", "marshaling"),
    };
    Ok(Scheme { padding, marshaling, prehashed, ..crate::sign::scheme_of(algorithm) })
}

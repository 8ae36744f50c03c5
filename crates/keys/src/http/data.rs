//! Encrypt, decrypt, sign and verify with keys by their ids.

use axum::extract::State;
use data_encoding::BASE64;
use uuid::Uuid;
use writ_crypto::{
    SecretBytes,
    named::{Ciphertext, Scheme},
};
use writ_kernel::{Error, Result};
use writ_web::{
    Authenticated, Json,
    openapi::{OpenApiRouter, routes},
};
use writ_wire::encryption as wire;

use super::{Answer, Env, EnvironmentQuery, answer, from_base64, some_base64, words};
use crate::{
    crypt::{Binding, Encrypt, Plain, Sealed, Work, one},
    model::{Place, Purpose, Which},
    room::Keys,
    sign::{Claim, Message, Proof, scheme_of},
};

/// Bytes of the nonce and of the tag of every cipher here.
const NONCE: usize = 12;
const TAG: usize = 16;

pub(super) fn routes() -> OpenApiRouter<Keys> {
    OpenApiRouter::new()
        .routes(routes!(encrypt))
        .routes(routes!(decrypt))
        .routes(routes!(sign))
        .routes(routes!(verify))
}

/// Encrypt with a key, or with the default one.
#[utoipa::path(post, path = "/api/v1/encrypt", tag = "encryption", params(EnvironmentQuery),
    request_body = wire::Encrypt, responses((status = 200, body = wire::Encrypted)))]
async fn encrypt(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Json(wanted): Json<wire::Encrypt>,
) -> Answer<wire::Encrypted> {
    let plaintext = match wanted.encoding.as_deref() {
        None | Some("utf8" | "utf-8") => wanted.plaintext.into_bytes(),
        Some("base64") => from_base64(&wanted.plaintext, "plaintext")?,
        Some(_) => return Err(unknown_encoding().into()),
    };
    let length = plaintext.len();
    let item = Plain {
        plaintext: SecretBytes::new(plaintext),
        binding: binding(wanted.additional_data, wanted.context.as_deref())?,
        version: wanted.key_version,
    };
    let key = which(env.place(wanted.environment), wanted.key_id, Purpose::Encryption);
    let (key, made, receipt) =
        room.encrypt(&caller, Encrypt { key, work: Work::One(item), upsert: None }).await?;
    let made = one(made)?;
    let [encapsulated_key, nonce, ciphertext, tag] = parts(&made.body, length);
    let body = wire::Encrypted {
        encrypted_payload: format!("{}/{made}", key.id),
        ciphertext: BASE64.encode(ciphertext),
        encapsulated_key: BASE64.encode(encapsulated_key),
        nonce: BASE64.encode(nonce),
        tag: BASE64.encode(tag),
        algorithm: words::algorithm(key.key_type),
        key_id: key.id.uuid(),
        key_version: made.version,
    };
    Ok(answer(&receipt, body))
}

/// What encapsulates the key, nonce, ciphertext and tag of a message of `length` bytes. RSA has only the third.
fn parts(body: &[u8], length: usize) -> [&[u8]; 4] {
    let split = body.len().checked_sub(NONCE + length + TAG).and_then(|at| body.split_at_checked(at));
    let Some((head, rest)) = split else { return [&[], &[], body, &[]] };
    let (nonce, rest) = rest.split_at_checked(NONCE).unwrap_or((&[], rest));
    let (ciphertext, tag) = rest.split_at_checked(length).unwrap_or((rest, &[]));
    [head, nonce, ciphertext, tag]
}

/// Decrypt what was encrypted with a key.
#[utoipa::path(post, path = "/api/v1/decrypt", tag = "encryption", params(EnvironmentQuery),
    request_body = wire::Decrypt, responses((status = 200, body = wire::Decrypted)))]
async fn decrypt(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Json(wanted): Json<wire::Decrypt>,
) -> Answer<wire::Decrypted> {
    let base64 = match wanted.encoding.as_deref() {
        None => None,
        Some("utf8" | "utf-8") => Some(false),
        Some("base64") => Some(true),
        Some(_) => return Err(unknown_encoding().into()),
    };
    let place = env.place(wanted.environment.clone());
    let (key, ciphertext) = if let Some(payload) = wanted.encrypted_payload.as_deref() {
        from_payload(payload)?
    } else {
        let key = which(place, wanted.key_id, Purpose::Encryption);
        let ciphertext = from_parts(&room, &caller, &key, &wanted).await?;
        (key, ciphertext)
    };
    let sealed = Sealed {
        ciphertext,
        binding: binding(wanted.additional_data, wanted.context.as_deref())?,
        version: None,
    };
    let (_, opened, receipt) = room.decrypt(&caller, &key, &Work::One(sealed)).await?;
    let opened = one(opened)?;
    let text = std::str::from_utf8(opened.expose()).ok().filter(|_| base64 != Some(true));
    let (plaintext, encoding) = match text {
        Some(text) => (text.to_owned(), "utf8"),
        None if base64 == Some(false) => {
            return Err(Error::invalid("not_text", "the plaintext is not UTF-8 text")
                .hint("ask for `encoding` `base64`")
                .into());
        }
        None => (BASE64.encode(opened.expose()), "base64"),
    };
    Ok(answer(&receipt, wire::Decrypted { plaintext, encoding: encoding.to_owned() }))
}

/// `<key id>/vault:v<version>:<base64>`.
fn from_payload(payload: &str) -> Result<(Which, String)> {
    let malformed = || Error::invalid("invalid_ciphertext", "this is not an encrypted payload");
    let (id, ciphertext) = payload.split_once('/').ok_or_else(malformed)?;
    let id = Uuid::try_parse(id).map_err(|_| malformed())?;
    Ok((Which::Id(id), ciphertext.to_owned()))
}

/// The ciphertext that its parts make.
async fn from_parts(
    room: &Keys,
    caller: &writ_kernel::Caller,
    key: &Which,
    wanted: &wire::Decrypt,
) -> Result<String> {
    let ciphertext = wanted.ciphertext.as_deref().ok_or_else(|| {
        Error::invalid("missing_field", "either `encrypted_payload` or `ciphertext` is needed")
            .at("ciphertext")
    })?;
    if ciphertext.starts_with("vault:") {
        return Ok(ciphertext.to_owned());
    }
    let version = match wanted.key_version {
        Some(version) => version,
        None => room.show(caller, key).await?.0.latest_version,
    };
    let mut body = Vec::new();
    let named = [
        (wanted.encapsulated_key.as_deref(), "encapsulated_key"),
        (wanted.nonce.as_deref(), "nonce"),
        (Some(ciphertext), "ciphertext"),
        (wanted.tag.as_deref(), "tag"),
    ];
    for (part, field) in named {
        body.extend(some_base64(part, field)?.unwrap_or_default());
    }
    Ok(Ciphertext { version, body }.to_string())
}

/// Sign with a key, or with the default one.
#[utoipa::path(post, path = "/api/v1/sign", tag = "encryption", params(EnvironmentQuery),
    request_body = wire::Sign, responses((status = 200, body = wire::Signed)))]
async fn sign(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Json(wanted): Json<wire::Sign>,
) -> Answer<wire::Signed> {
    let key = which(env.place(wanted.environment), wanted.key_id, Purpose::Signing);
    let message = Message { input: from_base64(&wanted.data, "data")?, version: wanted.key_version };
    let scheme = scheme_of(wanted.algorithm.as_deref());
    let (key, made, receipt) = room.sign(&caller, &key, &scheme, &Work::One(message)).await?;
    let made = one(made)?;
    let body = wire::Signed {
        signature: BASE64.encode(&made.bytes),
        algorithm: words::algorithm(key.key_type),
        key_id: key.id.uuid(),
        key_version: made.version,
    };
    Ok(answer(&receipt, body))
}

/// Verify a signature of a key, or of the default one.
#[utoipa::path(post, path = "/api/v1/verify", tag = "encryption", params(EnvironmentQuery),
    request_body = wire::Verify, responses((status = 200, body = wire::Verified)))]
async fn verify(
    State(room): State<Keys>,
    Authenticated(caller): Authenticated,
    env: Env,
    Json(wanted): Json<wire::Verify>,
) -> Answer<wire::Verified> {
    let key = which(env.place(wanted.environment), wanted.key_id, Purpose::Signing);
    let proof = if wanted.signature.starts_with("vault:") {
        Proof::Text(wanted.signature)
    } else {
        Proof::Bare(from_base64(&wanted.signature, "signature")?)
    };
    let claim = Claim { input: from_base64(&wanted.data, "data")?, proof };
    let scheme: Scheme = scheme_of(wanted.algorithm.as_deref());
    let (_, valid, receipt) = room.verify(&caller, &key, &scheme, &Work::One(claim)).await?;
    Ok(answer(&receipt, wire::Verified { is_valid: one(valid)? }))
}

fn which(place: Place, id: Option<Uuid>, purpose: Purpose) -> Which {
    id.map_or(Which::Default(place, purpose), Which::Id)
}

fn binding(additional_data: Option<String>, context: Option<&str>) -> Result<Binding> {
    Ok(Binding {
        associated_data: additional_data.unwrap_or_default().into_bytes(),
        context: some_base64(context, "context")?,
    })
}

fn unknown_encoding() -> Error {
    Error::invalid("invalid_value", "an encoding is `utf8` or `base64`").at("encoding")
}

//! Keys in and out.

use data_encoding::BASE64;
use serde_json::{Map, json};
use writ_crypto::named::{KeyType, OaepHash, PrivateFormat};
use writ_keys::{Brought, Exported, Part, Wrapping};

use super::{in_its_words, key, life, space};
use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::Reply,
};

/// To what a client wraps what it brings: RSA, as the peer has it, unless it asks for ML-KEM.
fn wrapping(ask: &Ask) -> Result<Wrapping, Fault> {
    match ask.fields.text("wrapping_key_type")?.as_deref() {
        None | Some("" | "rsa-4096") => Ok(Wrapping::Rsa),
        Some("ml-kem-768") => Ok(Wrapping::PostQuantum),
        Some(_) => Err(Fault::invalid("wrapping_key_type must be \"rsa-4096\" or \"ml-kem-768\"")),
    }
}

pub(super) async fn wrapping_key(dialect: &Dialect, ask: &Ask) -> Answer {
    let kind = wrapping(ask)?;
    // The first to ask makes it, so it counts as a change; path rules see the reading that it is.
    let (public, named, _) = dialect.keys().wrapping_key(&ask.caller_as_asked()?, &space(ask), kind).await?;
    let mut told = json!({ "public_key": public.to_pem()? });
    if kind == Wrapping::PostQuantum
        && let Some(told) = told.as_object_mut()
    {
        told.insert("key_id".to_owned(), json!(named.id));
        told.insert("key_version".to_owned(), json!(named.version));
    }
    Ok(Reply::data(&told))
}

fn brought(ask: &Ask) -> Result<Brought, Fault> {
    let text =
        ask.fields.required("ciphertext").map_err(|_| Fault::invalid("missing ciphertext to import"))?;
    let hash = ask.fields.text("hash_function")?.filter(|hash| !hash.is_empty());
    let hash: OaepHash = hash.as_deref().unwrap_or("SHA256").parse()?;
    Ok(Brought::Wrapped(wrapping(ask)?, hash, super::decoded(&text, "ciphertext")?))
}

pub(super) async fn import(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let (wanted, brought) = (life::wanted(ask, name)?, brought(ask)?);
    let imported = dialect.keys().import(&ask.caller_as_asked()?, wanted, brought).await;
    imported.map_err(|error| match error.code() {
        "key_name_conflict" => Fault::invalid("the import path cannot be used with an existing key; use import-version to rotate an existing imported key"),
        _ => in_its_words(error, "key not found"),
    })?;
    Ok(Reply::Nothing)
}

pub(super) async fn import_version(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let imported =
        dialect.keys().import_version(&ask.caller_as_asked()?, &key(ask, name)?, brought(ask)?).await;
    imported.map_err(|error| in_its_words(error, "no key found with that name"))?;
    Ok(Reply::Nothing)
}

pub(super) async fn export(
    dialect: &Dialect,
    ask: &Ask,
    part: &str,
    name: &str,
    version: Option<&str>,
) -> Answer {
    let version = match version {
        None => None,
        Some("latest") => Some(None),
        Some(text) => Some(Some(text.parse::<u32>().map_err(|_| Fault::invalid("invalid key version"))?)),
    };
    let (which, caller) = (key(ask, name)?, ask.caller_as_asked()?);
    let known = dialect.keys().show(&caller, &which).await?.0;
    let key_type = known.key_type;
    let fits = match part {
        "encryption-key" => key_type.encrypts(),
        "signing-key" => key_type.signs(),
        "hmac-key" => true,
        "public-key" => key_type.is_asymmetric(),
        _ => return Err(Fault::invalid(format!("invalid export type: {}", part.escape_debug()))),
    };
    if !fits {
        return Err(Fault::invalid(format!("key does not support {}", part.trim_end_matches("-key"))));
    }
    let mut keys = Map::new();
    if part == "public-key" {
        for (version, public) in dialect.keys().public(&caller, &which, version).await?.1 {
            keys.insert(version.to_string(), json!(life::public_text(&public)?));
        }
    } else {
        let form = if part == "hmac-key" { Part::Mac } else { Part::Whole(form(key_type)) };
        let exported = dialect.keys().export(&caller, &which, form, version).await;
        for one in exported.map_err(|error| in_its_words(error, "key not found"))?.1 {
            keys.insert(one.version.to_string(), json!(text(key_type, part, &one)));
        }
    }
    let told = json!({ "name": known.name.as_str(), "type": life::type_name(key_type), "keys": keys });
    Ok(Reply::data(&told))
}

/// Bytes of what is only bytes, PEM of all else.
fn form(key_type: KeyType) -> PrivateFormat {
    if key_type.is_bare() { PrivateFormat::Raw } else { PrivateFormat::Pkcs8Pem }
}

fn text(key_type: KeyType, part: &str, exported: &Exported) -> String {
    let secret = exported.secret.expose();
    if part != "hmac-key" && form(key_type) == PrivateFormat::Pkcs8Pem {
        return String::from_utf8_lossy(secret).into_owned();
    }
    // Clients take a bare private key for signatures to be the seed and the public half together.
    match (&exported.public, part) {
        (Some(public), "signing-key") => BASE64.encode(&[secret, public.as_raw()].concat()),
        _ => BASE64.encode(secret),
    }
}

//! `transit/`: named keys and what is done with them for others, over the keys room. Each mount has its own names.

mod backup;
mod batch;
mod crypt;
mod life;
mod sign;
mod tools;
mod transfer;

use data_encoding::{BASE64, BASE64_NOPAD};
use http::StatusCode;
use writ_kernel::{Error, Kind};
use writ_keys::{KeyName, Place, Wanted, Which};

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
};

/// Answers for the engine.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    use Operation::{Delete, List, Read, Write};
    let segments: Vec<_> = ask.rest.trim_end_matches('/').split('/').collect();
    match (segments.as_slice(), ask.operation) {
        (["keys"], List) => life::list(dialect, ask).await,
        (["keys", name], Write) => life::create(dialect, ask, name).await,
        (["keys", name], Read) => life::read(dialect, ask, name).await,
        (["keys", name], Delete) => life::delete(dialect, ask, name).await,
        (["keys", name, "rotate"], Write) => life::rotate(dialect, ask, name).await,
        (["keys", name, "config"], Write) => life::configure(dialect, ask, name).await,
        (["keys", name, "trim"], Write) => life::trim(dialect, ask, name).await,
        (["keys", name, "soft-delete"], Write | Delete) => life::enable(dialect, ask, name, false).await,
        (["keys", name, "soft-delete-restore"], Write) => life::enable(dialect, ask, name, true).await,
        (["keys", name, "import"], Write) => transfer::import(dialect, ask, name).await,
        (["keys", name, "import_version"], Write) => transfer::import_version(dialect, ask, name).await,
        (["wrapping_key"], Read) => transfer::wrapping_key(dialect, ask).await,
        (["export", part, name], Read) => transfer::export(dialect, ask, part, name, None).await,
        (["export", part, name, version], Read) => {
            transfer::export(dialect, ask, part, name, Some(version)).await
        }
        (["backup", name], Read) => backup::take(dialect, ask, name).await,
        (["restore"], Write) => backup::restore(dialect, ask, None).await,
        (["restore", name], Write) => backup::restore(dialect, ask, Some(name)).await,
        (["encrypt", name], Write) => crypt::encrypt(dialect, ask, name).await,
        (["decrypt", name], Write) => crypt::decrypt(dialect, ask, name).await,
        (["rewrap", name], Write) => crypt::rewrap(dialect, ask, name).await,
        (["datakey", kind, name], Write) => crypt::data_key(dialect, ask, kind, name).await,
        (["sign", name], Write) => sign::sign(dialect, ask, name, None).await,
        (["sign", name, hash], Write) => sign::sign(dialect, ask, name, Some(hash)).await,
        (["verify", name], Write) => sign::verify(dialect, ask, name, None).await,
        (["verify", name, hash], Write) => sign::verify(dialect, ask, name, Some(hash)).await,
        (["hmac", name], Write) => sign::hmac(dialect, ask, name, None).await,
        (["hmac", name, hash], Write) => sign::hmac(dialect, ask, name, Some(hash)).await,
        (["random", rest @ ..], Write | Read) => tools::random(dialect, ask, rest).await,
        (["hash"], Write) => tools::hash(dialect, ask, None).await,
        (["hash", hash], Write) => tools::hash(dialect, ask, Some(hash)).await,
        (
            [
                "keys" | "encrypt" | "decrypt" | "rewrap" | "sign" | "verify" | "hmac" | "export" | "backup",
                ..,
            ],
            _,
        ) => Err(Fault::unsupported_operation()),
        _ => Err(Fault::unsupported_path()),
    }
}

/// The names of this mount. They stay the mount's own when it moves.
fn space(ask: &Ask) -> Place {
    Place {
        environment: Wanted::Named(ask.view.environment.id.to_string()),
        space: ask.mount.id.to_string().into(),
    }
}

fn key(ask: &Ask, name: &str) -> Result<Which, Fault> {
    let name: KeyName = name.parse()?;
    Ok(Which::Named(space(ask), name))
}

/// An error of the keys room, in the engine's words; `missing` for a key that there is not.
fn in_its_words(error: Error, missing: &str) -> Fault {
    if error.kind() == Kind::NotFound {
        return Fault {
            status: StatusCode::BAD_REQUEST,
            errors: vec![missing.to_owned()],
            ..Fault::from(error)
        };
    }
    let text = words(&error);
    match text {
        Some(text) => Fault { status: StatusCode::BAD_REQUEST, errors: vec![text], ..Fault::from(error) },
        None => error.into(),
    }
}

/// What the peer says where our own words are others.
fn words(error: &Error) -> Option<String> {
    Some(match error.code() {
        "key_version_below_minimum" => "ciphertext or signature version is disallowed by policy (too old)".to_owned(),
        "unknown_key_version" => "invalid ciphertext: version is too new".to_owned(),
        "key_not_exportable" => "private key material is not exportable".to_owned(),
        "context_required" => "missing 'context' for key derivation; the key was created using a derived key, which \
                               means additional, per-request information must be included in order to perform \
                               operations with the key"
            .to_owned(),
        "key_disabled" => "the key has been soft-deleted; it must be restored before it can be used".to_owned(),
        _ => return None,
    })
}

/// Bytes in base64, with or without padding.
fn decoded(text: &str, what: &str) -> writ_kernel::Result<Vec<u8>> {
    let text = text.trim_end_matches(['\r', '\n']);
    let bytes = BASE64.decode(text.as_bytes()).or_else(|_| BASE64_NOPAD.decode(text.as_bytes()));
    bytes.map_err(|error| {
        Error::invalid(
            "invalid_base64",
            format!("illegal base64 data at input byte {} of {what}", error.position),
        )
    })
}

/// A word at the end of a path or in a field, whichever is said.
fn chosen(ask: &Ask, of_path: Option<&str>, fields: &[&str]) -> Result<Option<String>, Fault> {
    if let Some(text) = of_path {
        return Ok(Some(text.to_owned()));
    }
    for field in fields {
        if let Some(text) = ask.fields.text(field)?.filter(|text| !text.is_empty()) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

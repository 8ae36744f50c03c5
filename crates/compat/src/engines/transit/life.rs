//! Keys: made, shown, rotated, changed, trimmed, deleted.

use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use writ_crypto::named::{KeyType, PublicKey};
use writ_kernel::Kind;
use writ_keys::{Change, Key, KeyName, NewKey, Version, Which};

use super::{in_its_words, key, space};
use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::Reply,
};

/// The key that a client asks for. What a key is when nothing is said is what the peer makes: AES-256-GCM.
pub(super) fn wanted(ask: &Ask, name: &str) -> Result<NewKey, Fault> {
    let fields = &ask.fields;
    let name: KeyName = name.parse()?;
    let key_type = key_type(ask)?;
    let flag = |name: &str| -> Result<bool, Fault> { Ok(fields.boolean(name)?.unwrap_or(false)) };
    let size = fields.integer("key_size")?.filter(|_| key_type == KeyType::Hmac).filter(|size| *size > 0);
    let convergent = flag("convergent_encryption")?;
    Ok(NewKey {
        derived: flag("derived")?,
        convergent,
        exportable: flag("exportable")?,
        backupable: flag("allow_plaintext_backup")?,
        rotate_every: period(ask)?.filter(|period| !period.is_zero()),
        hmac_bytes: size.and_then(|size| usize::try_from(size).ok()),
        ..NewKey::new(space(ask), name, key_type)
    })
}

fn key_type(ask: &Ask) -> Result<KeyType, Fault> {
    let wanted = ask.fields.text("type")?.filter(|text| !text.is_empty());
    let wanted = wanted.unwrap_or_else(|| "aes256-gcm96".to_owned());
    let found = match (wanted.as_str(), ask.fields.text("parameter_set")?) {
        ("ml-dsa" | "ml-kem", Some(set)) => KeyType::with_parameter_set(&wanted, &set),
        _ => wanted.parse(),
    };
    found.map_err(|_| Fault::invalid(format!("unknown key type {:?}", wanted.escape_debug().to_string())))
}

fn period(ask: &Ask) -> Result<Option<Duration>, Fault> {
    let seconds = ask.fields.seconds("auto_rotate_period")?.map(u64::try_from).transpose();
    let seconds =
        seconds.map_err(|_| Fault::invalid("auto rotate period must be 0 to disable or at least an hour"))?;
    if seconds.is_some_and(|seconds| seconds > 0 && seconds < 3600) {
        return Err(Fault::invalid("auto rotate period must be 0 to disable or at least an hour"));
    }
    Ok(seconds.map(Duration::from_secs))
}

pub(super) async fn create(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let wanted = wanted(ask, name)?;
    let which = key(ask, name)?;
    let caller = ask.caller_to_write(false)?;
    let caller = if caller.fence.as_ref().is_none_or(writ_kernel::Fence::permits) {
        caller
    } else {
        ask.caller_to_write(true)?
    };
    match dialect.keys().create(&caller, wanted).await {
        Ok(_) => {}
        // Asking again for a key that there is changes nothing.
        Err(error) if error.code() == "key_name_conflict" => {}
        Err(error) => return Err(error.into()),
    }
    shown(dialect, &caller, &which).await
}

pub(super) async fn read(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    shown(dialect, &ask.caller_as_asked()?, &key(ask, name)?).await
}

pub(super) async fn list(dialect: &Dialect, ask: &Ask) -> Answer {
    let (keys, _) = dialect.keys().list(&ask.caller_as_asked()?, &space(ask)).await?;
    let mut names: Vec<_> = keys.iter().map(|key| key.name.to_string()).collect();
    names.sort();
    Reply::keys(&names)
}

pub(super) async fn delete(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let (which, caller) = (key(ask, name)?, ask.caller_as_asked()?);
    let plain = name.escape_debug();
    let missing = format!("error deleting policy {plain}: could not delete key; not found");
    let (known, ..) =
        dialect.keys().show(&caller, &which).await.map_err(|error| in_its_words(error, &missing))?;
    if !known.deletable {
        return Err(Fault::invalid(format!(
            "error deleting policy {plain}: deletion is not allowed for this key"
        )));
    }
    dialect.keys().schedule_deletion(&caller, &which, 0).await?;
    Ok(Reply::Nothing)
}

pub(super) async fn rotate(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let (which, caller) = (key(ask, name)?, ask.caller_as_asked()?);
    dialect.keys().rotate(&caller, &which).await.map_err(|error| in_its_words(error, "key not found"))?;
    shown(dialect, &caller, &which).await
}

pub(super) async fn configure(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let fields = &ask.fields;
    let version = |name: &str| -> Result<Option<u32>, Fault> {
        let version = fields.integer(name)?.map(u32::try_from).transpose();
        version.map_err(|_| Fault::invalid(format!("{name} cannot be negative")))
    };
    let least = version("min_decryption_version")?.map(|version| version.max(1));
    let change = Change {
        min_decryption_version: least,
        min_encryption_version: version("min_encryption_version")?,
        deletable: fields.boolean("deletion_allowed")?,
        exportable: fields.boolean("exportable")?.filter(|wanted| *wanted),
        backupable: fields.boolean("allow_plaintext_backup")?.filter(|wanted| *wanted),
        rotate_every: period(ask)?,
        ..Change::default()
    };
    change_key(dialect, ask, name, change).await
}

/// Takes a key out of use, or puts it back.
pub(super) async fn enable(dialect: &Dialect, ask: &Ask, name: &str, enabled: bool) -> Answer {
    change_key(dialect, ask, name, Change { enabled: Some(enabled), ..Change::default() }).await
}

async fn change_key(dialect: &Dialect, ask: &Ask, name: &str, change: Change) -> Answer {
    let (which, caller) = (key(ask, name)?, ask.caller_as_asked()?);
    let missing = format!("no existing key named {} could be found", name.escape_debug());
    let changed = dialect.keys().update(&caller, &which, change).await;
    changed.map_err(|error| in_its_words(error, &missing))?;
    shown(dialect, &caller, &which).await
}

pub(super) async fn trim(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let (which, caller) = (key(ask, name)?, ask.caller_as_asked()?);
    let version =
        ask.fields.integer("min_available_version")?.and_then(|version| u32::try_from(version).ok());
    let version = version.filter(|version| *version > 0);
    let version = version.ok_or_else(|| Fault::invalid("missing min_available_version"))?;
    dialect
        .keys()
        .trim(&caller, &which, version)
        .await
        .map_err(|error| in_its_words(error, "invalid key name"))?;
    shown(dialect, &caller, &which).await
}

/// The key as it is read; 404 when there is none.
pub(super) async fn shown(dialect: &Dialect, caller: &writ_kernel::Caller, which: &Which) -> Answer {
    let (key, versions, _) = match dialect.keys().show(caller, which).await {
        Ok(shown) => shown,
        Err(error) if error.kind() == Kind::NotFound => return Err(Fault::not_found()),
        Err(error) => return Err(error.into()),
    };
    let publics = if key.key_type.is_asymmetric() {
        dialect.keys().public(caller, which, None).await?.1
    } else {
        Vec::new()
    };
    Ok(Reply::data(&described(&key, &versions, &publics)?))
}

fn described(key: &Key, versions: &[Version], publics: &[(u32, PublicKey)]) -> Result<Value, Fault> {
    let current = versions.iter().filter(|version| version.version >= key.min_decryption_version);
    let mut members = Map::new();
    for version in current {
        let public = publics.iter().find(|(known, _)| *known == version.version).map(|(_, public)| public);
        let told = match public {
            Some(public) => json!({
                "certificate_chain": "",
                "creation_time": version.created_at,
                "name": key.key_type.curve().map_or_else(|| type_name(key.key_type), str::to_owned),
                "public_key": public_text(public)?,
            }),
            None => json!(version.created_at.seconds()),
        };
        members.insert(version.version.to_string(), told);
    }
    let mut told = json!({
        "allow_plaintext_backup": key.backupable,
        "auto_rotate_period": key.rotate_every.map_or(0, |period| period.as_secs()),
        "deletion_allowed": key.deletable,
        "derived": key.derived,
        "exportable": key.exportable,
        "imported_key": key.imported,
        "keys": members,
        "latest_version": key.latest_version,
        "min_available_version": if key.min_available_version > 1 { key.min_available_version } else { 0 },
        "min_decryption_version": key.min_decryption_version,
        "min_encryption_version": key.min_encryption_version,
        "name": key.name.as_str(),
        "soft_deleted": !key.enabled,
        "supports_decryption": key.key_type.encrypts(),
        "supports_derivation": key.key_type.derives(),
        "supports_encryption": key.key_type.encrypts(),
        "supports_signing": key.key_type.signs(),
        "type": type_name(key.key_type),
    });
    if let Some(told) = told.as_object_mut() {
        if key.derived {
            told.insert("kdf".to_owned(), json!("hkdf_sha256"));
            told.insert("convergent_encryption".to_owned(), json!(key.convergent));
        }
        if let Some(set) = key.key_type.parameter_set() {
            told.insert("parameter_set".to_owned(), json!(set));
        }
    }
    Ok(told)
}

/// The peer's name of a type; ours where it has none.
pub(super) fn type_name(key_type: KeyType) -> String {
    match key_type.parameter_set() {
        Some(set) if key_type.signs_post_quantum() => format!("mldsa-{set}"),
        _ => key_type.as_str().to_owned(),
    }
}

/// PEM where the peer has it, of RSA and the NIST curves; base64 of all others.
pub(super) fn public_text(public: &PublicKey) -> Result<String, Fault> {
    let key_type = public.key_type();
    if key_type.is_bare() || key_type.is_post_quantum() {
        return Ok(BASE64.encode(public.as_raw()));
    }
    Ok(public.to_pem()?)
}

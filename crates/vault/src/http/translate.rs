//! Between the words of the wire and those of the room.

use std::{collections::BTreeMap, time::Duration};

use data_encoding::BASE64;
use writ_crypto::SecretBytes;
use writ_kernel::{Error, Id, Label, Result};
use writ_wire::secrets as wire;

use crate::secrets::{
    model::{
        Absence, Classification, Facts, Format, Keeping, Notes, Reading, SecretRecord, Value, VersionRecord,
    },
    write::NewSecret,
};

pub(super) fn value(text: String, format: wire::Format) -> Result<Value> {
    match format {
        wire::Format::Text => Value::text(text),
        wire::Format::Json => Value::new(Format::Json, SecretBytes::new(text.into_bytes())),
        wire::Format::Binary => {
            let text = SecretBytes::new(text.into_bytes());
            let bytes = BASE64
                .decode(text.expose())
                .map_err(|_| Error::invalid("malformed_value", "the value is not base64").at("value"))?;
            Value::new(Format::Binary, SecretBytes::new(bytes))
        }
    }
}

/// A value as it goes out: the last moment.
pub(super) fn shown(value: &Value) -> String {
    match value.format() {
        Format::Binary => BASE64.encode(value.bytes().expose()),
        Format::Text | Format::Json => String::from_utf8_lossy(value.bytes().expose()).into_owned(),
    }
}

pub(super) fn format(format: Format) -> wire::Format {
    match format {
        Format::Text => wire::Format::Text,
        Format::Json => wire::Format::Json,
        Format::Binary => wire::Format::Binary,
    }
}

pub(super) fn new_secret(wanted: wire::CreateSecret, environment: Option<String>) -> Result<NewSecret> {
    let path = wanted.name.parse()?;
    let value = value(wanted.value, wanted.format)?;
    let (facts, notes, keeping) = about(wanted.about)?;
    let new = NewSecret::new(wanted.environment.or(environment), path, Some(value));
    Ok(NewSecret { facts, notes, keeping, details: details(&wanted.details)?, ..new })
}

pub(super) fn about(about: wire::About) -> Result<(Facts, Notes, Keeping)> {
    let purpose: Option<Label> = about.purpose.map(|text| text.parse()).transpose()?;
    let classification = about.classification.map(|text| Classification::parse(&text)).transpose()?;
    let facts = Facts {
        owner: about.owner.map(Id::from_uuid),
        purpose,
        expires_at: about.expires_at,
        rotate_every: about.rotate_every_seconds.map(Duration::from_secs),
        classification,
    };
    bounded(about.description.as_deref(), 1_000, "description")?;
    bounded(about.content_type.as_deref(), 100, "contentType")?;
    labels(about.labels.as_deref().unwrap_or_default())?;
    custom(about.custom_metadata.as_ref())?;
    let notes = Notes {
        kind: about.content_type,
        description: about.description,
        labels: about.labels,
        custom: about.custom_metadata,
        favourite: about.is_favorite,
    };
    let keeping = Keeping {
        cas_required: about.cas_required,
        max_versions: about.max_versions,
        delete_after: about.delete_after_seconds.map(Duration::from_secs),
    };
    Ok((facts, notes, keeping))
}

fn bounded(text: Option<&str>, most: usize, field: &'static str) -> Result<()> {
    match text {
        Some(text) if text.chars().count() > most || text.contains('\0') => {
            Err(Error::invalid("malformed_text", format!("at most {most} characters, and no NUL")).at(field))
        }
        _ => Ok(()),
    }
}

fn labels(labels: &[String]) -> Result<()> {
    let fits = labels.len() <= 50;
    labels.iter().try_for_each(|label| bounded(Some(label), 100, "labels"))?;
    fits.then_some(()).ok_or_else(|| Error::invalid("too_many", "at most 50 labels").at("labels"))
}

fn custom(custom: Option<&BTreeMap<String, String>>) -> Result<()> {
    let Some(custom) = custom else { return Ok(()) };
    for (name, value) in custom {
        bounded(Some(name), 128, "customMetadata")?;
        bounded(Some(value), 512, "customMetadata")?;
    }
    let fits = custom.len() <= 64;
    fits.then_some(()).ok_or_else(|| Error::invalid("too_many", "at most 64 pairs").at("customMetadata"))
}

/// The details as a JSON object, and whether they hold the seed of one-time passwords.
pub(super) fn details(details: &wire::Details) -> Result<Option<(SecretBytes, bool)>> {
    let text = serde_json::to_vec(details).map_err(|_| Error::internal("details cannot be written"))?;
    let text = SecretBytes::new(text);
    if text.expose() == b"{}" {
        return Ok(None);
    }
    if text.len() > 64 * 1024 {
        return Err(Error::too_large("details_too_large", "notes and fields are at most 64 KiB"));
    }
    Ok(Some((text, details.totp_secret.is_some())))
}

pub(super) fn secret(secret: SecretRecord) -> wire::Secret {
    wire::Secret {
        id: secret.id.uuid(),
        name: secret.path.to_string(),
        environment: secret.environment.uuid(),
        due_at: secret.due_at(),
        description: secret.description,
        content_type: secret.kind,
        version: secret.current,
        oldest_version: secret.oldest,
        created_at: secret.created_at,
        updated_at: secret.updated_at,
        expires_at: secret.expires_at,
        rotate_every_seconds: secret.rotate_every.map(|every| every.as_secs()),
        purpose: secret.purpose.to_string(),
        owner: secret.owner.uuid(),
        classification: secret.classification.as_str().to_owned(),
        assumed: secret.assumed,
        labels: secret.labels,
        custom_metadata: secret.custom,
        cas_required: secret.cas_required,
        max_versions: secret.max_versions,
        delete_after_seconds: secret.delete_after.as_secs(),
        is_favorite: secret.favourite,
        has_totp: secret.totp,
        is_active: secret.active,
        exposed_at: secret.exposed_at,
    }
}

/// A reading as it goes out.
///
/// # Errors
/// `Gone` when the version is deleted or destroyed.
pub(super) fn with_value(reading: Reading) -> Result<wire::SecretWithValue> {
    let value = reading.value.map_err(Absence::error)?;
    let details = match &reading.details {
        Some(text) => {
            serde_json::from_slice(text.expose()).map_err(|_| Error::internal("unreadable details"))?
        }
        None => wire::Details::default(),
    };
    let secret = wire::Secret { version: reading.version.version, ..secret(reading.secret) };
    Ok(wire::SecretWithValue { secret, value: shown(&value), format: format(value.format()), details })
}

pub(super) fn version(version: &VersionRecord, value: Option<String>) -> wire::Version {
    wire::Version {
        version: version.version,
        value,
        format: format(version.format),
        size: version.size,
        restored_from_version: version.restored_from,
        changed_by: format!("{}:{}", version.created_by_kind, version.created_by),
        created_at: version.created_at,
        deleted_at: version.deleted_at,
        destroyed_at: version.destroyed_at,
    }
}

//! Keys in the words of the wire.

use writ_crypto::named::KeyType;
use writ_kernel::{Error, Result, Timestamp};
use writ_wire::keys as wire;

use crate::model::{Key, Purpose, State, Version};

/// What the native surface calls an algorithm.
pub(super) fn algorithm(key_type: KeyType) -> String {
    key_type.title()
}

/// The algorithm of that name; `HMAC-SHA256` and the like name the hash of one use, and the key is the same.
pub(super) fn key_type(text: Option<&str>, purpose: Option<Purpose>) -> Result<KeyType> {
    match (text, purpose) {
        (Some(text), _) if text.to_ascii_lowercase().starts_with("hmac") => Ok(KeyType::Hmac),
        (Some(text), _) => text.parse().map_err(|error: Error| error.at("algorithm")),
        (None, Some(Purpose::Signing)) => Ok(KeyType::DEFAULT_FOR_SIGNING),
        (None, Some(Purpose::Hmac)) => Ok(KeyType::Hmac),
        (None, _) => Ok(KeyType::DEFAULT),
    }
}

/// The word for whether a key can be used, as lists filter by it.
pub(super) fn status(key: &Key, now: Timestamp) -> &'static str {
    match key.state(now) {
        State::Active => "active",
        State::Disabled | State::Expired => "inactive",
        State::ScheduledDeletion => "scheduled_deletion",
    }
}

pub(super) fn key(key: &Key, now: Timestamp) -> wire::Key {
    let state = key.state(now);
    wire::Key {
        id: key.id.uuid(),
        name: key.name.to_string(),
        environment: key.environment.id.uuid(),
        description: key.description.clone(),
        key_type: key.purpose.as_str().to_owned(),
        purpose: key.purpose.as_str().to_owned(),
        algorithm: algorithm(key.key_type),
        is_post_quantum: key.key_type.is_post_quantum(),
        status: status(key, now).to_owned(),
        state: state.as_str().to_owned(),
        is_active: state == State::Active,
        is_default: key.is_default,
        exportable: key.exportable,
        derived: key.derived,
        convergent: key.convergent,
        imported: key.imported,
        version: key.latest_version,
        version_count: key.latest_version - key.min_available_version + 1,
        min_decryption_version: key.min_decryption_version,
        min_encryption_version: key.min_encryption_version,
        min_available_version: key.min_available_version,
        labels: key.labels.clone(),
        tags: key.tags.clone(),
        rotate_every_seconds: key.rotate_every.map(|every| every.as_secs()),
        next_rotation_at: key.rotate_at,
        last_rotated_at: key.rotated_at,
        expires_at: key.expires_at,
        scheduled_deletion_date: key.delete_at,
        created_at: key.created_at,
        updated_at: key.updated_at,
    }
}

pub(super) fn version(key: &Key, version: &Version) -> wire::KeyVersion {
    let is_active = version.version >= key.min_decryption_version;
    let state = match version.version {
        newest if newest == key.latest_version => "current",
        _ if is_active => "active",
        _ => "retired",
    };
    wire::KeyVersion {
        id: version.id,
        version: version.version,
        created_at: version.created_at,
        is_active,
        state: state.to_owned(),
    }
}

pub(super) fn config(key: &Key) -> wire::KeyConfig {
    wire::KeyConfig {
        key_name: key.name.to_string(),
        latest_version: key.latest_version,
        min_decryption_version: key.min_decryption_version,
        min_encryption_version: key.min_encryption_version,
    }
}

//! Keys in the clear with all their versions, out and in.

use data_encoding::BASE64;
use serde_json::json;
use writ_crypto::SecretBytes;
use writ_kernel::Kind;
use writ_keys::KeyName;

use super::{in_its_words, key, space};
use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault, one},
    reply::Reply,
};

pub(super) async fn take(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let backup = dialect.keys().back_up(&ask.caller_as_asked()?, &key(ask, name)?).await;
    let (backup, _) = backup.map_err(|error| match error.code() {
        "key_not_exportable" => ours(one("exporting is disallowed on the policy")),
        "key_not_backupable" => ours(one("plaintext backup is disallowed on the policy")),
        _ if error.kind() == Kind::NotFound => {
            Fault::invalid(one(&format!("key \"{}\" not found", name.escape_debug())))
        }
        _ => error.into(),
    })?;
    Ok(Reply::data(&json!({ "backup": BASE64.encode(backup.expose()) })))
}

pub(super) async fn restore(dialect: &Dialect, ask: &Ask, name: Option<&str>) -> Answer {
    let text = ask.fields.required("backup")?;
    let backup = SecretBytes::new(super::decoded(&text, "backup")?);
    let name = name.map(str::parse::<KeyName>).transpose()?;
    let force = ask.fields.boolean("force")?.unwrap_or(false);
    let restored = dialect.keys().restore(&ask.caller_as_asked()?, &space(ask), name, &backup, force).await;
    restored.map_err(|error| match error.code() {
        "key_name_conflict" => ours(error.public().to_owned()),
        _ => in_its_words(error, "key not found"),
    })?;
    Ok(Reply::Nothing)
}

/// 500, since clients take these refusals for nothing else.
fn ours(text: String) -> Fault {
    Fault::status(http::StatusCode::INTERNAL_SERVER_ERROR, text)
}

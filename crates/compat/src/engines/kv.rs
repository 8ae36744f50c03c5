//! Secrets, with (`kv` version 2) and without (version 1) versions, over the vault room. What is at `a/b` of the mount
//! `secret/` is the secret `secret/a/b` of the environment, for native clients, too.

mod config;
mod metadata;
mod v1;
mod v2;

use std::time::Duration;

use serde_json::{Value as Json, json, value::RawValue};
use writ_crypto::SecretBytes;
use writ_kernel::{Action, Error, Kind, Page, PageRequest, Timestamp};
use writ_vault::{Folder, Format, Place, SecretPath, Value, Wanted};

use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::{Reply, raw},
};

/// Answers for the engine.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    if ask.mount.option("version") == Some("2") {
        v2::handle(dialect, ask).await
    } else {
        v1::handle(dialect, ask).await
    }
}

/// Where the secret of `rest` is.
fn place(ask: &Ask, rest: &str) -> Result<Place, Fault> {
    Ok(Place::Path(ask.view.environment.id, path(ask, rest)?))
}

fn path(ask: &Ask, rest: &str) -> Result<SecretPath, Fault> {
    if rest.is_empty() {
        return Err(Fault::invalid("missing path"));
    }
    Ok(format!("{}{rest}", ask.mount.path).parse()?)
}

/// The environment, as verbs of the vault take it.
fn environment(ask: &Ask) -> String {
    ask.view.environment.id.to_string()
}

/// Whether there is a secret at `place`. It decides only which capability a write needs.
async fn exists(dialect: &Dialect, ask: &Ask, place: &Place) -> Result<bool, Fault> {
    Ok(dialect.vault().knows(ask.view.tenant, place).await?)
}

/// The names below `folder`, which ends with a slash or is empty; all, or as many as `after` and `limit` ask for.
async fn list(dialect: &Dialect, ask: &Ask, folder: &str) -> Answer {
    let whole = format!("{}{folder}", ask.mount.path);
    let folder: Folder = whole.parse()?;
    let wanted =
        Wanted { environment: Some(environment(ask)), folder, inactive_too: true, ..Wanted::default() };
    let most =
        ask.fields.integer("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let mut after = ask.fields.text("after")?.filter(|after| !after.is_empty());
    let (caller, mut names) = (ask.caller_as_asked()?, Vec::new());
    loop {
        let request = PageRequest::new(after, Some(200))?;
        let (page, _) = dialect.vault().list_folder(&caller, &wanted, &request).await?;
        let Page { items, next } = page;
        names.extend(items);
        match next {
            Some(cursor) if most.is_none_or(|most| names.len() < most) => after = Some(cursor.0),
            _ => break,
        }
    }
    names.truncate(most.unwrap_or(usize::MAX));
    Reply::keys(&names)
}

/// Bytes of JSON that a client sent, as a value.
fn stored(document: &RawValue) -> Result<Value, Fault> {
    Ok(Value::new(Format::Json, SecretBytes::new(document.get().as_bytes().to_vec()))?)
}

/// A value as a document: what this engine stored comes back byte for byte, what native clients stored is the member
/// `value` of one.
fn document(value: &Value) -> Result<Box<RawValue>, Fault> {
    let bytes = value.bytes().expose();
    let text = || std::str::from_utf8(bytes).map_err(|_| Error::internal("a text is not UTF-8"));
    let wrapped = |inner: &dyn Fn() -> String| raw(&json!({ "value": inner() }));
    match value.format() {
        Format::Json => {
            let text = text()?;
            let document = serde_json::from_str::<&RawValue>(text);
            let document = document.map_err(|_| Error::internal("a document is not JSON"))?.to_owned();
            if text.trim_start().starts_with('{') {
                Ok(document)
            } else {
                Ok(raw(&Only { value: &document }))
            }
        }
        Format::Text => {
            let text = text()?.to_owned();
            Ok(wrapped(&|| text.clone()))
        }
        Format::Binary => Ok(wrapped(&|| data_encoding::BASE64.encode(bytes))),
    }
}

#[derive(serde::Serialize)]
struct Only<'a> {
    value: &'a RawValue,
}

/// Nothing when there is no such secret: what does not exist needs no deletion.
fn absent_is_fine<T>(result: writ_kernel::Result<T>) -> Result<Option<T>, Fault> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(in_its_words(error)),
    }
}

/// An error of the vault, in the engine's words.
fn in_its_words(error: Error) -> Fault {
    let text = match error.code() {
        "version_conflict" => "check-and-set parameter did not match the current version",
        "cas_required" => "check-and-set parameter required for this call",
        _ => return error.into(),
    };
    Fault { errors: vec![text.to_owned()], ..Fault::from(error) }
}

/// A point in time, or nothing.
fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// A span as the dialect writes it: `1h30m0s`.
fn span(span: Duration) -> String {
    let (hours, minutes, seconds) = (span.as_secs() / 3600, span.as_secs() / 60 % 60, span.as_secs() % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// What an engine's own settings are entered for.
fn settings(operation: Operation) -> Action {
    if operation == Operation::Read { Action::EngineRead } else { Action::EngineWrite }
}

/// `null` for an empty map.
fn or_null(map: &std::collections::BTreeMap<String, String>) -> Json {
    if map.is_empty() { Json::Null } else { json!(map) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_the_dialect_writes_them() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m0s"), (3600, "1h0m0s"), (90_061, "25h1m1s")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}

//! Version 2: versions of a document at a path.

use http::StatusCode;
use serde_json::{Map, Value as Json, json, value::RawValue};
use writ_vault::{Absence, Fate, NewSecret, Reading, SecretRecord, VersionRecord};

use super::{
    absent_is_fine,
    config::{self, Config},
    document, environment, exists, in_its_words, list, metadata, or_null, path, place, stored, time,
};
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::{Envelope, Members, Reply, raw},
};

pub(super) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let (area, rest) = ask.rest.split_once('/').unwrap_or((&ask.rest, ""));
    match (area, ask.operation) {
        ("config", Operation::Read | Operation::Write) if rest.is_empty() => {
            config::handle(dialect, ask).await
        }
        ("data", Operation::Read) => read(dialect, ask, rest).await,
        ("data", Operation::Write) => write(dialect, ask, rest).await,
        ("data", Operation::Patch) => patch(dialect, ask, rest).await,
        ("data", Operation::Delete) => {
            let caller = ask.caller_as_asked()?;
            absent_is_fine(dialect.vault().treat(&caller, &place(ask, rest)?, &[], Fate::Delete).await)?;
            Ok(Reply::Nothing)
        }
        ("delete", Operation::Write) => treat(dialect, ask, rest, Fate::Delete).await,
        ("undelete", Operation::Write) => treat(dialect, ask, rest, Fate::Restore).await,
        ("destroy", Operation::Write) => treat(dialect, ask, rest, Fate::Destroy).await,
        ("subkeys", Operation::Read) => subkeys(dialect, ask, rest).await,
        ("metadata", Operation::List) => list(dialect, ask, rest).await,
        ("metadata", _) => metadata::handle(dialect, ask, rest).await,
        ("config" | "data" | "delete" | "undelete" | "destroy" | "subkeys", _) => {
            Err(Fault::unsupported_operation())
        }
        _ => Err(as_version_1(ask)),
    }
}

/// Somebody takes the mount for one of version 1.
fn as_version_1(ask: &Ask) -> Fault {
    let mount = &ask.mount.path;
    let warning = format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. \
         If using the CLI, use '{}' for this operation.",
        if ask.operation == Operation::List { "bao kv list" } else { "bao kv get" },
    );
    tracing::debug!(%mount, "a path of version 1 in a mount of version 2");
    Fault::with(StatusCode::NOT_FOUND, Envelope { warnings: vec![warning], ..Envelope::default() })
}

async fn read(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let reading = reading(dialect, ask, rest).await?;
    match &reading.value {
        Ok(value) => Ok(Reply::members(shown("data", document(value)?, &reading))),
        Err(_) => Err(gone("data", &reading)),
    }
}

async fn subkeys(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let depth = ask.fields.integer("depth")?.unwrap_or(0);
    let reading = reading(dialect, ask, rest).await?;
    match &reading.value {
        Ok(value) => {
            let value = serde_json::from_str(document(value)?.get()).unwrap_or_default();
            Ok(Reply::members(shown("subkeys", raw(&hollow(value, depth, 1)), &reading)))
        }
        Err(_) => Err(gone("subkeys", &reading)),
    }
}

async fn reading(dialect: &Dialect, ask: &Ask, rest: &str) -> Result<Reading, Fault> {
    let version = ask.fields.integer("version")?.map(u32::try_from).transpose();
    let version = version.map_err(|_| Fault::invalid("version is not a positive number"))?;
    let caller = ask.caller_as_asked()?;
    Ok(dialect.vault().read(&caller, &place(ask, rest)?, version).await?.0)
}

/// The same document with `null` for every value, and for every object below `depth` (0 for none).
fn hollow(value: Json, depth: i64, level: i64) -> Json {
    match value {
        Json::Object(members) if level == 1 || depth == 0 || level <= depth => Json::Object(
            members.into_iter().map(|(name, value)| (name, hollow(value, depth, level + 1))).collect(),
        ),
        _ => Json::Null,
    }
}

fn shown(name: &str, document: Box<RawValue>, reading: &Reading) -> Members {
    [(name.to_owned(), document), ("metadata".to_owned(), raw(&told(&reading.secret, &reading.version)))]
        .into()
}

/// 404, and all the same what is known of the version.
fn gone(name: &str, reading: &Reading) -> Fault {
    let data = Some(shown(name, RawValue::NULL.to_owned(), reading));
    Fault::with(StatusCode::NOT_FOUND, Envelope { data, ..Envelope::default() })
}

fn told(secret: &SecretRecord, version: &VersionRecord) -> Json {
    json!({
        "created_time": version.created_at,
        "custom_metadata": or_null(&secret.custom),
        "deletion_time": time(version.deleted_at),
        "destroyed": version.destroyed_at.is_some(),
        "version": version.version,
    })
}

async fn write(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let data = ask.fields.raw("data").ok_or_else(|| Fault::invalid("no data provided"))?;
    object(data)?;
    let config = config::of(dialect, ask).await?;
    let known = exists(dialect, ask, &place(ask, rest)?).await?;
    let caller = ask.caller_to_write(known)?;
    put(dialect, ask, rest, caller, (data, cas(ask)?), &config).await
}

/// Writes `data`, and tells what is known of it then.
async fn put(
    dialect: &Dialect,
    ask: &Ask,
    rest: &str,
    caller: writ_kernel::Caller,
    (data, cas): (&RawValue, Option<u32>),
    config: &Config,
) -> Answer {
    if config.cas_required && cas.is_none() {
        return Err(Fault::invalid("check-and-set parameter required for this call"));
    }
    let new = NewSecret {
        keeping: config.keeping(),
        ..NewSecret::new(Some(environment(ask)), path(ask, rest)?, Some(stored(data)?))
    };
    let (secret, _) = dialect.vault().put(&caller, new, cas).await.map_err(in_its_words)?;
    let deleted_at = (!secret.delete_after.is_zero()).then(|| secret.rotated_at.plus(secret.delete_after));
    Ok(Reply::data(&json!({
        "created_time": secret.rotated_at,
        "custom_metadata": or_null(&secret.custom),
        "deletion_time": time(deleted_at),
        "destroyed": false,
        "version": secret.current,
    })))
}

/// JSON merge patch (RFC 7396) of the current version, as a new one.
async fn patch(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let patch = ask.fields.raw("data").ok_or_else(|| Fault::invalid("no data provided"))?;
    let patch = object(patch)?;
    let caller = ask.caller_as_asked()?;
    let (reading, _) = dialect.vault().read(&caller, &place(ask, rest)?, None).await?;
    let value = match &reading.value {
        Ok(value) => document(value)?,
        Err(Absence::Deleted | Absence::Destroyed) => return Err(gone("data", &reading)),
    };
    let current = reading.secret.current;
    if cas(ask)?.is_some_and(|cas| cas != current) {
        return Err(Fault::invalid("check-and-set parameter did not match the current version"));
    }
    let merged = merged(object(&value)?, patch)?;
    // Whoever wrote in between is not overwritten.
    let config = config::of(dialect, ask).await?;
    put(dialect, ask, rest, caller, (&raw(&merged), Some(current)), &config).await
}

/// The members of a patch in place of those of the target; `null` removes one. What is not touched keeps its bytes.
fn merged(mut target: Members, patch: Members) -> Result<Members, Fault> {
    for (name, value) in patch {
        match value.get().trim_start().chars().next() {
            Some('n') => drop(target.remove(&name)),
            Some('{') => {
                let inner = target.remove(&name).filter(|inner| inner.get().trim_start().starts_with('{'));
                let inner = inner.map_or_else(|| Ok(Members::new()), |inner| object(&inner))?;
                drop(target.insert(name, raw(&merged(inner, object(&value)?)?)));
            }
            _ => drop(target.insert(name, value)),
        }
    }
    Ok(target)
}

fn object(document: &RawValue) -> Result<Members, Fault> {
    serde_json::from_str(document.get()).map_err(|_| Fault::invalid("data is not an object"))
}

/// The version that is to be replaced, if the client says.
fn cas(ask: &Ask) -> Result<Option<u32>, Fault> {
    let options = ask.fields.value("options").unwrap_or_default();
    let wrong = || Fault::invalid("error parsing check-and-set parameter");
    match options.get("cas") {
        None | Some(Json::Null) => Ok(None),
        // No version has a number that is none.
        Some(Json::Number(number)) => {
            let cas = number.as_u64().and_then(|cas| u32::try_from(cas).ok());
            cas.map(Some)
                .ok_or_else(|| Fault::invalid("check-and-set parameter did not match the current version"))
        }
        Some(Json::String(text)) => text.parse().map(Some).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

async fn treat(dialect: &Dialect, ask: &Ask, rest: &str, fate: Fate) -> Answer {
    let versions = ask.fields.list("versions")?.unwrap_or_default();
    if versions.is_empty() {
        return Err(Fault::invalid("No version number provided"));
    }
    let versions = versions.iter().map(|version| version.parse::<u32>()).collect::<Result<Vec<_>, _>>();
    let versions = versions.map_err(|_| Fault::invalid("a version is a positive number"))?;
    let caller = ask.caller_as_asked()?;
    absent_is_fine(dialect.vault().treat(&caller, &place(ask, rest)?, &versions, fate).await)?;
    Ok(Reply::Nothing)
}

/// Members with a `null`, as a patch of metadata takes them.
pub(super) fn loose(value: Option<Json>) -> Option<Map<String, Json>> {
    match value {
        Some(Json::Object(members)) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Members {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_patch_replaces_removes_and_leaves_the_bytes_of_everything_else() {
        let target =
            members(r#"{"keep":1.50,"drop":1,"deep":{"keep":12345678901234567890,"drop":2},"flat":"x"}"#);
        let patch = members(
            r#"{"drop":null,"new":"n","deep":{"drop":null,"add":[1]},"flat":{"a":{"b":null,"c":1}}}"#,
        );
        assert_eq!(
            raw(&merged(target, patch).unwrap()).get(),
            r#"{"deep":{"add":[1],"keep":12345678901234567890},"flat":{"a":{"c":1}},"keep":1.50,"new":"n"}"#
        );
    }

    #[test]
    fn subkeys_are_names_without_values_down_to_a_depth() {
        let value = json!({ "a": 1, "b": { "c": { "d": 1 } } });
        assert_eq!(hollow(value.clone(), 0, 1), json!({ "a": null, "b": { "c": { "d": null } } }));
        assert_eq!(hollow(value.clone(), 1, 1), json!({ "a": null, "b": null }));
        assert_eq!(hollow(value, 2, 1), json!({ "a": null, "b": { "c": null } }));
    }
}

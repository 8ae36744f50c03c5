//! What is known of a secret beside its versions.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value as Json, json};
use writ_vault::{Keeping, NewSecret, Notes, SecretRecord, Update, VersionRecord};

use super::{
    absent_is_fine, config, environment, exists, in_its_words, or_null, path, place, span, time, v2::loose,
};
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    reply::Reply,
};

pub(super) async fn handle(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    match ask.operation {
        Operation::Read => {
            let caller = ask.caller_as_asked()?;
            let (secret, versions, _) = dialect.vault().versions(&caller, &place(ask, rest)?).await?;
            Ok(Reply::data(&shown(&secret, &versions)))
        }
        Operation::Write => write(dialect, ask, rest).await,
        Operation::Patch => patch(dialect, ask, rest).await,
        Operation::Delete => {
            let caller = ask.caller_as_asked()?;
            absent_is_fine(dialect.vault().destroy(&caller, &place(ask, rest)?).await)?;
            Ok(Reply::Nothing)
        }
        Operation::List | Operation::Scan => Err(Fault::unsupported_operation()),
    }
}

fn shown(secret: &SecretRecord, versions: &[VersionRecord]) -> Json {
    let versions: Map<_, _> = versions
        .iter()
        .map(|version| {
            let told = json!({
                "created_time": version.created_at,
                "deletion_time": time(version.deleted_at),
                "destroyed": version.destroyed_at.is_some(),
            });
            (version.version.to_string(), told)
        })
        .collect();
    json!({
        "cas_required": secret.cas_required,
        "created_time": secret.created_at,
        "current_version": secret.current,
        "custom_metadata": or_null(&secret.custom),
        "delete_version_after": span(secret.delete_after),
        "max_versions": secret.max_versions,
        "oldest_version": if secret.current > 0 && secret.oldest <= 1 { 0 } else { secret.oldest },
        "updated_time": secret.updated_at,
        "versions": versions,
    })
}

async fn write(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let keeping = keeping(ask)?;
    let custom = ask.fields.map("custom_metadata")?;
    if let Some(custom) = &custom {
        check(custom)?;
    }
    let (place, notes) = (place(ask, rest)?, Notes { custom, ..Notes::default() });
    let known = exists(dialect, ask, &place).await?;
    let caller = ask.caller_to_write(known)?;
    if known {
        let update = Update { notes, keeping, ..Update::default() };
        dialect.vault().update(&caller, &place, update).await.map_err(in_its_words)?;
    } else {
        let of_mount = config::of(dialect, ask).await?.keeping();
        let keeping = Keeping {
            cas_required: keeping.cas_required,
            max_versions: keeping.max_versions.or(of_mount.max_versions),
            delete_after: keeping.delete_after.or(of_mount.delete_after),
        };
        let new =
            NewSecret { notes, keeping, ..NewSecret::new(Some(environment(ask)), path(ask, rest)?, None) };
        dialect.vault().create(&caller, new).await.map_err(in_its_words)?;
    }
    Ok(Reply::Nothing)
}

async fn patch(dialect: &Dialect, ask: &Ask, rest: &str) -> Answer {
    let (place, caller) = (place(ask, rest)?, ask.caller_as_asked()?);
    let keeping = keeping(ask)?;
    let custom = match loose(ask.fields.value("custom_metadata")) {
        None => None,
        Some(patch) => {
            let (secret, _) = dialect.vault().describe(&caller, &place).await?;
            let custom = patched(secret.custom, patch)?;
            check(&custom)?;
            Some(custom)
        }
    };
    let update = Update { notes: Notes { custom, ..Notes::default() }, keeping, ..Update::default() };
    dialect.vault().update(&caller, &place, update).await.map_err(in_its_words)?;
    Ok(Reply::Nothing)
}

fn patched(
    mut custom: BTreeMap<String, String>,
    patch: Map<String, Json>,
) -> Result<BTreeMap<String, String>, Fault> {
    for (name, value) in patch {
        match value {
            Json::Null => drop(custom.remove(&name)),
            Json::String(text) => drop(custom.insert(name, text)),
            Json::Number(_) | Json::Bool(_) => drop(custom.insert(name, value.to_string())),
            _ => return Err(Fault::invalid("custom_metadata values must be strings")),
        }
    }
    Ok(custom)
}

/// At most 64 names of 128 bytes with values of 512.
fn check(custom: &BTreeMap<String, String>) -> Result<(), Fault> {
    if custom.len() > 64 {
        return Err(Fault::invalid("custom_metadata validation failed: at most 64 keys are allowed"));
    }
    let fits = |(name, value): (&String, &String)| {
        (1..=128).contains(&name.len()) && (1..=512).contains(&value.len())
    };
    if custom.iter().all(fits) {
        return Ok(());
    }
    Err(Fault::invalid("custom_metadata validation failed: a key has 1 to 128 bytes, a value 1 to 512"))
}

fn keeping(ask: &Ask) -> Result<Keeping, Fault> {
    let fields = &ask.fields;
    let most = fields.integer("max_versions")?.map(u32::try_from).transpose();
    let after = fields.seconds("delete_version_after")?;
    Ok(Keeping {
        cas_required: fields.boolean("cas_required")?,
        max_versions: most.map_err(|_| Fault::invalid("max_versions is out of range"))?,
        delete_after: after.map(|after| Duration::from_secs(u64::try_from(after).unwrap_or(0))),
    })
}

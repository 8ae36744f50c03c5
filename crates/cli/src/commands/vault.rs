//! Secrets.

use std::{path::PathBuf, time::Duration};

use clap::{Args as Group, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;
use writ_client::Client;
use writ_kernel::Timestamp;
use writ_wire::secrets::{Secret, SecretWithValue, Secrets, Versions};

use crate::{
    args::duration,
    commands::Context,
    input,
    listing::with_query,
    output::{Failure, details, print, table, when, when_or_never},
    world::world,
};

/// In which environment.
#[derive(Debug, Clone, Group)]
pub(crate) struct Where {
    /// The environment, by name or id. May be left out where the credential can mean only one.
    #[arg(long, env = "WRIT_ENVIRONMENT", value_name = "ENVIRONMENT")]
    pub(crate) env: Option<String>,
}

/// Secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List secrets, without their values.
    List {
        #[command(flatten)]
        place: Where,
        /// Only below this folder.
        #[arg(long, value_name = "FOLDER")]
        prefix: Option<String>,
        /// Only with this label.
        #[arg(long)]
        label: Option<String>,
        /// Only what nobody has read for 30 days.
        #[arg(long)]
        stale: bool,
    },
    /// Print the value of a secret, and nothing else.
    Get {
        #[command(flatten)]
        place: Where,
        /// The path, like `billing/database`.
        path: String,
        /// The version; the current one unless told.
        #[arg(long)]
        version: Option<u32>,
        /// Only this member of a value that is a JSON object.
        #[arg(long, value_name = "MEMBER")]
        field: Option<String>,
    },
    /// Store a secret, or a new version of it. The value is typed unseen, piped in, or read from a file.
    Put(Put),
    /// Say what is known about a secret, without its value.
    Info {
        #[command(flatten)]
        place: Where,
        /// The path or the id.
        secret: String,
    },
    /// List the versions of a secret, without their values.
    History {
        #[command(flatten)]
        place: Where,
        /// The path or the id.
        secret: String,
    },
    /// Write the value of an earlier version as a new one.
    Rollback {
        #[command(flatten)]
        place: Where,
        /// The path or the id.
        secret: String,
        /// The earlier version.
        version: u32,
    },
    /// Delete versions, so that they can be restored: the current one unless told.
    Delete(SomeVersions),
    /// Restore deleted versions.
    Restore(SomeVersions),
    /// Destroy the values of versions for good; the whole secret with `--all`.
    Destroy {
        #[command(flatten)]
        some: SomeVersions,
        /// Everything: all versions and what is known about the secret.
        #[arg(long, conflicts_with = "version")]
        all: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Take a secret out of use, until it is activated again.
    Deactivate {
        #[command(flatten)]
        place: Where,
        /// The path or the id.
        secret: String,
    },
    /// Put a secret back into use.
    Activate {
        #[command(flatten)]
        place: Where,
        /// The path or the id.
        secret: String,
    },
}

/// What to store.
#[derive(Debug, Group)]
pub(crate) struct Put {
    #[command(flatten)]
    place: Where,
    /// The path, like `billing/database`.
    path: String,
    /// Read the value from this file, `-` for standard input until its end.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The value is a JSON document.
    #[arg(long)]
    json_value: bool,
    /// The version it replaces, 0 for none: where it is another one by now, nothing is written.
    #[arg(long)]
    cas: Option<u32>,
    /// What it is for.
    #[arg(long)]
    purpose: Option<String>,
    /// What to know about it.
    #[arg(long)]
    description: Option<String>,
    /// Who answers for it: the id of a person.
    #[arg(long, value_name = "PERSON")]
    owner: Option<Uuid>,
    /// `public`, `internal`, `confidential` or `restricted`.
    #[arg(long, value_parser = ["public", "internal", "confidential", "restricted"])]
    classification: Option<String>,
    /// When it ends, like `90d`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires_in: Option<Duration>,
    /// How often it is to be replaced, like `30d`.
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "expires_in")]
    rotate_every: Option<Duration>,
    /// A word to find it by; repeat for more.
    #[arg(long)]
    label: Vec<String>,
}

/// Some versions of a secret.
#[derive(Debug, Group)]
pub(crate) struct SomeVersions {
    #[command(flatten)]
    place: Where,
    /// The path or the id.
    secret: String,
    /// A version; repeat for more.
    #[arg(long)]
    version: Vec<u32>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::List { place, prefix, label, stale } => list(context, &place, prefix, label, stale).await?,
        Command::Get { place, path, version, field } => {
            let secret = read(&client, &place, &path, version).await?;
            if output.is_json() {
                output.result(&secret, |_| String::new());
            } else {
                print(&value(&secret, field.as_deref())?);
            }
        }
        Command::Put(wanted) => put(context, &client, wanted).await?,
        Command::Info { place, secret } => {
            let id = id(&client, &place, &secret).await?;
            let secret: Secret = client.get(&format!("/api/v1/secrets/{id}/metadata")).await?;
            output.result(&secret, about);
        }
        Command::History { place, secret } => {
            let id = id(&client, &place, &secret).await?;
            let versions: Versions = client.get(&format!("/api/v1/secrets/{id}/versions")).await?;
            output.result(&versions, history);
        }
        Command::Rollback { place, secret, version } => {
            let id = id(&client, &place, &secret).await?;
            let path = format!("/api/v1/secrets/{id}/rollback");
            let secret: Secret = client.post(&path, &json!({ "version": version })).await?;
            output.result(&secret, |secret| format!("version {} has the value of {version}", secret.version));
        }
        Command::Delete(some) => treat(context, &client, some, "delete", "deleted").await?,
        Command::Restore(some) => treat(context, &client, some, "restore", "restored").await?,
        Command::Destroy { some, all, yes } => destroy(context, &client, some, all, yes).await?,
        Command::Deactivate { place, secret } => {
            turn(context, &client, &place, &secret, "deactivate").await?;
        }
        Command::Activate { place, secret } => turn(context, &client, &place, &secret, "activate").await?,
    }
    Ok(())
}

async fn list(
    context: &Context,
    place: &Where,
    prefix: Option<String>,
    label: Option<String>,
    stale: bool,
) -> Result<(), Failure> {
    let client = context.client()?;
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut query = place.query();
        query.extend(prefix.clone().map(|prefix| ("prefix", prefix)));
        query.extend(label.clone().map(|label| ("label", label)));
        query.extend(stale.then(|| ("stale", "true".to_owned())));
        query.extend(after.take().map(|after| ("after", after)));
        let page: Secrets = client.get(&with_query("/api/v1/secrets", &query)?).await?;
        all.extend(page.secrets);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    context.output.result(&all, |all| {
        let heading = ["PATH", "VERSION", "CLASSIFICATION", "PURPOSE", "DUE", "ENDS", "ID"];
        let row = |secret: &Secret| {
            vec![
                secret.name.clone(),
                secret.version.to_string(),
                secret.classification.clone(),
                secret.purpose.clone(),
                when_or_never(secret.due_at),
                when_or_never(secret.expires_at),
                secret.id.to_string(),
            ]
        };
        let heading = heading.iter().map(|&name| name.to_owned()).collect();
        table(&std::iter::once(heading).chain(all.iter().map(row)).collect::<Vec<_>>())
    });
    Ok(())
}

/// The secret at `path` with its value.
pub(crate) async fn read(
    client: &Client,
    place: &Where,
    path: &str,
    version: Option<u32>,
) -> Result<SecretWithValue, Failure> {
    let mut query = place.query();
    query.push(("path", path.to_owned()));
    query.extend(version.map(|version| ("version", version.to_string())));
    Ok(client.get(&with_query("/api/v1/secrets/by-path", &query)?).await?)
}

/// The value as text, or one member of it.
pub(crate) fn value(secret: &SecretWithValue, field: Option<&str>) -> Result<String, Failure> {
    let Some(field) = field else { return Ok(secret.value.clone()) };
    let absent = || {
        Failure::usage(format!("the value of `{}` has no member `{field}`", secret.secret.name))
            .hint("a member can be taken of a value that is a JSON object")
    };
    let value: Value = serde_json::from_str(&secret.value).map_err(|_| absent())?;
    match value.get(field) {
        None => Err(absent()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
    }
}

async fn put(context: &Context, client: &Client, wanted: Put) -> Result<(), Failure> {
    let value = match &wanted.file {
        None => input::secret("value")?,
        Some(file) => input::text(file)?,
    };
    let format = if wanted.json_value { "json" } else { "text" };
    let now = world().now();
    let mut body = json!({ "value": value, "format": format });
    let mut set = |name: &str, value: Option<Value>| {
        if let (Some(value), Some(members)) = (value, body.as_object_mut()) {
            members.insert(name.to_owned(), value);
        }
    };
    let existing = find(client, &wanted.place, &wanted.path).await?;
    let (output, about) = (context.output, existing.is_none());
    if about {
        set("name", Some(json!(wanted.path)));
        set("environment", wanted.place.env.as_ref().map(|env| json!(env)));
    }
    let changed = [
        ("purpose", wanted.purpose.as_ref().map(|text| json!(text))),
        ("description", wanted.description.as_ref().map(|text| json!(text))),
        ("owner", wanted.owner.map(|id| json!(id))),
        ("classification", wanted.classification.as_ref().map(|text| json!(text))),
        ("expiresAt", wanted.expires_in.map(|wait| json!(now.plus(wait)))),
        ("rotateEverySeconds", wanted.rotate_every.map(|wait| json!(wait.as_secs()))),
        ("labels", (!wanted.label.is_empty()).then(|| json!(wanted.label))),
    ];
    let secret: Secret = match existing {
        None => {
            if wanted.cas.is_some_and(|version| version != 0) {
                return Err(absent(&wanted.path));
            }
            for (name, value) in changed {
                set(name, value);
            }
            client.post("/api/v1/secrets", &body).await?
        }
        Some(secret) => {
            set("cas", wanted.cas.map(|version| json!(version)));
            let path = format!("/api/v1/secrets/{}", secret.id);
            let about: serde_json::Map<_, _> =
                changed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            let written = client.put(&format!("{path}/value"), &body).await?;
            if about.is_empty() { written } else { client.patch(&path, &about).await? }
        }
    };
    output.result(&secret, |secret| format!("`{}` has version {} now", secret.name, secret.version));
    Ok(())
}

async fn treat(
    context: &Context,
    client: &Client,
    some: SomeVersions,
    verb: &str,
    done: &str,
) -> Result<(), Failure> {
    let id = id(client, &some.place, &some.secret).await?;
    let path = format!("/api/v1/secrets/{id}/versions/{verb}");
    client.post::<_, ()>(&path, &json!({ "versions": some.version })).await?;
    context.output.done(done);
    Ok(())
}

async fn destroy(
    context: &Context,
    client: &Client,
    some: SomeVersions,
    all: bool,
    yes: bool,
) -> Result<(), Failure> {
    let what = if all { "everything of" } else { "versions of" };
    let question = format!("This destroys {what} `{}` for good.", some.secret);
    if !yes && !input::confirm(&question, "say `--yes`")? {
        context.output.note("nothing was destroyed");
        return Ok(());
    }
    if !all {
        return treat(context, client, some, "destroy", "destroyed").await;
    }
    let id = id(client, &some.place, &some.secret).await?;
    client.delete::<()>(&format!("/api/v1/secrets/{id}")).await?;
    context.output.done("destroyed");
    Ok(())
}

async fn turn(
    context: &Context,
    client: &Client,
    place: &Where,
    secret: &str,
    verb: &str,
) -> Result<(), Failure> {
    let id = id(client, place, secret).await?;
    client.post::<_, ()>(&format!("/api/v1/secrets/{id}/{verb}"), &json!({})).await?;
    context.output.done(format!("{verb}d"));
    Ok(())
}

impl Where {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        self.env.iter().map(|env| ("environment", env.clone())).collect()
    }
}

/// The id of the secret that is meant by a path or an id.
pub(crate) async fn id(client: &Client, place: &Where, secret: &str) -> Result<Uuid, Failure> {
    if let Ok(id) = secret.parse() {
        return Ok(id);
    }
    find(client, place, secret).await?.map(|found| found.id).ok_or_else(|| absent(secret))
}

fn absent(path: &str) -> Failure {
    Failure::new(1, "not_found", format!("there is no secret `{path}`")).hint("see `writ vault list`")
}

/// The secret at exactly `path`.
async fn find(client: &Client, place: &Where, path: &str) -> Result<Option<Secret>, Failure> {
    let mut after = None::<String>;
    loop {
        let mut query = place.query();
        query.extend([("search", path.to_owned()), ("includeInactive", "true".to_owned())]);
        query.extend(after.take().map(|after| ("after", after)));
        let page: Secrets = client.get(&with_query("/api/v1/secrets", &query)?).await?;
        if let Some(found) = page.secrets.into_iter().find(|secret| secret.name == path) {
            return Ok(Some(found));
        }
        after = page.next;
        if after.is_none() {
            return Ok(None);
        }
    }
}

fn about(secret: &Secret) -> String {
    let flag = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    details(&[
        ("path", secret.name.clone()),
        ("id", secret.id.to_string()),
        ("version", secret.version.to_string()),
        ("purpose", secret.purpose.clone()),
        ("owner", secret.owner.to_string()),
        ("classification", secret.classification.clone()),
        ("in use", flag(secret.is_active)),
        ("stored", when(secret.created_at)),
        ("changed", when(secret.updated_at)),
        ("new value due", when_or_never(secret.due_at)),
        ("ends", when_or_never(secret.expires_at)),
        ("exposed", when_or_never(secret.exposed_at)),
        ("labels", secret.labels.join(" ")),
        ("assumed", secret.assumed.join(" ")),
    ])
}

fn history(versions: &Versions) -> String {
    let fate = |deleted: Option<Timestamp>, destroyed: Option<Timestamp>| match (destroyed, deleted) {
        (Some(at), _) => format!("destroyed {}", when(at)),
        (None, Some(at)) => format!("deleted from {}", when(at)),
        (None, None) => String::new(),
    };
    let heading = ["VERSION", "WRITTEN", "BY", "BYTES", "COPY OF", "FATE"];
    let rows = versions.versions.iter().map(|version| {
        vec![
            version.version.to_string(),
            when(version.created_at),
            version.changed_by.clone(),
            version.size.to_string(),
            version.restored_from_version.map(|from| from.to_string()).unwrap_or_default(),
            fate(version.deleted_at, version.destroyed_at),
        ]
    });
    let heading = heading.iter().map(|&name| name.to_owned()).collect();
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

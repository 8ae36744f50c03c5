//! Named keys.

use std::{fs, path::PathBuf, time::Duration};

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use uuid::Uuid;
use writ_client::Client;
use writ_wire::keys::{CreateKey, Key, KeyList, KeyVersions, PublicKey, RotatedKey};

use crate::{
    args::duration,
    commands::{Context, vault::Where},
    input,
    listing::with_query,
    output::{Failure, details, print, table, when, when_or_never},
};

/// Named keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create one.
    Create {
        #[command(flatten)]
        place: Where,
        /// What it is called.
        name: String,
        /// `ml-kem-768` (for encryption, unless told), `ml-kem-512`, `ml-kem-1024`, `aes256-gcm96`, `ml-dsa-44`,
        /// `ml-dsa-65`, `ml-dsa-87`, `ed25519`, `ecdsa-p256`, `rsa-2048`, `hmac` and others.
        #[arg(long)]
        algorithm: Option<String>,
        /// What to know about it.
        #[arg(long)]
        description: Option<String>,
        /// Make a new version this often, like `30d`.
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        rotate_every: Option<Duration>,
        /// Use it for its purpose when no key is named.
        #[arg(long)]
        default: bool,
        /// Let those who may export take its secret part away. It cannot be changed later.
        #[arg(long)]
        exportable: bool,
    },
    /// List them.
    List {
        #[command(flatten)]
        place: Where,
    },
    /// Say what is known about one, and its versions.
    Show {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
    },
    /// Make a new version. Older versions go on decrypting and verifying.
    Rotate {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
    },
    /// Set the oldest version that decrypts and verifies.
    MinVersion {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
        /// The oldest version.
        version: u32,
    },
    /// Print its public half.
    Public {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
        /// The form.
        #[arg(long, value_enum, default_value_t = Form::Pem)]
        format: Form,
        /// The version; the newest unless told.
        #[arg(long)]
        version: Option<u32>,
    },
    /// Use it for its purpose when no key is named.
    Default {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
    },
    /// Take it out of use.
    Disable {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
    },
    /// Put it back into use.
    Enable {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
    },
    /// Schedule its end. Until then it cannot be used, and the end can be called off.
    Delete {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
        /// In so many days, 0 to 30; 0 destroys it at once, and whatever it encrypted with it.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=30))]
        days: u32,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Call its end off.
    Keep {
        #[command(flatten)]
        place: Where,
        /// Its name or id.
        key: String,
    },
    /// Bring a key that was made elsewhere.
    Import {
        #[command(flatten)]
        place: Where,
        /// What it is called.
        name: String,
        /// Its algorithm.
        #[arg(long)]
        algorithm: String,
        /// The file it is in: PEM, or JWK.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// `pem` or `jwk`.
        #[arg(long, value_enum, default_value_t = Form::Pem)]
        format: Form,
        /// Only the public half is brought.
        #[arg(long)]
        public_only: bool,
    },
}

/// How a key is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Form {
    /// Textual encoding (RFC 7468).
    Pem,
    /// JSON Web Key.
    Jwk,
    /// Bare bytes, in base64.
    Raw,
    /// DER, in base64.
    Der,
}

impl Form {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pem => "pem",
            Self::Jwk => "jwk",
            Self::Raw => "raw",
            Self::Der => "der",
        }
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::Create { place, name, algorithm, description, rotate_every, default, exportable } => {
            let wanted = CreateKey {
                name,
                algorithm,
                description,
                environment: place.env,
                rotate_every_seconds: rotate_every.map(|period| period.as_secs()),
                set_as_default: default,
                exportable,
                ..CreateKey::default()
            };
            let key: Key = client.post("/api/v1/keys", &wanted).await?;
            output.result(&key, |key| format!("`{}` is a key for {} now", key.name, key.algorithm));
        }
        Command::List { place } => output.result(&every(&client, &place).await?, |keys| list(keys)),
        Command::Show { place, key } => {
            let key = find(&client, &place, &key).await?;
            let versions: KeyVersions = client.get(&format!("/api/v1/keys/{}/versions", key.id)).await?;
            output.result(&json!({ "key": key, "versions": versions.versions }), |_| show(&key, &versions));
        }
        Command::Rotate { place, key } => {
            let id = find(&client, &place, &key).await?.id;
            let rotated: RotatedKey = client.post(&format!("/api/v1/keys/{id}/rotate"), &json!({})).await?;
            output.result(&rotated, |rotated| format!("version {} is used now", rotated.new_version));
        }
        Command::Public { place, key, format, version } => {
            let id = find(&client, &place, &key).await?.id;
            let mut query = vec![("format", format.as_str().to_owned())];
            query.extend(version.map(|version| ("version", version.to_string())));
            let public: PublicKey =
                client.get(&with_query(&format!("/api/v1/keys/{id}/public-key"), &query)?).await?;
            if output.is_json() {
                output.result(&public, |_| String::new());
            } else {
                print(public.public_key.trim_end());
            }
        }
        other => change(context, &client, other).await?,
    }
    Ok(())
}

/// What changes a key and has no result of its own.
async fn change(context: &Context, client: &Client, command: Command) -> Result<(), Failure> {
    let id = async |place: &Where, key: &str| Ok::<_, Failure>(find(client, place, key).await?.id);
    let done = match command {
        Command::MinVersion { place, key, version } => {
            let path = format!("/api/v1/keys/{}/min-decryption-version", id(&place, &key).await?);
            let wanted = json!({ "minDecryptionVersion": version });
            client.put::<_, serde_json::Value>(&path, &wanted).await?;
            format!("versions before {version} decrypt no more")
        }
        Command::Default { place, key } => {
            let path = format!("/api/v1/keys/{}/set-default", id(&place, &key).await?);
            client.post::<_, serde_json::Value>(&path, &json!({})).await?;
            "it is the default now".to_owned()
        }
        Command::Disable { place, key } => turn(client, id(&place, &key).await?, "disabled").await?,
        Command::Enable { place, key } => turn(client, id(&place, &key).await?, "active").await?,
        Command::Delete { place, key, days, yes } => {
            let id = id(&place, &key).await?;
            let question =
                format!("What `{key}` encrypted cannot be read any more, in {days} days for good.");
            if !yes && !input::confirm(&question, "say `--yes`")? {
                context.output.note("nothing was changed");
                return Ok(());
            }
            client.delete::<()>(&format!("/api/v1/keys/{id}?scheduleDays={days}")).await?;
            format!("it ends in {days} days")
        }
        Command::Keep { place, key } => {
            let path = format!("/api/v1/keys/{}/cancel-deletion", id(&place, &key).await?);
            client.post::<_, serde_json::Value>(&path, &json!({})).await?;
            "it stays".to_owned()
        }
        Command::Import { place, name, algorithm, file, format, public_only } => {
            let material = fs::read_to_string(&file)
                .map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", file.display())))?;
            let wanted = json!({
                "name": name, "algorithm": algorithm, "keyMaterial": material.trim(), "environment": place.env,
                "format": format.as_str(), "publicKeyOnly": public_only,
            });
            let key: Key = client.post("/api/v1/keys/import", &wanted).await?;
            format!("`{}` is a key for {} now", key.name, key.algorithm)
        }
        _ => return Err(Failure::internal("a command", &"nobody does it")),
    };
    context.output.done(done);
    Ok(())
}

async fn turn(client: &Client, id: Uuid, status: &str) -> Result<String, Failure> {
    client.patch::<_, serde_json::Value>(&format!("/api/v1/keys/{id}"), &json!({ "status": status })).await?;
    Ok(format!("it is {status} now"))
}

async fn every(client: &Client, place: &Where) -> Result<Vec<Key>, Failure> {
    let (mut all, mut page) = (Vec::new(), 1_u32);
    loop {
        let mut query = place.query();
        query.extend([("page", page.to_string()), ("pageSize", "200".to_owned())]);
        let listed: KeyList = client.get(&with_query("/api/v1/keys", &query)?).await?;
        all.extend(listed.keys);
        if !listed.has_more {
            return Ok(all);
        }
        page += 1;
    }
}

/// The key that is meant by a name or an id.
pub(crate) async fn find(client: &Client, place: &Where, key: &str) -> Result<Key, Failure> {
    if let Ok(id) = key.parse::<Uuid>() {
        return Ok(client.get(&format!("/api/v1/keys/{id}")).await?);
    }
    let found = every(client, place).await?.into_iter().find(|known| known.name == key);
    found.ok_or_else(|| {
        Failure::new(1, "not_found", format!("there is no key `{key}`")).hint("see `writ keys list`")
    })
}

fn list(keys: &[Key]) -> String {
    let heading = ["NAME", "ALGORITHM", "VERSION", "STATE", "DEFAULT", "ROTATES", "ID"];
    let rows = keys.iter().map(|key| {
        vec![
            key.name.clone(),
            key.algorithm.clone(),
            key.version.to_string(),
            key.state.clone(),
            if key.is_default { "yes" } else { "" }.to_owned(),
            when_or_never(key.next_rotation_at),
            key.id.to_string(),
        ]
    });
    let heading = heading.iter().map(|&name| name.to_owned()).collect();
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

fn show(key: &Key, versions: &KeyVersions) -> String {
    let about = details(&[
        ("name", key.name.clone()),
        ("id", key.id.to_string()),
        ("algorithm", key.algorithm.clone()),
        ("state", key.state.clone()),
        ("made", when(key.created_at)),
        ("oldest that decrypts", key.min_decryption_version.to_string()),
        ("next rotation", when_or_never(key.next_rotation_at)),
        ("ends", when_or_never(key.expires_at)),
        ("is destroyed", when_or_never(key.scheduled_deletion_date)),
    ]);
    let heading = ["VERSION", "MADE", "STATE"].iter().map(|&name| name.to_owned()).collect();
    let rows = versions
        .versions
        .iter()
        .map(|version| vec![version.version.to_string(), when(version.created_at), version.state.clone()]);
    let rows = table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
    format!("{about}\n\n{rows}")
}

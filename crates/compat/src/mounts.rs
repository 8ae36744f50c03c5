//! Engines and ways to sign in, at their paths.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use uuid::Uuid;
use writ_crypto::hash;
use writ_gate::Environment;
use writ_kernel::{Id, Result, Timestamp};
use writ_store::Tx;

use crate::sql;

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// `sys/`.
    System,
    /// `cubbyhole/`.
    Cubbyhole,
    /// `identity/`.
    Identity,
    /// Secrets, with or without versions.
    Kv,
    /// Named keys.
    Transit,
    /// `auth/token/`.
    Token,
    /// Role and secret id.
    AppRole,
    /// Name and password.
    UserPass,
    /// JSON Web Tokens.
    Jwt,
    /// Service account tokens.
    Kubernetes,
}

/// Whether a mount holds things or lets people in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// At its path.
    Secret,
    /// Below `auth/`.
    Auth,
}

impl Class {
    /// The word for the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Auth => "auth",
        }
    }
}

/// Every kind, by its name; the last two are only ever built in.
const KINDS: &[(&str, Kind)] = &[
    ("kv", Kind::Kv),
    ("transit", Kind::Transit),
    ("approle", Kind::AppRole),
    ("userpass", Kind::UserPass),
    ("jwt", Kind::Jwt),
    ("kubernetes", Kind::Kubernetes),
    ("token", Kind::Token),
    ("identity", Kind::Identity),
    ("cubbyhole", Kind::Cubbyhole),
    ("system", Kind::System),
];

impl Kind {
    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("unknown", |(name, _)| name)
    }

    /// Where it can be mounted.
    pub(crate) const fn class(self) -> Class {
        match self {
            Self::System | Self::Cubbyhole | Self::Identity | Self::Kv | Self::Transit => Class::Secret,
            Self::Token | Self::AppRole | Self::UserPass | Self::Jwt | Self::Kubernetes => Class::Auth,
        }
    }

    /// Whether there is one in every environment, which nobody made and nobody can remove.
    pub(crate) const fn built_in(self) -> bool {
        matches!(self, Self::System | Self::Cubbyhole | Self::Identity | Self::Token)
    }
}

/// One mount.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    pub(crate) id: Id<writ_kernel::Mount>,
    pub(crate) class: Class,
    /// With its slash, without `auth/`: `secret/`, `approle/`.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) accessor: String,
    pub(crate) description: String,
    pub(crate) local: bool,
    pub(crate) seal_wrap: bool,
    pub(crate) external_entropy: bool,
    /// What was said at mounting and by tuning; zeros are left out.
    pub(crate) config: BTreeMap<String, Value>,
    pub(crate) options: Option<BTreeMap<String, String>>,
    pub(crate) created_at: Timestamp,
}

impl Mount {
    /// The path as it stands in requests: `secret/`, `auth/approle/`.
    pub(crate) fn whole_path(&self) -> Cow<'_, str> {
        match self.class {
            Class::Secret => Cow::Borrowed(&self.path),
            Class::Auth => Cow::Owned(format!("auth/{}", self.path)),
        }
    }

    /// An option, like `version` of a `kv`.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.as_ref().and_then(|options| options.get(name)).map(String::as_str)
    }

    /// Seconds of a setting; `None` when it is zero or unset.
    pub(crate) fn seconds(&self, name: &str) -> Option<i64> {
        self.config.get(name).and_then(Value::as_i64).filter(|seconds| *seconds > 0)
    }

    /// The mount as it is listed.
    pub(crate) fn to_json(&self) -> Value {
        let mut config = json!({ "default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": false });
        if self.class == Class::Auth
            && let Some(config) = config.as_object_mut()
        {
            config.insert("token_type".to_owned(), json!("default-service"));
        }
        if let Some(config) = config.as_object_mut() {
            config.extend(self.config.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        json!({
            "accessor": self.accessor,
            "config": config,
            "description": self.description,
            "external_entropy_access": self.external_entropy,
            "local": self.local,
            "options": self.options,
            "plugin_version": "",
            "running_plugin_version": concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.writ"),
            "running_sha256": "",
            "seal_wrap": self.seal_wrap,
            "type": self.kind.name(),
            "uuid": self.id,
        })
    }
}

/// The mounts of an environment: those of the database, and those that every environment has.
///
/// # Errors
/// When the database fails.
pub(crate) async fn load(tx: &mut Tx, environment: &Environment) -> Result<Vec<Arc<Mount>>> {
    let stored = sql::mounts(tx, environment.id.uuid()).await?;
    let missing = BUILT_IN.iter().map(|(kind, description)| built_in(environment, *kind, description));
    let missing: Vec<_> = missing.filter(|mount| stored.iter().all(|known| known.id != mount.id)).collect();
    let mut mounts: Vec<_> = stored.into_iter().chain(missing).map(Arc::new).collect();
    mounts.sort_by(|one, other| (one.class, &one.path).cmp(&(other.class, &other.path)));
    Ok(mounts)
}

const BUILT_IN: &[(Kind, &str)] = &[
    (Kind::System, "system endpoints used for control, policy and debugging"),
    (Kind::Cubbyhole, "per-token private secret storage"),
    (Kind::Identity, "identity store"),
    (Kind::Token, "token based credentials"),
];

/// A mount that every environment has from its beginning. Its names follow from the environment's, so that it needs no
/// row until somebody tunes it.
fn built_in(environment: &Environment, kind: Kind, description: &str) -> Mount {
    let digest = hash::sha256(format!("{}|{}", environment.id, kind.name()).as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    Mount {
        id: Id::from_uuid(id),
        class: kind.class(),
        path: if kind == Kind::System { "sys/".to_owned() } else { format!("{}/", kind.name()) },
        kind,
        accessor: accessor(kind, id),
        description: description.to_owned(),
        local: kind == Kind::Cubbyhole,
        seal_wrap: kind == Kind::System,
        external_entropy: false,
        config: BTreeMap::new(),
        options: None,
        created_at: environment.created_at,
    }
}

/// The accessor of a mount.
pub(crate) fn accessor(kind: Kind, id: Uuid) -> String {
    let digest = hash::hex(&hash::sha256(id.as_bytes()));
    let short: String = digest.chars().take(8).collect();
    let prefix = if kind.class() == Class::Auth { "auth_" } else { "" };
    format!("{prefix}{}_{short}", kind.name())
}

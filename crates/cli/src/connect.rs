//! Which server to talk to, and as whom.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use writ_client::{Client, Config, Pin, Token, Trust};
use writ_crypto::Entropy;

use crate::{args::Connection, output::Failure};

/// Whoever types is told to try again later rather than kept waiting for longer than this.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `writ login` keeps: the file is readable by its owner only.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authority: Option<PathBuf>,
    pub(crate) token: String,
}

impl Profile {
    /// The file of the profile.
    pub(crate) fn path() -> Result<PathBuf, Failure> {
        let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
        let base = base.ok_or_else(|| Failure::usage("neither XDG_CONFIG_HOME nor HOME is set"))?;
        Ok(base.join("writ/profile.json"))
    }

    /// The kept profile, if there is one.
    pub(crate) fn load() -> Result<Option<Self>, Failure> {
        let path = Self::path()?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::internal("the profile cannot be read", &error)),
        };
        let malformed = |_| {
            Failure::usage(format!("`{}` is malformed", path.display())).hint("remove it and log in again")
        };
        serde_json::from_str(&text).map(Some).map_err(malformed)
    }

    /// Keeps the profile for the commands that follow.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::internal("the profile cannot be written", &error);
        let path = Self::path()?;
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        }
        let fresh = path.with_extension("new");
        let _ = fs::remove_file(&fresh);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
        let text = serde_json::to_string(self).map_err(|error| Failure::internal("profile", &error))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&fresh, &path).map_err(failed)
    }

    /// Forgets the profile.
    pub(crate) fn remove() -> Result<(), Failure> {
        match fs::remove_file(Self::path()?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::internal("the profile cannot be removed", &error))
            }
            _ => Ok(()),
        }
    }
}

/// A client as the options, the environment and the profile say, in that order, with a token if there is one.
///
/// The profile speaks of one server only: for another one neither its pin nor its token is used.
pub(crate) fn client(options: &Connection) -> Result<Client, Failure> {
    let profile = Profile::load()?;
    let meant = |profile: &&Profile| options.server.as_ref().is_none_or(|server| *server == profile.server);
    let kept = profile.as_ref().filter(meant);
    let server = options.server.clone().or_else(|| kept.map(|profile| profile.server.clone()));
    let server = server.ok_or_else(|| {
        Failure::usage("no server is named").hint("log in with `writ login`, or give --server and --pin")
    })?;
    let (mut pin, mut authority) = (options.pin.clone(), options.authority.clone());
    if pin.is_none() && authority.is_none() {
        pin = kept.and_then(|profile| profile.pin.clone());
        authority = kept.and_then(|profile| profile.authority.clone());
    }
    let token = options.token.clone().or_else(|| kept.map(|profile| profile.token.clone()));
    connect(&server, pin.as_deref(), authority, token)
}

/// A client of `server`, which is known by its pinned certificate or by its authority.
pub(crate) fn connect(
    server: &str,
    pin: Option<&str>,
    authority: Option<PathBuf>,
    token: Option<String>,
) -> Result<Client, Failure> {
    let trust = match (pin, authority) {
        (Some(pin), _) => Trust::Pin(parse_pin(pin)?),
        (None, Some(authority)) => Trust::Authority(authority),
        (None, None) if server.starts_with("http://") => Trust::Loopback,
        (None, None) => {
            return Err(Failure::usage("nothing says how to know the server")
                .hint("give --pin with the SHA-256 of its certificate, or --authority with a CA file"));
        }
    };
    let mut config = Config::new(server, trust, Arc::new(Entropy::os()));
    config.patience = PATIENCE;
    config.token = token.map(Token::new).transpose()?;
    Ok(Client::new(config)?)
}

fn parse_pin(text: &str) -> Result<Pin, Failure> {
    Ok(text.trim().parse()?)
}

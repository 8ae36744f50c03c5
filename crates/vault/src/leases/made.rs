//! What is made for a lease, and unmade: the way from an engine's words to a target's.

use std::time::Duration;

use uuid::Uuid;
use writ_crypto::SecretString;
use writ_kernel::{Error, Result, Scopes, TenantId, Timestamp, World};
use writ_seal::TenantKeys;
use writ_targets::{
    aws::{Account, Wanted},
    password::Recipe,
    postgres::{self, Postgres, Template},
};
use writ_wire::leases::{EngineConfig, RoleSpec, Tls};

use super::{
    model::{EngineRecord, LeaseRecord, Leases, Parts},
    ports::Key,
};

/// Where an engine makes credentials, with what it works there with.
pub(crate) enum Target {
    Postgres(Postgres),
    Aws(Account),
    Tokens(Uuid),
}

/// What a target says of a credential that is to end.
pub(crate) enum Unmade {
    /// It does not work any more.
    Over,
    /// It cannot be ended and works until then.
    Until(Timestamp),
}

impl Target {
    /// The target of an engine, its credential opened.
    pub(crate) fn open(engine: &EngineRecord, tenant: TenantId, keys: &TenantKeys) -> Result<Self> {
        let opened =
            engine.sealed.as_ref().map(|sealed| keys.open(&engine.aad(tenant), sealed)).transpose()?;
        let text = opened.map(|bytes| String::from_utf8(bytes.expose().to_vec())).transpose();
        let text = text.map_err(|_| Error::internal("an engine's credential is not text"))?;
        Self::of(&engine.config, text.map(SecretString::new))
    }

    fn of(config: &EngineConfig, credential: Option<SecretString>) -> Result<Self> {
        let needed = || {
            Error::invalid("credential_needed", "an engine of this kind works with a credential")
                .at("credential")
        };
        Ok(match config {
            EngineConfig::Postgres { host, port, database, username, tls, ca } => Self::Postgres(Postgres {
                server: postgres::Server {
                    host: host.clone(),
                    port: *port,
                    database: database.clone(),
                    tls: match tls {
                        Tls::Prefer => postgres::Tls::Prefer,
                        Tls::Require => postgres::Tls::Require,
                        Tls::Verify => postgres::Tls::Verify,
                    },
                    ca: ca.clone(),
                },
                username: username.clone(),
                password: credential.ok_or_else(needed)?,
            }),
            EngineConfig::Aws { region, endpoint, access_key_id } => Self::Aws(Account {
                region: region.clone(),
                endpoint: endpoint.clone(),
                access_key_id: access_key_id.clone(),
                secret_access_key: credential.ok_or_else(needed)?,
            }),
            EngineConfig::Tokens { service } => {
                if credential.is_some() {
                    return Err(Error::invalid(
                        "credential_unneeded",
                        "this engine works with no credential",
                    )
                    .at("credential"));
                }
                Self::Tokens(*service)
            }
        })
    }

    /// Whether there can be such a target.
    ///
    /// # Errors
    /// `Invalid`.
    pub(crate) fn check(config: &EngineConfig, credential: Option<&str>, world: &World) -> Result<()> {
        let credential = credential.map(|text| SecretString::new(text.to_owned()));
        match Self::of(config, credential)? {
            Self::Postgres(postgres) => check_server(&postgres),
            Self::Aws(account) => account.check(world).map_err(|error| error.at("config")),
            Self::Tokens(_) => Ok(()),
        }
    }

    /// Makes the credential of a lease.
    pub(crate) async fn make(&self, leases: &Leases, tenant: TenantId, lease: &LeaseRecord) -> Result<Parts> {
        let world = leases.gate().world();
        match (self, &lease.spec) {
            (Self::Postgres(server), RoleSpec::Postgres { creation, .. }) => {
                let password = Recipe::default().make(world);
                let creation = Template::parse(creation)?;
                server.make(&creation, &lease.handle, &password, lease.expires_at).await?;
                let username = SecretString::new(lease.handle.clone());
                Ok(vec![("username", username), ("password", password)])
            }
            (Self::Aws(account), RoleSpec::Aws { .. }) => {
                let seconds = super::model::seconds(lease.expires_at.since(lease.issued_at));
                let wanted = wanted(&lease.spec, &lease.handle, seconds)?;
                let session = account.session(world, &wanted).await?;
                Ok(vec![
                    ("accessKeyId", session.access_key_id),
                    ("secretAccessKey", session.secret_access_key),
                    ("sessionToken", session.session_token),
                ])
            }
            (Self::Tokens(service), RoleSpec::Tokens { scopes }) => {
                let wanted = Key {
                    id: key(lease)?,
                    service: *service,
                    scopes: scopes.join(" ").parse()?,
                    until: lease.expires_at,
                    label: format!("lease {}", lease.id),
                };
                let token = leases.0.tokens.lend(tenant, wanted).await?;
                Ok(vec![("token", token)])
            }
            _ => Err(other_kind()),
        }
    }

    /// Lets the credential of a lease live until another time.
    pub(crate) async fn extend(&self, lease: &LeaseRecord, until: Timestamp) -> Result<()> {
        match (self, &lease.spec) {
            (Self::Postgres(server), RoleSpec::Postgres { renewal, .. }) => {
                let renewal = renewal.as_deref().map(Template::parse).transpose()?;
                server.extend(renewal.as_ref(), &lease.handle, until).await
            }
            _ => Err(other_kind()),
        }
    }

    /// Ends the credential of a lease, whether or not it was ever made.
    pub(crate) async fn unmake(
        &self,
        leases: &Leases,
        tenant: TenantId,
        lease: &LeaseRecord,
    ) -> Result<Unmade> {
        match (self, &lease.spec) {
            (Self::Postgres(server), RoleSpec::Postgres { revocation, .. }) => {
                let revocation = revocation.as_deref().map(Template::parse).transpose()?;
                server.unmake(revocation.as_ref(), &lease.handle).await?;
                Ok(Unmade::Over)
            }
            (Self::Aws(_), RoleSpec::Aws { .. }) => {
                // Nobody can close a session: it is over when its time is, as Amazon counts it.
                let over = lease.expires_at.plus(AMAZONS_CLOCK);
                let now = leases.gate().world().now();
                Ok(if now >= over { Unmade::Over } else { Unmade::Until(over) })
            }
            (Self::Tokens(_), RoleSpec::Tokens { .. }) => {
                leases.0.tokens.withdraw(tenant, key(lease)?).await?;
                Ok(Unmade::Over)
            }
            _ => Err(other_kind()),
        }
    }
}

/// How far Amazon's clock may be from ours.
const AMAZONS_CLOCK: Duration = Duration::from_mins(5);

/// Whether the leases of a role can be borrowed for longer: what the target can extend. A session and a key cannot.
pub(crate) fn renewable(spec: &RoleSpec) -> bool {
    matches!(spec, RoleSpec::Postgres { .. })
}

/// What the target will know a lease by: says whose it is to whoever looks there, and is not a secret.
pub(crate) fn handle(spec: &RoleSpec, role: &str, lease: Uuid) -> String {
    match spec {
        RoleSpec::Postgres { .. } | RoleSpec::Aws { .. } => format!("writ-{role:.20}-{}", lease.simple()),
        RoleSpec::Tokens { .. } => lease.to_string(),
    }
}

/// Whether a role can be one of an engine.
///
/// # Errors
/// `Invalid`.
pub(crate) fn check_role(
    config: &EngineConfig,
    spec: &RoleSpec,
    default_ttl: Duration,
    max_ttl: Duration,
) -> Result<()> {
    let checked = match (config, spec) {
        (EngineConfig::Postgres { .. }, RoleSpec::Postgres { creation, renewal, revocation }) => {
            check_templates(creation, renewal.as_deref(), revocation.as_deref())
        }
        (EngineConfig::Aws { .. }, RoleSpec::Aws { .. }) => {
            let most = super::model::seconds(max_ttl);
            let named = handle(spec, "role", Uuid::nil());
            wanted(spec, &named, super::model::seconds(default_ttl))
                .and_then(|wanted| wanted.check())
                .and_then(|()| wanted(spec, &named, most)?.check())
        }
        (EngineConfig::Tokens { .. }, RoleSpec::Tokens { scopes }) => {
            scopes.join(" ").parse::<Scopes>().map(drop)
        }
        _ => Err(Error::invalid("other_kind", "the role is not of the engine's kind")),
    };
    checked.map_err(|error| error.at("spec"))
}

fn check_templates(creation: &str, renewal: Option<&str>, revocation: Option<&str>) -> Result<()> {
    let creation = Template::parse(creation)?;
    if creation.speaks_of() != (true, true) || !creation.expires() {
        return Err(Error::invalid(
            "malformed_template",
            "`creation` needs `{{name}}`, `{{password}}` and `{{expiration}}`",
        )
        .hint("`VALID UNTIL {{expiration}}` has the server end the role even when nobody tells it to"));
    }
    for (what, text) in [("renewal", renewal), ("revocation", revocation)] {
        if let Some(text) = text
            && Template::parse(text)?.speaks_of() != (true, false)
        {
            return Err(Error::invalid(
                "malformed_template",
                format!("`{what}` needs `{{{{name}}}}` and knows no `{{{{password}}}}`"),
            ));
        }
    }
    Ok(())
}

fn check_server(postgres: &Postgres) -> Result<()> {
    let texts = [&postgres.server.host, &postgres.server.database, &postgres.username];
    let fits = |text: &&String| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    // A directory would be a socket of this very machine.
    if !texts.iter().all(fits) || postgres.server.host.contains('/') || postgres.server.port == 0 {
        return Err(Error::invalid(
            "malformed_server",
            "a server has a host, a port, a database and a username",
        )
        .at("config"));
    }
    Ok(())
}

fn wanted<'a>(spec: &'a RoleSpec, name: &'a str, seconds: u32) -> Result<Wanted<'a>> {
    let RoleSpec::Aws { role_arn, external_id, policy, policy_arns } = spec else { return Err(other_kind()) };
    Ok(Wanted { role_arn, external_id, name, seconds, policy: policy.as_deref(), policy_arns })
}

fn key(lease: &LeaseRecord) -> Result<Uuid> {
    Uuid::try_parse(&lease.handle).map_err(|_| Error::internal("a lent key has no id"))
}

fn other_kind() -> Error {
    Error::internal("a lease is not of its engine's kind")
}

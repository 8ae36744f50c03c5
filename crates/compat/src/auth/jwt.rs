//! `jwt`: a token that an issuer signed (RFC 7519), checked against keys that are configured or published.

mod keys;
mod roles;
mod token;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use writ_gate::Done;
use writ_kernel::Action;

use self::roles::{Role, role_at};
use super::sign_in::{self, Proven};
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    kept, outside,
    reply::Reply,
};

const CONFIG: &str = "config";

/// Whose tokens are believed. Kept at `config`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Config {
    oidc_discovery_url: String,
    oidc_discovery_ca_pem: String,
    jwks_url: String,
    jwks_ca_pem: String,
    jwt_validation_pubkeys: Vec<String>,
    jwt_supported_algs: Vec<String>,
    bound_issuer: String,
    default_role: String,
}

/// Answers for the mount.
pub(crate) async fn handle(dialect: &Dialect, ask: &Ask) -> Answer {
    let rest = ask.rest.trim_end_matches('/');
    let (area, name) = rest.split_once('/').unwrap_or((rest, ""));
    match (area, name, ask.operation) {
        ("login", "", Operation::Write) => login(dialect, ask).await,
        ("config", "", Operation::Write) => configure(dialect, ask).await,
        ("config", "", Operation::Read) => {
            let config: Config = kept::need(dialect, ask, Action::AuthRead, CONFIG).await?;
            let mut shown = json!(config);
            if let Some(shown) = shown.as_object_mut() {
                shown.extend(
                    ["oidc_client_id", "oidc_response_mode"].map(|name| (name.to_owned(), json!(""))),
                );
                shown.insert("oidc_response_types".to_owned(), json!([]));
                shown.insert("provider_config".to_owned(), json!({}));
                shown.insert("namespace_in_state".to_owned(), json!(true));
            }
            Ok(Reply::data(&shown))
        }
        ("role", "", Operation::List) => kept::list(dialect, ask, Action::AuthRead, "role/").await,
        ("role", "", _) => Err(Fault::unsupported_path()),
        ("role", name, _) => roles::handle(dialect, ask, name).await,
        ("config", ..) => Err(Fault::unsupported_operation()),
        _ => Err(Fault::unsupported_path()),
    }
}

async fn configure(dialect: &Dialect, ask: &Ask) -> Answer {
    let fields = &ask.fields;
    let text = |name: &str| -> Result<String, Fault> { Ok(fields.text(name)?.unwrap_or_default()) };
    let list = |name: &str| -> Result<Vec<String>, Fault> { Ok(fields.list(name)?.unwrap_or_default()) };
    let config = Config {
        oidc_discovery_url: text("oidc_discovery_url")?.trim_end_matches('/').to_owned(),
        oidc_discovery_ca_pem: text("oidc_discovery_ca_pem")?,
        jwks_url: text("jwks_url")?,
        jwks_ca_pem: text("jwks_ca_pem")?,
        jwt_validation_pubkeys: list("jwt_validation_pubkeys")?,
        jwt_supported_algs: list("jwt_supported_algs")?,
        bound_issuer: text("bound_issuer")?,
        default_role: text("default_role")?,
    };
    let sources = [
        !config.oidc_discovery_url.is_empty(),
        !config.jwks_url.is_empty(),
        !config.jwt_validation_pubkeys.is_empty(),
    ];
    if sources.iter().filter(|source| **source).count() != 1 {
        return Err(Fault::invalid(
            "exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set",
        ));
    }
    if !text("oidc_client_id")?.is_empty() || !text("oidc_client_secret")?.is_empty() {
        return Err(Fault::invalid(
            "signing in by browser is not supported: 'oidc_client_id' must not be set",
        ));
    }
    for url in [&config.oidc_discovery_url, &config.jwks_url].into_iter().filter(|url| !url.is_empty()) {
        outside::address(url)?;
    }
    for key in &config.jwt_validation_pubkeys {
        keys::pem(key).map_err(|_| Fault::invalid("error parsing public key"))?;
    }
    if let Some(unknown) = config.jwt_supported_algs.iter().find(|name| !token::supports(name)) {
        return Err(Fault::invalid(format!("unsupported signing algorithm: {}", unknown.escape_debug())));
    }
    let detail = json!({ "issuer": config.bound_issuer });
    kept::put(dialect, ask, Action::AuthWrite, CONFIG, &config, Done::with(detail)).await?;
    Ok(Reply::Nothing)
}

async fn login(dialect: &Dialect, ask: &Ask) -> Answer {
    let config: Option<Config> = kept::peek(dialect, ask, CONFIG).await?;
    let config = config.ok_or_else(|| Fault::invalid("could not load configuration"))?;
    let name = ask.fields.text("role")?.filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| config.default_role.clone()).to_lowercase();
    if name.is_empty() {
        return Err(Fault::invalid("missing role"));
    }
    let jwt = ask.fields.required("jwt").map_err(|_| Fault::invalid("missing token"))?;
    let role: Option<Role> = kept::peek(dialect, ask, &role_at(&name)).await?;
    let subject = role.as_ref().map_or(ask.mount.id.uuid(), |role| role.id);
    // Whoever is too hasty does not get us to ask an issuer.
    drop(sign_in::enter(dialect, ask, subject).await?);
    let now = dialect.world().now();
    let believed = match &role {
        Some(role) => believed((&config, dialect.terms().private_networks), role, &jwt, now).await,
        None => Err(Doubt::Because(format!("role \"{}\" could not be found", name.escape_debug()))),
    };
    let entry = sign_in::enter(dialect, ask, subject).await?;
    let (role, claims) = match (role, believed) {
        (Some(role), Ok(claims)) => (role, claims),
        (_, Err(Doubt::Unasked(error))) => return Err(entry.refuse(error).await.into()),
        (_, Err(Doubt::Because(why))) => return Err(sign_in::refuse(entry, &why).await),
        (None, Ok(_)) => return Err(sign_in::refuse(entry, "permission denied").await),
    };
    let alias = match claims.get(&role.user_claim).and_then(Value::as_str) {
        Some(alias) if !alias.is_empty() => alias.to_owned(),
        _ => {
            let why = format!("claim \"{}\" not found in token", role.user_claim.escape_debug());
            return Err(sign_in::refuse(entry, &why).await);
        }
    };
    let mut metadata = role.mapped(&claims);
    let alias_metadata = metadata.clone();
    metadata.insert("role".to_owned(), name.clone());
    let proven = Proven {
        terms: &role.terms,
        display_name: format!("{}-{alias}", ask.mount.path.trim_end_matches('/')),
        alias,
        alias_metadata,
        metadata,
        role: name,
        owner: role.owner,
        cidrs: Vec::new(),
    };
    sign_in::complete(dialect, ask, entry, proven).await
}

type Claims = serde_json::Map<String, Value>;

/// Why a token is not believed.
enum Doubt {
    /// Who issued it cannot be asked for the keys.
    Unasked(writ_kernel::Error),
    /// It is not what it must be.
    Because(String),
}

/// The claims of a token that is signed by whom we believe, is of now, and is what the role demands.
async fn believed(
    (config, private_networks): (&Config, bool),
    role: &Role,
    jwt: &str,
    now: writ_kernel::Timestamp,
) -> Result<Claims, Doubt> {
    let because = |why: &str| Doubt::Because(format!("error validating token: {why}"));
    let token = token::Token::parse(jwt).map_err(because)?;
    let algorithms = &config.jwt_supported_algs;
    if !algorithms.is_empty() && !algorithms.contains(&token.algorithm) {
        return Err(because("token signed with unexpected algorithm"));
    }
    let published = keys::of(config, &token, private_networks).await.map_err(Doubt::Unasked)?;
    if !published.keys.iter().any(|key| token.is_signed_by(key)) {
        return Err(because(
            "error verifying token signature: no known key successfully validated the token signature",
        ));
    }
    let issuer = if config.bound_issuer.is_empty() { &published.issuer } else { &config.bound_issuer };
    if !issuer.is_empty() && token.claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(because("invalid issuer (iss) claim"));
    }
    token.check_times(now, &role.leeway()).map_err(because)?;
    role.demand(&token.claims).map_err(Doubt::Because)?;
    Ok(token.claims)
}

/// A map of texts out of claims, for what is told of the token.
type Metadata = BTreeMap<String, String>;

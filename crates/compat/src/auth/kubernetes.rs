//! `kubernetes`: a service account's token, for which the cluster's API server vouches (`TokenReview`,
//! `authentication.k8s.io/v1`).

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use writ_crypto::SecretString;
use writ_gate::Done;
use writ_kernel::Action;

use super::{
    sign_in::{self, Proven},
    terms::TokenTerms,
};
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    kept,
    outside::{self, Request},
    reply::Reply,
};

const CONFIG: &str = "config";
const DENIED: &str = "permission denied";

/// How the cluster is asked. Kept at `config`.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Config {
    kubernetes_host: String,
    kubernetes_ca_cert: String,
    disable_local_ca_jwt: bool,
    pem_keys: Vec<String>,
    issuer: String,
    disable_iss_validation: bool,
    /// With what we ask; the token that is shown vouches for itself when this is empty. Never told.
    token_reviewer_jwt: String,
}

/// A role. Kept at `role/<name>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Role {
    id: Uuid,
    /// Whoever made it.
    owner: Uuid,
    bound_service_account_names: Vec<String>,
    bound_service_account_namespaces: Vec<String>,
    audience: String,
    /// `serviceaccount_uid` or `serviceaccount_name`.
    alias_name_source: String,
    #[serde(flatten)]
    terms: TokenTerms,
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
            Ok(Reply::data(&json!({
                "disable_iss_validation": config.disable_iss_validation,
                "disable_local_ca_jwt": config.disable_local_ca_jwt,
                "issuer": config.issuer,
                "kubernetes_ca_cert": config.kubernetes_ca_cert,
                "kubernetes_host": config.kubernetes_host,
                "pem_keys": config.pem_keys,
                "token_reviewer_jwt_set": !config.token_reviewer_jwt.is_empty(),
            })))
        }
        ("role", "", Operation::List) => kept::list(dialect, ask, Action::AuthRead, "role/").await,
        ("role", "", _) => Err(Fault::unsupported_path()),
        ("role", name, Operation::Read) => {
            let role: Role = kept::need(dialect, ask, Action::AuthRead, &role_at(name)).await?;
            Ok(Reply::data(&Value::Object(shown(&role))))
        }
        ("role", name, Operation::Write) => write_role(dialect, ask, name).await,
        ("role", name, Operation::Delete) => {
            kept::remove(dialect, ask, Action::AuthWrite, &role_at(name)).await
        }
        ("config" | "role", ..) => Err(Fault::unsupported_operation()),
        _ => Err(Fault::unsupported_path()),
    }
}

fn role_at(name: &str) -> String {
    format!("role/{}", name.to_lowercase())
}

async fn configure(dialect: &Dialect, ask: &Ask) -> Answer {
    let fields = &ask.fields;
    let text = |name: &str| -> Result<String, Fault> { Ok(fields.text(name)?.unwrap_or_default()) };
    let config = Config {
        kubernetes_host: fields
            .required("kubernetes_host")
            .map_err(|_| Fault::invalid("no host provided"))?,
        kubernetes_ca_cert: text("kubernetes_ca_cert")?,
        disable_local_ca_jwt: fields.boolean("disable_local_ca_jwt")?.unwrap_or(false),
        pem_keys: fields.list("pem_keys")?.unwrap_or_default(),
        issuer: text("issuer")?,
        disable_iss_validation: fields.boolean("disable_iss_validation")?.unwrap_or(true),
        token_reviewer_jwt: text("token_reviewer_jwt")?,
    };
    let host = outside::address(&config.kubernetes_host)?;
    if host.query().is_some() || host.fragment().is_some() {
        return Err(Fault::invalid("kubernetes_host must have neither a query nor a fragment"));
    }
    if config.disable_local_ca_jwt && config.kubernetes_ca_cert.is_empty() {
        return Err(Fault::invalid("kubernetes_ca_cert must be given when disable_local_ca_jwt is true"));
    }
    let detail = json!({ "host": config.kubernetes_host });
    kept::put(dialect, ask, Action::AuthWrite, CONFIG, &config, Done::with(detail)).await?;
    Ok(Reply::Nothing)
}

async fn write_role(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let fields = &ask.fields;
    let known: Option<Role> = kept::peek(dialect, ask, &role_at(name)).await?;
    let mut role = match known {
        Some(role) => role,
        None => Role {
            id: dialect.world().uuid(),
            owner: ask.caller_to_write(false)?.principal.uuid(),
            bound_service_account_names: Vec::new(),
            bound_service_account_namespaces: Vec::new(),
            audience: String::new(),
            alias_name_source: "serviceaccount_uid".to_owned(),
            terms: TokenTerms { token_type: "default".to_owned(), ..TokenTerms::default() },
        },
    };
    let list =
        |name: &str, known: Vec<String>| -> Result<_, Fault> { Ok(fields.list(name)?.unwrap_or(known)) };
    role.bound_service_account_names = list("bound_service_account_names", role.bound_service_account_names)?;
    role.bound_service_account_namespaces =
        list("bound_service_account_namespaces", role.bound_service_account_namespaces)?;
    role.audience = fields.text("audience")?.unwrap_or(role.audience);
    if let Some(source) = fields.text("alias_name_source")?.filter(|source| !source.is_empty()) {
        if !matches!(&*source, "serviceaccount_uid" | "serviceaccount_name") {
            return Err(Fault::invalid("invalid alias_name_source"));
        }
        role.alias_name_source = source;
    }
    role.terms.take(fields)?;
    if role.bound_service_account_names.is_empty() {
        return Err(Fault::invalid("\"bound_service_account_names\" can not be empty"));
    }
    if role.bound_service_account_namespaces.is_empty() {
        return Err(Fault::invalid("\"bound_service_account_namespaces\" can not be empty"));
    }
    let detail = json!({ "role": name, "owner": role.owner, "policies": role.terms.token_policies });
    kept::put(dialect, ask, Action::AuthWrite, &role_at(name), &role, Done::with(detail)).await?;
    Ok(Reply::Nothing)
}

fn shown(role: &Role) -> Map<String, Value> {
    let mut members = role.terms.members();
    members.insert("alias_name_source".to_owned(), json!(role.alias_name_source));
    members.insert("audience".to_owned(), json!(role.audience));
    members.insert("bound_service_account_names".to_owned(), json!(role.bound_service_account_names));
    members
        .insert("bound_service_account_namespaces".to_owned(), json!(role.bound_service_account_namespaces));
    members
}

/// The service account for which the cluster vouches.
struct Vouched {
    name: String,
    namespace: String,
    uid: String,
}

async fn login(dialect: &Dialect, ask: &Ask) -> Answer {
    let name = ask.fields.required("role")?.to_lowercase();
    let jwt = SecretString::new(ask.fields.required("jwt")?);
    let config: Option<Config> = kept::peek(dialect, ask, CONFIG).await?;
    let role: Option<Role> = kept::peek(dialect, ask, &role_at(&name)).await?;
    let subject = role.as_ref().map_or(ask.mount.id.uuid(), |role| role.id);
    // Whoever is too hasty does not get us to ask the cluster.
    drop(sign_in::enter(dialect, ask, subject).await?);
    let config = config.ok_or_else(|| Fault::invalid("could not load backend configuration"))?;
    let vouched = match &role {
        Some(role) => vouched(&config, role, &jwt, dialect.terms().private_networks).await,
        None => Err(Denied::Because(format!("invalid role name {:?}", name.escape_debug().to_string()))),
    };
    let entry = sign_in::enter(dialect, ask, subject).await?;
    let (role, account) = match (role, vouched) {
        (Some(role), Ok(account)) => (role, account),
        (_, Err(Denied::Unasked(error))) => return Err(entry.refuse(error).await.into()),
        (_, Err(Denied::Because(why))) => return Err(sign_in::refuse(entry, &why).await),
        (None, Ok(_)) => return Err(sign_in::refuse(entry, DENIED).await),
    };
    let metadata: BTreeMap<_, _> = [
        ("role", &*name),
        ("service_account_name", &*account.name),
        ("service_account_namespace", &*account.namespace),
        ("service_account_secret_name", ""),
        ("service_account_uid", &*account.uid),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let full = format!("{}/{}", account.namespace, account.name);
    let proven = Proven {
        terms: &role.terms,
        alias: if role.alias_name_source == "serviceaccount_name" { full } else { account.uid },
        alias_metadata: metadata.clone(),
        display_name: format!(
            "{}-{}-{}",
            ask.mount.path.trim_end_matches('/'),
            account.namespace,
            account.name
        ),
        metadata,
        role: name,
        owner: role.owner,
        cidrs: Vec::new(),
    };
    sign_in::complete(dialect, ask, entry, proven).await
}

enum Denied {
    /// The cluster cannot be asked.
    Unasked(writ_kernel::Error),
    /// It was asked, or did not need to be.
    Because(String),
}

async fn vouched(
    config: &Config,
    role: &Role,
    jwt: &SecretString,
    private_networks: bool,
) -> Result<Vouched, Denied> {
    let denied = |why: &str| Denied::Because(why.to_owned());
    let mut spec = json!({ "token": jwt.expose() });
    if !role.audience.is_empty()
        && let Some(spec) = spec.as_object_mut()
    {
        spec.insert("audiences".to_owned(), json!([role.audience]));
    }
    let reviewer = SecretString::new(config.token_reviewer_jwt.clone());
    let url = format!(
        "{}/apis/authentication.k8s.io/v1/tokenreviews",
        config.kubernetes_host.trim_end_matches('/')
    );
    let request = Request {
        method: Method::POST,
        url: &url,
        private_networks,
        authorities: &config.kubernetes_ca_cert,
        bearer: Some(if reviewer.is_empty() { jwt } else { &reviewer }),
        body: Some(json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec,
        })),
    };
    let review = outside::json(request).await.map_err(Denied::Unasked)?;
    let status = review.get("status").cloned().unwrap_or_default();
    if status.get("authenticated") != Some(&Value::Bool(true)) {
        return Err(denied(DENIED));
    }
    if !role.audience.is_empty() {
        let audiences = status.get("audiences").and_then(Value::as_array).cloned().unwrap_or_default();
        if !audiences.iter().any(|audience| audience.as_str() == Some(&role.audience)) {
            return Err(denied("invalid audience (aud) claim"));
        }
    }
    let user = status.get("user").cloned().unwrap_or_default();
    let text = |name: &str| user.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let full = text("username");
    let Some(("system:serviceaccount", rest)) = full.rsplit_once(':').and_then(|(head, _)| {
        let at = head.rfind(':')?;
        Some((head.get(..at)?, full.get(at + 1..)?))
    }) else {
        return Err(denied("lookup failed: unexpected username format"));
    };
    let (namespace, name) = rest.split_once(':').unwrap_or_default();
    let uid = text("uid");
    if uid.is_empty() || namespace.is_empty() || name.is_empty() {
        return Err(denied(DENIED));
    }
    // The token says itself whose it is; the cluster must agree.
    if claimed(jwt).is_some_and(|claimed| claimed != full) {
        return Err(denied(DENIED));
    }
    let fits = |bound: &[String], value: &str| bound.iter().any(|bound| bound == "*" || bound == value);
    if !fits(&role.bound_service_account_names, name) {
        return Err(denied("service account name not authorized"));
    }
    if !fits(&role.bound_service_account_namespaces, namespace) {
        return Err(denied("namespace not authorized"));
    }
    Ok(Vouched { name: name.to_owned(), namespace: namespace.to_owned(), uid })
}

/// The subject a token claims; nothing of it is verified.
fn claimed(jwt: &SecretString) -> Option<String> {
    let payload = jwt.expose().split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()?;
    claims.get("sub").and_then(Value::as_str).map(str::to_owned)
}

//! What is asked before there is anybody, and of a sealed server: initialisation, the seal, health.

use axum::http::StatusCode;
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use http::Method;
use serde_json::{Value, json};
use writ_crypto::{SecretString, hash, token::Token as Text};
use writ_gate::{Done, Environment, Gate, Resource, tenancy, tenancy::PLATFORM};
use writ_kernel::{Action, Caller, Error, Id, Kind, Name, Principal, PrincipalKind, Result};
use writ_seal::{Protection, Seal, Status};

use crate::{
    body::Fields,
    dialect::Dialect,
    fault::{Answer, Fault},
    policy::ROOT,
    reply::Reply,
    tokens::{self, New},
};

/// The version of the dialect that is spoken, with ours: what clients compare is the first part.
pub(crate) const VERSION: &str = concat!("2.7.2+writ.", env!("CARGO_PKG_VERSION"));

/// When the dialect was last looked at.
const DATED: &str = "2026-10-26T20:32:27Z";

/// Whether `path` may be one of these.
pub(crate) fn is(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let exact = ["sys/init", "sys/seal-status", "sys/unseal", "sys/health", "sys/leader"];
    exact.contains(&path) || gone(path)
}

/// What the peer once answered to nobody in particular, and no longer does.
fn gone(path: &str) -> bool {
    path.starts_with("sys/rekey/")
        || path.starts_with("sys/generate-root/")
        || path == "sys/rekey-recovery-key"
}

/// Answers, if `path` is one of these.
pub(crate) async fn handle(
    dialect: &Dialect,
    method: &Method,
    path: &str,
    fields: &Fields,
) -> Option<Answer> {
    let reads = matches!(method.as_str(), "GET" | "HEAD");
    let writes = matches!(method.as_str(), "PUT" | "POST");
    Some(match path.trim_end_matches('/') {
        "sys/seal-status" if reads => status(dialect).await,
        "sys/health" if reads => health(dialect, fields).await,
        "sys/leader" if reads => Ok(Reply::Bare(StatusCode::OK, json!({ "ha_enabled": false }))),
        "sys/init" if reads => initialized(dialect).await,
        "sys/init" if writes => init(dialect, fields).await,
        "sys/unseal" if writes => unseal(dialect, fields).await,
        // No share is ever kept.
        "sys/rekey/backup" if reads => Err(Fault::invalid("no backed-up keys found")),
        path if is(path) => Err(Fault::status(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation")),
        _ => return None,
    })
}

async fn status(dialect: &Dialect) -> Answer {
    let status = dialect.seal().status().await?;
    Ok(Reply::Bare(StatusCode::OK, shown(dialect, &status).await?))
}

async fn shown(dialect: &Dialect, status: &Status) -> Result<Value> {
    let threshold = status.threshold.unwrap_or(u8::from(status.initialized));
    let mut shown = json!({
        "type": "shamir",
        "initialized": status.initialized,
        "sealed": status.sealed,
        "t": threshold,
        "n": status.shares.unwrap_or(threshold),
        "progress": status.progress,
        "nonce": "",
        "version": VERSION,
        "commit_date": DATED,
        "migration": false,
        "recovery_seal": false,
        "storage_type": "writ",
    });
    if !status.sealed
        && let Some(shown) = shown.as_object_mut()
    {
        let (name, id) = cluster(dialect).await?;
        shown.insert("cluster_name".to_owned(), json!(name));
        shown.insert("cluster_id".to_owned(), json!(id));
    }
    Ok(shown)
}

/// What this installation calls itself: follows from the name of its platform's log.
pub(super) async fn cluster(dialect: &Dialect) -> Result<(String, String)> {
    let mut tx = dialect.gate().db().read(PLATFORM).await?;
    let log = tenancy::tenant(&mut tx).await?.log;
    let digest = hash::sha256(log.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    let short: String = hash::hex(&digest).chars().take(8).collect();
    Ok((format!("writ-cluster-{short}"), id.to_string()))
}

/// Health, by its status code; probes may ask for other codes.
async fn health(dialect: &Dialect, fields: &Fields) -> Answer {
    let status = dialect.seal().status().await?;
    let code = |name: &str, otherwise: u16| -> Result<StatusCode, Fault> {
        let Some(code) = fields.integer(name)? else {
            return Ok(StatusCode::from_u16(otherwise).unwrap_or(StatusCode::OK));
        };
        let code = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
        code.ok_or_else(|| Fault::invalid(format!("bad value for {name}")))
    };
    let code = match (status.initialized, status.sealed) {
        (false, _) => code("uninitcode", 501)?,
        (true, true) => code("sealedcode", 503)?,
        (true, false) => code("activecode", 200)?,
    };
    let mut body = json!({
        "initialized": status.initialized,
        "sealed": status.sealed,
        "standby": status.sealed,
        "replication_performance_mode": if status.sealed { "unknown" } else { "disabled" },
        "replication_dr_mode": if status.sealed { "unknown" } else { "disabled" },
        "server_time_utc": dialect.world().now().seconds(),
        "version": VERSION,
    });
    if !status.sealed
        && let Some(body) = body.as_object_mut()
    {
        let (name, id) = cluster(dialect).await?;
        body.insert("cluster_name".to_owned(), json!(name));
        body.insert("cluster_id".to_owned(), json!(id));
    }
    Ok(Reply::Bare(code, body))
}

async fn initialized(dialect: &Dialect) -> Answer {
    let status = dialect.seal().status().await?;
    Ok(Reply::Bare(StatusCode::OK, json!({ "initialized": status.initialized })))
}

/// Initialises the server with shares, and makes the platform's environment `root` with a token that lets a client of
/// the dialect begin. The first administrator's own enrolment token is in the answer, too.
async fn init(dialect: &Dialect, fields: &Fields) -> Answer {
    if dialect.seal().status().await?.initialized {
        return Err(Fault::invalid("Vault is already initialized"));
    }
    for unsupported in ["pgp_keys", "root_token_pgp_key", "recovery_pgp_keys"] {
        if fields.text(unsupported).is_err() || fields.text(unsupported)?.is_some_and(|text| !text.is_empty())
        {
            return Err(Fault::invalid(format!("{unsupported} is not supported")));
        }
    }
    let shares = fields.integer("secret_shares")?.unwrap_or(5);
    let threshold =
        fields.integer("secret_threshold")?.unwrap_or(if shares == 1 { 1 } else { 3.min(shares) });
    let number = |number: i64, what: &str| {
        u8::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| Fault::invalid(format!("invalid {what}")))
    };
    let (shares, threshold) = (number(shares, "secret_shares")?, number(threshold, "secret_threshold")?);
    let world = dialect.world().clone();
    let (protection, alone) = match (threshold, shares) {
        // One share that opens alone is a passphrase.
        (1, 1) => {
            let (passphrase, _) = Text::generate(&world, "unseal");
            let alone = SecretString::new(passphrase.expose().to_owned());
            (Protection::Passphrase(passphrase), Some(alone))
        }
        _ => (Protection::Shamir { threshold, shares }, None),
    };
    let (gate, root_ttl) = (dialect.gate().clone(), dialect.terms().root_ttl.as_secs());
    // A task of its own: a client that goes away must not leave keys held that were never written.
    let begun =
        tokio::spawn(
            async move { begin(&gate, protection, i64::try_from(root_ttl).unwrap_or(i64::MAX)).await },
        );
    let begun = begun.await;
    dialect.keys().forget();
    let begun = begun.map_err(|error| Error::internal("the beginning broke off").because(error))?;
    let begun = begun.map_err(|error| match error.kind() {
        Kind::Conflict => Fault::invalid("Vault is already initialized"),
        _ => error.into(),
    })?;
    let shares: Vec<_> = begun.shares.iter().chain(&alone).collect();
    let each = |encode: fn(&[u8]) -> String| -> Vec<_> {
        shares.iter().map(|share| encode(share.expose().as_bytes())).collect()
    };
    Ok(Reply::Bare(
        StatusCode::OK,
        json!({
            "keys": each(|bytes| HEXLOWER.encode(bytes)),
            "keys_base64": each(|bytes| BASE64.encode(bytes)),
            "root_token": begun.root.expose(),
            "enrolment_token": begun.enrolment.expose(),
        }),
    ))
}

struct Begun {
    shares: Vec<SecretString>,
    root: SecretString,
    enrolment: SecretString,
}

async fn begin(gate: &Gate, protection: Protection, root_ttl: i64) -> Result<Begun> {
    let admin: Name = "root".parse()?;
    let mut tx = gate.db().tx(PLATFORM).await?;
    let shares = gate.seal().init_within(&mut tx, protection).await?;
    let founded = writ_identity::found_platform(gate, tx, &admin).await;
    let (principal, enrolment) = founded.inspect_err(|_| gate.seal().close())?;
    let root = first_token(gate, principal, root_ttl).await?;
    // Like the peer: whoever has the shares unseals.
    gate.seal().close();
    gate.forget();
    Ok(Begun { shares, root, enrolment })
}

/// The platform's environment `root`, and a token of the first administrator that no rule stands in the way of there.
async fn first_token(gate: &Gate, admin: Id<Principal>, ttl: i64) -> Result<SecretString> {
    let world = gate.world();
    let environment = Environment {
        id: world.id(),
        name: "root".parse()?,
        kind: "dev".to_owned(),
        required_approvals: 0,
        minimum_isolation: 0,
        created_at: world.now(),
    };
    let worker = Caller::system(PLATFORM, world);
    let resource = Resource::all("environment").named(&environment.name);
    let mut grant = gate.grant(&worker, Action::EnvironmentCreate, resource).await?;
    tenancy::create_environment(grant.tx(), &environment).await?;
    let new = New {
        display_name: ROOT.to_owned(),
        renewable: false,
        ..New::service(admin, PrincipalKind::Person, vec![ROOT.to_owned()], "auth/token/root", ttl)
    };
    let (token, text) = tokens::issue(grant.tx(), environment.id, new).await?;
    let resource = Resource::one("token", token.id).named(ROOT).within(environment.clone()).of(admin);
    grant.also(Action::TokenCreate, &resource, Done::with(json!({ "policies": [ROOT], "ttl": ttl }))).await?;
    grant.commit(Done::plain().created(environment.id)).await?;
    Ok(text)
}

/// Takes one share, in hexadecimal, in Base64 or as it is.
async fn unseal(dialect: &Dialect, fields: &Fields) -> Answer {
    let seal: &Seal = dialect.seal();
    if fields.boolean("reset")?.unwrap_or(false) {
        seal.reset();
        return status(dialect).await;
    }
    let key = fields.text("key")?.filter(|key| !key.is_empty()).ok_or_else(|| {
        Fault::invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
    })?;
    let unsealed = seal.unseal(Some(share(key)?)).await;
    unsealed.map_err(|error| match error.kind() {
        Kind::Unauthenticated | Kind::Invalid => Fault::invalid(error.public().to_owned()),
        _ => error.into(),
    })?;
    status(dialect).await
}

/// A share as the seal knows it.
pub(super) fn share(key: String) -> Result<SecretString, Fault> {
    if key.starts_with("writ") {
        return Ok(SecretString::new(key));
    }
    let bytes = HEXLOWER_PERMISSIVE.decode(key.as_bytes()).or_else(|_| BASE64.decode(key.as_bytes()));
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(SecretString::new).ok_or_else(|| Fault::invalid("'key' must be a valid hex or base64 string"))
}

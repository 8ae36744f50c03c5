//! The life of the server, and what it says of itself.

use serde_json::{Value, json};
use writ_gate::{Done, Resource, tenancy, tenancy::PLATFORM};
use writ_kernel::{Action, Caller, Capability, Role};

use super::early;
use crate::{
    ask::{Ask, Operation},
    dialect::Dialect,
    fault::{Answer, Fault},
    mounts::{Class, Kind},
    reply::Reply,
};

/// Every kind that can be mounted.
const KINDS: [Kind; 6] =
    [Kind::AppRole, Kind::Jwt, Kind::Kubernetes, Kind::UserPass, Kind::Kv, Kind::Transit];

/// Answers for what is left of `sys/`.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, first: &str, below: &str) -> Answer {
    use Operation::{List, Read, Write};
    match (first, ask.operation, below) {
        ("seal", Write, "") => seal(dialect, ask).await,
        ("audit", Read, "") => listing(dialect, ask, &json!({})).await,
        ("audit", Write, _) => Err(Fault::invalid(
            "cannot enable audit device via API; everything is recorded as evidence, which cannot be turned off",
        )),
        ("audit-hash", Write, path) => {
            Err(Fault::invalid(format!("unknown audit backend \"{}/\"", path.escape_debug())))
        }
        ("key-status", Read, "") => key_status(dialect, ask).await,
        ("ha-status", Read, "") => ha_status(dialect, ask).await,
        ("rotate", Write, "" | "keyring" | "root")
        | ("rekey", ..)
        | ("rotate", _, "root/init" | "root/update") => Err(Fault::invalid(
            "the root key is rotated and protected anew by the native API: see `writ sys`",
        )),
        ("rotate", Read, "config") => {
            let config = json!({ "enabled": true, "interval": 0, "max_operations": 3_865_470_566_u64 });
            listing(dialect, ask, &config).await
        }
        ("generate-root-token", ..) => {
            Err(Fault::invalid("nobody holds standing power: an administrator signs in instead"))
        }
        ("plugins", Read, "catalog") => listing(dialect, ask, &catalog()).await,
        ("plugins", List, "catalog/auth") => names(dialect, ask, Class::Auth).await,
        ("plugins", List, "catalog/secret") => names(dialect, ask, Class::Secret).await,
        ("namespaces", ..) => namespaces(dialect, ask, below).await,
        ("version-history", List, "") => versions(dialect, ask).await,
        ("config", Read, "cors") => doubled(dialect, ask, &json!({ "enabled": false })).await,
        ("config", Read, "auditing/request-headers") => {
            doubled(dialect, ask, &json!({ "headers": {} })).await
        }
        // What describes the machine is for its operators, who have other means.
        ("host-info" | "metrics" | "in-flight-req" | "pprof" | "raw" | "monitor", ..) => Err(Fault::denied()),
        _ if known(first) => Err(Fault::unsupported_operation()),
        _ => Err(Fault::unsupported_path()),
    }
}

fn known(first: &str) -> bool {
    matches!(
        first,
        "seal"
            | "audit"
            | "audit-hash"
            | "key-status"
            | "ha-status"
            | "rotate"
            | "plugins"
            | "version-history"
    )
}

async fn looked(dialect: &Dialect, ask: &Ask) -> Result<(), Fault> {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, Action::MountRead).await?;
    entry.admit(ask.resource("server")).await?.record(Done::plain()).await?;
    Ok(())
}

async fn listing(dialect: &Dialect, ask: &Ask, data: &Value) -> Answer {
    looked(dialect, ask).await?;
    Ok(Reply::data(data))
}

async fn doubled(dialect: &Dialect, ask: &Ask, data: &Value) -> Answer {
    looked(dialect, ask).await?;
    Ok(Reply::doubled(data))
}

/// Whoever asks, with the roles over the whole server that the holder of a root token has by itself: a token adds
/// nothing to them, and any other token has none.
async fn operator(dialect: &Dialect, ask: &Ask) -> Result<Caller, Fault> {
    let caller = ask.caller(Capability::Update)?;
    let Some(token) = ask.token().filter(|token| token.is_root()) else { return Ok(caller) };
    let own = dialect.0.identity.current(caller.tenant, token.principal, caller.trace).await?;
    let of_server = own.iter().flat_map(|own| own.roles.iter());
    let of_server = of_server.filter(|role| role.name.as_str() == "platform-admin").cloned();
    let roles: Vec<Role> = caller.roles.iter().cloned().chain(of_server).collect();
    Ok(Caller { roles: roles.into(), ..caller })
}

async fn seal(dialect: &Dialect, ask: &Ask) -> Answer {
    let caller = operator(dialect, ask).await?;
    let grant = dialect.gate().grant(&caller, Action::Seal, Resource::all("seal")).await?;
    grant.commit(Done::plain()).await?;
    dialect.seal().close();
    dialect.gate().forget();
    dialect.keys().forget();
    Ok(Reply::Nothing)
}

async fn key_status(dialect: &Dialect, ask: &Ask) -> Answer {
    looked(dialect, ask).await?;
    let mut tx = dialect.gate().db().read(PLATFORM).await?;
    let since = tenancy::tenant(&mut tx).await?.created_at;
    Ok(Reply::doubled(&json!({ "term": 1, "install_time": since, "encryptions": 0 })))
}

async fn ha_status(dialect: &Dialect, ask: &Ask) -> Answer {
    let node = json!({
        "hostname": "writ", "api_address": "", "cluster_address": "", "active_node": true, "last_echo": null,
        "version": early::VERSION,
    });
    doubled(dialect, ask, &json!({ "nodes": [node] })).await
}

fn catalog() -> Value {
    let of = |class: Class| -> Vec<_> {
        KINDS.iter().filter(|kind| kind.class() == class).map(|kind| kind.name()).collect()
    };
    let detailed: Vec<_> = KINDS
        .iter()
        .map(|kind| {
            json!({
                "builtin": true, "deprecation_status": "supported", "name": kind.name(), "type": kind.class().as_str(),
                "version": concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.writ"),
            })
        })
        .collect();
    json!({ "auth": of(Class::Auth), "secret": of(Class::Secret), "database": [], "detailed": detailed })
}

async fn names(dialect: &Dialect, ask: &Ask, class: Class) -> Answer {
    looked(dialect, ask).await?;
    let names = KINDS.iter().filter(|kind| kind.class() == class).map(|kind| kind.name().to_owned());
    Reply::keys(&names.collect::<Vec<_>>())
}

/// Environments have no environments: a token sees none below its own.
async fn namespaces(dialect: &Dialect, ask: &Ask, below: &str) -> Answer {
    match ask.operation {
        Operation::List | Operation::Scan if below.is_empty() => {
            looked(dialect, ask).await?;
            Err(Fault::not_found())
        }
        Operation::Read => {
            looked(dialect, ask).await?;
            Err(Fault::not_found())
        }
        Operation::Write | Operation::Delete | Operation::Patch => {
            Err(Fault::invalid("namespaces are environments: an administrator of the tenant creates them"))
        }
        _ => Err(Fault::unsupported_operation()),
    }
}

async fn versions(dialect: &Dialect, ask: &Ask) -> Answer {
    looked(dialect, ask).await?;
    let mut tx = dialect.gate().db().read(PLATFORM).await?;
    let since = tenancy::tenant(&mut tx).await?.created_at;
    let info = json!({ "previous_version": null, "timestamp_installed": since });
    Ok(Reply::data(&json!({ "keys": [early::VERSION], "key_info": { (early::VERSION): info } })))
}

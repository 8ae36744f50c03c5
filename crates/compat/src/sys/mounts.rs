//! Mounts: what is at which path.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use writ_gate::{Done, Grant, Resource};
use writ_kernel::{Action, Capability, Error};
use writ_store::serialize_on;

use crate::{
    ask::{Ask, Operation},
    body::Fields,
    dialect::Dialect,
    fault::{Answer, Fault},
    mounts::{self, Class, Kind, Mount},
    reply::{Envelope, Reply},
    sql,
    view::{self, View},
};

/// Names that mean another kind or one of its versions.
const ALIASES: &[(&str, Kind, Option<&str>)] = &[
    ("kv-v1", Kind::Kv, Some("1")),
    ("kv-v2", Kind::Kv, Some("2")),
    ("generic", Kind::Kv, None),
    ("oidc", Kind::Jwt, None),
];

/// Answers for `sys/mounts`, `sys/auth` and `sys/remount`.
pub(super) async fn handle(dialect: &Dialect, ask: &Ask, first: &str, below: &str) -> Answer {
    let class = if first == "auth" { Class::Auth } else { Class::Secret };
    let tuned = below.strip_suffix("/tune");
    match (first, ask.operation, below, tuned) {
        ("remount", Operation::Write, "", _) => remount(dialect, ask).await,
        ("remount", Operation::Read, below, _) => moved(dialect, ask, below).await,
        ("remount", ..) => Err(Fault::unsupported_operation()),
        (_, Operation::Read, "", _) => list(dialect, ask, class).await,
        (_, Operation::Read, _, Some(path)) => tuning(dialect, ask, class, path).await,
        (_, Operation::Write, _, Some(path)) => tune(dialect, ask, class, path).await,
        (_, Operation::Read, path, None) => read(dialect, ask, class, path).await,
        (_, Operation::Write, path, None) if !path.is_empty() => enable(dialect, ask, class, path).await,
        (_, Operation::Delete, path, None) if !path.is_empty() => disable(dialect, ask, class, path).await,
        _ => Err(Fault::unsupported_operation()),
    }
}

/// The mounts of a class, by their paths.
pub(super) fn shown(view: &View, class: Class) -> Value {
    let mounts = view.mounts.iter().filter(|mount| mount.class == class);
    Value::Object(mounts.map(|mount| (mount.path.clone(), mount.to_json())).collect::<Map<_, _>>())
}

async fn looked(dialect: &Dialect, ask: &Ask) -> Result<(), Fault> {
    let entry = dialect.gate().enter_to_read(&ask.caller_as_asked()?, Action::MountRead).await?;
    entry.admit(ask.resource("mount")).await?.record(Done::plain()).await?;
    Ok(())
}

async fn list(dialect: &Dialect, ask: &Ask, class: Class) -> Answer {
    looked(dialect, ask).await?;
    Ok(Reply::doubled(&shown(&ask.view, class)))
}

fn find<'a>(view: &'a View, class: Class, path: &str) -> Option<&'a Arc<Mount>> {
    view.mounts.iter().find(|mount| mount.class == class && mount.path.trim_end_matches('/') == path)
}

async fn read(dialect: &Dialect, ask: &Ask, class: Class, path: &str) -> Answer {
    looked(dialect, ask).await?;
    let what = if class == Class::Auth { "auth engine" } else { "secret engine" };
    let mount = find(&ask.view, class, path);
    let mount =
        mount.ok_or_else(|| Fault::invalid(format!("No {what} mount at {}/", path.escape_debug())))?;
    Ok(Reply::doubled(&mount.to_json()))
}

async fn tuning(dialect: &Dialect, ask: &Ask, class: Class, path: &str) -> Answer {
    looked(dialect, ask).await?;
    let mount = tunable(ask, class, path)?;
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let terms = dialect.terms();
    let mut config = json!({
        "default_lease_ttl": mount.seconds("default_lease_ttl").unwrap_or_else(|| seconds(terms.default_ttl)),
        "max_lease_ttl": mount.seconds("max_lease_ttl").unwrap_or_else(|| seconds(terms.max_ttl)),
        "description": mount.description,
        "force_no_cache": false,
    });
    if let Some(config) = config.as_object_mut() {
        if class == Class::Auth {
            config.insert("token_type".to_owned(), json!("default-service"));
        }
        let others = mount.config.iter().filter(|(name, _)| !name.ends_with("_lease_ttl"));
        config.extend(others.map(|(name, value)| (name.clone(), value.clone())));
        if let Some(options) = &mount.options {
            config.insert("options".to_owned(), json!(options));
        }
    }
    Ok(Reply::doubled(&config))
}

fn tunable<'a>(ask: &'a Ask, class: Class, path: &str) -> Result<&'a Arc<Mount>, Fault> {
    let unknown = || Fault::invalid(format!("cannot fetch sysview for path \"{}/\"", path.escape_debug()));
    find(&ask.view, class, path).ok_or_else(unknown)
}

/// The settings of a mount that `fields` name.
fn settings(fields: &Fields, config: &mut BTreeMap<String, Value>) -> Result<(), Fault> {
    for name in ["default_lease_ttl", "max_lease_ttl"] {
        match fields.text(name)?.as_deref() {
            None | Some("") => {}
            Some("system") => drop(config.remove(name)),
            Some(_) => {
                let seconds = fields.seconds(name)?.unwrap_or(0);
                if seconds < 0 {
                    return Err(Fault::invalid(format!("unable to parse {name} of {seconds}")));
                }
                config.insert(name.to_owned(), json!(seconds));
            }
        }
    }
    let seconds = |name: &str| config.get(name).and_then(Value::as_i64).unwrap_or(0);
    let (default, max) = (seconds("default_lease_ttl"), seconds("max_lease_ttl"));
    if max > 0 && default > max {
        return Err(Fault::invalid("backend max lease TTL cannot be less than its default lease TTL"));
    }
    if let Some(force) = fields.boolean("force_no_cache")? {
        config.insert("force_no_cache".to_owned(), json!(force));
    }
    for name in ["token_type", "listing_visibility"] {
        if let Some(text) = fields.text(name)?.filter(|text| !text.is_empty()) {
            config.insert(name.to_owned(), json!(text));
        }
    }
    let lists = [
        "audit_non_hmac_request_keys",
        "audit_non_hmac_response_keys",
        "passthrough_request_headers",
        "allowed_response_headers",
        "allowed_managed_keys",
    ];
    for name in lists {
        match fields.list(name)? {
            Some(items) if items.is_empty() => drop(config.remove(name)),
            Some(items) => drop(config.insert(name.to_owned(), json!(items))),
            None => {}
        }
    }
    Ok(())
}

/// The kind that a request names, and the version that its name implies.
fn kind(fields: &Fields, class: Class) -> Result<(Kind, Option<&'static str>), Fault> {
    let mut name = fields.text("type")?.unwrap_or_default();
    if name == "plugin" || name.is_empty() {
        let inside = fields.inside("config");
        name = fields.text("plugin_name")?.or(inside.text("plugin_name")?).unwrap_or(name);
    }
    if name.is_empty() {
        return Err(Fault::invalid("backend type must be specified as a string"));
    }
    let alias = ALIASES.iter().find(|(alias, ..)| *alias == name).map(|(_, kind, version)| (*kind, *version));
    let found = alias.or_else(|| Kind::named(&name).map(|kind| (kind, None)));
    let fits = found.filter(|(kind, _)| kind.class() == class && !kind.built_in());
    fits.ok_or_else(|| Fault::invalid(format!("plugin not found in the catalog: {}", name.escape_debug())))
}

/// The path of a new mount, if something may be mounted there.
fn free_path(view: &View, class: Class, path: &str) -> Result<String, Fault> {
    let path = format!("{}/", path.trim_matches('/'));
    let whole = if class == Class::Auth { format!("auth/{path}") } else { path.clone() };
    let reserved = class == Class::Secret
        && ["sys/", "auth/", "cubbyhole/", "identity/", "audit/"].iter().any(|name| whole.starts_with(name));
    if reserved || path.len() > 512 {
        return Err(Fault::invalid(format!("cannot mount \"{}\"", path.escape_debug())));
    }
    let clashes = |mount: &&Arc<Mount>| {
        let known = mount.whole_path();
        whole.starts_with(&*known) || known.starts_with(&whole)
    };
    match view.mounts.iter().find(clashes) {
        Some(mount) => Err(Fault::invalid(format!("path is already in use at {}", mount.path))),
        None => Ok(path),
    }
}

/// Enters to change mounts, alone in the environment, with the mounts as they are then.
async fn enter(dialect: &Dialect, ask: &Ask, resource: Resource) -> Result<(Grant, Arc<View>), Fault> {
    let grant = dialect.gate().grant(&ask.caller_again()?, Action::MountWrite, resource).await?;
    alone(dialect, ask, grant).await
}

async fn alone(dialect: &Dialect, ask: &Ask, mut grant: Grant) -> Result<(Grant, Arc<View>), Fault> {
    let environment = ask.view.environment.id.uuid();
    serialize_on(grant.tx(), &format!("dialect.mounts.{environment}")).await?;
    let view = View::of(dialect, grant.tx(), environment).await?.ok_or_else(Fault::not_found)?;
    Ok((grant, view))
}

async fn enable(dialect: &Dialect, ask: &Ask, class: Class, path: &str) -> Answer {
    let (kind, version) = kind(&ask.fields, class)?;
    let mut config = BTreeMap::new();
    settings(&ask.fields.inside("config"), &mut config)?;
    let mut options = ask.fields.map("options")?.filter(|options| !options.is_empty());
    if let Some(version) = version {
        options.get_or_insert_default().entry("version".to_owned()).or_insert_with(|| version.to_owned());
    }
    known_version(kind, options.as_ref())?;
    let resource = ask.resource("mount").named(path);
    let (mut grant, view) = enter(dialect, ask, resource).await?;
    let path = match free_path(&view, class, path) {
        Ok(path) => path,
        Err(fault) => return Err(fault),
    };
    if kind == Kind::Kv && dialect.vault().holds(grant.tx(), ask.view.environment.id, &path.parse()?).await? {
        // Whoever mounts it would come to what is there by rules of paths alone, and destroy it with the mount.
        let error = Error::invalid("folder_in_use", "there are secrets below this path already");
        return Err(grant.refuse(error).await.into());
    }
    let world = grant.world().clone();
    let id = world.id();
    let mount = Mount {
        id,
        class,
        path,
        kind,
        accessor: mounts::accessor(kind, id.uuid()),
        description: ask.fields.text("description")?.unwrap_or_default(),
        local: ask.fields.boolean("local")?.unwrap_or(false),
        seal_wrap: ask.fields.boolean("seal_wrap")?.unwrap_or(false),
        external_entropy: ask.fields.boolean("external_entropy_access")?.unwrap_or(false),
        config,
        options,
        created_at: world.now(),
    };
    let environment = ask.view.environment.id.uuid();
    sql::put_mount(grant.tx(), environment, &mount).await?;
    view::changed(grant.tx(), environment).await?;
    let detail = json!({ "kind": mount.kind.name(), "path": mount.whole_path() });
    grant.commit(Done::with(detail).created(id)).await?;
    Ok(Reply::Nothing)
}

fn known_version(kind: Kind, options: Option<&BTreeMap<String, String>>) -> Result<(), Fault> {
    let version = options.and_then(|options| options.get("version")).map(String::as_str);
    match (kind, version) {
        (Kind::Kv, Some("" | "1" | "2") | None) => Ok(()),
        (Kind::Kv, Some(other)) => {
            Err(Fault::invalid(format!("unsupported version: {}", other.escape_debug())))
        }
        _ => Ok(()),
    }
}

/// Takes a mount away, with what it keeps in its entries and the tokens that it gave, and the secrets below its
/// path. Keys stay in their room, where nobody finds them by a later mount of the same path.
async fn disable(dialect: &Dialect, ask: &Ask, class: Class, path: &str) -> Answer {
    let entry = dialect.gate().enter(&ask.caller_again()?, Action::MountWrite).await?;
    let secrets = Resource { path: Some(format!("{path}/")), ..ask.resource("secret") };
    let may_destroy = entry.permits(Action::SecretDestroy, &secrets)?;
    let grant = entry.admit(ask.resource("mount").named(path)).await?;
    let (mut grant, view) = alone(dialect, ask, grant).await?;
    let Some(mount) = find(&view, class, path) else {
        grant.commit(Done::with(json!({ "removed": false }))).await?;
        return Ok(Reply::Nothing);
    };
    if mount.kind.built_in() {
        return Err(Fault::invalid(match class {
            Class::Auth => "token credential backend cannot be disabled".to_owned(),
            Class::Secret => format!("cannot unmount \"{}\"", mount.path),
        }));
    }
    let (now, environment) = (grant.world().now(), ask.view.environment.id.uuid());
    for token in
        sql::tokens_of_path(grant.tx(), environment, mount.whole_path().trim_end_matches('/'), now).await?
    {
        sql::revoke_tree(grant.tx(), token, now).await?;
    }
    let destroyed = match mount.kind {
        Kind::Kv => dialect.vault().clear(&mut grant, ask.view.environment.id, &mount.path.parse()?).await?,
        _ => 0,
    };
    if destroyed > 0 && !may_destroy {
        // Refused, and with it undone: secrets go with their mount, so it takes the right to destroy them.
        let error = Error::forbidden("forbidden", "the mount holds secrets, which you may not destroy");
        return Err(grant.refuse(error).await.into());
    }
    if destroyed > 0 {
        grant.also(Action::SecretDestroy, &secrets, Done::with(json!({ "secrets": destroyed }))).await?;
    }
    sql::delete_mount(grant.tx(), mount.id).await?;
    view::changed(grant.tx(), environment).await?;
    let told =
        json!({ "kind": mount.kind.name(), "path": mount.whole_path(), "secretsDestroyed": destroyed });
    grant.commit(Done::with(told)).await?;
    Ok(Reply::Nothing)
}

async fn tune(dialect: &Dialect, ask: &Ask, class: Class, path: &str) -> Answer {
    tunable(ask, class, path)?;
    let (mut grant, view) = enter(dialect, ask, ask.resource("mount").named(path)).await?;
    let mount = find(&view, class, path).ok_or_else(Fault::not_found)?;
    let mut tuned = Mount::clone(mount);
    settings(&ask.fields, &mut tuned.config)?;
    if let Some(description) = ask.fields.text("description")? {
        tuned.description = description;
    }
    let mut warnings = Vec::new();
    if let Some(options) = ask.fields.map("options")? {
        known_version(tuned.kind, Some(&options))?;
        let (old, new) =
            (tuned.option("version").unwrap_or("1"), options.get("version").map_or("1", String::as_str));
        if tuned.kind == Kind::Kv && old == "2" && new != "2" {
            return Err(Fault::invalid("cannot downgrade mount from version 2"));
        }
        if tuned.kind == Kind::Kv && old != new {
            warnings.push(format!("Upgrading mount from version {old} to version {new}."));
        }
        tuned.options.get_or_insert_default().extend(options);
    }
    let environment = ask.view.environment.id.uuid();
    sql::put_mount(grant.tx(), environment, &tuned).await?;
    view::changed(grant.tx(), environment).await?;
    grant.commit(Done::with(json!({ "path": tuned.whole_path(), "config": tuned.config }))).await?;
    if warnings.is_empty() {
        return Ok(Reply::Nothing);
    }
    Ok(Reply::Full(Box::new(Envelope { warnings, ..Envelope::default() })))
}

/// Moves a mount to another path. It is there at once.
async fn remount(dialect: &Dialect, ask: &Ask) -> Answer {
    let (from, to) = (ask.fields.required("from")?, ask.fields.required("to")?);
    let split = |path: &str| {
        let path = path.trim_matches('/');
        path.strip_prefix("auth/")
            .map_or((Class::Secret, path.to_owned()), |path| (Class::Auth, path.to_owned()))
    };
    let ((class, old), (other, new)) = (split(&from), split(&to));
    if class != other {
        return Err(Fault::invalid("cannot move a mount between secret engines and auth methods"));
    }
    let (mut grant, view) = enter(dialect, ask, ask.resource("mount").named(&from)).await?;
    let Some(mount) = find(&view, class, &old) else {
        return Err(Fault::invalid(format!(
            "no matching mount at \"{}/\"",
            from.trim_matches('/').escape_debug()
        )));
    };
    if mount.kind.built_in() {
        return Err(Fault::invalid(format!("cannot remount \"{}/\"", from.trim_matches('/').escape_debug())));
    }
    if mount.kind == Kind::Kv || mount.kind == Kind::Transit {
        // Secrets and keys are found by the path of their mount, by native clients, too.
        return Err(Fault::invalid(
            "secrets and keys are named by the path of their mount, which cannot be moved",
        ));
    }
    let path = free_path(&view, class, &new)?;
    let moved = Mount { path, ..Mount::clone(mount) };
    let environment = ask.view.environment.id.uuid();
    sql::put_mount(grant.tx(), environment, &moved).await?;
    view::changed(grant.tx(), environment).await?;
    grant.commit(Done::with(json!({ "from": from, "to": to }))).await?;
    Ok(Reply::doubled(&json!({ "migration_id": moved.id })))
}

/// A move is over as soon as it has been answered.
async fn moved(dialect: &Dialect, ask: &Ask, below: &str) -> Answer {
    dialect
        .gate()
        .enter_to_read(&ask.caller(Capability::Read)?, Action::MountRead)
        .await?
        .admit(ask.resource("mount"))
        .await?
        .record(Done::plain())
        .await?;
    let id = below.strip_prefix("status/").ok_or_else(Fault::unsupported_path)?;
    let mount =
        ask.view.mounts.iter().find(|mount| mount.id.to_string() == id).ok_or_else(Fault::not_found)?;
    let info = json!({ "source_mount": "", "target_mount": mount.whole_path(), "status": "success" });
    Ok(Reply::data(&json!({ "migration_id": id, "migration_info": info })))
}

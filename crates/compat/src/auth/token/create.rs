//! Making tokens from tokens.

use serde_json::json;
use writ_crypto::SecretString;
use writ_gate::Done;
use writ_kernel::{Action, Caller, Capability, Rules};

use super::roles::{self, Role};
use crate::{
    ask::Ask,
    dialect::Dialect,
    fault::{Answer, Fault},
    policy::ROOT,
    reply::Reply,
    tokens::{self, Kind, New, Token, networks},
};

/// What begets the new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parent {
    /// The token that asks, unless it asks otherwise.
    Self_,
    /// Nothing.
    None,
}

/// `create` and `create-orphan`.
pub(super) async fn create(dialect: &Dialect, ask: &Ask, parent: Parent) -> Answer {
    make(dialect, ask, parent, &Role::default()).await
}

/// `create/<role>`.
pub(super) async fn create_under(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let role = roles::find(dialect, ask, name).await?;
    let role = role.ok_or_else(|| Fault::invalid(format!("unknown role {name}")))?;
    let parent = if role.orphan { Parent::None } else { Parent::Self_ };
    make(dialect, ask, parent, &role).await
}

async fn make(dialect: &Dialect, ask: &Ask, parent: Parent, role: &Role) -> Answer {
    let caller = ask.caller_again()?;
    let (new, warnings) = wanted(dialect, ask, &caller, parent, role)?;
    let resource = ask.resource("token").named(&new.display_name).of(caller.principal);
    let mut grant = dialect.gate().grant(&caller, Action::TokenCreate, resource).await?;
    let (token, text) = tokens::issue(grant.tx(), ask.view.environment.id, new).await?;
    let detail = json!({
        "policies": token.policies, "ttl": token.creation_ttl, "type": token.kind.as_str(), "role": token.role,
        "orphan": token.parent.is_none(),
    });
    grant.commit(Done::with(detail).created(token.id)).await?;
    Ok(Reply::auth(tokens::auth(&token, &text), warnings))
}

/// The token that is asked for, within what the asking one may beget.
fn wanted(
    dialect: &Dialect,
    ask: &Ask,
    caller: &Caller,
    parent: Parent,
    role: &Role,
) -> Result<(New, Vec<String>), Fault> {
    let (own, fields) = (ask.token(), &ask.fields);
    begets(own)?;
    let sudo = caller.fence.as_ref().is_none_or(|fence| may_sudo(fence.rules(), &ask.path));
    let kind = kind(fields.text("type")?.as_deref(), role)?;
    let (policies, mut warnings) = policies(ask, own, sudo, role)?;
    let orphan = parent == Parent::None || fields.boolean("no_parent")?.unwrap_or(false);
    if orphan && parent != Parent::None && !sudo {
        return Err(Fault::invalid("root or sudo privileges required to create orphan token"));
    }
    let chosen = fields.text("id")?.filter(|text| !text.is_empty());
    if chosen.is_some() && (!sudo || kind == Kind::Batch) {
        return Err(Fault::invalid("root or sudo privileges required to specify token id"));
    }
    if chosen.as_ref().is_some_and(|text| text.starts_with("writ_") || text.contains('.')) {
        return Err(Fault::invalid("custom token ID cannot begin with `writ_` or contain a `.`"));
    }
    let period = match (fields.seconds("period")?.filter(|period| *period > 0), role.period()) {
        (Some(_), 0) if !sudo => {
            return Err(Fault::invalid("root or sudo privileges required to create periodic token"));
        }
        (Some(asked), 0) => asked,
        (asked, of_role) => asked.map_or(of_role, |asked| asked.min(of_role)),
    };
    let num_uses = fields.integer("num_uses")?.unwrap_or(0);
    if num_uses < 0 {
        return Err(Fault::invalid("number of uses cannot be negative"));
    }
    let life = life(dialect, ask, own, &policies, period, role, &mut warnings)?;
    let name = fields.text("display_name")?.filter(|name| !name.is_empty());
    let new = New {
        kind,
        parent: own.filter(|own| !orphan && own.kind == Kind::Service).map(|own| own.id),
        principal: caller.principal,
        principal_kind: caller.kind,
        // An orphan of a login still belongs to whoever signed in.
        entity: own.and_then(|own| own.entity.filter(|id| !orphan || *id == own.principal.uuid())),
        identity_policies: own
            .filter(|_| !orphan)
            .map(|own| own.identity_policies.clone())
            .unwrap_or_default(),
        policies,
        display_name: name.map_or_else(|| "token".to_owned(), |name| format!("token-{}", plain(&name))),
        path: if role.path_suffix.is_empty() {
            ask.path.clone()
        } else {
            format!("{}/{}", ask.path, role.path_suffix)
        },
        metadata: fields.map("meta")?.or(fields.map("metadata")?),
        role: role.name.clone(),
        cidrs: networks::common(own.map_or(&[], |own| &own.cidrs), &role.token_bound_cidrs),
        renewable: fields.boolean("renewable")?.unwrap_or(true) && role.renewable,
        ttl: life.ttl,
        explicit_max_ttl: life.explicit_max,
        max_ttl: 0,
        period,
        num_uses: role.uses(num_uses),
        chosen: chosen.map(SecretString::new),
    };
    Ok((new, warnings))
}

/// Whether `own` may beget anything.
fn begets(own: Option<&Token>) -> Result<(), Fault> {
    match own {
        Some(own) if own.kind == Kind::Batch => Err(Fault::invalid("batch tokens cannot create more tokens")),
        Some(own) if own.uses.is_some() => {
            Err(Fault::invalid("restricted use token cannot generate child tokens"))
        }
        _ => Ok(()),
    }
}

fn may_sudo(rules: &Rules, path: &str) -> bool {
    rules.allow(path, Capability::Sudo)
}

fn kind(asked: Option<&str>, role: &Role) -> Result<Kind, Fault> {
    let of_role = role.token_type.as_str();
    match (asked.unwrap_or_default(), of_role) {
        (_, "service") => Ok(Kind::Service),
        (_, "batch") | ("", "default-batch") | ("batch", _) => Ok(Kind::Batch),
        ("" | "service", _) => Ok(Kind::Service),
        (other, _) => Err(Fault::invalid(format!("invalid 'type' value: {}", other.escape_debug()))),
    }
}

/// The policies of the new token, and what to mind about them.
fn policies(
    ask: &Ask,
    own: Option<&Token>,
    sudo: bool,
    role: &Role,
) -> Result<(Vec<String>, Vec<String>), Fault> {
    let asked = ask.fields.list("policies")?.unwrap_or_default();
    let asked: Vec<_> = asked.iter().map(|name| name.to_lowercase()).collect();
    let theirs = own.map(|own| own.policies.clone()).unwrap_or_default();
    let mut policies = if role.names_policies() {
        role.choose(asked, &theirs)?
    } else if asked.is_empty() {
        theirs.clone()
    } else {
        if !sudo && !asked.iter().all(|name| name == "default" || theirs.contains(name)) {
            return Err(Fault::invalid("child policies must be subset of parent"));
        }
        asked
    };
    if policies.iter().any(|name| name == ROOT) {
        if !own.is_some_and(Token::is_root) {
            return Err(Fault::invalid("root tokens may not be created without parent token being root"));
        }
        return Ok((vec![ROOT.to_owned()], Vec::new()));
    }
    let bare = ask.fields.boolean("no_default_policy")?.unwrap_or(false) || role.token_no_default_policy;
    if !bare {
        policies.push("default".to_owned());
    }
    policies.sort();
    policies.dedup();
    let unknown = policies.iter().filter(|name| !ask.view.policies.contains_key(*name));
    let warnings = unknown.map(|name| format!("Policy \"{}\" does not exist", name.escape_debug())).collect();
    Ok((policies, warnings))
}

struct Life {
    ttl: i64,
    explicit_max: i64,
}

fn life(
    dialect: &Dialect,
    ask: &Ask,
    own: Option<&Token>,
    policies: &[String],
    period: i64,
    role: &Role,
    warnings: &mut Vec<String>,
) -> Result<Life, Fault> {
    let terms = dialect.terms();
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let asked =
        ask.fields.seconds("ttl")?.filter(|ttl| *ttl != 0).or(ask.fields.seconds("lease")?).unwrap_or(0);
    if asked < 0 {
        return Err(Fault::invalid("ttl must be greater than zero"));
    }
    let asked_max = ask.fields.seconds("explicit_max_ttl")?.unwrap_or(0);
    if asked_max < 0 {
        return Err(Fault::invalid("explicit_max_ttl must be positive"));
    }
    let explicit_max = match (asked_max, role.explicit_max_ttl()) {
        (0, of_role) => of_role,
        (asked, 0) => asked,
        (asked, of_role) => asked.min(of_role),
    };
    let max = ask.mount.seconds("max_lease_ttl").unwrap_or_else(|| seconds(terms.max_ttl));
    let default = ask.mount.seconds("default_lease_ttl").unwrap_or_else(|| seconds(terms.default_ttl));
    if policies.iter().any(|name| name == ROOT) {
        // What stands in nobody's way ends with what begot it, if not before, and never stands for long.
        let (now, asked) = (dialect.world().now(), if period > 0 { period } else { asked });
        let left = own.map_or(0, |own| if own.expires_at.is_some() { own.ttl(now).max(1) } else { 0 });
        let most = tokens::clamp(explicit_max, seconds(terms.root_ttl), &[left, seconds(terms.root_ttl)]);
        return Ok(Life { ttl: tokens::clamp(asked, most, &[most]), explicit_max: most });
    }
    if period > 0 {
        return Ok(Life { ttl: tokens::clamp(period, period, &[explicit_max]), explicit_max });
    }
    let ttl = tokens::clamp(asked, default, &[max, explicit_max]);
    if asked > ttl {
        let shown = |seconds: i64| format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
        warnings.push(format!(
            "TTL of \"{}\" exceeded the effective max_ttl of \"{}\"; TTL value is capped accordingly",
            shown(asked),
            shown(ttl)
        ));
    }
    Ok(Life { ttl, explicit_max })
}

/// A name without what would confuse a log.
fn plain(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    name.chars().take(200).map(fits).collect::<String>().trim_end_matches('-').to_owned()
}

//! Roles under which tokens are made.

use serde::{Deserialize, Serialize};
use serde_json::json;
use writ_gate::Done;
use writ_kernel::{Action, Capability, Result};

use crate::{
    ask::Ask,
    auth::policies_of,
    body::Fields,
    dialect::Dialect,
    entries,
    fault::{Answer, Fault},
    policy::ROOT,
    reply::{self, Reply},
};

/// A role, as it is kept and as it is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    allowed_entity_aliases: Vec<String>,
    allowed_policies: Vec<String>,
    allowed_policies_glob: Vec<String>,
    disallowed_policies: Vec<String>,
    disallowed_policies_glob: Vec<String>,
    explicit_max_ttl: i64,
    pub(super) name: String,
    pub(super) orphan: bool,
    pub(super) path_suffix: String,
    period: i64,
    pub(super) renewable: bool,
    pub(super) token_bound_cidrs: Vec<String>,
    token_explicit_max_ttl: i64,
    pub(super) token_no_default_policy: bool,
    token_num_uses: i64,
    token_period: i64,
    pub(super) token_strictly_bind_ip: bool,
    pub(super) token_type: String,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            allowed_entity_aliases: Vec::new(),
            allowed_policies: Vec::new(),
            allowed_policies_glob: Vec::new(),
            disallowed_policies: Vec::new(),
            disallowed_policies_glob: Vec::new(),
            explicit_max_ttl: 0,
            name: String::new(),
            orphan: false,
            path_suffix: String::new(),
            period: 0,
            renewable: true,
            token_bound_cidrs: Vec::new(),
            token_explicit_max_ttl: 0,
            token_no_default_policy: false,
            token_num_uses: 0,
            token_period: 0,
            token_strictly_bind_ip: false,
            token_type: "default-service".to_owned(),
        }
    }
}

impl Role {
    pub(super) fn period(&self) -> i64 {
        if self.token_period > 0 { self.token_period } else { self.period }
    }

    pub(super) fn explicit_max_ttl(&self) -> i64 {
        if self.token_explicit_max_ttl > 0 { self.token_explicit_max_ttl } else { self.explicit_max_ttl }
    }

    /// How often a token can be used, when `asked` are asked for.
    pub(super) fn uses(&self, asked: i64) -> i64 {
        match (asked, self.token_num_uses) {
            (0, of_role) => of_role,
            (asked, 0) => asked,
            (asked, of_role) => asked.min(of_role),
        }
    }

    /// Whether it says which policies tokens may have.
    pub(super) fn names_policies(&self) -> bool {
        let lists = [
            &self.allowed_policies,
            &self.allowed_policies_glob,
            &self.disallowed_policies,
            &self.disallowed_policies_glob,
        ];
        lists.iter().any(|list| !list.is_empty())
    }

    /// The policies of a token, `asked` for by a token that has `theirs`.
    pub(super) fn choose(&self, asked: Vec<String>, theirs: &[String]) -> Result<Vec<String>, Fault> {
        let allows = !self.allowed_policies.is_empty() || !self.allowed_policies_glob.is_empty();
        let policies = match (asked.is_empty(), allows) {
            (false, _) => asked,
            (true, true) => self.allowed_policies.clone(),
            (true, false) => theirs.to_vec(),
        };
        let matches = |globs: &[String], name: &str| globs.iter().any(|glob| globbed(glob, name));
        for name in policies.iter().filter(|name| *name != "default") {
            let allowed =
                !allows || self.allowed_policies.contains(name) || matches(&self.allowed_policies_glob, name);
            let denied =
                self.disallowed_policies.contains(name) || matches(&self.disallowed_policies_glob, name);
            if !allowed || denied {
                let name = name.escape_debug();
                return Err(Fault::invalid(format!("token policy \"{name}\" is not allowed by this role")));
            }
        }
        if self.disallowed_policies.iter().any(|name| name == "default") {
            return Ok(policies.into_iter().filter(|name| name != "default").collect());
        }
        Ok(policies)
    }

    fn update(&mut self, fields: &Fields) -> Result<(), Fault> {
        let lists = [
            ("allowed_entity_aliases", &mut self.allowed_entity_aliases),
            ("allowed_policies", &mut self.allowed_policies),
            ("allowed_policies_glob", &mut self.allowed_policies_glob),
            ("disallowed_policies", &mut self.disallowed_policies),
            ("disallowed_policies_glob", &mut self.disallowed_policies_glob),
            ("token_bound_cidrs", &mut self.token_bound_cidrs),
        ];
        for (name, list) in lists {
            if let Some(value) = fields.list(name)? {
                *list = if name.contains("allowed_policies") { policies_of(value) } else { value };
            }
        }
        for (name, seconds) in [
            ("explicit_max_ttl", &mut self.explicit_max_ttl),
            ("period", &mut self.period),
            ("token_explicit_max_ttl", &mut self.token_explicit_max_ttl),
            ("token_period", &mut self.token_period),
        ] {
            if let Some(value) = fields.seconds(name)? {
                if value < 0 {
                    return Err(Fault::invalid(format!("'{name}' cannot be negative")));
                }
                *seconds = value;
            }
        }
        for (name, flag) in [
            ("orphan", &mut self.orphan),
            ("renewable", &mut self.renewable),
            ("token_no_default_policy", &mut self.token_no_default_policy),
            ("token_strictly_bind_ip", &mut self.token_strictly_bind_ip),
        ] {
            if let Some(value) = fields.boolean(name)? {
                *flag = value;
            }
        }
        if let Some(value) = fields.integer("token_num_uses")? {
            if value < 0 {
                return Err(Fault::invalid("'token_num_uses' cannot be negative"));
            }
            self.token_num_uses = value;
        }
        if let Some(value) = fields.text("path_suffix")? {
            self.path_suffix = value;
        }
        if let Some(value) = fields.text("token_type")? {
            self.token_type = value;
        }
        self.sound()
    }

    fn sound(&self) -> Result<(), Fault> {
        let suffix = self.path_suffix.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !suffix || self.path_suffix.contains("..") {
            return Err(Fault::invalid("given role path suffix contains invalid characters"));
        }
        if self.allowed_policies.iter().any(|name| name == ROOT) {
            return Err(Fault::invalid("root policy cannot be given by a role"));
        }
        match self.token_type.as_str() {
            "service" | "batch" | "default-service" | "default-batch" => Ok(()),
            other => Err(Fault::invalid(format!("invalid 'token_type' value: {}", other.escape_debug()))),
        }
    }
}

/// Whether `name` is what `glob` describes: `*` stands for any text.
fn globbed(glob: &str, name: &str) -> bool {
    let mut pieces = glob.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// The role of this name.
pub(super) async fn find(dialect: &Dialect, ask: &Ask, name: &str) -> Result<Option<Role>> {
    let mut tx = dialect.gate().db().read(ask.view.tenant).await?;
    let keys = dialect.seal().tenant(&mut tx).await?;
    entries::find(&mut tx, &keys, ask.mount.id, &format!("roles/{name}")).await
}

pub(super) async fn read(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let entry = dialect.gate().enter_to_read(&ask.caller(Capability::Read)?, Action::AuthRead).await?;
    let role = find(dialect, ask, name).await?;
    entry.admit(ask.resource("token-role").named(name)).await?.record(Done::plain()).await?;
    let role = role.ok_or_else(Fault::not_found)?;
    Ok(Reply::data(&serde_json::to_value(&role).unwrap_or_default()))
}

pub(super) async fn list(dialect: &Dialect, ask: &Ask) -> Answer {
    let entry = dialect.gate().enter_to_read(&ask.caller(Capability::List)?, Action::AuthRead).await?;
    let mut grant = entry.admit(ask.resource("token-role")).await?;
    let names = entries::list(grant.tx(), ask.mount.id, "roles/").await?;
    grant.record(Done::plain()).await?;
    Reply::keys(&names)
}

pub(super) async fn write(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let known = find(dialect, ask, name).await?;
    let caller = ask.caller_to_write(known.is_some())?;
    let mut role = known.unwrap_or_default();
    name.clone_into(&mut role.name);
    role.update(&ask.fields)?;
    let resource = ask.resource("token-role").named(name);
    let mut grant = dialect.gate().grant(&caller, Action::AuthWrite, resource).await?;
    let keys = dialect.seal().tenant(grant.tx()).await?;
    entries::put(grant.tx(), &keys, ask.mount.id, &format!("roles/{name}"), &role).await?;
    grant.commit(Done::with(json!({ "role": reply::raw(&role).get() }))).await?;
    Ok(Reply::Nothing)
}

pub(super) async fn delete(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let resource = ask.resource("token-role").named(name);
    let mut grant =
        dialect.gate().grant(&ask.caller(Capability::Delete)?, Action::AuthWrite, resource).await?;
    let deleted = entries::remove(grant.tx(), ask.mount.id, &format!("roles/{name}")).await?;
    grant.commit(Done::with(json!({ "deleted": deleted }))).await?;
    Ok(Reply::Nothing)
}

#[cfg(test)]
mod tests {
    use super::globbed;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(
            globbed("dev-*", "dev-a") && globbed("*", "") && globbed("a*b*c", "axxbyyc") && globbed("a", "a")
        );
        assert!(
            !globbed("dev-*", "prod-a") && !globbed("a*c", "abd") && !globbed("a", "ab") && !globbed("", "a")
        );
    }
}

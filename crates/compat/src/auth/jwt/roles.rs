//! Roles: which tokens of an issuer are whose.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use writ_gate::Done;
use writ_kernel::Action;

use super::{Claims, Metadata, token::Leeway};
use crate::{
    ask::{Ask, Operation},
    auth::terms::TokenTerms,
    dialect::Dialect,
    fault::{Answer, Fault},
    kept,
    reply::Reply,
};

/// What may be apart when a role does not say.
const LEEWAY: i64 = 150;
const CLOCK_SKEW: i64 = 60;

/// A role. Kept at `role/<name>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the dialect's name of the field")]
pub(super) struct Role {
    pub(super) id: Uuid,
    /// Whoever made it.
    pub(super) owner: Uuid,
    role_type: String,
    allowed_redirect_uris: Vec<String>,
    bound_audiences: Vec<String>,
    bound_claims: Map<String, Value>,
    /// `string` or `glob`.
    bound_claims_type: String,
    bound_subject: String,
    claim_mappings: std::collections::BTreeMap<String, String>,
    clock_skew_leeway: i64,
    expiration_leeway: i64,
    groups_claim: String,
    max_age: i64,
    not_before_leeway: i64,
    oidc_scopes: Vec<String>,
    pub(super) user_claim: String,
    user_claim_json_pointer: bool,
    verbose_oidc_logging: bool,
    #[serde(flatten)]
    pub(super) terms: TokenTerms,
}

pub(super) fn role_at(name: &str) -> String {
    format!("role/{}", name.to_lowercase())
}

pub(super) async fn handle(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    match ask.operation {
        Operation::Read => {
            let role: Role = kept::need(dialect, ask, Action::AuthRead, &role_at(name)).await?;
            Ok(Reply::data(&shown(&role)))
        }
        Operation::Write => write(dialect, ask, name).await,
        Operation::Delete => kept::remove(dialect, ask, Action::AuthWrite, &role_at(name)).await,
        _ => Err(Fault::unsupported_operation()),
    }
}

fn shown(role: &Role) -> Value {
    let mut shown = json!(role);
    if let Some(members) = shown.as_object_mut() {
        members.remove("id");
        members.remove("owner");
        for (name, empty) in [
            ("bound_claims", role.bound_claims.is_empty()),
            ("claim_mappings", role.claim_mappings.is_empty()),
        ] {
            if empty {
                members.insert(name.to_owned(), Value::Null);
            }
        }
    }
    shown
}

async fn write(dialect: &Dialect, ask: &Ask, name: &str) -> Answer {
    let known: Option<Role> = kept::peek(dialect, ask, &role_at(name)).await?;
    let mut role = match known {
        Some(role) => role,
        None => fresh(dialect, ask)?,
    };
    take(&mut role, ask)?;
    let detail = json!({ "role": name, "owner": role.owner, "policies": role.terms.token_policies });
    kept::put(dialect, ask, Action::AuthWrite, &role_at(name), &role, Done::with(detail)).await?;
    Ok(Reply::Nothing)
}

fn fresh(dialect: &Dialect, ask: &Ask) -> Result<Role, Fault> {
    Ok(Role {
        id: dialect.world().uuid(),
        owner: ask.caller_to_write(false)?.principal.uuid(),
        role_type: "jwt".to_owned(),
        allowed_redirect_uris: Vec::new(),
        bound_audiences: Vec::new(),
        bound_claims: Map::new(),
        bound_claims_type: "string".to_owned(),
        bound_subject: String::new(),
        claim_mappings: std::collections::BTreeMap::new(),
        clock_skew_leeway: 0,
        expiration_leeway: 0,
        groups_claim: String::new(),
        max_age: 0,
        not_before_leeway: 0,
        oidc_scopes: Vec::new(),
        user_claim: String::new(),
        user_claim_json_pointer: false,
        verbose_oidc_logging: false,
        terms: TokenTerms { token_type: "default".to_owned(), ..TokenTerms::default() },
    })
}

fn take(role: &mut Role, ask: &Ask) -> Result<(), Fault> {
    let fields = &ask.fields;
    macro_rules! take {
        ($($name:ident by $read:ident),+ $(,)?) => {
            $(if let Some(value) = fields.$read(stringify!($name))? { role.$name = value; })+
        };
    }
    take!(
        role_type by text, allowed_redirect_uris by list, bound_audiences by list, bound_claims_type by text,
        bound_subject by text, claim_mappings by map, clock_skew_leeway by seconds, expiration_leeway by seconds,
        groups_claim by text, max_age by seconds, not_before_leeway by seconds, oidc_scopes by list, user_claim by text,
        user_claim_json_pointer by boolean, verbose_oidc_logging by boolean,
    );
    if let Some(claims) = fields.value("bound_claims") {
        role.bound_claims =
            claims.as_object().cloned().ok_or_else(|| Fault::invalid("bound_claims is not a map"))?;
    }
    role.terms.take(fields)?;
    if role.user_claim.is_empty() {
        return Err(Fault::invalid("a user claim must be defined on the role"));
    }
    if !matches!(&*role.role_type, "jwt" | "oidc") {
        return Err(Fault::invalid(format!("invalid 'role_type': {}", role.role_type.escape_debug())));
    }
    if !matches!(&*role.bound_claims_type, "string" | "glob") {
        return Err(Fault::invalid(format!(
            "invalid 'bound_claims_type': {}",
            role.bound_claims_type.escape_debug()
        )));
    }
    let bound =
        [!role.bound_audiences.is_empty(), !role.bound_subject.is_empty(), !role.bound_claims.is_empty()];
    if role.role_type == "jwt" && !bound.contains(&true) && role.terms.token_bound_cidrs.is_empty() {
        return Err(Fault::invalid("must have at least one bound constraint when creating/updating a role"));
    }
    Ok(())
}

impl Role {
    pub(super) fn leeway(&self) -> Leeway {
        let span = |said: i64, otherwise: i64| match said {
            0 => Duration::from_secs(otherwise.unsigned_abs()),
            // A negative span is none at all.
            said => Duration::from_secs(u64::try_from(said).unwrap_or(0)),
        };
        Leeway {
            expiration: span(self.expiration_leeway, LEEWAY),
            not_before: span(self.not_before_leeway, LEEWAY),
            clock_skew: span(self.clock_skew_leeway, CLOCK_SKEW),
        }
    }

    /// Whether a token with these claims is one of the role.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn demand(&self, claims: &Claims) -> Result<(), String> {
        if self.role_type != "jwt" {
            return Err("role with oidc role_type is not allowed".to_owned());
        }
        let audiences = texts(claims.get("aud"));
        // A token for somebody must be for us: without a bound audience none with one is taken.
        match (self.bound_audiences.is_empty(), audiences.is_empty()) {
            (true, false) => {
                return Err(
                    "error validating claims: audience claim found in JWT but no audiences bound to the role"
                        .to_owned(),
                );
            }
            (false, _) if !audiences.iter().any(|audience| self.bound_audiences.contains(audience)) => {
                return Err("error validating claims: invalid audience (aud) claim: audience claim does not match any expected audience".to_owned());
            }
            _ => {}
        }
        if !self.bound_subject.is_empty()
            && claims.get("sub").and_then(Value::as_str) != Some(&self.bound_subject)
        {
            return Err("error validating claims: invalid subject (sub) claim".to_owned());
        }
        for (name, wanted) in &self.bound_claims {
            let given = texts(found(claims, name));
            let wanted = texts(Some(wanted));
            let fits = |given: &String| {
                wanted.iter().any(|wanted| match &*self.bound_claims_type {
                    "glob" => glob(wanted, given),
                    _ => wanted == given,
                })
            };
            if !given.iter().any(fits) {
                return Err(format!(
                    "error validating claims: claim {:?} does not match any associated bound claim values",
                    name.escape_debug().to_string()
                ));
            }
        }
        Ok(())
    }

    /// What the role takes over from the claims.
    pub(super) fn mapped(&self, claims: &Claims) -> Metadata {
        let pairs = self.claim_mappings.iter();
        pairs.filter_map(|(claim, name)| Some((name.clone(), text(found(claims, claim)?)?))).collect()
    }
}

/// A claim by its name, or by a JSON pointer (RFC 6901).
fn found<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
    let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// One text, or a list of them.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for anything.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_fits_what_it_says_and_nothing_more() {
        for (pattern, text) in [
            ("a*", "ab"),
            ("*", ""),
            ("*b", "ab"),
            ("a*c*e", "abcde"),
            ("abc", "abc"),
            ("repo:*:ref:*", "repo:x:ref:y"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a*", "ba"), ("abc", "abcd"), ("a*c", "abcd"), ("a*b*c", "acb"), ("ab*ba", "aba")]
        {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }
}

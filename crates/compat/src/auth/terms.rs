//! On what terms a role gives tokens: the fields that roles of every way to sign in share.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use writ_kernel::Result;

use crate::{
    body::Fields,
    dialect::Dialect,
    fault::Fault,
    mounts::Mount,
    policy::ROOT,
    tokens::{Kind, clamp},
};

/// Terms of a role. Spans are seconds; 0 leaves a thing to the mount.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the dialect's names of the fields")]
pub(crate) struct TokenTerms {
    pub(crate) token_bound_cidrs: Vec<String>,
    pub(crate) token_explicit_max_ttl: i64,
    pub(crate) token_max_ttl: i64,
    pub(crate) token_no_default_policy: bool,
    pub(crate) token_num_uses: i64,
    pub(crate) token_period: i64,
    pub(crate) token_policies: Vec<String>,
    #[serde(default)]
    pub(crate) token_strictly_bind_ip: bool,
    pub(crate) token_ttl: i64,
    /// `default`, `service`, `batch`, `default-service` or `default-batch`.
    pub(crate) token_type: String,
}

/// For how long a token lives, under the terms of its role and mount.
pub(crate) struct Span {
    pub(crate) ttl: i64,
    pub(crate) max_ttl: i64,
}

impl TokenTerms {
    /// Takes over what a client says. The names from before `token_` count where the new ones are not said.
    ///
    /// # Errors
    /// 400.
    pub(crate) fn take(&mut self, fields: &Fields) -> Result<(), Fault> {
        let name =
            |new: &'static str, old: &'static str| if fields.has(new) || old.is_empty() { new } else { old };
        let seconds = |new, old, known: &mut i64| -> Result<(), Fault> {
            if let Some(span) = fields.seconds(name(new, old))? {
                if span < 0 {
                    return Err(Fault::invalid(format!("'{new}' cannot be negative")));
                }
                *known = span;
            }
            Ok(())
        };
        seconds("token_ttl", "ttl", &mut self.token_ttl)?;
        seconds("token_max_ttl", "max_ttl", &mut self.token_max_ttl)?;
        seconds("token_period", "period", &mut self.token_period)?;
        seconds("token_explicit_max_ttl", "", &mut self.token_explicit_max_ttl)?;
        if let Some(policies) = fields.list(name("token_policies", "policies"))? {
            self.token_policies = policies_of(policies);
        }
        if let Some(cidrs) = fields.list(name("token_bound_cidrs", "bound_cidrs"))? {
            self.token_bound_cidrs = cidrs;
        }
        if let Some(uses) = fields.integer(name("token_num_uses", "num_uses"))? {
            if uses < 0 {
                return Err(Fault::invalid("'token_num_uses' cannot be negative"));
            }
            self.token_num_uses = uses;
        }
        self.token_no_default_policy =
            fields.boolean("token_no_default_policy")?.unwrap_or(self.token_no_default_policy);
        self.token_strictly_bind_ip =
            fields.boolean("token_strictly_bind_ip")?.unwrap_or(self.token_strictly_bind_ip);
        if let Some(kind) = fields.text("token_type")? {
            self.token_type = kind;
        }
        self.check()
    }

    fn check(&mut self) -> Result<(), Fault> {
        if self.token_type.is_empty() {
            "default".clone_into(&mut self.token_type);
        }
        if !matches!(&*self.token_type, "default" | "service" | "batch" | "default-service" | "default-batch")
        {
            return Err(Fault::invalid(format!("invalid 'token_type' value {:?}", self.token_type)));
        }
        if self.token_max_ttl > 0 && self.token_ttl > self.token_max_ttl {
            return Err(Fault::invalid("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        if self.kind() == Kind::Batch && (self.token_num_uses > 0 || self.token_period > 0) {
            return Err(Fault::invalid(
                "'token_type' cannot be 'batch' when set to generate periodic or limited tokens",
            ));
        }
        Ok(())
    }

    /// What sort of token it gives.
    pub(crate) fn kind(&self) -> Kind {
        if matches!(&*self.token_type, "batch" | "default-batch") { Kind::Batch } else { Kind::Service }
    }

    /// The policies of its tokens, sorted.
    pub(crate) fn policies(&self) -> Vec<String> {
        let mut policies = self.token_policies.clone();
        if !self.token_no_default_policy {
            policies.push("default".to_owned());
        }
        policies.sort();
        policies.dedup();
        policies
    }

    /// For how long its tokens live.
    pub(crate) fn span(&self, dialect: &Dialect, mount: &Mount) -> Span {
        let terms = dialect.terms();
        let whole = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let max_ttl = clamp(
            self.token_max_ttl,
            mount.seconds("max_lease_ttl").unwrap_or_else(|| whole(terms.max_ttl)),
            &[whole(terms.max_ttl)],
        );
        let wanted = if self.token_period > 0 { self.token_period } else { self.token_ttl };
        let otherwise = mount.seconds("default_lease_ttl").unwrap_or_else(|| whole(terms.default_ttl));
        let limits = if self.token_period > 0 {
            [0, self.token_explicit_max_ttl]
        } else {
            [max_ttl, self.token_explicit_max_ttl]
        };
        Span { ttl: clamp(wanted, otherwise, &limits), max_ttl }
    }

    /// The fields as they are read.
    pub(crate) fn members(&self) -> Map<String, Value> {
        match json!(self) {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

/// The same names, of policies that an identity may give: not `root`, which only a root token gives to its children.
///
/// # Errors
/// 400.
pub(crate) fn without_root(policies: Vec<String>) -> Result<Vec<String>, Fault> {
    let policies = policies_of(policies);
    if policies.iter().any(|policy| policy == ROOT) {
        return Err(Fault::invalid("the policy \"root\" cannot be given to an identity"));
    }
    Ok(policies)
}

/// Names of policies: lower-case, sorted, each once.
pub(crate) fn policies_of(policies: Vec<String>) -> Vec<String> {
    let mut policies: Vec<_> = policies.into_iter().map(|policy| policy.trim().to_lowercase()).collect();
    policies.sort();
    policies.dedup();
    policies
}

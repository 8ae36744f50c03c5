//! Policy as code: Cedar, parsed once for each version of a policy set.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Display,
    str::FromStr,
    sync::{LazyLock, Mutex, PoisonError},
};

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use writ_crypto::hash;
use writ_kernel::{Action, Error, Result, Timestamp};

use crate::{
    bounds,
    model::{Facts, Plan},
};

/// The built-in policies, in the order of their reading.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("roles.cedar", include_str!("../../../policies/roles.cedar")),
    ("guards.cedar", include_str!("../../../policies/guards.cedar")),
];

/// The schema that every policy is validated against.
pub const SCHEMA: &str = include_str!("../../../policies/writ.cedarschema");

#[expect(clippy::expect_used, reason = "the schema is part of the binary, and a test parses it")]
static COMPILED_SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::from_cedarschema_str(SCHEMA).expect("the built-in schema is valid").0);

/// One version of a tenant's policies, ready to decide: the built-in ones and the tenant's own.
pub struct Policies {
    set: PolicySet,
    /// The built-in policies alone: runners and workers obey these, so that no tenant's policy can keep the end of
    /// what it began from being recorded.
    built_in: PolicySet,
    hints: BTreeMap<String, String>,
    digest: String,
    /// What was decided already; `None` when a policy looks at the time, so that the answer may change.
    known: Option<Mutex<HashMap<String, Decision>>>,
}

/// As many decisions are remembered.
const KNOWN: usize = 8_192;

/// What changes from one moment to the next. A policy that has either word anywhere is taken to look at it.
const MOMENTARY: [&str; 2] = ["now", "sessionAgeSeconds"];

/// What policy said, and which policies said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may happen.
    pub allow: bool,
    /// The ids of the policies that decided; empty when nothing permitted it.
    pub reasons: Vec<String>,
    /// What a policy that forbade it says can be done about it.
    pub hint: Option<String>,
}

impl Policies {
    /// Parses and validates `own` beside the built-in policies.
    ///
    /// # Errors
    /// `TooLarge` above 256 KiB; `Invalid` with the line of the first mistake: a syntax error, something the schema
    /// does not know, nesting without end, or an id that is taken.
    pub fn compile(own: &str) -> Result<Self> {
        bounds::within(own, || Self::compile_bounded(own))
    }

    fn compile_bounded(own: &str) -> Result<Self> {
        let mut set = PolicySet::new();
        let mut hints = BTreeMap::new();
        for (_, text) in BUILT_IN {
            collect(&mut set, &mut hints, text, "")?;
        }
        let built_in = set.clone();
        collect(&mut set, &mut hints, own, "tenant/")?;
        let report = Validator::new(COMPILED_SCHEMA.clone()).validate(&set, ValidationMode::Strict);
        if let Some(error) = report.validation_errors().next() {
            return Err(invalid(positioned(own, error, error)));
        }
        let texts = || BUILT_IN.iter().map(|(_, text)| *text).chain([own]);
        let timeless = texts().all(|text| MOMENTARY.iter().all(|word| !text.contains(word)));
        Ok(Self { set, built_in, hints, digest: digest(own), known: timeless.then(Mutex::default) })
    }

    /// SHA-256 of the schema, the built-in policies and the tenant's own: `sha256:<hex>`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Decides one request. Policy is a function of the facts, so an answer that does not depend on the time is
    /// remembered.
    ///
    /// # Errors
    /// `Internal` when the request cannot be put into the schema's words: a mistake of ours, and nothing is permitted.
    pub fn decide(&self, action: Action, facts: &Facts) -> Result<Decision> {
        let (Some(known), None) = (&self.known, &facts.plan) else { return self.evaluate(action, facts) };
        let key = facts.key(action);
        let find = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(decision) = find().get(&key) {
            return Ok(decision.clone());
        }
        let decision = self.evaluate(action, facts)?;
        let mut known = find();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(key, decision.clone());
        Ok(decision)
    }

    fn evaluate(&self, action: Action, facts: &Facts) -> Result<Decision> {
        let entities = entities(facts)?;
        let request = Request::new(
            principal_uid(facts)?,
            uid("Action", action.name())?,
            resource_uid(facts)?,
            context(facts)?,
            Some(&COMPILED_SCHEMA),
        )
        .map_err(ours)?;
        let set =
            if matches!(facts.principal_kind, "runner" | "system") { &self.built_in } else { &self.set };
        let response = Authorizer::new().is_authorized(&request, set, &entities);
        // A policy that fails to evaluate is no reason to let anything happen: it may have been a `forbid`.
        if let Some(error) = response.diagnostics().errors().next() {
            tracing::warn!(%error, "a policy cannot be evaluated, so nothing is permitted");
            return Ok(Decision { allow: false, reasons: vec!["evaluation-error".to_owned()], hint: None });
        }
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort();
        let allow = response.decision() == cedar_policy::Decision::Allow;
        let hint = reasons.iter().find_map(|reason| self.hints.get(reason)).filter(|_| !allow).cloned();
        Ok(Decision { allow, reasons, hint })
    }

    /// How many approvals by others `action` needs: 0 when policy allows it as it stands, `None` when no number
    /// up to 9 would do.
    ///
    /// # Errors
    /// As [`Policies::decide`].
    pub fn approvals_needed(&self, action: Action, facts: &Facts) -> Result<Option<u8>> {
        for approvals in 0..=9 {
            let facts = Facts { approvals, ..facts.clone() };
            if self.decide(action, &facts)?.allow {
                return Ok(Some(approvals));
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// The names of every action the schema knows, groups included.
pub fn schema_actions() -> Vec<String> {
    COMPILED_SCHEMA.actions().map(|action| action.id().unescaped().to_owned()).collect()
}

fn digest(own: &str) -> String {
    let mut hasher = hash::Sha256::new();
    for text in [SCHEMA].into_iter().chain(BUILT_IN.iter().map(|(_, text)| *text)).chain([own]) {
        hasher.update(&hash::sha256(text.as_bytes()));
    }
    format!("sha256:{}", hash::hex(&hasher.finish()))
}

fn collect(
    set: &mut PolicySet,
    hints: &mut BTreeMap<String, String>,
    text: &str,
    prefix: &str,
) -> Result<()> {
    let parsed = PolicySet::from_str(text).map_err(|error| {
        invalid(
            error.iter().next().map_or_else(|| error.to_string(), |first| positioned(text, &error, first)),
        )
    })?;
    if parsed.templates().next().is_some() {
        return Err(invalid("templates are not supported".to_owned()));
    }
    for (index, policy) in parsed.policies().enumerate() {
        let id = policy.annotation("id").map_or_else(|| format!("policy{index}"), str::to_owned);
        let id = format!("{prefix}{id}");
        if let Some(hint) = policy.annotation("hint") {
            hints.insert(id.clone(), hint.to_owned());
        }
        let policy: Policy = policy.new_id(PolicyId::new(id));
        set.add(policy).map_err(|error| invalid(error.to_string()))?;
    }
    Ok(())
}

fn invalid(detail: String) -> Error {
    Error::invalid("invalid_policy", detail)
        .at("policies")
        .hint("check the policies with `writ policy test`; the schema is at `policies/writ.cedarschema`")
}

/// What is wrong, after the line it is in.
fn positioned(text: &str, error: &impl Display, place: &impl miette::Diagnostic) -> String {
    let offset = place.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    match offset.and_then(|offset| text.get(..offset)) {
        Some(before) => format!("line {}: {error}", before.matches('\n').count() + 1),
        None => error.to_string(),
    }
}

fn ours(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("request does not fit the policy schema: {error}"))
}

fn uid(kind: &str, id: &str) -> Result<EntityUid> {
    let name = EntityTypeName::from_str(&format!("Writ::{kind}")).map_err(ours)?;
    Ok(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}

fn principal_uid(facts: &Facts) -> Result<EntityUid> {
    uid("Principal", &facts.principal)
}

fn resource_uid(facts: &Facts) -> Result<EntityUid> {
    uid(
        "Resource",
        &format!(
            "{}/{}",
            facts.resource.kind,
            facts.resource.id.map(|id| id.to_string()).unwrap_or_default()
        ),
    )
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn entity(
    uid: EntityUid,
    attributes: Vec<(&str, Option<RestrictedExpression>)>,
    parents: HashSet<EntityUid>,
) -> Result<Entity> {
    let attributes: HashMap<String, RestrictedExpression> =
        attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Entity::new(uid, attributes, parents).map_err(ours)
}

fn entities(facts: &Facts) -> Result<Entities> {
    let tenant = uid("Tenant", &facts.tenant)?;
    let mut all = vec![Entity::new_no_attrs(tenant.clone(), HashSet::new())];
    let mut parents = HashSet::from([tenant.clone()]);
    let mut environment_uid = None;
    if let Some(environment) = &facts.resource.environment {
        let uid = uid("Environment", &environment.id.to_string())?;
        let attributes = vec![
            ("kind", Some(string(&environment.kind))),
            (
                "requiredApprovals",
                Some(RestrictedExpression::new_long(environment.required_approvals.into())),
            ),
            ("minimumIsolation", Some(RestrictedExpression::new_long(environment.minimum_isolation.into()))),
        ];
        all.push(entity(uid.clone(), attributes, HashSet::from([tenant]))?);
        parents = HashSet::from([uid.clone()]);
        environment_uid = Some(uid);
    }
    let principal = |id: &Option<String>| -> Result<Option<RestrictedExpression>> {
        id.as_ref().map(|id| Ok(RestrictedExpression::new_entity_uid(uid("Principal", id)?))).transpose()
    };
    let resource = &facts.resource;
    let attributes = vec![
        ("kind", Some(string(resource.kind))),
        ("author", principal(&resource.author)?),
        ("owner", principal(&resource.owner)?),
        ("environment", environment_uid.map(RestrictedExpression::new_entity_uid)),
        ("cloud", resource.cloud.as_deref().map(string)),
        ("state", resource.state.as_deref().map(string)),
        ("grantsRole", resource.grants_role.as_deref().map(string)),
        ("classification", resource.classification.as_deref().map(string)),
        ("path", resource.path.as_deref().map(string)),
    ];
    all.push(entity(resource_uid(facts)?, attributes, parents)?);
    let roles = facts.roles.iter().map(|role| uid("Role", role)).collect::<Result<HashSet<_>>>()?;
    all.extend(roles.iter().map(|role| Entity::new_no_attrs(role.clone(), HashSet::new())));
    all.push(entity(principal_uid(facts)?, vec![("kind", Some(string(facts.principal_kind)))], roles)?);
    Entities::from_entities(all, Some(&COMPILED_SCHEMA)).map_err(ours)
}

fn context(facts: &Facts) -> Result<Context> {
    let long = RestrictedExpression::new_long;
    // Cedar's datetime takes no microseconds.
    let now = Timestamp::from_micros(facts.now.seconds() * 1_000_000);
    let mut pairs = vec![
        ("now".to_owned(), RestrictedExpression::new_datetime(now.to_string())),
        ("mfa".to_owned(), RestrictedExpression::new_bool(facts.mfa)),
        (
            "sessionAgeSeconds".to_owned(),
            long(i64::try_from(facts.session_age.as_secs()).unwrap_or(i64::MAX)),
        ),
        ("approvals".to_owned(), long(facts.approvals.into())),
    ];
    if let Some(source) = facts.source {
        pairs.push(("source".to_owned(), RestrictedExpression::new_ip(source.to_string())));
    }
    if let Some(level) = facts.isolation {
        pairs.push(("isolation".to_owned(), long(level.into())));
    }
    if let Some(plan) = &facts.plan {
        pairs.push(("plan".to_owned(), plan_record(plan)?));
    }
    Context::from_pairs(pairs).map_err(ours)
}

fn plan_record(plan: &Plan) -> Result<RestrictedExpression> {
    let long = |number: u32| RestrictedExpression::new_long(number.into());
    let set = |items: &mut dyn Iterator<Item = &String>| {
        RestrictedExpression::new_set(items.map(|item| string(item)))
    };
    RestrictedExpression::new_record([
        ("create".to_owned(), long(plan.create)),
        ("update".to_owned(), long(plan.update)),
        ("delete".to_owned(), long(plan.delete)),
        ("replace".to_owned(), long(plan.replace)),
        ("types".to_owned(), set(&mut plan.types.iter())),
        ("regions".to_owned(), set(&mut plan.regions.iter())),
        ("images".to_owned(), set(&mut plan.images.iter())),
        ("providers".to_owned(), set(&mut plan.providers.iter())),
    ])
    .map_err(ours)
}

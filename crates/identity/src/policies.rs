//! The tenant's own policies: read, replace, try.

use serde_json::json;
use uuid::Uuid;
use writ_gate::{
    Circumstances, Done, Environment, Facts, Gate, Plan, Receipt, Resource, policy, policy_sets,
};
use writ_kernel::{Action, Caller, Credential, Error, Id, Name, PrincipalKind, Result, Role, Scopes, World};
use writ_wire::policies as wire;

/// The most cases one test may have.
const CASES: usize = 1_000;

/// The policies that hold now.
pub(crate) async fn read(gate: &Gate, caller: &Caller) -> Result<(wire::PolicySet, Receipt)> {
    let mut grant = gate.grant(caller, Action::PolicyRead, Resource::all("policy-set")).await?;
    let active = policy_sets::active(grant.tx()).await?;
    let digest = grant.policies().digest().to_owned();
    let receipt = grant.commit(Done::plain()).await?;
    Ok((to_wire(active.id.map(Id::uuid), digest, active.text, active.created_at), receipt))
}

/// Replaces the tenant's own policies.
pub(crate) async fn write(
    gate: &Gate,
    caller: &Caller,
    wanted: wire::WritePolicySet,
) -> Result<(wire::PolicySet, Receipt)> {
    let mut grant = gate.grant(caller, Action::PolicyWrite, Resource::all("policy-set")).await?;
    let world = grant.world().clone();
    let (author, text) = (caller.principal, &wanted.policies);
    let (id, policies) = policy_sets::activate(grant.tx(), &world, author, text, wanted.replaces).await?;
    let facts = Facts::new(caller, grant.resource(), &Circumstances::default(), world.now());
    if !policies.decide(Action::PolicyWrite, &facts)?.allow {
        let error = Error::conflict("locked_out", "under these policies you could not replace them again");
        return Err(grant.refuse(error.at("policies")).await);
    }
    let detail = json!({ "digest": policies.digest(), "replaces": wanted.replaces });
    let receipt = grant.commit(Done::with(detail).created(id)).await?;
    let digest = policies.digest().to_owned();
    Ok((to_wire(Some(id.uuid()), digest, wanted.policies, Some(world.now())), receipt))
}

/// Tries cases against policies that are given, or against those that hold.
pub(crate) async fn test(
    gate: &Gate,
    caller: &Caller,
    wanted: wire::TestPolicies,
) -> Result<(wire::PolicyTestReport, Receipt)> {
    if wanted.cases.len() > CASES {
        return Err(Error::too_large("too_many_cases", "a test has at most 1000 cases").at("cases"));
    }
    let mut grant = gate.grant(caller, Action::PolicyTest, Resource::all("policy-set")).await?;
    let policies = match wanted.policies {
        Some(text) => std::sync::Arc::new(policy::Policies::compile(&text)?),
        None => gate.active_policies(grant.tx()).await?.1,
    };
    let report = report(gate.world(), &policies, wanted.cases)?;
    let detail = json!({ "cases": report.results.len(), "passed": report.passed });
    let receipt = grant.commit(Done::with(detail)).await?;
    Ok((report, receipt))
}

/// Tries cases against the built-in policies and those given, without a server and without evidence.
///
/// # Errors
/// `Invalid` when a policy or a case is malformed.
pub fn try_policies(world: &World, wanted: wire::TestPolicies) -> Result<wire::PolicyTestReport> {
    let policies = policy::Policies::compile(wanted.policies.as_deref().unwrap_or_default())?;
    report(world, &policies, wanted.cases)
}

fn report(
    world: &World,
    policies: &policy::Policies,
    cases: Vec<wire::PolicyCase>,
) -> Result<wire::PolicyTestReport> {
    let results = cases.into_iter().map(|case| run(world, policies, case)).collect::<Result<Vec<_>>>()?;
    Ok(wire::PolicyTestReport { passed: results.iter().all(|result| result.passed), results })
}

fn to_wire(
    id: Option<Uuid>,
    digest: String,
    policies: String,
    created_at: Option<writ_kernel::Timestamp>,
) -> wire::PolicySet {
    let built_in = policy::BUILT_IN.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n");
    wire::PolicySet { id, digest, policies, built_in, created_at }
}

fn run(world: &World, policies: &policy::Policies, case: wire::PolicyCase) -> Result<wire::PolicyCaseResult> {
    let action: Action = case.action.parse().map_err(|error: Error| error.at("cases.action"))?;
    let caller = imagined(world, &case)?;
    let mut resource = Resource::one("case", Id::<()>::from_uuid(Uuid::nil())).of(caller.principal);
    if case.author {
        resource = resource.by(caller.principal);
    }
    if let Some(kind) = &case.environment {
        resource = resource.within(Environment {
            id: Id::from_uuid(Uuid::nil()),
            name: "case".parse()?,
            kind: kind.clone(),
            required_approvals: case.required_approvals,
            minimum_isolation: 0,
            created_at: world.now(),
        });
    }
    let around = Circumstances { approvals: case.approvals, plan: case.plan.map(plan), isolation: None };
    let decision = policies.decide(action, &Facts::new(&caller, &resource, &around, world.now()))?;
    let verdict = if decision.allow { "allow" } else { "deny" };
    let (name, passed) = (case.name, verdict == case.expect);
    Ok(wire::PolicyCaseResult { name, decision: verdict.to_owned(), passed, reasons: decision.reasons })
}

fn imagined(world: &World, case: &wire::PolicyCase) -> Result<Caller> {
    let kind = match case.principal_kind.as_deref() {
        None | Some("person") => PrincipalKind::Person,
        Some("service") => PrincipalKind::Service,
        Some("runner") => PrincipalKind::Runner,
        Some("system") => PrincipalKind::System,
        Some(_) => {
            return Err(Error::invalid(
                "principal_kind",
                "a principal is a person, service, runner or system",
            )
            .at("cases.principalKind"));
        }
    };
    let role = |text: &String| Ok(Role { name: text.parse::<Name>()?, environment: None });
    Ok(Caller {
        principal: Id::from_uuid(Uuid::max()),
        kind,
        roles: case.roles.iter().map(role).collect::<Result<Vec<_>>>()?.into(),
        scopes: Scopes::all(),
        fence: None,
        credential: Credential::Internal,
        mfa: case.mfa,
        ..Caller::system(writ_gate::tenancy::PLATFORM, world)
    })
}

fn plan(facts: wire::PlanFacts) -> Plan {
    let wire::PlanFacts { create, update, delete, replace, types, regions, images, providers } = facts;
    let types = types.into_keys().collect();
    Plan { create, update, delete, replace, types, regions, images, providers }
}

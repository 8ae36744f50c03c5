//! What may become of a plan: the one place where authority to apply is minted.

use serde_json::json;
use writ_crypto::hash;
use writ_gate::{
    Circumstances, Done, Facts, Grant, Outcome as Recorded, Plan as PlanSeen, Resource, approvals,
    policy::{Decision, Policies},
};
use writ_kernel::{Action, Caller, Error, Id, Principal, Result};
use writ_store::Tx;
use writ_wire::{
    connections::Cloud,
    deployments::{Mode, Plan, PlanBinding, State},
    policies::PlanFacts,
    runner::PlanDecision,
};

use crate::{
    deployments::{Place, outcome, place},
    model::{Deploy, RunRecord},
    runs, sql,
};

/// SHA-256 of everything an approval binds: what the runner reports, and what only the server knows (the deployment,
/// its mode, the connection, the policies). `sha256:<hex>` over canonical JSON (RFC 8785).
pub(crate) fn binding(place: &Place, bound: &PlanBinding, policies: &Policies) -> Result<String> {
    let whole = json!({
        "deployment": place.deployment.id,
        "mode": place.deployment.mode,
        "environment": place.environment.id,
        "connection": { "target": place.connection.target, "backend": place.connection.backend },
        "policies": policies.digest(),
        "bound": bound,
    });
    let text = serde_json_canonicalizer::to_string(&whole)
        .map_err(|error| Error::internal("binding").because(error))?;
    Ok(format!("sha256:{}", hash::hex(&hash::sha256(text.as_bytes()))))
}

/// The action that makes a deployment's plan real.
pub(crate) const fn action_of(mode: Mode) -> Action {
    match mode {
        Mode::Destroy => Action::DeploymentDestroy,
        Mode::Plan | Mode::Apply => Action::DeploymentApply,
    }
}

/// Decides what a runner may do with the plan it has just made, which the run's own grant has already written down.
/// Policy speaks about the author as they are now; approvals are counted here.
///
/// # Errors
/// When the database fails.
pub(crate) async fn decide(
    room: &Deploy,
    tenant_caller: &Caller,
    run: &RunRecord,
    place: &Place,
    changes: bool,
) -> Result<PlanDecision> {
    if place.deployment.mode == Mode::Plan || !changes {
        return Ok(PlanDecision::Done {});
    }
    let Some(plan) = &place.deployment.plan else { return Err(Error::internal("a decision without a plan")) };
    if let Some(region) = foreign_region(&place.connection.target, &plan.facts) {
        let reason = format!("the plan names region `{region}`, which the connection does not allow");
        return refuse(room, tenant_caller, place, Refusal::own("region_not_allowed", reason)).await;
    }
    let Some(author) = place.author(tenant_caller.tenant).now(room).await? else {
        let reason = "whoever asked for the change can no longer act".to_owned();
        return refuse(room, tenant_caller, place, Refusal::own("author_disabled", reason)).await;
    };
    Box::pin(permit(room, tenant_caller, &author, run, place)).await
}

/// Mints the permit, or says why not. Enters as the author, so the leaf of the act is the author's.
async fn permit(
    room: &Deploy,
    runner: &Caller,
    author: &Caller,
    run: &RunRecord,
    seen: &Place,
) -> Result<PlanDecision> {
    let action = action_of(seen.deployment.mode);
    let standing = standing_approvers(room, seen, author).await?;
    let mut entry = room.gate().enter(author, action).await?;
    let Some(place) = place(&mut entry, seen.deployment.id.uuid()).await? else {
        return Err(entry.not_found("deployment").await);
    };
    let Some(plan) = place.deployment.plan.clone() else {
        return Err(Error::internal("a permit without a plan"));
    };
    if place.deployment.cancel_requested {
        drop(entry);
        let reason = "the deployment was cancelled".to_owned();
        return refuse(room, runner, &place, Refusal::own("cancelled", reason)).await;
    }
    let (_, policies) = room.gate().active_policies(entry.tx()).await?;
    let around =
        Circumstances { approvals: 0, plan: Some(seen_by_policy(&plan.facts)), isolation: run.isolation };
    let resource = acted_on(entry.tx(), &place).await?;
    let facts = Facts::new(author, &resource, &around, room.gate().world().now());
    let Some(needed) = policies.approvals_needed(action, &facts)? else {
        let decision = policies.decide(action, &facts)?;
        drop(entry);
        let refusal = Refusal { code: "policy_refused", reason: refused_by(&decision), decision };
        return refuse(room, runner, &place, refusal).await;
    };
    let approval = approvals::latest_for(entry.tx(), place.deployment.id.uuid()).await?;
    let now = room.gate().world().now();
    let usable = approval.filter(|approval| {
        approval.state_at(now) == approvals::State::Approved
            && approval.binding == plan.binding
            && approval.quorum >= needed
    });
    let approvals = match &usable {
        Some(approval) => {
            let agreed = approvals::agreed(entry.tx(), approval).await?;
            let standing = agreed.iter().filter(|principal| standing.contains(principal));
            u8::try_from(standing.count()).unwrap_or(u8::MAX)
        }
        None => 0,
    };
    if approvals < needed {
        drop(entry);
        return ask_others(room, runner, &place, &plan, needed).await;
    }
    let mut grant = entry.admit_under(resource, Circumstances { approvals, ..around }).await?;
    if let Some(approval) = &usable {
        approvals::consume(grant.tx(), approval, now).await?;
    }
    let permit = grant.world().uuid();
    runs::sql::set_permit(grant.tx(), run.id, permit).await?;
    let mut deployment = place.deployment.clone();
    deployment.state = State::Applying;
    advance(&mut grant, State::Planning, &deployment).await?;
    let detail = json!({ "permit": permit, "run": run.id, "binding": plan.binding, "bound": plan.bound,
        "approval": usable.as_ref().map(|approval| approval.id), "isolation": run.isolation });
    grant.commit(Done::with(detail).outcome(Recorded::Intent)).await?;
    room.wake();
    Ok(PlanDecision::Apply { permit })
}

fn refused_by(decision: &Decision) -> String {
    match decision.reasons.first() {
        Some(policy) => format!("policy refuses this plan: policy `{policy}`"),
        None => "policy refuses this plan: no role of the author permits it".to_owned(),
    }
}

/// Those who agreed to the newest request and could still decide on it now: whoever was disabled or lost the role
/// meanwhile agrees to nothing any more.
async fn standing_approvers(room: &Deploy, place: &Place, author: &Caller) -> Result<Vec<Id<Principal>>> {
    let mut tx = room.gate().db().read(author.tenant).await?;
    let Some(request) = approvals::latest_for(&mut tx, place.deployment.id.uuid()).await? else {
        return Ok(Vec::new());
    };
    let (_, policies) = room.gate().active_policies(&mut tx).await?;
    let agreed = approvals::agreed(&mut tx, &request).await?;
    drop(tx);
    let mut resource = Resource::one("approval", request.id).within(place.environment.clone());
    resource.author = Some(request.author);
    resource.owner = room.0.principals.accountable(author.tenant, request.author).await?;
    let mut standing = Vec::new();
    for principal in agreed {
        let person = room.0.principals.current(author.tenant, principal, author.trace).await?;
        let Some(person) = person else { continue };
        let facts = Facts::new(&person, &resource, &Circumstances::default(), room.gate().world().now());
        if policies.decide(Action::ApprovalDecide, &facts)?.allow {
            standing.push(principal);
        }
    }
    Ok(standing)
}

/// Asks others to agree to exactly this plan.
async fn ask_others(
    room: &Deploy,
    runner: &Caller,
    place: &Place,
    plan: &Plan,
    quorum: u8,
) -> Result<PlanDecision> {
    let mut grant = room.gate().grant(runner, Action::RunReport, own(runner, place)).await?;
    let new = approvals::New {
        action: action_of(place.deployment.mode),
        resource: place.deployment.id.uuid(),
        environment: place.environment.id,
        author: place.deployment.author,
        binding: plan.binding.clone(),
        quorum,
    };
    let world = grant.world().clone();
    let request = approvals::request(grant.tx(), &world, new).await?;
    let mut deployment = place.deployment.clone();
    deployment.state = State::AwaitingApproval;
    deployment.approval = Some(request.id.uuid());
    advance(&mut grant, State::Planning, &deployment).await?;
    let detail = json!({ "approval": request.id, "binding": plan.binding, "quorum": quorum });
    grant.commit(Done::with(detail)).await?;
    room.wake();
    let people = if quorum == 1 { "somebody else has" } else { "others have" };
    Ok(PlanDecision::Wait {
        reason: format!("{quorum} approval(s) needed: {people} to agree to {}", plan.binding),
    })
}

/// What policy decides about when a plan is to be made real. Removing everything is the business of whoever made it, so
/// the author of a removal is who last applied what is removed, and not who asks for it.
async fn acted_on(tx: &mut Tx, place: &Place) -> Result<Resource> {
    let mut resource = place.resource();
    if place.deployment.mode == Mode::Destroy {
        resource.author = sql::last_to_apply(tx, &place.deployment).await?;
    }
    Ok(resource)
}

/// Why a plan is not made real, and the decision behind it.
struct Refusal {
    code: &'static str,
    reason: String,
    decision: Decision,
}

impl Refusal {
    /// What the server refuses by itself, whatever policy says.
    fn own(code: &'static str, reason: String) -> Self {
        let decision = Decision { allow: false, reasons: vec![code.to_owned()], hint: None };
        Self { code, reason, decision }
    }
}

async fn refuse(
    room: &Deploy,
    runner: &Caller,
    place: &Place,
    Refusal { code, reason, decision }: Refusal,
) -> Result<PlanDecision> {
    let mut grant = room.gate().grant(runner, Action::RunReport, own(runner, place)).await?;
    let mut deployment = place.deployment.clone();
    deployment.state = if deployment.cancel_requested { State::Cancelled } else { State::Refused };
    deployment.outcome = Some(outcome(code, reason.clone(), None));
    advance(&mut grant, State::Planning, &deployment).await?;
    let resource = place.resource();
    let done = Done::with(json!({ "code": code, "told": reason })).outcome(Recorded::Refuse);
    grant.also_decided(action_of(deployment.mode), &resource, &decision, done).await?;
    grant.commit(Done::plain()).await?;
    room.wake();
    Ok(PlanDecision::Refused { reason })
}

/// The deployment as the resource of its own runner.
pub(crate) fn own(runner: &Caller, place: &Place) -> Resource {
    place.resource().of(runner.principal)
}

pub(crate) async fn advance(
    grant: &mut Grant,
    from: State,
    to: &crate::model::DeploymentRecord,
) -> Result<()> {
    let now = grant.world().now();
    if sql::advance(grant.tx(), from, to, now).await? {
        return Ok(());
    }
    Err(Error::conflict("deployment_moved", "the deployment moved on at the same moment"))
}

/// The first region of a plan that its connection does not allow.
fn foreign_region<'a>(cloud: &Cloud, facts: &'a PlanFacts) -> Option<&'a String> {
    let (home, allowed) = match cloud {
        Cloud::Aws { region, allowed_regions, .. } => (Some(region), allowed_regions),
        Cloud::Azure { allowed_regions, .. } | Cloud::Gcp { allowed_regions, .. } => (None, allowed_regions),
        Cloud::Local {} => return None,
    };
    if home.is_none() && allowed.is_empty() {
        return None;
    }
    facts.regions.iter().find(|region| Some(*region) != home && !allowed.contains(region))
}

fn seen_by_policy(facts: &PlanFacts) -> PlanSeen {
    PlanSeen {
        create: facts.create,
        update: facts.update,
        delete: facts.delete,
        replace: facts.replace,
        types: facts.types.keys().cloned().collect(),
        regions: facts.regions.clone(),
        images: facts.images.clone(),
        providers: facts.providers.clone(),
    }
}

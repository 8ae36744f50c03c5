//! Approvals of deployments: others agree, or refuse.

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Outcome, Receipt, Resource, approvals, tenancy};
use writ_kernel::{Action, Caller, Error, Id, Label, Page, PageRequest, Result};
use writ_wire::{
    approvals::{self as wire, Decide, Verdict},
    deployments::State,
};

use crate::{
    deployments::{outcome, place},
    model::Deploy,
    sql,
};

/// Lists requests for approval, newest first.
pub(crate) async fn list(
    room: &Deploy,
    caller: &Caller,
    state: Option<String>,
    page: PageRequest,
) -> Result<(Page<wire::Approval>, Receipt)> {
    let state = state.map(|text| parse_state(&text)).transpose()?;
    let mut grant = room.gate().grant(caller, Action::ApprovalRead, Resource::all("approval")).await?;
    let now = grant.world().now();
    let page = approvals::list(grant.tx(), state, &page).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for request in page.items {
        let votes = approvals::votes(grant.tx(), request.id).await?;
        items.push(to_wire(request, votes, now));
    }
    let receipt = grant.commit(Done::plain()).await?;
    Ok((Page { items, next: page.next }, receipt))
}

/// One request for approval.
pub(crate) async fn find(room: &Deploy, caller: &Caller, id: Uuid) -> Result<(wire::Approval, Receipt)> {
    let mut entry = room.gate().enter(caller, Action::ApprovalRead).await?;
    let Some(request) = approvals::find(entry.tx(), Id::from_uuid(id)).await? else {
        return Err(entry.not_found("approval").await);
    };
    let mut resource = Resource::one("approval", request.id).by(request.author);
    resource.environment = tenancy::environment(entry.tx(), request.environment).await?;
    let mut grant = entry.admit(resource).await?;
    let votes = approvals::votes(grant.tx(), request.id).await?;
    let now = grant.world().now();
    let receipt = grant.commit(Done::plain()).await?;
    Ok((to_wire(request, votes, now), receipt))
}

/// Agrees to a change, or refuses it. The last agreement that was needed queues the deployment again.
pub(crate) async fn decide(
    room: &Deploy,
    caller: &Caller,
    id: Uuid,
    wanted: Decide,
) -> Result<(wire::Approval, Receipt)> {
    let comment =
        wanted.comment.map(|text| text.parse::<Label>()).transpose().map_err(|error| error.at("comment"))?;
    let mut entry = room.gate().enter(caller, Action::ApprovalDecide).await?;
    let Some(request) = approvals::find(entry.tx(), Id::from_uuid(id)).await? else {
        return Err(entry.not_found("approval").await);
    };
    let Some(place) = place(&mut entry, request.resource).await? else {
        return Err(entry.not_found("deployment").await);
    };
    let mut resource = Resource::one("approval", request.id)
        .named(&place.deployment.target)
        .within(place.environment.clone())
        .by(request.author);
    resource.owner = room.0.principals.accountable(caller.tenant, request.author).await?;
    let mut grant = entry.admit(resource).await?;
    let now = grant.world().now();
    let approve = wanted.verdict == Verdict::Approve;
    let comment = comment.map(|label| label.to_string());
    let vote = approvals::Vote { principal: caller.principal, approve, comment, at: now };
    let state = match approvals::decide(grant.tx(), &request, &wanted.binding, vote).await {
        Ok(state) => state,
        Err(error) => return Err(grant.refuse(error).await),
    };
    let mut deployment = place.deployment;
    deployment.state = match state {
        approvals::State::Approved => State::Approved,
        approvals::State::Rejected => State::Refused,
        _ => State::AwaitingApproval,
    };
    if deployment.state == State::Refused {
        deployment.outcome = Some(outcome("rejected", "an approver refused the change", None));
    }
    if !sql::advance(grant.tx(), State::AwaitingApproval, &deployment, now).await? {
        return Err(Error::conflict("approval_closed", "the deployment no longer waits for approval"));
    }
    let votes = approvals::votes(grant.tx(), request.id).await?;
    let detail = json!({ "deployment": deployment.id, "binding": request.binding, "verdict": wanted.verdict,
        "state": state.as_str() });
    let receipt = grant.commit(Done::with(detail).outcome(Outcome::Allow)).await?;
    room.wake();
    Ok((to_wire(approvals::Request { state, ..request }, votes, now), receipt))
}

fn parse_state(text: &str) -> Result<approvals::State> {
    use approvals::State::{Approved, Expired, Pending, Rejected, Superseded, Used};
    [Pending, Approved, Rejected, Expired, Superseded, Used]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| {
            Error::invalid(
                "approval_state",
                "a state is pending, approved, rejected, expired, superseded or used",
            )
            .at("state")
        })
}

fn to_wire(
    request: approvals::Request,
    votes: Vec<approvals::Vote>,
    now: writ_kernel::Timestamp,
) -> wire::Approval {
    let state = request.state_at(now).as_str().to_owned();
    let vote = |vote: approvals::Vote| wire::Vote {
        principal: vote.principal.uuid(),
        verdict: if vote.approve { Verdict::Approve } else { Verdict::Reject },
        comment: vote.comment,
        at: vote.at,
    };
    wire::Approval {
        id: request.id.uuid(),
        action: request.action.name().to_owned(),
        deployment: request.resource,
        environment: request.environment.uuid(),
        author: request.author.uuid(),
        binding: request.binding,
        quorum: request.quorum,
        state,
        votes: votes.into_iter().map(vote).collect(),
        created_at: request.created_at,
        expires_at: request.expires_at,
    }
}

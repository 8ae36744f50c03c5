//! Approvals.

use clap::{Args as Group, Subcommand};
use uuid::Uuid;
use writ_client::Client;
use writ_kernel::Label;
use writ_wire::{
    approvals::{Approval, Decide, Verdict},
    deployments::Deployment,
};

use crate::{
    args::parsed,
    commands::Context,
    deploy::plan,
    input,
    listing::{self, Listing},
    output::{Failure, details, plain, when},
};

const STATES: [&str; 6] = ["pending", "approved", "rejected", "expired", "superseded", "used"];

/// Requests that others agree to a change.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them, newest first.
    List {
        /// Only those in this state.
        #[arg(long, value_parser = STATES)]
        state: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one, with the plan it is about.
    Show {
        /// Its id.
        approval: Uuid,
    },
    /// Agree to exactly the plan that is shown.
    Approve(Decision),
    /// Refuse the change: it does not happen.
    Reject(Decision),
}

/// What somebody says to a request.
#[derive(Debug, Group)]
pub(crate) struct Decision {
    /// Its id.
    approval: Uuid,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = parsed::<Label>)]
    comment: Option<Label>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// The binding that was reviewed before: anything else is not decided. Does not ask either.
    #[arg(long, value_name = "sha256:…")]
    binding: Option<String>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List { state, listing } => {
            let filter: Vec<_> = state.map(|state| ("state", state)).into_iter().collect();
            let page = listing::page::<Approval>(&client, "/api/v1/approvals", &filter, &listing).await?;
            let heading = ["STATE", "ACTION", "VOTES", "EXPIRES", "DEPLOYMENT", "ID"];
            listing::show(context.output, &page, &heading, |approval| {
                vec![
                    approval.state.clone(),
                    approval.action.clone(),
                    votes(approval),
                    when(approval.expires_at),
                    approval.deployment.to_string(),
                    approval.id.to_string(),
                ]
            });
        }
        Command::Show { approval } => {
            let (approval, deployment) = about(&client, approval).await?;
            context.output.result(&approval, |approval| shown(approval, &deployment));
        }
        Command::Approve(decision) => decide(context, &client, decision, Verdict::Approve).await?,
        Command::Reject(decision) => decide(context, &client, decision, Verdict::Reject).await?,
    }
    Ok(())
}

/// A request and the deployment it is about.
async fn about(client: &Client, id: Uuid) -> Result<(Approval, Deployment), Failure> {
    let approval: Approval = client.get(&format!("/api/v1/approvals/{id}")).await?;
    let deployment = client.get(&format!("/api/v1/deployments/{}", approval.deployment)).await?;
    Ok((approval, deployment))
}

/// Sends the binding of the plan that was shown, so that nothing else can be agreed to.
async fn decide(
    context: &Context,
    client: &Client,
    decision: Decision,
    verdict: Verdict,
) -> Result<(), Failure> {
    let (output, word) = (context.output, if verdict == Verdict::Approve { "approve" } else { "reject" });
    let (approval, deployment) = about(client, decision.approval).await?;
    let shown_binding = deployment.plan.as_ref().map(|plan| plan.binding.clone()).unwrap_or_default();
    output.note(shown(&approval, &deployment));
    if let Some(reviewed) = &decision.binding
        && *reviewed != approval.binding
    {
        let failure =
            Failure::new(1, "other_binding", "the request binds another plan than the one that was reviewed");
        return Err(failure.hint(format!("look at it again: writ approval show {}", approval.id)));
    }
    if shown_binding != approval.binding {
        let failure = Failure::new(
            1,
            "superseded",
            "the deployment has another plan than the one the request is about",
        );
        return Err(failure.hint(format!("look at it again: writ deployment show {}", deployment.id)));
    }
    if !decision.yes && decision.binding.is_none() {
        let hint = "review it with `writ approval show`, then give --binding with what you saw, or --yes";
        if !input::confirm(&format!("\nDo you {word} exactly this?"), hint)? {
            return Err(Failure::new(1, "not_confirmed", "nothing was decided"));
        }
    }
    let comment = decision.comment.map(|comment| comment.to_string());
    let wanted = Decide { verdict, binding: approval.binding, comment };
    let now: Approval = client.post(&format!("/api/v1/approvals/{}/decide", approval.id), &wanted).await?;
    output.result(&now, |now| format!("{} ({})", now.state, votes(now)));
    Ok(())
}

fn votes(approval: &Approval) -> String {
    let agreed = approval.votes.iter().filter(|vote| vote.verdict == Verdict::Approve).count();
    format!("{agreed} of {} agreed", approval.quorum)
}

fn shown(approval: &Approval, deployment: &Deployment) -> String {
    let mut rows = vec![
        ("approval", approval.id.to_string()),
        ("state", approval.state.clone()),
        ("action", approval.action.clone()),
        ("target", deployment.target.clone()),
        ("deployment", deployment.id.to_string()),
        ("author", approval.author.to_string()),
        ("votes", votes(approval)),
        ("expires", when(approval.expires_at)),
        ("binding", approval.binding.clone()),
    ];
    rows.extend(deployment.reason.clone().map(|reason| ("reason", reason)));
    let mut parts = vec![details(&rows)];
    parts.extend(
        deployment.plan.as_ref().map(|plan| format!("{}\n\n{}", plan::changes(plan), plan::bound(plan))),
    );
    parts.extend(approval.votes.iter().map(|vote| {
        let verdict = if vote.verdict == Verdict::Approve { "agreed" } else { "refused" };
        let comment = vote.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default();
        plain(&format!("{} {verdict} on {}{comment}", vote.principal, when(vote.at)))
    }));
    parts.join("\n\n")
}

//! Following a deployment until it ends.

use std::{process::ExitCode, time::Duration};

use serde::Serialize;
use uuid::Uuid;
use writ_client::Client;
use writ_wire::deployments::{Deployment, Output as Stretch, OutputLine, State};

use crate::{
    deploy::plan,
    listing::with_query,
    output::{Failure, Output, plain},
};

/// How long one question waits for output, in seconds.
const WAIT: u8 = 20;
/// How often in a row the server may stay silent: with the waits between, some ten minutes.
const PATIENCE: u32 = 24;
/// The longest wait between two questions to a silent server.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What programs read, a line each.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    /// A line of output.
    Output(&'a OutputLine),
    /// How far it has come.
    State { state: State },
    /// How it ended.
    End { deployment: &'a Deployment },
}

/// Shows output after line `after` as it comes, until the deployment ends or somebody presses Ctrl-C, which stops
/// nothing but the following.
pub(crate) async fn follow(
    client: &Client,
    output: Output,
    id: Uuid,
    after: u64,
) -> Result<ExitCode, Failure> {
    let interrupted = async {
        // Without signals there is no Ctrl-C to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = to_the_end(client, output, id, after) => ended,
        () = interrupted => {
            output.note(format!(
                "\nno longer following; the deployment goes on\n  follow  writ deployment output {id} --follow\n  stop    writ deployment cancel {id}"
            ));
            Ok(ExitCode::from(130))
        }
    }
}

async fn to_the_end(client: &Client, output: Output, id: Uuid, mut after: u64) -> Result<ExitCode, Failure> {
    let (mut state, mut planned): (Option<State>, bool) = (None, false);
    loop {
        let mut query = vec![("after", after.to_string()), ("wait", WAIT.to_string())];
        query.extend(state.map(|state| ("state", state.as_str().to_owned())));
        let path = with_query(&format!("/api/v1/deployments/{id}/output"), &query)?;
        let stretch = patiently(client, output, &path).await?;
        for line in &stretch.lines {
            output.event(&Event::Output(line), |_| shown(line));
        }
        after = stretch.next;
        let moved = state.replace(stretch.state) != Some(stretch.state);
        // What is final is so only after all output was read.
        let over = stretch.state.is_final() && stretch.lines.is_empty();
        if moved && !stretch.state.is_final() {
            output.progress(&Event::State { state: stretch.state }, says(stretch.state));
            if !planned && matches!(stretch.state, State::AwaitingApproval | State::Applying) {
                let deployment: Deployment = client.get(&format!("/api/v1/deployments/{id}")).await?;
                describe(output, &deployment);
                planned = deployment.plan.is_some();
            }
        }
        if over {
            let deployment: Deployment = client.get(&format!("/api/v1/deployments/{id}")).await?;
            output.event(&Event::End { deployment: &deployment }, |_| ended(&deployment));
            return Ok(exit(deployment.state));
        }
    }
}

/// Asks again while the server does not answer: a deployment outlives a restart of the server.
async fn patiently(client: &Client, output: Output, path: &str) -> Result<Stretch, Failure> {
    let mut silent = 0;
    loop {
        let error = match client.get(path).await {
            Ok(stretch) => return Ok(stretch),
            Err(error) => error,
        };
        let passing = match &error {
            writ_client::Error::Unreachable(_) | writ_client::Error::Timeout => true,
            other => other.problem().is_some_and(|problem| matches!(problem.status, 429 | 502 | 503 | 504)),
        };
        silent += 1;
        if !passing || silent > PATIENCE {
            return Err(error.into());
        }
        output.note("the server does not answer; trying again");
        tokio::time::sleep(LONGEST_PAUSE.min(Duration::from_secs(2) * silent)).await;
    }
}

/// The plan, and what it waits for.
fn describe(output: Output, deployment: &Deployment) {
    if let Some(plan) = &deployment.plan {
        output.note(format!("\n{}\n\n{}\n", plan::changes(plan), plan::bound(plan)));
    }
    if let (State::AwaitingApproval, Some(approval)) = (deployment.state, deployment.approval) {
        output.note(format!("somebody else must agree: writ approval approve {approval}"));
    }
}

/// A line of output, as people read it.
pub(crate) fn shown(line: &OutputLine) -> String {
    format!("{:<8} {}", line.step, plain(&line.text)).trim_end().to_owned()
}

const fn says(state: State) -> &'static str {
    match state {
        State::Queued => "waiting for a runner",
        State::Planning => "planning",
        State::AwaitingApproval => "waiting for approval",
        State::Approved => "approved; waiting for a runner",
        State::Applying => "applying",
        State::Succeeded | State::Failed | State::Cancelled | State::Refused | State::Lost => "over",
    }
}

/// How a deployment ended, with its outputs.
pub(crate) fn ended(deployment: &Deployment) -> String {
    let id = deployment.id;
    let Some(outcome) = &deployment.outcome else {
        return format!("deployment {id}: {}", deployment.state.as_str());
    };
    let mut text = format!("deployment {id}: {} ({})", deployment.state.as_str(), plain(&outcome.detail));
    for (name, value) in &outcome.outputs {
        text.push_str(&plain(&format!("\n  {name} = {value}")));
    }
    if let Some(hint) = &outcome.hint {
        text.push_str(&plain(&format!("\nhint: {hint}")));
    }
    text
}

/// Success only for what succeeded.
pub(crate) fn exit(state: State) -> ExitCode {
    if state == State::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! The tenant's policies.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde::Deserialize;
use uuid::Uuid;
use writ_wire::policies::{PolicyCase, PolicySet, PolicyTestReport, TestPolicies, WritePolicySet};

use crate::{
    commands::Context,
    input,
    output::{Failure, details, table, when_or_never},
    world::world,
};

/// The tenant's policies, in Cedar, which hold beside the built-in ones.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the tenant's own policies.
    Show {
        /// Print the built-in ones, too.
        #[arg(long)]
        built_in: bool,
    },
    /// Replace the tenant's own policies by those of a file (`-` for standard input).
    Put {
        /// Cedar policies.
        file: PathBuf,
        /// Only if this version is the active one.
        #[arg(long, value_name = "ID")]
        replaces: Option<Uuid>,
    },
    /// Try requests against policies, without any effect. Fails when one comes out otherwise than expected.
    Test {
        /// The cases: `{"cases": [{"name": …, "expect": "allow" | "deny", "action": …, "roles": […]}, …]}`.
        file: PathBuf,
        /// Try these Cedar policies instead of the active ones; repeat for more files.
        #[arg(long, value_name = "FILE")]
        policies: Vec<PathBuf>,
        /// Decide here, without a server: by the built-in policies and those given.
        #[arg(long)]
        offline: bool,
    },
}

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    cases: Vec<PolicyCase>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Show { built_in } => {
            let set: PolicySet = context.client()?.get("/api/v1/policies").await?;
            context.output.note(format!("version {}, {}", version(&set), set.digest));
            context.output.result(&set, |set| {
                let parts = [built_in.then_some(set.built_in.as_str()), Some(set.policies.as_str())];
                parts.into_iter().flatten().map(str::trim_end).collect::<Vec<_>>().join("\n\n")
            });
        }
        Command::Put { file, replaces } => {
            let wanted = WritePolicySet { policies: input::text(&file)?, replaces };
            let set: PolicySet = context.client()?.put("/api/v1/policies", &wanted).await?;
            context.output.result(&set, |set| {
                details(&[
                    ("version", version(set)),
                    ("digest", set.digest.clone()),
                    ("active since", when_or_never(set.created_at)),
                ])
            });
        }
        Command::Test { file, policies, offline } => {
            let cases = input::json::<Cases>(&file)?.cases;
            if let Some(case) = cases.iter().find(|case| !["allow", "deny"].contains(&case.expect.as_str())) {
                return Err(Failure::usage(format!(
                    "the case `{}` expects neither `allow` nor `deny`",
                    case.name
                )));
            }
            let texts = policies.iter().map(|path| input::text(path)).collect::<Result<Vec<_>, _>>()?;
            let policies = (!texts.is_empty()).then(|| texts.join("\n"));
            let wanted = TestPolicies { policies, cases };
            let report: PolicyTestReport = if offline {
                writ_identity::try_policies(&world(), wanted)?
            } else {
                context.client()?.post("/api/v1/policies/test", &wanted).await?
            };
            context.output.result(&report, shown);
            return Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn version(set: &PolicySet) -> String {
    set.id.map_or_else(|| "built-in only".to_owned(), |id| id.to_string())
}

fn shown(report: &PolicyTestReport) -> String {
    let heading = ["", "CASE", "DECISION", "DECIDED BY"].map(str::to_owned).to_vec();
    let rows = report.results.iter().map(|result| {
        let word = if result.passed { "ok" } else { "FAILED" }.to_owned();
        vec![word, result.name.clone(), result.decision.clone(), result.reasons.join(" ")]
    });
    let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
    let failed = report.results.iter().filter(|result| !result.passed).count();
    format!("{}\n\n{} cases, {failed} failed", table(&rows), report.results.len())
}

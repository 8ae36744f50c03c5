//! What can be known about a connection before any credential exists.

use serde_json::json;
use uuid::Uuid;
use writ_gate::{Done, Environment, Gate, Receipt, tenancy};
use writ_kernel::{Action, Caller, Result, Timestamp};
use writ_wire::connections::{Cloud, PreflightCheck, PreflightReport, StateBackend, Validated};

use crate::{
    errands::{self, ErrandRecord},
    model::ConnectionRecord,
    references, sql,
};

/// Checks a connection and says what was found, row by row.
pub(crate) async fn run(gate: &Gate, caller: &Caller, id: Uuid) -> Result<(PreflightReport, Receipt)> {
    let mut entry = gate.enter(caller, Action::ConnectionPreflight).await?;
    let Some(connection) = sql::connection(entry.tx(), id).await? else {
        return Err(entry.not_found("connection").await);
    };
    let Some(environment) = tenancy::environment(entry.tx(), connection.environment).await? else {
        return Err(entry.not_found("environment").await);
    };
    let validation = errands::sql::last_validation(entry.tx(), connection.id).await?;
    let report = report(&connection, &environment, validation, gate.world().now());
    // Looking at an unsound connection is what this is for, so policy is asked about its environment only.
    let resource =
        writ_gate::Resource::one("connection", connection.id).named(&connection.name).within(environment);
    let grant = entry.admit(resource).await?;
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| check.status == "fail")
        .map(|check| check.check.as_str())
        .collect();
    let done = Done::with(json!({ "passed": report.passed, "failed": failed }));
    let receipt = grant.commit(done).await?;
    Ok((report, receipt))
}

/// The row that says whether anybody can have the role assumed.
pub(crate) const CONFUSED_DEPUTY: &str = "confused_deputy";

/// The first row for which deployments are refused: one about the form, or `deputy`, that the last runner to find out
/// could assume the role without its external id.
pub(crate) fn blocking(
    connection: &ConnectionRecord,
    environment: &Environment,
    deputy: Option<PreflightCheck>,
) -> Option<PreflightCheck> {
    form(connection, environment).into_iter().chain(deputy).find(|row| row.status == "fail")
}

/// Every row of the report: of the form, and of the last time that a runner tried the connection.
fn report(
    connection: &ConnectionRecord,
    environment: &Environment,
    validation: Option<ErrandRecord>,
    now: Timestamp,
) -> PreflightReport {
    let mut checks = form(connection, environment);
    let validated = validation.as_ref().map(|errand| Validated {
        errand: errand.id.uuid(),
        state: errand.state,
        at: errand.updated_at,
        age_seconds: now.since(errand.updated_at).as_secs(),
    });
    match validation {
        Some(errand) if !errand.report.is_empty() => checks.extend(errand.report),
        Some(errand) => {
            let told = errand.outcome.map_or_else(String::new, |outcome| outcome.detail);
            checks.push(row("validation", false, told, "let a runner try the connection again"));
        }
        None => checks.extend([
            later("reachability", "the state backend answers"),
            later("authority", "a runner can borrow what the connection refers to"),
        ]),
    }
    let passed = checks.iter().all(|check| check.status != "fail");
    PreflightReport { passed, checks, validation: validated }
}

/// The rows about what stands in the connection. Nothing is done with it while one fails.
pub(crate) fn form(connection: &ConnectionRecord, environment: &Environment) -> Vec<PreflightCheck> {
    let form = references::checks(&connection.target, &connection.backend, &connection.allowed_providers);
    let mut checks: Vec<PreflightCheck> = form.iter().map(of_form).collect();
    checks.extend(of_environment(connection, environment));
    checks.push(of_match(connection));
    checks
}

fn row(check: &str, passed: bool, detail: String, fix: &str) -> PreflightCheck {
    let status = if passed { "pass" } else { "fail" };
    let fix = (!passed).then(|| fix.to_owned());
    PreflightCheck { check: check.to_owned(), status: status.to_owned(), detail, fix }
}

fn later(check: &str, what: &str) -> PreflightCheck {
    let detail = format!("{what}: only a runner can find out, and none has tried; ask for a validation");
    PreflightCheck { check: check.to_owned(), status: "skipped".to_owned(), detail, fix: None }
}

fn of_form(check: &references::Check) -> PreflightCheck {
    let detail = format!("`{}`: {}", check.field, check.expected);
    row(check.name, check.passed, detail, "register the connection anew with a well-formed reference")
}

fn of_environment(connection: &ConnectionRecord, environment: &Environment) -> [PreflightCheck; 2] {
    let dev = environment.kind == "dev";
    let remote = !matches!(connection.backend, StateBackend::Local {});
    let cloud = !matches!(connection.target, Cloud::Local {});
    [
        row(
            "state_backend",
            remote || dev,
            format!(
                "state is {} in an environment of kind {}",
                if remote { "remote" } else { "local" },
                environment.kind
            ),
            "give the connection an s3, azurerm or gcs backend: local state is for environments of kind dev",
        ),
        row(
            "cloud",
            cloud || dev,
            format!(
                "the connection {} in an environment of kind {}",
                if cloud { "names a cloud" } else { "names no cloud" },
                environment.kind
            ),
            "give the connection a cloud: none is for environments of kind dev",
        ),
    ]
}

/// A state backend of another cloud would need a second credential, which no run borrows.
fn of_match(connection: &ConnectionRecord) -> PreflightCheck {
    let fits = matches!(
        (&connection.target, &connection.backend),
        (_, StateBackend::Local {})
            | (Cloud::Aws { .. }, StateBackend::S3 { .. })
            | (Cloud::Azure { .. }, StateBackend::Azurerm { .. })
            | (Cloud::Gcp { .. }, StateBackend::Gcs { .. })
    );
    let fix = "keep state in the cloud the connection acts on: s3 for aws, azurerm for azure, gcs for gcp";
    row("backend_matches_cloud", fits, "the state backend belongs to the connection's cloud".to_owned(), fix)
}

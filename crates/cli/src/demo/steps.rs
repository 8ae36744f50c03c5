//! The steps of the demonstration, each as a user would do it over the API.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use uuid::Uuid;
use writ_client::Client;
use writ_evidence::offline::Verified;
use writ_wire::{
    approvals::{Approval, Decide, Verdict},
    configurations::Configuration,
    connections::{Cloud, Connection, CreateConnection, PreflightReport, StateBackend},
    deployments::{CreateDeployment, Deployment, Mode, Output as Lines, State},
    evidence::{LogInfo, Record},
    identity::{BindRole, CreatePerson, CreatedPerson, LoggedIn, Login, RoleBinding},
    page::Page,
    policies::{PolicySet, WritePolicySet},
    sys::{InitRequest, InitResponse, Protection},
    tenancy::{CreateEnvironment, CreateTenant, CreatedTenant, Environment, EnvironmentKind, IsolationLevel},
};

use super::{house::House, story, story::Planted};
use crate::{
    output::{Failure, Output},
    verify,
};

/// Where the steps happen.
pub(crate) struct Stage<'a> {
    pub(crate) output: Output,
    pub(crate) house: &'a House,
    pub(crate) planted: &'a Planted,
    pub(crate) directory: &'a Path,
}

/// Somebody at a terminal.
struct Person {
    client: Client,
}

/// Everybody and everything the deployment needs.
struct Setting {
    auditor: Person,
    author: Person,
    approver: Person,
    connection: Connection,
}

impl Stage<'_> {
    fn step(&self, text: &str) {
        self.output.note(format!("\n▸ {text}"));
    }

    fn say(&self, text: impl std::fmt::Display) {
        self.output.note(format!("  {text}"));
    }

    async fn log_in(&self, token: String) -> Result<Person, Failure> {
        let login = Login { token, label: Some("demonstration".to_owned()) };
        let session: LoggedIn = self.house.client(None)?.post("/api/v1/sessions", &login).await?;
        Ok(Person { client: self.house.client(Some(session.token))? })
    }
}

/// All of it.
pub(crate) async fn play(stage: &Stage<'_>) -> Result<(), Failure> {
    let setting = set_up(stage).await?;
    let deployment = plan(stage, &setting).await?;
    let refused = refuse_author(stage, &setting, &deployment).await?;
    let early = stage.directory.join("evidence-early.tar.gz");
    export(&setting.auditor.client, &early).await?;
    approve(stage, &setting, &deployment).await?;
    apply(stage, &setting, &deployment).await?;
    show_evidence(stage, &setting, refused).await?;
    prove(stage, &setting, &early).await
}

async fn set_up(stage: &Stage<'_>) -> Result<Setting, Failure> {
    stage.step("A server on the embedded store, and a tenant with two environments");
    let nobody = stage.house.client(None)?;
    let wanted = InitRequest { protection: Protection::DevFile, admin: "operator".to_owned() };
    let init: InitResponse = nobody.post("/api/v1/sys/init", &wanted).await?;
    let operator = stage.log_in(init.enrolment_token.unwrap_or_default()).await?;
    let wanted = CreateTenant { name: "acme".to_owned(), admin: "ada".to_owned() };
    let tenant: CreatedTenant = operator.client.post("/api/v1/tenants", &wanted).await?;
    let admin = stage.log_in(tenant.enrolment_token).await?;
    let dev = environment(&admin, "dev", EnvironmentKind::Dev, 1).await?;
    let prod = environment(&admin, "prod", EnvironmentKind::Prod, 2).await?;
    stage.say("tenant `acme`; `dev` demands 1 approval by somebody else, `prod` 2");

    let author = person(stage, &admin, "alice", &["developer", "approver"]).await?;
    let approver = person(stage, &admin, "bob", &["approver"]).await?;
    let operator_of_tenant = person(stage, &admin, "oscar", &["operator"]).await?;
    let auditor = person(stage, &admin, "iris", &["auditor"]).await?;
    stage.say("alice develops and may approve, bob approves, oscar operates, iris audits");

    let wanted = WritePolicySet { policies: story::POLICY.to_owned(), replaces: None };
    let set: PolicySet = admin.client.put("/api/v1/policies", &wanted).await?;
    stage.say(format!(
        "policy uploaded and validated: at most 20 new resources at a time ({})",
        short(&set.digest)
    ));

    let connection = connections(stage, &operator_of_tenant, &dev, &prod).await?;
    Ok(Setting { auditor, author, approver, connection })
}

async fn environment(
    admin: &Person,
    name: &str,
    kind: EnvironmentKind,
    approvals: u8,
) -> Result<Environment, Failure> {
    let wanted = CreateEnvironment {
        name: name.to_owned(),
        kind,
        required_approvals: approvals,
        minimum_isolation: IsolationLevel::None,
    };
    Ok(admin.client.post("/api/v1/environments", &wanted).await?)
}

async fn person(stage: &Stage<'_>, admin: &Person, name: &str, roles: &[&str]) -> Result<Person, Failure> {
    let wanted = CreatePerson { name: name.to_owned(), display_name: None };
    let created: CreatedPerson = admin.client.post("/api/v1/people", &wanted).await?;
    for role in roles {
        bind(admin, created.person.id, role).await?;
    }
    stage.log_in(created.enrolment_token).await
}

async fn bind(admin: &Person, principal: Uuid, role: &str) -> Result<RoleBinding, Failure> {
    let wanted = BindRole { principal, role: role.to_owned(), environment: None, expires_at: None };
    Ok(admin.client.post("/api/v1/role-bindings", &wanted).await?)
}

async fn connections(
    stage: &Stage<'_>,
    operator: &Person,
    dev: &Environment,
    prod: &Environment,
) -> Result<Connection, Failure> {
    stage.step("Cloud connections: references, never credentials");
    let aws = |external_id: &str| CreateConnection {
        name: "acme-aws".to_owned(),
        environment: prod.id,
        target: Cloud::Aws {
            role_arn: "arn:aws:iam::123456789012:role/writ-deploy".to_owned(),
            external_id: external_id.to_owned(),
            region: "eu-central-1".to_owned(),
            allowed_regions: Vec::new(),
        },
        backend: StateBackend::S3 {
            bucket: "acme-state".to_owned(),
            region: "eu-central-1".to_owned(),
            prefix: "prod".to_owned(),
            lock_table: None,
        },
        allowed_providers: vec!["hashicorp/aws".to_owned()],
    };
    let refused = operator.client.post::<_, Connection>("/api/v1/connections", &aws("")).await;
    let Err(refused) = refused else {
        return Err(unexpected("a connection without an external id was accepted"));
    };
    stage.say(format!("without an external id: refused ({})", refused.code()));
    let connection: Connection = operator.client.post("/api/v1/connections", &aws("acme-7f3k")).await?;
    let path = format!("/api/v1/connections/{}/preflight", connection.id);
    let report: PreflightReport = operator.client.post(&path, &json!({})).await?;
    let passed = report.checks.iter().filter(|check| check.status == "pass").count();
    stage.say(format!(
        "acme-aws: role, external id and state bucket by name; preflight: {passed} checks pass"
    ));
    let wanted = CreateConnection {
        name: "workbench".to_owned(),
        environment: dev.id,
        target: Cloud::Local {},
        backend: StateBackend::Local {},
        allowed_providers: Vec::new(),
    };
    let connection = operator.client.post("/api/v1/connections", &wanted).await?;
    stage.say("workbench: no cloud and local state, which only an environment of kind dev may have");
    Ok(connection)
}

async fn plan(stage: &Stage<'_>, setting: &Setting) -> Result<Deployment, Failure> {
    stage.step("alice deploys; a disposable runner plans, policy looks at the plan");
    let archive = story::archive(stage.planted)?;
    let upload = "/api/v1/configurations?origin=demonstration";
    let author = &setting.author.client;
    let configuration: Configuration = author.post_bytes(upload, "application/gzip", archive.into()).await?;
    let wanted = CreateDeployment {
        target: "payments".to_owned(),
        connection: setting.connection.id,
        configuration: configuration.id,
        mode: Mode::Apply,
        variables: [("team".to_owned(), json!("payments"))].into(),
        timeout_seconds: Some(300),
        reason: Some("first release".to_owned()),
    };
    let created: Deployment = author.post_once("/api/v1/deployments", "demonstration-1", &wanted).await?;
    let reached = follow(stage, setting, created.id, 0, |known| known == State::AwaitingApproval).await?;
    let deployment: Deployment = author.get(&format!("/api/v1/deployments/{}", created.id)).await?;
    if reached != State::AwaitingApproval {
        return Err(ended_as(&deployment));
    }
    let plan = deployment.plan.as_ref().ok_or_else(|| unexpected("there is no plan"))?;
    stage.say(format!("plan: {} to create; bound as {}", plan.facts.create, short(&plan.binding)));
    stage.say("the runner is gone; nothing holds any authority while people decide");
    Ok(deployment)
}

/// Follows the redacted output from line `after` until `enough` or the end.
async fn follow(
    stage: &Stage<'_>,
    setting: &Setting,
    id: Uuid,
    mut after: u64,
    enough: impl Fn(State) -> bool,
) -> Result<State, Failure> {
    let mut known = State::Queued;
    loop {
        let rests = known.is_final() || enough(known);
        let (wait, word) = (if rests { 0 } else { 20 }, known.as_str());
        let path = format!("/api/v1/deployments/{id}/output?after={after}&wait={wait}&state={word}");
        let part: Lines = setting.author.client.get(&path).await?;
        for line in &part.lines {
            stage.say(format!("│ {:<6} {}", line.step, line.text));
        }
        (after, known) = (part.next, part.state);
        if rests && part.lines.is_empty() {
            return Ok(known);
        }
    }
}

/// The author tries to approve the own change. Returns the id of the evidence of the refusal.
async fn refuse_author(
    stage: &Stage<'_>,
    setting: &Setting,
    deployment: &Deployment,
) -> Result<Uuid, Failure> {
    stage.step("alice, who may approve, tries to approve her own change");
    let (path, decide) = decision(deployment)?;
    let refused = setting.author.client.post::<_, Approval>(&path, &decide).await;
    let Err(refused) = refused else { return Err(unexpected("the author approved the own change")) };
    let problem = refused.problem().ok_or_else(|| unexpected("the refusal is no problem document"))?;
    stage.say(format!("refused: {}", problem.detail));
    let receipt = problem.receipt.clone().unwrap_or_default();
    stage.say(format!("on record: {receipt}"));
    leaf_of(&receipt).ok_or_else(|| unexpected("the refusal has no receipt"))
}

async fn approve(stage: &Stage<'_>, setting: &Setting, deployment: &Deployment) -> Result<(), Failure> {
    stage.step("bob reads the plan and agrees to exactly this one");
    let (path, decide) = decision(deployment)?;
    let approval: Approval = setting.approver.client.post(&path, &decide).await?;
    stage.say(format!("{}: {} of {} agreed", approval.state, approval.votes.len(), approval.quorum));
    Ok(())
}

async fn apply(stage: &Stage<'_>, setting: &Setting, deployment: &Deployment) -> Result<(), Failure> {
    stage.step("a new runner plans again, proves it is the same plan, and applies it once");
    let path = format!("/api/v1/deployments/{}", deployment.id);
    let before: Lines = setting.author.client.get(&format!("{path}/output")).await?;
    follow(stage, setting, deployment.id, before.next, |_| false).await?;
    let ended: Deployment = setting.author.client.get(&path).await?;
    if ended.state != State::Succeeded {
        return Err(ended_as(&ended));
    }
    let outcome = ended.outcome.as_ref().ok_or_else(|| unexpected("there is no outcome"))?;
    stage.say(format!("{}: {}", outcome.code, outcome.detail));
    for (name, value) in &outcome.outputs {
        stage.say(format!("output {name} = {value}"));
    }
    let seen = serde_json::to_string(&ended).unwrap_or_default();
    if stage.planted.all().iter().any(|secret| seen.contains(secret)) {
        return Err(unexpected("a planted secret was not redacted"));
    }
    Ok(())
}

async fn show_evidence(stage: &Stage<'_>, setting: &Setting, refused: Uuid) -> Result<(), Failure> {
    stage.step("iris, the auditor, reads the evidence");
    let page: Page<Record> = setting.auditor.client.get("/api/v1/evidence?limit=200").await?;
    let telling = ["runtime.", "policy."];
    let records = page.items.iter().rev().filter(|record| {
        telling.iter().any(|area| record.action.starts_with(area))
            && record.action.rsplit('.').next() != Some("read")
    });
    for record in records {
        let index = record.index.map_or_else(|| "new".to_owned(), |index| format!("#{index}"));
        stage.say(format!("{index:>4}  {:<7} {}", record.outcome, record.action));
    }
    let record: Record = setting.auditor.client.get(&format!("/api/v1/evidence/{refused}")).await?;
    stage.say("the refused attempt, as it stands in the log for whoever may read it:");
    stage.say(&record.leaf);
    let payload = record.payload.unwrap_or_default();
    let of =
        |pointer: &str| payload.pointer(pointer).and_then(|value| value.as_str()).unwrap_or("?").to_owned();
    stage.say(format!(
        "and opened with the tenant's keys: person {} was told `{}`",
        of("/actor/id"),
        of("/detail/code")
    ));
    Ok(())
}

async fn prove(stage: &Stage<'_>, setting: &Setting, early: &Path) -> Result<(), Failure> {
    stage.step("the offline verifier: from files alone");
    let auditor = &setting.auditor.client;
    let log: LogInfo = auditor.get("/api/v1/evidence/log").await?;
    let earlier = verify::export(early, &log.keys, None)?;
    let whole = stage.directory.join("evidence.tar.gz");
    export(auditor, &whole).await?;
    let later = verify::export(&whole, &log.keys, earlier.log.head.as_ref())?;
    for line in verify::told(&later) {
        stage.say(line);
    }
    let size = |verified: &Verified| verified.log.head.as_ref().map_or(0, |head| head.size);
    stage.say(format!(
        "consistency the log of {} leaves begins with the one of {}",
        size(&later),
        size(&earlier)
    ));

    let altered = stage.directory.join("altered");
    verify::unpack(&whole, &altered)?;
    flip_a_byte(&altered)?;
    let Err(found) = verify::export(&altered, &log.keys, None) else {
        return Err(unexpected("an altered log was taken for a sound one"));
    };
    stage.say(format!("one byte of a copy altered: {}", found.message));
    Ok(())
}

async fn export(auditor: &Client, to: &Path) -> Result<(), Failure> {
    let mut download = auditor.download("/api/v1/evidence/export").await?;
    let mut bytes = Vec::new();
    while let Some(piece) = download.piece().await? {
        bytes.extend_from_slice(&piece);
    }
    fs::write(to, bytes).map_err(|error| Failure::internal("the export cannot be kept", &error))
}

/// Alters one letter in the middle of the first bundle of leaves.
fn flip_a_byte(log: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::internal("the copy cannot be altered", &error);
    let bundles = fs::read_dir(log.join("tile/entries")).map_err(failed)?;
    for bundle in bundles.flatten().map(|entry| entry.path()) {
        let file = if bundle.is_dir() {
            fs::read_dir(&bundle).map_err(failed)?.flatten().next().map(|entry| entry.path())
        } else {
            Some(bundle)
        };
        let Some(file) = file else { continue };
        let mut bytes = fs::read(&file).map_err(failed)?;
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
            return fs::write(&file, bytes).map_err(failed);
        }
    }
    Err(unexpected("there is no bundle of leaves"))
}

/// Searches everything the server wrote for the planted secrets.
pub(crate) fn nothing_leaked(directory: &Path, planted: &Planted, output: Output) -> Result<(), Failure> {
    output.note("\n▸ A search through everything that was written: database, logs, exported evidence");
    let (mut files, mut bytes) = (0, 0);
    let mut places = vec![directory.to_path_buf()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let path: PathBuf = entry.path();
            if path.is_dir() {
                // The state of a dev environment is the tool's own file, and holds what the configuration holds.
                if path.file_name().is_none_or(|name| name != "states") {
                    places.push(path);
                }
                continue;
            }
            let content = fs::read(&path).unwrap_or_default();
            if planted
                .all()
                .iter()
                .any(|secret| content.windows(secret.len()).any(|window| window == secret.as_bytes()))
            {
                return Err(Failure::new(1, "leak", format!("a planted secret is in `{}`", path.display())));
            }
            files += 1;
            bytes += content.len();
        }
    }
    output.note(format!("  {files} files, {bytes} bytes: none of the planted secrets"));
    Ok(())
}

fn decision(deployment: &Deployment) -> Result<(String, Decide), Failure> {
    let approval = deployment.approval.ok_or_else(|| unexpected("there is no request for approval"))?;
    let plan = deployment.plan.as_ref().ok_or_else(|| unexpected("there is no plan"))?;
    let decide = Decide { verdict: Verdict::Approve, binding: plan.binding.clone(), comment: None };
    Ok((format!("/api/v1/approvals/{approval}/decide"), decide))
}

fn leaf_of(receipt: &str) -> Option<Uuid> {
    receipt.split_once("id=")?.1.split(',').next()?.parse().ok()
}

fn short(digest: &str) -> String {
    digest.chars().take(19).collect()
}

fn unexpected(what: &str) -> Failure {
    Failure::new(1, "demonstration", what)
}

fn ended_as(deployment: &Deployment) -> Failure {
    let outcome = deployment.outcome.as_ref();
    let detail = outcome.map_or("no outcome", |outcome| &outcome.detail);
    Failure::new(1, "deployment", format!("the deployment ended as {}: {detail}", deployment.state.as_str()))
}

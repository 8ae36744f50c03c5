//! A house with the deploy room in it, the people who use it, and runners that do as they are told.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use flate2::{Compression, write::GzEncoder};
use http::Method;
use serde_json::{Value, json};
use writ_deploy::{
    Deploy, Scheduler, Terms,
    ports::{Boxed, Launch, Launcher, Principals},
};
use writ_identity::Identity;
use writ_kernel::{Caller, Error, Id, Principal, Result, TenantId, TraceId};
use writ_store::testing::TestDb;
use writ_testkit::{Answer, App, House, Record, Someone};

/// Everything a test about deployments needs.
pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) app: App,
    pub(crate) launches: Arc<Launches>,
    pub(crate) scheduler: Scheduler,
    pub(crate) admin: Someone,
    /// A developer.
    pub(crate) ann: Someone,
    /// A developer who may approve.
    pub(crate) bob: Someone,
    operator: tokio::sync::Mutex<Option<Someone>>,
}

/// Remembers what it was to launch, and launches nothing.
#[derive(Default)]
pub(crate) struct Launches {
    started: Mutex<Vec<(String, String)>>,
    dead: Mutex<HashSet<String>>,
    broken: Mutex<bool>,
}

impl Launches {
    /// The run that was started last, and its one-time token.
    pub(crate) fn last(&self) -> (String, String) {
        self.started.lock().unwrap().last().cloned().unwrap()
    }

    pub(crate) fn count(&self) -> usize {
        self.started.lock().unwrap().len()
    }

    /// From now on nothing can be launched.
    pub(crate) fn break_down(&self) {
        *self.broken.lock().unwrap() = true;
    }

    /// The process of a run has died.
    pub(crate) fn died(&self, run: &str) {
        self.dead.lock().unwrap().insert(run.to_owned());
    }
}

impl Launcher for Launches {
    fn launch(&self, launch: Launch) -> Boxed<'_, Result<String>> {
        let run = launch.run.to_string();
        let broken = *self.broken.lock().unwrap();
        if !broken {
            self.started.lock().unwrap().push((run.clone(), launch.token.expose().to_owned()));
        }
        Box::pin(async move {
            if broken { Err(Error::unavailable("no_process", "no process can be started")) } else { Ok(run) }
        })
    }

    fn gone(&self, process: &str) -> bool {
        self.dead.lock().unwrap().contains(process)
    }
}

struct People(Identity);

impl Principals for People {
    fn current(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
        trace: TraceId,
    ) -> Boxed<'_, Result<Option<Caller>>> {
        Box::pin(self.0.current(tenant, principal, trace))
    }

    fn accountable(
        &self,
        tenant: TenantId,
        principal: Id<Principal>,
    ) -> Boxed<'_, Result<Option<Id<Principal>>>> {
        Box::pin(self.0.accountable(tenant, principal))
    }
}

impl Stage {
    pub(crate) async fn over(db: &TestDb) -> Self {
        let house = House::over(db).await;
        let admin = house.tenant("acme").await;
        let ann = house.person(&admin, "ann", &["developer"]).await;
        let bob = house.person(&admin, "bob", &["developer", "approver"]).await;
        let identity = Identity::new(house.gate.clone());
        let room = Deploy::new(house.gate.clone(), Arc::new(People(identity.clone())));
        let rooms = [
            writ_identity::routes(identity),
            writ_deploy::routes(room.clone()),
            writ_deploy::runner_routes(room.clone()),
        ];
        let (app, launches) = (house.app(rooms), Arc::new(Launches::default()));
        let scheduler = Scheduler::new(room, launches.clone(), Terms::default());
        Self { house, app, launches, scheduler, admin, ann, bob, operator: tokio::sync::Mutex::default() }
    }

    /// An operator; the same one each time.
    pub(crate) async fn olga(&self) -> Someone {
        let mut olga = self.operator.lock().await;
        if olga.is_none() {
            *olga = Some(self.house.person(&self.admin, "olga", &["operator"]).await);
        }
        olga.clone().unwrap()
    }

    /// Somebody with a key: no session lasts as long as an approval.
    pub(crate) async fn again(&self, who: &Someone) -> Someone {
        let wanted = json!({ "label": "later", "scopes": ["*"], "expiresAt": "2027-06-01T00:00:00Z" });
        let key = self.post(who, "/api/v1/api-keys", &wanted).await;
        Someone {
            token: key["secret"].as_str().unwrap_or_else(|| panic!("{key}")).to_owned(),
            caller: who.caller.clone(),
        }
    }

    pub(crate) fn tick(&self) {
        self.house.advance(Duration::from_secs(1));
    }

    /// POST, which must succeed.
    pub(crate) async fn post(&self, who: &Someone, path: &str, body: &Value) -> Value {
        let answer = self.app.send(who, Method::POST, path, body).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn get(&self, who: &Someone, path: &str) -> Value {
        let answer = self.app.get(who, path).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn environment(&self, name: &str, kind: &str, approvals: u8) -> String {
        let wanted = json!({ "name": name, "kind": kind, "requiredApprovals": approvals });
        id(&self.post(&self.admin, "/api/v1/environments", &wanted).await)
    }

    /// A connection to nowhere in a new environment of kind dev.
    pub(crate) async fn local(&self, name: &str, approvals: u8) -> String {
        let environment = self.environment(name, "dev", approvals).await;
        let wanted = json!({ "name": name, "environment": environment, "target": { "cloud": "local" },
            "backend": { "kind": "local" }, "allowedProviders": ["hashicorp/null"] });
        id(&self.post(&self.admin, "/api/v1/connections", &wanted).await)
    }

    /// A connection to a cloud in a new environment of kind prod.
    pub(crate) async fn aws(&self, name: &str) -> String {
        let environment = self.environment(name, "prod", 0).await;
        id(&self.post(&self.admin, "/api/v1/connections", &aws(name, &environment)).await)
    }

    pub(crate) async fn upload(&self, packed: Vec<u8>) -> Answer {
        self.app.ask(Some(&self.ann.token), Method::POST, "/api/v1/configurations", Body::from(packed)).await
    }

    /// Ann asks for a change through `connection`.
    pub(crate) async fn deploy(&self, connection: &str) -> String {
        self.deploy_with(connection, &json!({})).await
    }

    pub(crate) async fn deploy_with(&self, connection: &str, more: &Value) -> String {
        self.tick();
        let wanted = self.wanted(connection, more).await;
        id(&self.post(&self.ann, "/api/v1/deployments", &wanted).await)
    }

    pub(crate) async fn wanted(&self, connection: &str, more: &Value) -> Value {
        let uploaded = self.upload(archive(&[("main.tf", "# nothing")])).await;
        let mut wanted =
            json!({ "target": "web", "connection": connection, "configuration": id(&uploaded.json()) });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        wanted
    }

    pub(crate) async fn state(&self, deployment: &str) -> String {
        let shown = self.get(&self.ann, &format!("/api/v1/deployments/{deployment}")).await;
        shown["state"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn outcome(&self, deployment: &str) -> String {
        let shown = self.get(&self.ann, &format!("/api/v1/deployments/{deployment}")).await;
        shown["outcome"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The worker looks once at everything that waits.
    pub(crate) async fn round(&self) {
        self.tick();
        Box::pin(self.scheduler.round()).await.unwrap();
    }

    /// The worker starts a runner, and the runner claims its run.
    pub(crate) async fn runner(&self) -> Runner<'_> {
        let before = self.launches.count();
        self.round().await;
        assert_eq!(self.launches.count(), before + 1, "a runner was started");
        let (_, token) = self.launches.last();
        self.tick();
        let answer = self.claim(&token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Runner { stage: self, claim: answer.json() }
    }

    pub(crate) async fn claim(&self, token: &str) -> Answer {
        self.app.ask(Some(token), Method::POST, "/runner/v1/claim", Body::empty()).await
    }

    /// What the log of the tenant says about runs and deployments, in order.
    pub(crate) async fn said(&self) -> Vec<String> {
        let records = self.records().await;
        let changes = records.iter().map(Record::said);
        changes.filter(|said| said.starts_with("runtime.") && !said.contains(".read ")).collect()
    }

    pub(crate) async fn records(&self) -> Vec<Record> {
        self.house.records(self.admin.tenant()).await
    }

    /// The code of the newest refusal of `action`.
    pub(crate) async fn refusal(&self, action: &str) -> Option<String> {
        let records = self.records().await;
        let refused = records.iter().rev().find(|record| record.said() == format!("{action} refuse"));
        refused.and_then(|record| record.code().map(str::to_owned))
    }

    /// The request for approval that a deployment waits for.
    pub(crate) async fn approval(&self, deployment: &str) -> Value {
        let shown = self.get(&self.ann, &format!("/api/v1/deployments/{deployment}")).await;
        let approval = shown["approval"].as_str().unwrap();
        self.get(&self.ann, &format!("/api/v1/approvals/{approval}")).await
    }

    pub(crate) async fn vote(&self, who: &Someone, approval: &Value, verdict: &str) -> Answer {
        self.tick();
        let path = format!("/api/v1/approvals/{}/decide", id(approval));
        let body = json!({ "verdict": verdict, "binding": approval["binding"] });
        self.app.send(who, Method::POST, &path, &body).await
    }
}

/// A runner that has claimed its run.
pub(crate) struct Runner<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) claim: Value,
}

impl Runner<'_> {
    pub(crate) async fn say(&self, path: &str, body: &Value) -> Answer {
        self.stage.tick();
        let body = Body::from(body.to_string());
        let session = self.claim["session"].as_str();
        self.stage.app.ask(session, Method::POST, &format!("/runner/v1/{path}"), body).await
    }

    /// Submits a plan, and learns what may become of it.
    pub(crate) async fn plan(&self, plan: &Value) -> Value {
        let answer = self.say("plan", plan).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) async fn finish(&self, succeeded: bool, cancelled: bool, code: &str) -> Answer {
        let end = json!({ "succeeded": succeeded, "cancelled": cancelled,
            "outcome": { "code": code, "detail": "so it ended" },
            "outputDigest": "sha256:00", "redactions": {}, "wiped": true });
        self.say("finish", &end).await
    }

    pub(crate) fn run(&self) -> &str {
        self.claim["run"].as_str().unwrap()
    }
}

/// A plan whose content has the hash `hash`.
pub(crate) fn plan(hash: &str, facts: &Value) -> Value {
    json!({
        "bound": { "plan": format!("sha256:{hash}"), "configuration": "sha256:aa", "tool": "opentofu",
            "toolVersion": "1.11.0", "toolDigest": "sha256:bb", "runnerDigest": "sha256:cc", "stateSerial": 0 },
        "facts": facts, "changes": true, "projection": { "resources": [] },
    })
}

pub(crate) fn aws(name: &str, environment: &str) -> Value {
    json!({ "name": name, "environment": environment,
        "target": { "cloud": "aws", "roleArn": "arn:aws:iam::123456789012:role/deploy", "externalId": "writ-acme",
            "region": "eu-west-1" },
        "backend": { "kind": "s3", "bucket": "acme-state", "region": "eu-west-1", "prefix": "writ" },
        "allowedProviders": ["hashicorp/aws"] })
}

pub(crate) fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap_or_else(|| panic!("{thing}")).to_owned()
}

/// A gzipped tar archive of these files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    packed(|tar| {
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len().try_into().unwrap());
            header.set_mode(0o644);
            tar.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
    })
}

pub(crate) fn packed(fill: impl FnOnce(&mut tar::Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    fill(&mut tar);
    tar.into_inner().unwrap().finish().unwrap()
}

//! A server of its own for a test, people who use it, and what they do.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{Instant, timeout},
};
use uuid::Uuid;
use writ_client::{Client, Config, Token, Trust};
use writ_crypto::Entropy;
use writ_wire::{
    approvals::{Approval, Decide, Verdict},
    configurations::Configuration,
    connections::{Cloud, Connection, CreateConnection, StateBackend},
    deployments::{CreateDeployment, Deployment, Mode, Output, OutputLine, State},
    evidence::Record,
    identity::{BindRole, CreatePerson, CreatedPerson, LoggedIn, Login, RoleBinding},
    page::Page,
    sys::{InitRequest, InitResponse, Protection},
    tenancy::{CreateEnvironment, CreateTenant, CreatedTenant, Environment, EnvironmentKind, IsolationLevel},
};

/// In the environment of every server; nobody may ever print it.
pub(crate) const CANARY: &str = "canary-of-the-servers-environment-5b0c";
/// No deployment of these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The tool: `WRIT_TOOL`, or the first on the path.
pub(crate) fn tool() -> PathBuf {
    let named = std::env::var_os("WRIT_TOOL").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).flat_map(|dir| [dir.join("tofu"), dir.join("terraform")]);
    named
        .or_else(|| places.find(|place| place.is_file()))
        .expect("WRIT_TOOL, or `tofu` or `terraform` on the path")
}

/// What a test wants otherwise than usual.
#[derive(Default)]
pub(crate) struct Wanted {
    /// Lines for the `[runner]` section of the configuration.
    pub(crate) runner: String,
    /// Lines for the `[database]` section.
    pub(crate) database: String,
    /// Where the data lives; below the house's own directory unless told.
    pub(crate) data: Option<PathBuf>,
}

/// A running server.
pub(crate) struct House {
    directory: TempDir,
    wanted: Wanted,
    child: Child,
    address: String,
    pin: String,
}

#[derive(Deserialize)]
struct Ready {
    address: String,
    pin: String,
}

impl House {
    /// One with lines for the `[runner]` section of its configuration.
    pub(crate) async fn start(runner: &str) -> Self {
        Self::with(Wanted { runner: runner.to_owned(), ..Wanted::default() }).await
    }

    pub(crate) async fn with(wanted: Wanted) -> Self {
        let directory = tempfile::Builder::new().prefix("writ-e2e-").tempdir().unwrap();
        // Runs have users of their own, who must get through.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(directory.path().join("work")).unwrap();
        let (child, Ready { address, pin }) = serve(directory.path(), &wanted, "127.0.0.1:0").await;
        Self { directory, wanted, child, address, pin }
    }

    /// Kills the server as a power cut does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again where it was, on the same data.
    pub(crate) async fn restart(&mut self) {
        let listen = self.address.trim_start_matches("https://").to_owned();
        let (child, ready) = serve(self.directory.path(), &self.wanted, &listen).await;
        assert_eq!(ready.pin, self.pin, "it is the same server");
        self.child = child;
    }

    /// Asks the server to end and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it drains").unwrap();
        assert!(status.success(), "{}", self.log());
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id().expect("it runs")).unwrap()
    }

    pub(crate) fn running(&self) -> bool {
        self.child.id().is_some()
    }

    /// The runners it has started that are alive.
    pub(crate) fn runners(&self) -> Vec<i32> {
        crate::processes::runners_of(self.child.id())
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        data(self.directory.path(), &self.wanted)
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.path().join("server.log")).unwrap()).into_owned()
    }

    /// What is left of workspaces: paths of files, and of directories only when they hold something.
    pub(crate) fn left_in_workspaces(&self) -> Vec<PathBuf> {
        files_below(&self.directory.path().join("work"))
    }

    pub(crate) fn client(&self, token: Option<String>) -> Client {
        let mut config =
            Config::new(self.address.clone(), Trust::Pin(self.pin.parse().unwrap()), Arc::new(Entropy::os()));
        config.token = token.map(|token| Token::new(token).unwrap());
        Client::new(config).unwrap()
    }

    /// Every file the server keeps, states of the tool apart, that holds one of `secrets`, raw or in base64.
    pub(crate) fn holders<'a>(&self, secrets: &[&'a str]) -> Vec<(PathBuf, &'a str)> {
        let mut found = Vec::new();
        let states = self.data().join("states");
        let mut files = files_below(self.directory.path());
        files.extend(files_below(&self.data()));
        for file in files.iter().filter(|file| !file.starts_with(&states)) {
            let content = fs::read(file).unwrap();
            found.extend(
                secrets
                    .iter()
                    .filter(|secret| holds(&content, secret.as_bytes()))
                    .map(|it| (file.clone(), *it)),
            );
        }
        found
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Whatever a failed test left running ends with it.
        for runner in self.runners() {
            crate::processes::signal(runner, rustix::process::Signal::KILL);
        }
        drop(self.child.start_kill());
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!(
                "the end of the server's log:\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}

fn data(directory: &Path, wanted: &Wanted) -> PathBuf {
    wanted.data.clone().unwrap_or_else(|| directory.join("data"))
}

async fn serve(directory: &Path, wanted: &Wanted, listen: &str) -> (Child, Ready) {
    let tool = if wanted.runner.contains("tool =") {
        String::new()
    } else {
        format!("tool = '{}'\n", tool().display())
    };
    let config = format!(
        "data_dir = '{}'\n[server]\nlisten = {listen:?}\n[log]\nfilter = 'info,writ_deploy=debug,writ_server=debug'\n\
         [database]\n{}\n[runner]\n{tool}workspace = '{}'\nsilence_seconds = 10\ngrace_seconds = 5\n{}\n",
        data(directory, wanted).display(),
        wanted.database,
        directory.join("work").display(),
        wanted.runner,
    );
    let file = directory.join("writ.toml");
    fs::write(&file, config).unwrap();
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("server.log")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_writ"))
        .args(["server", "--config"])
        .arg(&file)
        .env("AWS_SECRET_ACCESS_KEY", CANARY)
        .env("TF_VAR_canary", CANARY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(Duration::from_mins(1), lines.next_line()).await.expect("it starts").unwrap();
    let line =
        line.unwrap_or_else(|| panic!("{}", fs::read_to_string(directory.join("server.log")).unwrap()));
    (child, serde_json::from_str(&line).unwrap())
}

pub(crate) fn files_below(place: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}

pub(crate) fn holds(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

/// A tenant and its people. Alice develops and may approve; bob and carol approve; oscar operates; iris audits.
pub(crate) struct Tenant {
    pub(crate) admin: Client,
    pub(crate) alice: Client,
    pub(crate) bob: Client,
    pub(crate) carol: Client,
    pub(crate) oscar: Client,
    pub(crate) iris: Client,
}

impl Tenant {
    pub(crate) async fn found(house: &House) -> Self {
        let wanted = InitRequest { protection: Protection::DevFile, admin: "operator".to_owned() };
        let init: InitResponse = house.client(None).post("/api/v1/sys/init", &wanted).await.unwrap();
        let operator = log_in(house, init.enrolment_token.unwrap()).await;
        let wanted = CreateTenant { name: "acme".to_owned(), admin: "ada".to_owned() };
        let tenant: CreatedTenant = operator.post("/api/v1/tenants", &wanted).await.unwrap();
        let admin = log_in(house, tenant.enrolment_token).await;
        Self {
            alice: person(house, &admin, "alice", &["developer", "approver"]).await,
            bob: person(house, &admin, "bob", &["approver"]).await,
            carol: person(house, &admin, "carol", &["approver"]).await,
            oscar: person(house, &admin, "oscar", &["operator"]).await,
            iris: person(house, &admin, "iris", &["auditor"]).await,
            admin,
        }
    }

    /// An environment of kind dev that demands so many approvals, and a connection with local state and no cloud.
    pub(crate) async fn workbench(&self, name: &str, approvals: u8) -> Connection {
        self.connection(name, approvals, Cloud::Local {}, StateBackend::Local {}).await
    }

    pub(crate) async fn connection(
        &self,
        name: &str,
        approvals: u8,
        target: Cloud,
        backend: StateBackend,
    ) -> Connection {
        let environment = CreateEnvironment {
            name: name.to_owned(),
            kind: EnvironmentKind::Dev,
            required_approvals: approvals,
            minimum_isolation: IsolationLevel::None,
        };
        let environment: Environment = self.admin.post("/api/v1/environments", &environment).await.unwrap();
        let connection = CreateConnection {
            name: name.to_owned(),
            environment: environment.id,
            target,
            backend,
            allowed_providers: Vec::new(),
        };
        self.oscar.post("/api/v1/connections", &connection).await.unwrap()
    }

    /// Uploads a configuration of one file.
    pub(crate) async fn upload(&self, main: &str) -> Uuid {
        let packed = archive(&[("main.tf", main)]);
        let path = "/api/v1/configurations?origin=e2e";
        let configuration: Configuration =
            self.alice.post_bytes(path, "application/gzip", packed.into()).await.unwrap();
        configuration.id
    }

    /// What alice wants: the configuration `main` for target `app`.
    pub(crate) async fn wish(&self, connection: &Connection, main: &str) -> CreateDeployment {
        CreateDeployment {
            target: "app".to_owned(),
            connection: connection.id,
            configuration: self.upload(main).await,
            mode: Mode::Apply,
            variables: [].into(),
            timeout_seconds: Some(300),
            reason: None,
        }
    }

    pub(crate) async fn ask(&self, wish: &CreateDeployment) -> Uuid {
        self.alice.post::<_, Deployment>("/api/v1/deployments", wish).await.unwrap().id
    }

    /// Asks, and waits until nothing more happens by itself.
    pub(crate) async fn deploy(&self, wish: &CreateDeployment) -> Followed {
        let id = self.ask(wish).await;
        self.follow(id, |state| state == State::AwaitingApproval).await
    }

    /// Deploys `main` as target `app`.
    pub(crate) async fn deploy_main(&self, connection: &Connection, main: &str) -> Followed {
        self.deploy(&self.wish(connection, main).await).await
    }

    /// Waits until the deployment has ended, or `enough` of it has happened.
    pub(crate) async fn follow(&self, id: Uuid, enough: impl Fn(State) -> bool) -> Followed {
        self.follow_until(id, |state, _| enough(state)).await
    }

    /// The same, looking at the lines so far too.
    pub(crate) async fn follow_until(
        &self,
        id: Uuid,
        enough: impl Fn(State, &[OutputLine]) -> bool,
    ) -> Followed {
        let give_up = Instant::now() + PATIENCE;
        let (mut after, mut lines) = (0, Vec::new());
        loop {
            let path = format!("/api/v1/deployments/{id}/output?after={after}&wait=1");
            let part: Output = self.alice.get(&path).await.unwrap();
            let drained = part.lines.is_empty();
            lines.extend(part.lines);
            after = part.next;
            if enough(part.state, &lines) || (part.state.is_final() && drained) {
                return Followed { deployment: self.look(id).await, lines };
            }
            let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            assert!(Instant::now() < give_up, "still {}: {texts:#?}", part.state.as_str());
        }
    }

    pub(crate) async fn look(&self, id: Uuid) -> Deployment {
        self.alice.get(&format!("/api/v1/deployments/{id}")).await.unwrap()
    }

    pub(crate) async fn cancel(&self, id: Uuid) -> Deployment {
        self.alice.post(&format!("/api/v1/deployments/{id}/cancel"), &json!({})).await.unwrap()
    }

    /// The deployment's approval as it is.
    pub(crate) async fn approval(&self, deployment: &Deployment) -> Approval {
        self.bob
            .get(&format!("/api/v1/approvals/{}", deployment.approval.expect("an approval")))
            .await
            .unwrap()
    }

    /// All evidence about `resource`, oldest first.
    pub(crate) async fn evidence(&self, resource: Uuid) -> Vec<Record> {
        let path = format!("/api/v1/evidence?limit=200&resource={resource}");
        let mut page: Page<Record> = self.iris.get(&path).await.unwrap();
        page.items.reverse();
        page.items
    }
}

/// Says yes or no to a deployment's plan, as it was seen.
pub(crate) async fn decide(
    who: &Client,
    seen: &Deployment,
    verdict: Verdict,
) -> writ_client::Result<Approval> {
    let path = format!("/api/v1/approvals/{}/decide", seen.approval.expect("an approval"));
    let binding = seen.plan.as_ref().expect("a plan").binding.clone();
    who.post(&path, &Decide { verdict, binding, comment: None }).await
}

/// A deployment and what its runs said.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) deployment: Deployment,
    pub(crate) lines: Vec<OutputLine>,
}

impl Followed {
    pub(crate) fn id(&self) -> Uuid {
        self.deployment.id
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.step.as_str(), ": ", line.text.as_str(), "\n"]).collect()
    }

    /// The state, and the outcome's code.
    pub(crate) fn ended(&self) -> (State, &str) {
        (self.deployment.state, self.deployment.outcome.as_ref().map_or("", |outcome| &outcome.code))
    }

    /// Asserts how it ended, telling everything when it did otherwise.
    #[track_caller]
    pub(crate) fn must(self, state: State, code: &str) -> Self {
        assert_eq!(self.ended(), (state, code), "{:#?}\n{}", self.deployment.outcome, self.text());
        self
    }

    pub(crate) fn output(&self, name: &str) -> Option<&Value> {
        self.deployment.outcome.as_ref()?.outputs.get(name)
    }

    pub(crate) fn detail(&self) -> &str {
        self.deployment.outcome.as_ref().map_or("", |outcome| &outcome.detail)
    }
}

async fn log_in(house: &House, token: String) -> Client {
    let login = Login { token, label: Some("e2e".to_owned()) };
    let session: LoggedIn = house.client(None).post("/api/v1/sessions", &login).await.unwrap();
    house.client(Some(session.token))
}

async fn person(house: &House, admin: &Client, name: &str, roles: &[&str]) -> Client {
    let wanted = CreatePerson { name: name.to_owned(), display_name: None };
    let created: CreatedPerson = admin.post("/api/v1/people", &wanted).await.unwrap();
    for role in roles {
        let binding = BindRole {
            principal: created.person.id,
            role: (*role).to_owned(),
            environment: None,
            expires_at: None,
        };
        admin.post::<_, RoleBinding>("/api/v1/role-bindings", &binding).await.unwrap();
    }
    log_in(house, created.enrolment_token).await
}

/// A gzip-compressed tar archive of these files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Looks until `found` gives something; the condition has no other way to be waited for.
pub(crate) async fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < give_up, "{what} never happened");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

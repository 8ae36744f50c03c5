//! A place for servers to stand, and a client that shows everything of an answer.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use writ_kernel::Result;
use writ_server::Config;
use writ_store::testing::{EmptyDb, TestDb};

/// A data directory and an empty database. Servers come and go on it.
pub(crate) struct Ground {
    pub(crate) files: TempDir,
    pub(crate) place: EmptyDb,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) pin: String,
    pub(crate) metrics: Option<SocketAddr>,
    certificate: PathBuf,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<()>>,
}

/// What came back, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Ground {
    /// On the engine of `house`.
    pub(crate) fn beside(house: &TestDb) -> Self {
        Self { files: TempDir::new().unwrap(), place: house.empty_sibling() }
    }

    /// The configuration of a server here, read from variables as an operator would give them. Nothing runs
    /// deployments: the tests of the runner do.
    pub(crate) fn config(&self, more: &[(&str, &str)]) -> Config {
        let own = [
            ("WRIT_DATA_DIR", self.files.path().join("data").display().to_string()),
            ("WRIT_SERVER_LISTEN", "127.0.0.1:0".to_owned()),
            ("WRIT_DATABASE_URL", url(&self.place.config)),
            ("WRIT_DATABASE_MIGRATE_URL", url(&self.place.owner)),
            ("WRIT_RUNNER_RUNS_OF_TENANT", "0".to_owned()),
            ("WRIT_LIMITS_PRINCIPAL_PER_SECOND", "100000".to_owned()),
            ("WRIT_LIMITS_PRINCIPAL_BURST", "100000".to_owned()),
            ("WRIT_LIMITS_TENANT_PER_SECOND", "100000".to_owned()),
            ("WRIT_LIMITS_TENANT_BURST", "100000".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(None, own.chain(more)).unwrap()
    }

    /// Where a server here keeps the certificate it makes.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.files.path().join("data/server.pem")
    }

    pub(crate) async fn serve(&self) -> Server {
        self.serve_with(&[]).await
    }

    pub(crate) async fn serve_with(&self, more: &[(&str, &str)]) -> Server {
        start(self.config(more)).await.unwrap()
    }
}

fn url(config: &writ_store::Config) -> String {
    match config {
        writ_store::Config::Sqlite { path } => format!("sqlite://{}", path.display()),
        writ_store::Config::Postgres { url, .. } => url.clone(),
    }
}

/// Starts a server, or tells why it did not start.
pub(crate) async fn start(config: Config) -> Result<Server> {
    let (stop, stopped) = oneshot::channel();
    let (ready, told) = oneshot::channel();
    let certificate = config.data_dir.join("server.pem");
    let mut task =
        tokio::spawn(writ_server::serve(config, |listening| drop(ready.send(listening)), async move {
            let _ = stopped.await;
        }));
    let listening = tokio::select! {
        listening = told => listening,
        ended = &mut task => return Err(ended.unwrap().unwrap_err()),
    };
    let Ok(writ_server::Ready { address, pin, metrics }) = listening else {
        return Err(task.await.unwrap().unwrap_err());
    };
    let http = client(&certificate);
    Ok(Server { address, pin, metrics, certificate, http, stop: Some(stop), task })
}

/// Trust in one certificate.
pub(crate) fn roots(certificate: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    roots
}

fn tls(certificate: &Path) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(certificate))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn client(certificate: &Path) -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1));
    builder.tls_backend_preconfigured(tls(certificate)).build().unwrap()
}

impl Server {
    /// How its clients speak TLS.
    pub(crate) fn tls(&self) -> ClientConfig {
        tls(&self.certificate)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("https://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        ask(self.request(Method::GET, path).bearer_auth(token)).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        ask(self.request(Method::POST, path).bearer_auth(token).json(body)).await
    }

    /// POST by nobody.
    pub(crate) async fn say(&self, path: &str, body: &Value) -> Answer {
        ask(self.request(Method::POST, path).json(body)).await
    }

    /// Initialises the server with a key file and signs its administrator in.
    pub(crate) async fn found(&self) -> String {
        let wanted = json!({ "protection": { "kind": "dev-file" }, "admin": "root" });
        let answer = self.say("/api/v1/sys/init", &wanted).await;
        self.sign_in(&answer).await
    }

    /// Creates a tenant and signs its administrator in.
    pub(crate) async fn tenant(&self, root: &str, name: &str) -> String {
        let answer = self.post(root, "/api/v1/tenants", &json!({ "name": name, "admin": "admin" })).await;
        self.sign_in(&answer).await
    }

    /// Creates a person with `roles` and signs them in.
    pub(crate) async fn person(&self, admin: &str, name: &str, roles: &[&str]) -> String {
        let answer = self.post(admin, "/api/v1/people", &json!({ "name": name })).await;
        let person = answer.json()["person"]["id"].clone();
        for role in roles {
            let binding = json!({ "principal": person, "role": role });
            let bound = self.post(admin, "/api/v1/role-bindings", &binding).await;
            assert_eq!(bound.status, 201, "{}", bound.text());
        }
        self.sign_in(&answer).await
    }

    async fn sign_in(&self, created: &Answer) -> String {
        let enrolment = created.word("enrolmentToken");
        self.say("/api/v1/sessions", &json!({ "token": enrolment })).await.word("token")
    }

    /// Begins the shutdown, and does not wait for it.
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn stop(self) {
        let Self { http, stop, task, .. } = self;
        // Else its idle connections are waited for.
        drop(http);
        drop(stop);
        task.await.unwrap().unwrap();
    }
}

/// Sends a request.
pub(crate) async fn ask(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    Answer { status, headers, body: answer.bytes().await.unwrap().to_vec() }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A member that holds text.
    pub(crate) fn word(&self, member: &str) -> String {
        let value = self.json()[member].as_str().map(str::to_owned);
        value.unwrap_or_else(|| panic!("no `{member}` in {} {}", self.status, self.text()))
    }

    /// The code of a problem; empty for anything else.
    pub(crate) fn code(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| body["code"].as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Panics unless this is a problem with `status` that can be asked about by its trace.
    pub(crate) fn must_be_problem(&self, status: u16, about: &str) {
        assert_eq!(self.status, status, "{about}: {}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{about}");
        let body = self.json();
        assert_eq!(body["status"], status, "{about}");
        assert_eq!(body["traceId"].as_str().map(str::len), Some(32), "{about}: {body}");
        assert!(!self.code().is_empty(), "{about}");
    }
}
